/* test_cli_options.c - the option parser: how options are written, what is stored, what is said.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/options.h"

#include <stdbool.h>

#include "base_test.h"
#include "cli/output.h"

typedef struct target {
    bool flag;
    const char *text;
    int64_t count;
    int64_t capacity;
    int64_t pause_ns;
    int32_t choice;
    int64_t custom;
} target_t;

static int custom_parse(const char *text, void *member_out, dx_error_t *error)
{
    if (strcmp(text, "seven") != 0) {
        if (error != NULL) {
            *error = (dx_error_t){.code = DX_EPARSE, .message = "only seven is known"};
        }
        return DX_EPARSE;
    }
    *(int64_t *)member_out = 7;
    return DX_OK;
}

static const char *const choices[] = {"red", "green", NULL};

static const dxi_option_t options[] = {
    {.name = "flag", .letter = 'f', .kind = DXI_OPTION_FLAG, .offset = offsetof(target_t, flag)},
    {.name = "text",
     .letter = 't',
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(target_t, text)},
    {.name = "count",
     .letter = 'c',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .low = -5,
     .high = 1000000,
     .offset = offsetof(target_t, count)},
    {.name = "capacity",
     .kind = DXI_OPTION_POWER,
     .value_name = "N",
     .low = 2,
     .high = 1048576,
     .offset = offsetof(target_t, capacity)},
    {.name = "pause",
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .low = 0,
     .high = 60000000000,
     .offset = offsetof(target_t, pause_ns)},
    {.name = "color-of-it",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "COLOR",
     .choices = choices,
     .offset = offsetof(target_t, choice)},
    {.name = "custom",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "X",
     .parse = custom_parse,
     .offset = offsetof(target_t, custom)},
};

static dxi_usage_t usage = {
    .command = "dx test", .options = options, .option_count = COUNT_OF(options), .operands_max = 2};

#define WORDS_MAX 8

/* Parses up to WORDS_MAX words, the command's name not among them. */
static int parse(const char *const *words, target_t *target, dxi_operands_t *operands,
                 dx_error_t *error)
{
    static char copies[WORDS_MAX + 1][128];
    static char *argv[WORDS_MAX + 2];
    int argc = 1;
    argv[0] = copies[0];
    for (; argc <= WORDS_MAX && words[argc - 1] != NULL; argc++) {
        snprintf(copies[argc], sizeof copies[argc], "%s", words[argc - 1]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    memset(target, 0, sizeof *target);
    memset(dxi_output(), 0, sizeof(dxi_output_t));
    return dxi_arguments_parse(&usage, argc, argv, target, operands, error);
}

#define PARSE(target, operands, error, ...)                                                        \
    parse((const char *const[WORDS_MAX + 1]){__VA_ARGS__}, (target), (operands), (error))

static void an_option_is_written_in_four_ways(void **state)
{
    (void)state;
    static const char *const lines[][3] = {
        {"--count", "42"}, {"--count=42"}, {"-c", "42"}, {"-c42"}};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        target_t target;
        dxi_operands_t operands;
        assert_ok(PARSE(&target, &operands, NULL, lines[i][0], lines[i][1]));
        assert_int_equal(target.count, 42);
        assert_int_equal(operands.count, 0);
    }
}

static void each_kind_stores_its_value(void **state)
{
    (void)state;
    target_t target;
    dxi_operands_t operands;
    assert_ok(PARSE(&target, &operands, NULL, "-f", "--text=a=b", "--capacity=64Ki",
                    "--pause=1.5ms", "--color-of-it=green", "--custom=seven", "--count", "-5"));
    assert_true(target.flag);
    assert_string_equal(target.text, "a=b");
    assert_int_equal(target.capacity, 65536);
    assert_int_equal(target.pause_ns, 1500000);
    assert_int_equal(target.choice, 1);
    assert_int_equal(target.custom, 7);
    assert_int_equal(target.count, -5);
}

static void operands_may_stand_anywhere_and_keep_their_order(void **state)
{
    (void)state;
    target_t target;
    dxi_operands_t operands;
    assert_ok(PARSE(&target, &operands, NULL, "one", "-f", "-3", "--count=1"));
    assert_int_equal(operands.count, 2);
    assert_string_equal(operands.texts[0], "one");
    assert_string_equal(operands.texts[1], "-3"); /* a minus sign before a digit is no option */
    assert_true(target.flag);

    assert_ok(PARSE(&target, &operands, NULL, "-", "--", "--flag"));
    assert_int_equal(operands.count, 2);
    assert_string_equal(operands.texts[0], "-");
    assert_string_equal(operands.texts[1], "--flag");
    assert_false(target.flag);

    dx_error_t error = {0};
    assert_fails(PARSE(&target, &operands, &error, "a", "b", "c"), DX_EINVAL, error,
                 "\"c\" is one argument too many");
}

static void a_parser_that_stops_at_operands_leaves_the_rest(void **state)
{
    (void)state;
    target_t target;
    dxi_operands_t operands;
    usage.stops_at_operands = 1;
    assert_ok(PARSE(&target, &operands, NULL, "-f", "run", "--unknown", "x"));
    usage.stops_at_operands = 0;
    assert_int_equal(operands.count, 3);
    assert_string_equal(operands.texts[0], "run");
    assert_string_equal(operands.texts[1], "--unknown");
}

static void global_options_go_to_the_output(void **state)
{
    (void)state;
    target_t target;
    dxi_operands_t operands;
    assert_ok(PARSE(&target, &operands, NULL, "-ojson", "--no-color"));
    assert_true(dxi_output_is_json());
    assert_true(dxi_output()->no_color);
    assert_int_equal(PARSE(&target, &operands, NULL, "--help"), DXI_PARSED_HELP);
    assert_int_equal(PARSE(&target, &operands, NULL, "-h"), DXI_PARSED_HELP);
}

static void what_is_wrong_is_said_with_the_rule(void **state)
{
    (void)state;
    static const struct {
        const char *words[2];
        const char *sentence;
    } rows[] = {
        {{"--count"}, "--count needs a value: --count N"},
        {{"--count", "1000001"}, "--count is 1000001, must be a whole number from -5 to 1,000,000"},
        {{"-c", "-6"}, "-c is -6, must be a whole number from -5 to 1,000,000"},
        {{"--count", ""}, "--count is , must be a whole number"},
        {{"--capacity", "1000"}, "--capacity is 1000, must be a power of two from 2 to 1,048,576"},
        {{"--capacity", "2097152"}, "must be a power of two"},
        {{"--capacity", "1"}, "must be a power of two"},
        {{"--pause", "5"}, "--pause is 5, must be a duration such as 250us, 10ms or 2s"},
        {{"--pause", "61s"}, "from 0 ns to 60.0 s"},
        {{"--text", ""}, "--text is empty, must be a FILE"},
        {{"--color-of-it", "blue"}, "--color-of-it is blue, must be one of red, green"},
        {{"--color-of-it", "gren"}, "did you mean green?"},
        {{"--custom", "eight"}, "--custom: only seven is known"},
        {{"--flag=yes"}, "--flag takes no value"},
        {{"--flga"}, "--flga is no option; did you mean --flag?"},
        {{"--cap"}, "--cap is no option; did you mean --capacity?"},
        {{"--zzzzzzzz"}, "--zzzzzzzz is no option"},
        {{"-z"}, "-z is no option"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        target_t target;
        dxi_operands_t operands;
        dx_error_t error = {0};
        assert_fails(PARSE(&target, &operands, &error, rows[i].words[0], rows[i].words[1]),
                     DX_EINVAL, error, rows[i].sentence);
    }
}

static void integers_have_multipliers_and_do_not_wrap(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        int64_t value;
    } rows[] = {
        {"0", DX_OK, 0},
        {"1k", DX_OK, 1000},
        {"2.5k", DX_OK, 2500},
        {"3Ki", DX_OK, 3072},
        {"1.5Mi", DX_OK, 1572864},
        {"9G", DX_OK, INT64_C(9000000000)},
        {"9223372036854775807", DX_OK, INT64_MAX},
        {"9223372036854775808", DX_EINVAL, 0},
        {"9223372036854775807k", DX_EINVAL, 0},
        {"1.5", DX_EINVAL, 0},
        {"1.", DX_EINVAL, 0},
        {".5k", DX_EINVAL, 0},
        {"1.2.3k", DX_EINVAL, 0},
        {"+1", DX_EINVAL, 0},
        {" 1", DX_EINVAL, 0},
        {"1 ", DX_EINVAL, 0},
        {"0x10", DX_EINVAL, 0},
        {"1T", DX_EINVAL, 0},
        {"-", DX_EINVAL, 0},
        {"", DX_EINVAL, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t value = -1;
        const int code = dxi_integer_parse("n", rows[i].text, 0, INT64_MAX, &value, NULL);
        if (code != rows[i].code || (code == DX_OK && value != rows[i].value)) {
            fail_msg("\"%s\" gave %s, %lld", rows[i].text, dx_error_name(code), (long long)value);
        }
    }
}

static void durations_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {{"0", 0},
                {"7ns", 7},
                {"250us", 250000},
                {"1.5ms", 1500000},
                {"2s", 2000000000},
                {"1m", INT64_C(60000000000)},
                {"1h", INT64_C(3600000000000)}};
    int64_t ns = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_ok(dxi_duration_parse("t", rows[i].text, 0, INT64_MAX, &ns, NULL));
        assert_int_equal(ns, rows[i].ns);
    }
    assert_int_equal(dxi_duration_parse("t", "1", 0, INT64_MAX, &ns, NULL), DX_EINVAL);
    assert_int_equal(dxi_duration_parse("t", "0.5ns", 0, INT64_MAX, &ns, NULL), DX_EINVAL);
    assert_int_equal(dxi_duration_parse("t", "1k", 0, INT64_MAX, &ns, NULL), DX_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_option_is_written_in_four_ways),
        cmocka_unit_test(each_kind_stores_its_value),
        cmocka_unit_test(operands_may_stand_anywhere_and_keep_their_order),
        cmocka_unit_test(a_parser_that_stops_at_operands_leaves_the_rest),
        cmocka_unit_test(global_options_go_to_the_output),
        cmocka_unit_test(what_is_wrong_is_said_with_the_rule),
        cmocka_unit_test(integers_have_multipliers_and_do_not_wrap),
        cmocka_unit_test(durations_have_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
