/* test_counters.c - the block of counters: limits, reuse, watching while it changes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/counters.h"

#include <pthread.h>

#include "base_test.h"

static dx_counters_t *create(int32_t counter_max)
{
    dx_counters_t *counters = NULL;
    assert_ok(dx_counters_create(counter_max, &counters, NULL));
    return counters;
}

static int32_t allocate(dx_counters_t *counters, int32_t kind, const char *label)
{
    int32_t id = -1;
    dx_error_t error = {0};
    if (dx_counter_allocate(counters, kind, label, &id, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return id;
}

static void the_size_of_a_block_has_limits(void **state)
{
    (void)state;
    assert_int_equal(dx_counters_bytes(0), 0);
    assert_int_equal(dx_counters_bytes(-1), 0);
    assert_int_equal(dx_counters_bytes(1), 128 + 256 + 128);
    assert_int_equal(dx_counters_bytes(DX_COUNTERS_MAX), 128 + 384 * (size_t)DX_COUNTERS_MAX);
    assert_int_equal(dx_counters_bytes(DX_COUNTERS_MAX + 1), 0);
    dx_counters_t *counters = NULL;
    dx_error_t error = {0};
    assert_fails(dx_counters_create(0, &counters, &error), DX_EINVAL, error,
                 "counter_max is 0, must be from 1 to 16384");
    assert_fails(dx_counters_create(DX_COUNTERS_MAX + 1, &counters, &error), DX_EINVAL, error,
                 "counter_max is 16385, must be from 1 to 16384");
    assert_null(counters);
    counters = create(DX_COUNTERS_MAX);
    assert_int_equal(dx_counters_capacity(counters), DX_COUNTERS_MAX);
    assert_non_null(dx_counter_at(counters, DX_COUNTERS_MAX - 1));
    dx_counters_destroy(counters);
    dx_counters_destroy(NULL);
}

static void counters_are_counted_and_read_by_name(void **state)
{
    (void)state;
    dx_counters_t *const counters = create(4);
    const int32_t a = allocate(counters, 7, "ring.published");
    const int32_t b = allocate(counters, 8, "ring.lag");
    dx_counter_t *const counter = dx_counter_at(counters, a);
    assert_int_equal((uintptr_t)counter % DX_FALSE_SHARING_BYTES, 0);
    dx_counter_add(counter, 5);
    dx_counter_add_shared(counter, 6);
    dx_counter_add(counter, -1);
    assert_int_equal(dx_counter_get(counter), 10);
    dx_counter_set(dx_counter_at(counters, b), -3);
    dx_counter_info_t info;
    assert_ok(dx_counter_read(counters, a, &info));
    assert_int_equal(info.id, a);
    assert_int_equal(info.kind, 7);
    assert_int_equal(info.value, 10);
    assert_string_equal(info.label, "ring.published");
    assert_ok(dx_counter_read(counters, b, &info));
    assert_int_equal(info.value, -3);
    assert_string_equal(info.label, "ring.lag");
    assert_int_equal(dx_counters_count(counters), 2);
    dx_counters_destroy(counters);
}

static void a_label_has_a_longest_length(void **state)
{
    (void)state;
    dx_counters_t *const counters = create(1);
    char label[DX_COUNTER_LABEL_MAX + 2];
    memset(label, 'x', sizeof(label));
    label[DX_COUNTER_LABEL_MAX + 1] = '\0';
    int32_t id = 0;
    dx_error_t error = {0};
    assert_fails(dx_counter_allocate(counters, 0, label, &id, &error), DX_EINVAL, error,
                 "must have 1 to 231 bytes");
    assert_int_equal(id, -1);
    assert_fails(dx_counter_allocate(counters, 0, "", &id, &error), DX_EINVAL, error,
                 "label is \"\", must have 1 to 231 bytes");
    assert_fails(dx_counter_allocate(counters, 0, NULL, &id, &error), DX_EINVAL, error,
                 "label is \"\", must have 1 to 231 bytes");
    label[DX_COUNTER_LABEL_MAX] = '\0';
    id = allocate(counters, 0, label);
    dx_counter_info_t info;
    assert_ok(dx_counter_read(counters, id, &info));
    assert_string_equal(info.label, label);
    dx_counters_destroy(counters);
}

static void a_full_block_refuses_and_takes_again_after_a_free(void **state)
{
    (void)state;
    dx_counters_t *const counters = create(3);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(allocate(counters, i, "c"), i);
    }
    int32_t id = 0;
    dx_error_t error = {0};
    assert_fails(dx_counter_allocate(counters, 0, "one more", &id, &error), DX_ELIMIT, error,
                 "all 3 counters are taken, none is left for \"one more\"");
    dx_counter_set(dx_counter_at(counters, 1), 99);
    assert_ok(dx_counter_free(counters, 1));
    assert_int_equal(dx_counter_free(counters, 1), DX_ENOTFOUND);
    assert_int_equal(dx_counters_count(counters), 2);
    assert_int_equal(allocate(counters, 0, "new"), 1);
    dx_counter_info_t info;
    assert_ok(dx_counter_read(counters, 1, &info));
    assert_string_equal(info.label, "new"); /* nothing of a longer label is left */
    assert_int_equal(info.value, 0);
    dx_counters_destroy(counters);
}

static void ids_out_of_range_are_refused(void **state)
{
    (void)state;
    dx_counters_t *const counters = create(2);
    dx_counter_info_t info;
    static const int32_t ids[] = {-1, 2, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        assert_null(dx_counter_at(counters, ids[i]));
        assert_int_equal(dx_counter_read(counters, ids[i], &info), DX_EINVAL);
        assert_int_equal(dx_counter_free(counters, ids[i]), DX_EINVAL);
    }
    assert_int_equal(dx_counter_read(counters, 1, &info), DX_ENOTFOUND);
    assert_int_equal(dx_counter_free(counters, 1), DX_ENOTFOUND);
    assert_non_null(dx_counter_at(counters, 1));
    dx_counters_destroy(counters);
}

static void a_walk_sees_each_allocated_counter_once(void **state)
{
    (void)state;
    dx_counters_t *const counters = create(5);
    for (int32_t i = 0; i < 5; i++) {
        (void)allocate(counters, i, "c");
    }
    assert_ok(dx_counter_free(counters, 0));
    assert_ok(dx_counter_free(counters, 3));
    static const int32_t expected[] = {1, 2, 4};
    size_t found = 0;
    dx_counter_info_t info;
    for (int32_t id = 0; (id = dx_counters_next(counters, id, &info)) >= 0; id++) {
        assert_int_equal(id, expected[found]);
        assert_int_equal(info.kind, expected[found]);
        found++;
    }
    assert_int_equal(found, COUNT_OF(expected));
    assert_int_equal(dx_counters_next(counters, 5, &info), DX_ENOTFOUND);
    assert_int_equal(dx_counters_next(counters, -7, &info), 1);
    dx_counters_destroy(counters);
}

static void a_block_can_be_moved_and_attached(void **state)
{
    (void)state;
    const size_t bytes = dx_counters_bytes(2);
    void *const memory = aligned_alloc(128, bytes);
    void *const moved = aligned_alloc(128, bytes);
    assert_non_null(memory);
    assert_non_null(moved);
    memset(memory, 0xAA, bytes);
    dx_counters_t *counters = NULL;
    assert_ok(dx_counters_init(memory, bytes, 2, &counters, NULL));
    const int32_t id = allocate(counters, 1, "moved");
    dx_counter_set(dx_counter_at(counters, id), 42);
    memcpy(moved, memory, bytes); /* I4: as another process maps it elsewhere */
    dx_counters_t *attached = NULL;
    assert_ok(dx_counters_attach(moved, bytes, &attached, NULL));
    dx_counter_info_t info;
    assert_ok(dx_counter_read(attached, id, &info));
    assert_string_equal(info.label, "moved");
    assert_int_equal(info.value, 42);
    free(memory);
    free(moved);
}

static void memory_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    const size_t bytes = dx_counters_bytes(2);
    char *const memory = aligned_alloc(128, bytes + 128);
    assert_non_null(memory);
    dx_counters_t *counters = NULL;
    dx_error_t error = {0};
    assert_fails(dx_counters_init(NULL, bytes, 2, &counters, &error), DX_EINVAL, error,
                 "must be a multiple of 128 and not NULL");
    assert_fails(dx_counters_init(memory + 64, bytes, 2, &counters, &error), DX_EINVAL, error,
                 "must be a multiple of 128 and not NULL");
    assert_fails(dx_counters_init(memory, bytes, 0, &counters, &error), DX_EINVAL, error,
                 "counter_max is 0");
    assert_fails(dx_counters_init(memory, bytes - 1, 2, &counters, &error), DX_EINVAL, error,
                 "memory_bytes is 895, must be at least 896 for 2 counters");
    assert_ok(dx_counters_init(memory, bytes, 2, &counters, &error));
    free(memory);
}

static void attaching_to_what_is_no_block_is_refused(void **state)
{
    (void)state;
    const size_t bytes = dx_counters_bytes(2);
    int32_t *const memory = aligned_alloc(128, bytes);
    assert_non_null(memory);
    dx_counters_t *counters = NULL;
    dx_error_t error = {0};
    assert_ok(dx_counters_init(memory, bytes, 2, &counters, NULL));
    assert_ok(dx_counters_attach(memory, bytes, &counters, &error));
    assert_fails(dx_counters_attach(memory, 127, &counters, &error), DX_ECORRUPT, error,
                 "these 127 bytes hold no block of counters");
    assert_null(counters);
    assert_fails(dx_counters_attach(NULL, bytes, &counters, &error), DX_EINVAL, error, "memory is");
    assert_fails(dx_counters_attach(memory, bytes - 1, &counters, &error), DX_ECORRUPT, error,
                 "a block of 2 counters (1 to 16384) cannot be in 895 bytes");
    memory[3] = DX_COUNTERS_MAX + 1; /* capacity */
    assert_fails(dx_counters_attach(memory, bytes, &counters, &error), DX_ECORRUPT, error,
                 "a block of 16385 counters");
    memory[2] = 2; /* version */
    assert_fails(dx_counters_attach(memory, bytes, &counters, &error), DX_EVERSION, error,
                 "version of the counters is 2, must be 1");
    memory[0] ^= 1; /* magic */
    assert_fails(dx_counters_attach(memory, bytes, &counters, &error), DX_ECORRUPT, error,
                 "hold no block of counters");
    free(memory);
}

enum { ROUNDS = 2000 };

/* Takes and frees counters whose label and kind belong together. */
static void *churn(void *context)
{
    dx_counters_t *const counters = context;
    for (int i = 0; i < ROUNDS; i++) {
        char label[DX_COUNTER_LABEL_MAX + 1];
        const int32_t kind = i % 26;
        memset(label, 'a' + kind, sizeof(label));
        label[DX_COUNTER_LABEL_MAX - i % 7] = '\0';
        int32_t id = -1;
        if (dx_counter_allocate(counters, kind, label, &id, NULL) == DX_OK) {
            dx_counter_add(dx_counter_at(counters, id), 1);
            if (dx_counter_free(counters, id) != DX_OK) {
                return counters; /* somebody freed what is ours */
            }
        }
    }
    return NULL;
}

static void a_reader_never_sees_half_a_counter(void **state)
{
    (void)state;
    dx_counters_t *const counters = create(1); /* all fight for one record */
    pthread_t threads[2];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, churn, counters), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        dx_counter_info_t info;
        if (dx_counter_read(counters, 0, &info) == DX_OK) {
            const size_t length = strlen(info.label);
            assert_in_range(length, DX_COUNTER_LABEL_MAX - 6, DX_COUNTER_LABEL_MAX);
            for (size_t c = 0; c < length; c++) {
                assert_int_equal(info.label[c], 'a' + info.kind);
            }
        }
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_null(result);
    }
    assert_int_equal(dx_counters_count(counters), 0);
    dx_counters_destroy(counters);
}

static void *add_shared(void *context)
{
    for (int i = 0; i < ROUNDS; i++) {
        dx_counter_add_shared(context, 1);
    }
    return NULL;
}

static void several_writers_lose_nothing(void **state)
{
    (void)state;
    dx_counters_t *const counters = create(1);
    dx_counter_t *const counter = dx_counter_at(counters, allocate(counters, 0, "shared"));
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_shared, counter), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(dx_counter_get(counter), 3 * ROUNDS);
    dx_counters_destroy(counters);
}

static int create_and_destroy(void)
{
    dx_counters_t *counters = NULL;
    dx_error_t error = {0};
    const int code = dx_counters_create(2, &counters, &error);
    if (code != DX_OK) {
        assert_null(counters);
        assert_string_equal(error.message, "no memory for 2 counters, 896 bytes");
    }
    dx_counters_destroy(counters);
    return code;
}

static void no_memory_is_reported(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(create_and_destroy), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_size_of_a_block_has_limits),
        cmocka_unit_test(counters_are_counted_and_read_by_name),
        cmocka_unit_test(a_label_has_a_longest_length),
        cmocka_unit_test(a_full_block_refuses_and_takes_again_after_a_free),
        cmocka_unit_test(ids_out_of_range_are_refused),
        cmocka_unit_test(a_walk_sees_each_allocated_counter_once),
        cmocka_unit_test(a_block_can_be_moved_and_attached),
        cmocka_unit_test(memory_that_does_not_fit_is_refused),
        cmocka_unit_test(attaching_to_what_is_no_block_is_refused),
        cmocka_unit_test(a_reader_never_sees_half_a_counter),
        cmocka_unit_test(several_writers_lose_nothing),
        cmocka_unit_test(no_memory_is_reported),
    };
    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
