/* test_cli_orders.c - the rules of the order pipeline, each at its limit and one beyond, and the
 * pipeline against the sequential computation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders.h"

#include "base_test.h"
#include "cli/orders_pipeline.h"

static void ids_are_remembered_for_the_window(void **state)
{
    (void)state;
    dxi_id_set_t *const set = dxi_alloc_zeroed(1, sizeof *set);
    assert_non_null(set);
    for (int64_t id = 1; id <= DXI_ID_SET_WINDOW; id++) {
        assert_true(dxi_id_set_add(set, id));
    }
    assert_false(dxi_id_set_add(set, 1)); /* the oldest, just remembered */
    assert_true(dxi_id_set_check(set));
    assert_true(dxi_id_set_add(set, DXI_ID_SET_WINDOW + 1));
    assert_true(dxi_id_set_add(set, 1)); /* just forgotten */
    assert_false(dxi_id_set_add(set, 3));
    assert_true(dxi_id_set_check(set));
    dxi_free(set);
}

static void the_id_set_holds_its_invariants_whatever_comes(void **state)
{
    (void)state;
    dxi_id_set_t *const set = dxi_alloc_zeroed(1, sizeof *set);
    assert_non_null(set);
    uint64_t random = 42;
    for (int64_t i = 0; i < 6 * DXI_ID_SET_WINDOW; i++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        (void)dxi_id_set_add(set, (int64_t)(random >> 40) % (2 * DXI_ID_SET_WINDOW) + 1);
        if (i % DXI_ID_SET_WINDOW == 0) {
            assert_true(dxi_id_set_check(set));
        }
    }
    assert_true(dxi_id_set_add(set, INT64_MAX));
    assert_true(dxi_id_set_check(set));
    dxi_free(set);
}

static void validation_refuses_one_beyond_each_limit(void **state)
{
    (void)state;
    static const struct {
        dxi_order_message_t message;
        dxi_refusal_t refusal;
    } rows[] = {
        {{.type = 1, .id = 1, .size = 1, .price = 1, .direction = 1}, DXI_REFUSAL_none},
        {{.type = 1, .id = 1, .size = 1, .price = 1, .direction = 1}, DXI_REFUSAL_duplicate_id},
        {{.type = 2, .id = 2, .size = 1, .price = 1, .direction = 1}, DXI_REFUSAL_not_submission},
        {{.type = 1, .id = 0, .size = 1, .price = 1, .direction = 1}, DXI_REFUSAL_bad_id},
        {{.type = 1, .id = 3, .size = 0, .price = 1, .direction = 1}, DXI_REFUSAL_bad_size},
        {{.type = 1, .id = 3, .size = DXI_ORDER_SIZE_MAX, .price = 1, .direction = -1},
         DXI_REFUSAL_none},
        {{.type = 1, .id = 4, .size = DXI_ORDER_SIZE_MAX + 1, .price = 1, .direction = -1},
         DXI_REFUSAL_bad_size},
        {{.type = 1, .id = 4, .size = 1, .price = 0, .direction = 1}, DXI_REFUSAL_bad_price},
        {{.type = 1, .id = 4, .size = 1, .price = DXI_ORDER_PRICE_MAX, .direction = 1},
         DXI_REFUSAL_none},
        {{.type = 1, .id = 5, .size = 1, .price = DXI_ORDER_PRICE_MAX + 1, .direction = 1},
         DXI_REFUSAL_bad_price},
        {{.type = 1, .id = 5, .size = 1, .price = 1, .direction = 0}, DXI_REFUSAL_bad_direction},
        {{.type = 1, .id = 5, .size = 10, .price = DXI_ORDER_VALUE_MAX / 10, .direction = 1},
         DXI_REFUSAL_none},
        {{.type = 1, .id = 6, .size = 10, .price = DXI_ORDER_VALUE_MAX / 10 - 1, .direction = 1},
         DXI_REFUSAL_none},
        {{.type = 1, .id = 7, .size = 100, .price = DXI_ORDER_VALUE_MAX / 100 + 1, .direction = 1},
         DXI_REFUSAL_over_limit},
    };
    dxi_validation_t *const validation = dxi_alloc_zeroed(1, sizeof *validation);
    assert_non_null(validation);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dxi_order_t order = {.message = rows[i].message};
        dxi_order_validate(validation, &order);
        assert_string_equal(dxi_refusal_name((dxi_refusal_t)order.validated.refusal),
                            dxi_refusal_name(rows[i].refusal));
    }
    dxi_free(validation);
}

static dxi_order_t order_of(int64_t id, int64_t size, int64_t price, int32_t direction)
{
    return (dxi_order_t){
        .message = {.type = 1, .id = id, .size = size, .price = price, .direction = direction}};
}

static void inventory_gives_its_stock_and_not_more(void **state)
{
    (void)state;
    dxi_inventory_t inventory;
    dxi_inventory_begin(&inventory);
    dxi_order_t buy_all = order_of(1, DXI_STOCK_SHARES, 1, 1);
    dxi_order_t buy_one = order_of(2, 1, 1, 1);
    dxi_order_t sell_two = order_of(3, 2, 1, -1);
    dxi_order_t sell_all = order_of(4, DXI_ORDER_SIZE_MAX, 1, -1);

    dxi_order_check_inventory(&inventory, &buy_all);
    assert_int_equal(buy_all.inventory.refusal, DXI_REFUSAL_none);
    dxi_order_check_inventory(&inventory, &buy_one);
    assert_int_equal(buy_one.inventory.refusal, DXI_REFUSAL_out_of_stock);
    dxi_order_check_inventory(&inventory, &sell_two);
    dxi_order_check_inventory(&inventory, &buy_one);
    assert_int_equal(buy_one.inventory.refusal, DXI_REFUSAL_none);
    assert_int_equal(inventory.shares, 1);
    dxi_order_check_inventory(&inventory, &sell_all);
    assert_int_equal(inventory.shares, DXI_STOCK_SHARES); /* never more */

    buy_one.validated.refusal = DXI_REFUSAL_bad_size;
    dxi_order_check_inventory(&inventory, &buy_one); /* refused before: takes nothing */
    assert_int_equal(inventory.shares, DXI_STOCK_SHARES);
}

static void payment_gives_each_account_its_credit_and_not_more(void **state)
{
    (void)state;
    dxi_payment_t payment;
    dxi_payment_begin(&payment);
    dxi_order_t spend_all = order_of(DXI_ACCOUNTS + 5, 1, DXI_CREDIT_LIMIT, 1);
    dxi_order_t spend_one = order_of(5, 1, 1, 1);
    dxi_order_t other_account = order_of(6, 1, 1, 1);
    dxi_order_t sell = order_of(5, 3, 2, -1);

    dxi_order_verify_payment(&payment, &spend_all);
    assert_int_equal(spend_all.payment.refusal, DXI_REFUSAL_none);
    dxi_order_verify_payment(&payment, &spend_one);
    assert_int_equal(spend_one.payment.refusal, DXI_REFUSAL_no_funds);
    dxi_order_verify_payment(&payment, &other_account);
    assert_int_equal(other_account.payment.refusal, DXI_REFUSAL_none);
    dxi_order_verify_payment(&payment, &sell);
    assert_int_equal(payment.credit[5], 6);
    dxi_order_verify_payment(&payment, &spend_one);
    assert_int_equal(spend_one.payment.refusal, DXI_REFUSAL_none);
    sell.message.id = 6;
    dxi_order_verify_payment(&payment, &sell);
    assert_int_equal(payment.credit[6], DXI_CREDIT_LIMIT); /* never more */
}

static void fulfil_counts_by_who_refused(void **state)
{
    (void)state;
    static const struct {
        dxi_refusal_t validated, inventory, payment, fate;
    } rows[] = {
        {DXI_REFUSAL_none, DXI_REFUSAL_none, DXI_REFUSAL_none, DXI_REFUSAL_none},
        {DXI_REFUSAL_bad_price, DXI_REFUSAL_none, DXI_REFUSAL_none, DXI_REFUSAL_bad_price},
        {DXI_REFUSAL_none, DXI_REFUSAL_out_of_stock, DXI_REFUSAL_none, DXI_REFUSAL_out_of_stock},
        {DXI_REFUSAL_none, DXI_REFUSAL_none, DXI_REFUSAL_no_funds, DXI_REFUSAL_no_funds},
        {DXI_REFUSAL_none, DXI_REFUSAL_out_of_stock, DXI_REFUSAL_no_funds,
         DXI_REFUSAL_out_of_stock_and_no_funds},
    };
    dxi_fulfilment_t totals = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dxi_order_t order = order_of(1, 3, 25000, 1);
        order.validated.refusal = (int32_t)rows[i].validated;
        order.inventory.refusal = (int32_t)rows[i].inventory;
        order.payment.refusal = (int32_t)rows[i].payment;
        const uint64_t checksum = totals.checksum;
        dxi_order_fulfil(&totals, &order);
        assert_int_equal(totals.counts[rows[i].fate], 1);
        assert_int_not_equal(totals.checksum, checksum);
    }
    assert_int_equal(totals.orders, COUNT_OF(rows));
    assert_int_equal(totals.dollars, 7); /* 3 x 2.50 */
    assert_int_equal(totals.fraction, 5000);
}

static void refusals_have_names_and_texts(void **state)
{
    (void)state;
    for (int i = 0; i < DXI_REFUSAL_COUNT; i++) {
        assert_string_not_equal(dxi_refusal_name((dxi_refusal_t)i), "unknown");
        assert_string_not_equal(dxi_refusal_text((dxi_refusal_t)i), "unknown");
        assert_string_not_equal(dxi_refusal_by((dxi_refusal_t)i), "unknown");
    }
    assert_string_equal(dxi_refusal_name(DXI_REFUSAL_COUNT), "unknown");
    assert_string_equal(dxi_refusal_text(DXI_REFUSAL_COUNT), "unknown");
    assert_string_equal(dxi_refusal_by(DXI_REFUSAL_COUNT), "unknown");
}

/* A few hundred orders that meet every branch. */
enum { ORDER_COUNT = 300 };

static void orders_make(dxi_csv_orders_t *orders, dxi_order_message_t *messages)
{
    for (int64_t i = 0; i < ORDER_COUNT; i++) {
        messages[i] = (dxi_order_message_t){.type = i % 17 == 0 ? 3 : 1,
                                            .id = i % 29 == 0 ? 1 : i + 1,
                                            .size = 100 + i % 700,
                                            .price = 1000000 + i,
                                            .direction = i % 5 == 0 ? -1 : 1};
    }
    *orders = (dxi_csv_orders_t){.messages = messages, .count = ORDER_COUNT, .id_max = ORDER_COUNT};
}

static void the_graph_comes_to_the_sequential_result(void **state)
{
    (void)state;
    static const int64_t capacities[] = {2, 8, 512};
    dxi_order_message_t messages[ORDER_COUNT];
    dxi_csv_orders_t orders;
    dxi_fulfilment_t expected;
    orders_make(&orders, messages);
    assert_ok(dxi_pipeline_reference(&orders, 2 * ORDER_COUNT, &expected, NULL));
    assert_true(expected.counts[DXI_REFUSAL_out_of_stock] +
                    expected.counts[DXI_REFUSAL_out_of_stock_and_no_funds] >
                0);
    for (size_t i = 0; i < COUNT_OF(capacities); i++) {
        const dxi_pipeline_options_t options = {.orders = &orders,
                                                .repeat = 2,
                                                .capacity = capacities[i],
                                                .batch = 2,
                                                .wait = DX_WAIT_BLOCKING};
        dxi_pipeline_result_t result;
        assert_ok(dxi_pipeline_run(&options, &result, NULL));
        assert_memory_equal(&result.totals, &expected, sizeof expected);
        assert_int_equal(result.published, result.total);
        assert_int_equal(result.latency[DXI_LATENCY_END_TO_END].count, 2 * ORDER_COUNT);
        assert_string_equal(result.stages[DXI_STAGE_FULFIL].name, "fulfil");
    }
}

static void a_stop_before_the_start_sends_nothing(void **state)
{
    (void)state;
    static const dx_atomic32_t stop = {1};
    dxi_order_message_t messages[ORDER_COUNT];
    dxi_csv_orders_t orders;
    orders_make(&orders, messages);
    const dxi_pipeline_options_t options = {
        .orders = &orders, .repeat = 1, .capacity = 64, .batch = 1, .rate = 10, .stop = &stop};
    dxi_pipeline_result_t result;
    assert_ok(dxi_pipeline_run(&options, &result, NULL));
    assert_int_equal(result.published, 0);
    assert_int_equal(result.totals.orders, 0);
    assert_int_equal(result.elapsed_ns, 0);
    assert_int_equal(result.total, ORDER_COUNT);
}

static void a_run_has_at_most_its_limit_of_events(void **state)
{
    (void)state;
    dxi_csv_orders_t orders = {.count = 1000000};
    int64_t total = 0;
    dx_error_t error = {0};
    assert_ok(dxi_pipeline_total(&orders, DXI_PIPELINE_EVENTS_MAX / 1000000, &total, &error));
    assert_int_equal(total, DXI_PIPELINE_EVENTS_MAX);
    assert_fails(dxi_pipeline_total(&orders, DXI_PIPELINE_EVENTS_MAX / 1000000 + 1, &total, &error),
                 DX_EINVAL, error, "--repeat is 100001, must be at most 100000");
}

#if DX_TEST_HOOKS
static void running_out_anywhere_leaves_nothing(void **state)
{
    (void)state;
    dxi_order_message_t messages[ORDER_COUNT];
    dxi_csv_orders_t orders;
    orders_make(&orders, messages);
    const dxi_pipeline_options_t options = {
        .orders = &orders, .repeat = 1, .capacity = 64, .batch = 1};
    const int64_t live_before = dxi_live_count();
    for (int64_t n = 0;; n++) {
        dxi_pipeline_result_t result;
        dx_error_t error = {0};
        dxi_fault_arm(n);
        const int code = dxi_pipeline_run(&options, &result, &error);
        const char *const fired = dxi_fault_fired();
        dxi_fault_disarm();
        assert_int_equal(dxi_live_count(), live_before);
        if (fired == NULL) {
            assert_ok(code);
            break;
        }
        if (code != DX_OK) { /* a fault may also be survived, as huge pages that are missing */
            assert_int_equal(code, error.code);
            assert_true(error.message[0] != '\0');
        }
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_remembered_for_the_window),
        cmocka_unit_test(the_id_set_holds_its_invariants_whatever_comes),
        cmocka_unit_test(validation_refuses_one_beyond_each_limit),
        cmocka_unit_test(inventory_gives_its_stock_and_not_more),
        cmocka_unit_test(payment_gives_each_account_its_credit_and_not_more),
        cmocka_unit_test(fulfil_counts_by_who_refused),
        cmocka_unit_test(refusals_have_names_and_texts),
        cmocka_unit_test(the_graph_comes_to_the_sequential_result),
        cmocka_unit_test(a_stop_before_the_start_sends_nothing),
        cmocka_unit_test(a_run_has_at_most_its_limit_of_events),
#if DX_TEST_HOOKS
        cmocka_unit_test(running_out_anywhere_leaves_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
