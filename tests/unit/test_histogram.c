/* test_histogram.c - the histogram against sorted arrays, and its texts byte by byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/histogram.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>

#include "base_test.h"

static int setup(void **state)
{
    dx_histogram_t *histogram = NULL;
    if (dx_histogram_create(&histogram, NULL) != DX_OK) {
        return -1;
    }
    *state = histogram;
    return 0;
}

static int teardown(void **state)
{
    dx_histogram_destroy(*state);
    return 0;
}

static void an_empty_histogram_answers_zero(void **state)
{
    const dx_histogram_t *const h = *state;
    assert_int_equal(dx_histogram_count(h), 0);
    assert_int_equal(dx_histogram_min(h), 0);
    assert_int_equal(dx_histogram_max(h), 0);
    assert_true(dx_histogram_mean(h) == 0.0);
    assert_true(dx_histogram_stddev(h) == 0.0);
    assert_int_equal(dx_histogram_value_at(h, 50.0), 0);
    assert_int_equal(dx_histogram_count_at(h, 1), 0);
}

static void steps_follow_each_other_without_a_gap(void **state)
{
    (void)state;
    int64_t value = 0;
    int32_t index = 0;
    while (value <= DX_HISTOGRAM_VALUE_MAX) { /* I1, I2 */
        const int64_t lowest = dx_histogram_lowest_equivalent(value);
        const int64_t highest = dx_histogram_highest_equivalent(value);
        assert_int_equal(lowest, value);
        assert_int_equal(dx_histogram_index(value), index);
        assert_true(highest - lowest <= lowest / 1024);
        value = highest + 1;
        index++;
    }
    assert_true(index <= DX_HISTOGRAM_COUNTS);
}

static void values_at_the_edges_are_kept(void **state)
{
    dx_histogram_t *const h = *state;
    static const int64_t values[] = {0,    1,    2,    1023,        1024,
                                     2047, 2048, 2049, 99999999999, DX_HISTOGRAM_VALUE_MAX};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        dx_histogram_reset(h);
        dx_histogram_record(h, values[i]);
        assert_int_equal(dx_histogram_count(h), 1);
        assert_int_equal(dx_histogram_min(h), values[i]);
        assert_int_equal(dx_histogram_max(h), values[i]);
        assert_int_equal(dx_histogram_value_at(h, 0.0), values[i]);
        assert_int_equal(dx_histogram_value_at(h, 100.0), values[i]);
        assert_int_equal(dx_histogram_count_at(h, values[i]), 1);
        assert_int_equal(dx_histogram_overflow_count(h), 0);
    }
}

static void values_outside_are_clamped_and_counted(void **state)
{
    dx_histogram_t *const h = *state;
    dx_histogram_record(h, DX_HISTOGRAM_VALUE_MAX + 1);
    dx_histogram_record(h, INT64_MAX);
    dx_histogram_record_n(h, -1, 3);
    dx_histogram_record(h, INT64_MIN);
    assert_int_equal(dx_histogram_count(h), 6);
    assert_int_equal(dx_histogram_overflow_count(h), 2);
    assert_int_equal(dx_histogram_underflow_count(h), 4);
    assert_int_equal(dx_histogram_min(h), 0);
    assert_int_equal(dx_histogram_max(h), DX_HISTOGRAM_VALUE_MAX);
    assert_int_equal(dx_histogram_count_at(h, DX_HISTOGRAM_VALUE_MAX), 2);
    assert_int_equal(dx_histogram_count_at(h, DX_HISTOGRAM_VALUE_MAX + 1), 0);
    assert_int_equal(dx_histogram_count_at(h, -1), 0);
    dx_histogram_reset(h);
    assert_int_equal(dx_histogram_overflow_count(h), 0);
    assert_int_equal(dx_histogram_underflow_count(h), 0);
}

static void recording_none_records_nothing(void **state)
{
    dx_histogram_t *const h = *state;
    dx_histogram_record_n(h, 5, 0);
    dx_histogram_record_n(h, 5, -7);
    dx_histogram_record_n(h, INT64_MAX, 0);
    assert_int_equal(dx_histogram_count(h), 0);
    assert_int_equal(dx_histogram_overflow_count(h), 0);
    assert_int_equal(dx_histogram_max(h), 0);
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The smallest rank whose share of `count` is at least `per_million` millionths. */
static size_t exact_rank(size_t count, size_t per_million)
{
    const size_t rank = (count * per_million + 999999) / 1000000;
    return rank == 0 ? 1 : rank;
}

static void percentiles_agree_with_a_sorted_array(void **state)
{
    dx_histogram_t *const h = *state;
    enum { COUNT = 20000 };
    static int64_t values[COUNT];
    static const size_t levels[] = {0,      1,      100000, 250000, 500000, 750000, 900000,
                                    990000, 999000, 999900, 999990, 999999, 1000000};
    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint64_t random = seed * 77777;
        double sum = 0;
        dx_histogram_reset(h);
        for (int i = 0; i < COUNT; i++) {
            /* Spread over the magnitudes, as latencies are. */
            const uint64_t bits = random_next(&random) % 37;
            values[i] = (int64_t)(random_next(&random) & ((UINT64_C(2) << bits) - 1));
            if (values[i] > DX_HISTOGRAM_VALUE_MAX) {
                values[i] = DX_HISTOGRAM_VALUE_MAX;
            }
            sum += (double)values[i];
            dx_histogram_record(h, values[i]);
        }
        qsort(values, COUNT, sizeof(values[0]), compare);
        for (size_t i = 0; i < COUNT_OF(levels); i++) {
            const int64_t exact = values[exact_rank(COUNT, levels[i]) - 1];
            const int64_t found = dx_histogram_value_at(h, (double)levels[i] / 10000.0);
            if (found < exact || found - exact > exact / 1000) {
                fail_msg("seed %d, level %zu: %lld, exactly %lld", (int)seed, levels[i],
                         (long long)found, (long long)exact);
            }
        }
        assert_int_equal(dx_histogram_min(h), values[0]);
        assert_int_equal(dx_histogram_max(h), values[COUNT - 1]);
        assert_int_equal(dx_histogram_count(h), COUNT);
        const double mean = sum / (double)COUNT;
        assert_true(dx_histogram_mean(h) > mean * 0.999 && dx_histogram_mean(h) < mean * 1.001);
    }
}

static void percentiles_of_round_numbers_have_no_rounding_error(void **state)
{
    dx_histogram_t *const h = *state;
    for (int i = 1; i <= 1000; i++) {
        dx_histogram_record(h, i);
    }
    for (int tenth = 1; tenth <= 1000; tenth++) { /* 99.9 % of 1..1000 is 999 and not 1000 */
        assert_int_equal(dx_histogram_value_at(h, tenth / 10.0), tenth);
    }
    assert_int_equal(dx_histogram_value_at(h, -5.0), 1);
    assert_int_equal(dx_histogram_value_at(h, 150.0), 1000);
    assert_int_equal(dx_histogram_value_at(h, (double)NAN), 1000);
    /* 1..1000: mean 500.5, variance (1000^2 - 1) / 12 = 83333.25. */
    assert_true(dx_histogram_mean(h) == 500.5);
    const double stddev = dx_histogram_stddev(h);
    assert_true(stddev > 288.674 && stddev < 288.676);
}

static void a_constant_has_no_deviation(void **state)
{
    dx_histogram_t *const h = *state;
    dx_histogram_record_n(h, 1000, 1000000);
    assert_true(dx_histogram_mean(h) == 1000.0);
    assert_true(dx_histogram_stddev(h) == 0.0);
    assert_int_equal(dx_histogram_value_at(h, 99.99), 1000);
}

/* The definition, value by value. */
static void record_corrected_plainly(dx_histogram_t *h, int64_t value, int64_t interval)
{
    dx_histogram_record(h, value);
    for (int64_t missed = value - interval; interval > 0 && missed >= interval;
         missed -= interval) {
        dx_histogram_record(h, missed);
    }
}

static void correction_records_what_the_stall_hid(void **state)
{
    dx_histogram_t *const h = *state;
    dx_histogram_t *plain = NULL;
    assert_ok(dx_histogram_create(&plain, NULL));
    static const int64_t rows[][2] = {
        {1000, 100},
        {1050, 100},
        {100, 100},
        {199, 100},
        {200, 100},
        {50, 100},
        {1000, 0},
        {1000, -1},
        {5000000, 7},
        {1000000, 1},
        {4096, 2048},
        {0, 1},
        {200000000000, 1000000},
        {-5, 10},
        {250000000001, 99999999999},
        {300000000000, 150000000000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_histogram_reset(h);
        dx_histogram_reset(plain);
        dx_histogram_record_corrected(h, rows[i][0], rows[i][1]);
        record_corrected_plainly(plain, rows[i][0], rows[i][1]);
        assert_int_equal(dx_histogram_count(h), dx_histogram_count(plain));
        assert_int_equal(dx_histogram_min(h), dx_histogram_min(plain));
        assert_int_equal(dx_histogram_max(h), dx_histogram_max(plain));
        assert_int_equal(dx_histogram_overflow_count(h), dx_histogram_overflow_count(plain));
        assert_memory_equal(h->counts, plain->counts, sizeof(h->counts));
    }
    dx_histogram_destroy(plain);
}

static void correction_of_an_absurd_stall_ends(void **state)
{
    dx_histogram_t *const h = *state;
    dx_histogram_record_corrected(h, INT64_MAX, 1); /* by value it would take centuries */
    assert_int_equal(dx_histogram_overflow_count(h), INT64_MAX - DX_HISTOGRAM_VALUE_MAX);
    assert_int_equal(dx_histogram_min(h), 1);
}

static void adding_sums_counts_and_keeps_the_extremes(void **state)
{
    dx_histogram_t *const h = *state;
    dx_histogram_t *other = NULL;
    assert_ok(dx_histogram_create(&other, NULL));
    dx_histogram_record(h, 100);
    dx_histogram_add(h, other); /* adding nothing changes nothing */
    assert_int_equal(dx_histogram_min(h), 100);
    assert_int_equal(dx_histogram_max(h), 100);
    dx_histogram_record_n(other, 100, 4);
    dx_histogram_record(other, 5);
    dx_histogram_record(other, INT64_MAX);
    dx_histogram_record(other, -1);
    dx_histogram_add(h, other);
    assert_int_equal(dx_histogram_count(h), 8);
    assert_int_equal(dx_histogram_count_at(h, 100), 5);
    assert_int_equal(dx_histogram_min(h), 0);
    assert_int_equal(dx_histogram_max(h), DX_HISTOGRAM_VALUE_MAX);
    assert_int_equal(dx_histogram_overflow_count(h), 1);
    assert_int_equal(dx_histogram_underflow_count(h), 1);
    dx_histogram_destroy(other);
}

typedef struct lines {
    dx_percentile_t line[64];
    int count;
    int stop_at;
} lines_t;

static int collect(void *context, const dx_percentile_t *line)
{
    lines_t *const lines = context;
    assert_in_range(lines->count, 0, 63);
    lines->line[lines->count++] = *line;
    return lines->count == lines->stop_at ? 42 : 0;
}

static void percentile_lines_halve_the_distance(void **state)
{
    dx_histogram_t *const h = *state;
    lines_t lines = {0};
    assert_int_equal(dx_histogram_percentiles(h, 1, collect, &lines), DX_OK);
    assert_int_equal(lines.count, 0);
    for (int i = 1; i <= 16; i++) {
        dx_histogram_record(h, i);
    }
    assert_int_equal(dx_histogram_percentiles(h, 1, collect, &lines), DX_OK);
    static const dx_percentile_t expected[] = {{1, 0.0, 1},    {8, 50.0, 8},    {12, 75.0, 12},
                                               {14, 87.5, 14}, {15, 93.75, 15}, {16, 96.875, 16},
                                               {16, 100.0, 16}};
    assert_int_equal(lines.count, COUNT_OF(expected));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_int_equal(lines.line[i].value, expected[i].value);
        assert_int_equal(lines.line[i].count, expected[i].count);
        assert_true(lines.line[i].percentile == expected[i].percentile);
    }
}

static void percentile_lines_stop_when_told(void **state)
{
    dx_histogram_t *const h = *state;
    dx_histogram_record_n(h, 7, 10);
    dx_histogram_record_n(h, 9, 10);
    lines_t lines = {.stop_at = 2};
    assert_int_equal(dx_histogram_percentiles(h, 5, collect, &lines), 42);
    assert_int_equal(lines.count, 2);
    assert_int_equal(dx_histogram_percentiles(h, 0, collect, &lines), DX_EINVAL);
    assert_int_equal(dx_histogram_percentiles(h, 1001, collect, &lines), DX_EINVAL);
    lines = (lines_t){.stop_at = 1};
    assert_int_equal(dx_histogram_percentiles(h, 1000, collect, &lines), 42);
}

static const char hgrm_expected[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n"
                                    "\n"
                                    "       1.000 0.000000000000          1           1.00\n"
                                    "       2.000 0.500000000000          2           2.00\n"
                                    "       3.000 0.750000000000          3           4.00\n"
                                    "       4.000 0.875000000000          4           8.00\n"
                                    "       4.000 1.000000000000          4\n"
                                    "#[Mean    =        2.500, StdDeviation   =        1.118]\n"
                                    "#[Max     =        4.000, Total count    =            4]\n"
                                    "#[Buckets =           27, SubBuckets     =         2048]\n";

static void the_hgrm_text_is_what_the_plotter_reads(void **state)
{
    dx_histogram_t *const h = *state;
    for (int i = 1; i <= 4; i++) {
        dx_histogram_record(h, (int64_t)i * 100);
    }
    char *text = NULL;
    size_t bytes = 0;
    FILE *const stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    /* A locale with a decimal comma changes nothing, where the machine has one. */
    (void)setlocale(LC_ALL, "de_DE.UTF-8");
    const int code = dx_histogram_write_hgrm(h, stream, 1, 100.0, NULL);
    (void)setlocale(LC_ALL, "C");
    (void)fclose(stream);
    assert_ok(code);
    assert_string_equal(text, hgrm_expected);
    free(text);
}

static void writing_hgrm_says_what_is_wrong(void **state)
{
    dx_histogram_t *const h = *state;
    dx_histogram_record_n(h, 3, 5);
    dx_error_t error = {0};
    assert_fails(dx_histogram_write_hgrm(h, stderr, 0, 1.0, &error), DX_EINVAL, error,
                 "ticks_per_half is 0, must be from 1 to 1000");
    assert_fails(dx_histogram_write_hgrm(h, stderr, 5, 0.0, &error), DX_EINVAL, error,
                 "unit is 0, must be from 0.001 to 1e12");
    assert_fails(dx_histogram_write_hgrm(h, stderr, 5, (double)NAN, &error), DX_EINVAL, error,
                 "unit is ");
    FILE *const full = fopen("/dev/full", "w");
    if (full == NULL) {
        SKIP_BECAUSE("there is no /dev/full");
    }
    assert_fails(dx_histogram_write_hgrm(h, full, 5, 1.0, &error), DX_EIO, error,
                 "cannot write the percentiles");
    (void)setvbuf(full, NULL, _IONBF, 0); /* now the first line is refused */
    assert_fails(dx_histogram_write_hgrm(h, full, 5, 1.0, &error), DX_EIO, error,
                 "cannot write the percentiles");
    (void)fclose(full);
}

static void the_summary_and_its_json_agree(void **state)
{
    dx_histogram_t *const h = *state;
    for (int i = 1; i <= 1000; i++) {
        dx_histogram_record(h, i);
    }
    dx_histogram_record(h, -1);
    dx_histogram_summary_t s;
    dx_histogram_summarize(h, &s);
    assert_int_equal(s.count, 1001);
    assert_int_equal(s.underflow_count, 1);
    assert_int_equal(s.p50, 500);
    assert_int_equal(s.p90, 900);
    assert_int_equal(s.p99, 990);
    assert_int_equal(s.p999, 999);
    assert_int_equal(s.p9999, 1000);
    char text[512];
    const size_t length = dx_histogram_summary_json(&s, text, sizeof(text));
    assert_int_equal(length, strlen(text));
    assert_string_equal(text,
                        "{\"count\":1001,\"overflow_count\":0,\"underflow_count\":1,\"min\":0,"
                        "\"max\":1000,\"p50\":500,\"p90\":900,\"p99\":990,\"p999\":999,"
                        "\"p9999\":1000,\"mean\":500.000,\"stddev\":288.964}");
    assert_int_equal(dx_histogram_summary_json(&s, text, 8), length);
    assert_string_equal(text, "{\"count");
}

/* One thread records, this one reads: the race checker must find nothing, and what is read must
 * be a state that was there. */
static void *recorder(void *context)
{
    dx_histogram_t *const h = context;
    for (int64_t i = 0; i < 20000; i++) {
        dx_histogram_record(h, 1000 + i % 5);
    }
    return NULL;
}

static void another_thread_may_read_while_one_records(void **state)
{
    dx_histogram_t *const h = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, recorder, h), 0);
    int64_t last = 0;
    for (int i = 0; i < 5; i++) {
        const int64_t count = dx_histogram_count(h);
        assert_true(count >= last);
        last = count;
        const int64_t p99 = dx_histogram_value_at(h, 99.0);
        assert_true(p99 == 0 || (p99 >= 1000 && p99 <= 1004));
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(dx_histogram_count(h), 20000);
}

static int create_and_destroy(void)
{
    dx_histogram_t *h = NULL;
    dx_error_t error = {0};
    const int code = dx_histogram_create(&h, &error);
    if (code != DX_OK) {
        assert_null(h);
        assert_contains(error.message, "no memory for a histogram");
    }
    dx_histogram_destroy(h);
    return code;
}

static void no_memory_is_reported(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(create_and_destroy), 1);
}

int main(void)
{
#define WITH_HISTOGRAM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_HISTOGRAM(an_empty_histogram_answers_zero),
        cmocka_unit_test(steps_follow_each_other_without_a_gap),
        WITH_HISTOGRAM(values_at_the_edges_are_kept),
        WITH_HISTOGRAM(values_outside_are_clamped_and_counted),
        WITH_HISTOGRAM(recording_none_records_nothing),
        WITH_HISTOGRAM(percentiles_agree_with_a_sorted_array),
        WITH_HISTOGRAM(percentiles_of_round_numbers_have_no_rounding_error),
        WITH_HISTOGRAM(a_constant_has_no_deviation),
        WITH_HISTOGRAM(correction_records_what_the_stall_hid),
        WITH_HISTOGRAM(correction_of_an_absurd_stall_ends),
        WITH_HISTOGRAM(adding_sums_counts_and_keeps_the_extremes),
        WITH_HISTOGRAM(percentile_lines_halve_the_distance),
        WITH_HISTOGRAM(percentile_lines_stop_when_told),
        WITH_HISTOGRAM(the_hgrm_text_is_what_the_plotter_reads),
        WITH_HISTOGRAM(writing_hgrm_says_what_is_wrong),
        WITH_HISTOGRAM(the_summary_and_its_json_agree),
        WITH_HISTOGRAM(another_thread_may_read_while_one_records),
        cmocka_unit_test(no_memory_is_reported),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
