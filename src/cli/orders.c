/* orders.c - the four steps of an order.
 *
 * MODEL. A broker sells from its own stock and buys into it. A buy takes shares out of the stock
 * and draws on the credit of its account; a sell brings shares (at most to the full stock) and
 * gives credit back (at most to the limit). Both are capped, so no sum grows without end however
 * long the input is repeated.
 *
 * INVARIANTS
 *
 *   I1  0 <= shares <= DXI_STOCK_SHARES
 *   I2  0 <= credit <= DXI_CREDIT_LIMIT for each account
 *   I3  the value of a valid order is at most DXI_ORDER_VALUE_MAX; size x price of an order within
 *       its limits does not overflow
 *   I4  the counts add up to the number of orders
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders.h"

#include <assert.h>
#include <stdbool.h>

static_assert(INT64_MAX / DXI_ORDER_PRICE_MAX > DXI_ORDER_SIZE_MAX, "I3");
static_assert(sizeof(dxi_order_t) == 256 && sizeof(dxi_step_result_t) == 64,
              "each branch has 64 bytes of its own");

/* The columns of DXI_REFUSAL_LIST. */
static const struct refusal_row {
    const char *name;
    const char *by;
    const char *text;
} REFUSALS[DXI_REFUSAL_COUNT] = {
#define ROW(name, by, text) {#name, by, text},
    DXI_REFUSAL_LIST(ROW)
#undef ROW
};

const char *dxi_refusal_name(dxi_refusal_t refusal)
{
    return (unsigned)refusal < DXI_REFUSAL_COUNT ? REFUSALS[refusal].name : "unknown";
}

const char *dxi_refusal_by(dxi_refusal_t refusal)
{
    return (unsigned)refusal < DXI_REFUSAL_COUNT ? REFUSALS[refusal].by : "unknown";
}

const char *dxi_refusal_text(dxi_refusal_t refusal)
{
    return (unsigned)refusal < DXI_REFUSAL_COUNT ? REFUSALS[refusal].text : "unknown";
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static dxi_refusal_t validity(dxi_validation_t *validation, const dxi_order_message_t *message)
{
    if (message->type != DXI_ORDER_TYPE_SUBMISSION) {
        return DXI_REFUSAL_not_submission;
    }
    if (message->id < 1) {
        return DXI_REFUSAL_bad_id;
    }
    if (message->size < 1 || message->size > DXI_ORDER_SIZE_MAX) {
        return DXI_REFUSAL_bad_size;
    }
    if (message->price < 1 || message->price > DXI_ORDER_PRICE_MAX) {
        return DXI_REFUSAL_bad_price;
    }
    if (message->direction != 1 && message->direction != -1) {
        return DXI_REFUSAL_bad_direction;
    }
    if (message->size * message->price > DXI_ORDER_VALUE_MAX) {
        return DXI_REFUSAL_over_limit;
    }
    if (!dxi_id_set_add(&validation->seen, message->id)) {
        return DXI_REFUSAL_duplicate_id;
    }
    return DXI_REFUSAL_none;
}

void dxi_order_validate(dxi_validation_t *validation, dxi_order_t *order)
{
    order->validated.refusal = (int32_t)validity(validation, &order->message);
}

void dxi_inventory_begin(dxi_inventory_t *inventory)
{
    inventory->shares = DXI_STOCK_SHARES;
}

void dxi_order_check_inventory(dxi_inventory_t *inventory, dxi_order_t *order)
{
    const dxi_order_message_t *const message = &order->message;
    order->inventory.refusal = DXI_REFUSAL_none;
    if (order->validated.refusal != DXI_REFUSAL_none) {
        return;
    }
    if (message->direction < 0) {
        inventory->shares = smaller(inventory->shares + message->size, DXI_STOCK_SHARES);
    } else if (message->size > inventory->shares) {
        order->inventory.refusal = DXI_REFUSAL_out_of_stock;
    } else {
        inventory->shares -= message->size;
    }
    assert(inventory->shares >= 0); /* I1 */
    assert(inventory->shares <= DXI_STOCK_SHARES);
}

void dxi_payment_begin(dxi_payment_t *payment)
{
    for (int64_t i = 0; i < DXI_ACCOUNTS; i++) {
        payment->credit[i] = DXI_CREDIT_LIMIT;
    }
}

void dxi_order_verify_payment(dxi_payment_t *payment, dxi_order_t *order)
{
    const dxi_order_message_t *const message = &order->message;
    order->payment.refusal = DXI_REFUSAL_none;
    if (order->validated.refusal != DXI_REFUSAL_none) {
        return;
    }
    int64_t *const credit = &payment->credit[message->id % DXI_ACCOUNTS];
    const int64_t value = message->size * message->price;
    if (message->direction < 0) {
        *credit = smaller(*credit + value, DXI_CREDIT_LIMIT);
    } else if (value > *credit) {
        order->payment.refusal = DXI_REFUSAL_no_funds;
    } else {
        *credit -= value;
    }
    assert(*credit >= 0); /* I2 */
    assert(*credit <= DXI_CREDIT_LIMIT);
}

static dxi_refusal_t fate(const dxi_order_t *order)
{
    if (order->validated.refusal != DXI_REFUSAL_none) {
        return (dxi_refusal_t)order->validated.refusal;
    }
    if (order->inventory.refusal != DXI_REFUSAL_none &&
        order->payment.refusal != DXI_REFUSAL_none) {
        return DXI_REFUSAL_out_of_stock_and_no_funds;
    }
    return (dxi_refusal_t)(order->inventory.refusal | order->payment.refusal);
}

/* One step of FNV-1a, over 64 bits at a time and with the high half folded in. */
static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x100000001b3);
    return sum ^ (sum >> 32);
}

void dxi_order_fulfil(dxi_fulfilment_t *fulfilment, const dxi_order_t *order)
{
    const dxi_order_message_t *const message = &order->message;
    const dxi_refusal_t refusal = fate(order);
    fulfilment->orders++;
    fulfilment->counts[refusal]++; /* I4 */
    if (refusal == DXI_REFUSAL_none) {
        fulfilment->fraction += message->size * message->price;
        fulfilment->dollars += fulfilment->fraction / 10000;
        fulfilment->fraction %= 10000;
    }
    uint64_t sum = fulfilment->checksum;
    sum = mix(sum, (uint64_t)message->id);
    sum = mix(sum, (uint64_t)message->size ^ ((uint64_t)message->price << 20));
    fulfilment->checksum =
        mix(sum, (uint64_t)refusal ^ ((uint64_t)(uint32_t)message->direction << 8));
}
