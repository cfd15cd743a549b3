/* values.c - numbers as people write them: integers with a multiplier, durations with a unit.
 *
 * A number is digits, optionally with a decimal part when a unit follows ("1.5ms", "2.5k"): the
 * result must still be a whole number. Nothing is rounded and nothing wraps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/values.h"

#include <stdbool.h>
#include <string.h>

#include "base/fail.h"
#include "base/format.h"

typedef struct unit {
    const char *name;
    int64_t factor;
} unit_t;

static const unit_t MULTIPLIERS[] = {
    {"", 1},         {"k", 1000},     {"K", 1000},     {"M", 1000000}, {"G", 1000000000},
    {"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {NULL, 0},
};

static const unit_t TIME_UNITS[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", INT64_C(60000000000)},
    {"h", INT64_C(3600000000000)},
    {NULL, 0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int64_t unit_factor(const unit_t *units, const char *name)
{
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, name) == 0) {
            return units->factor;
        }
    }
    return 0;
}

/* Reads "[-]digits[.digits]unit". False when it is something else, not whole, or too large. */
static bool number_parse(const char *text, const unit_t *units, int64_t *value_out)
{
    const bool negative = *text == '-';
    text += negative;
    if (!is_digit(*text)) {
        return false;
    }
    int64_t mantissa = 0;
    int64_t scale = 1; /* 10 to the number of decimals */
    bool decimals = false;
    for (; is_digit(*text) || (*text == '.' && !decimals && is_digit(text[1])); text++) {
        if (*text == '.') {
            decimals = true;
            continue;
        }
        if (__builtin_mul_overflow(mantissa, 10, &mantissa) ||
            __builtin_add_overflow(mantissa, *text - '0', &mantissa) ||
            (decimals && __builtin_mul_overflow(scale, 10, &scale))) {
            return false;
        }
    }
    const int64_t factor = unit_factor(units, text);
    int64_t scaled = 0;
    if (factor == 0 || __builtin_mul_overflow(mantissa, factor, &scaled) || scaled % scale != 0) {
        return false;
    }
    *value_out = negative ? -(scaled / scale) : scaled / scale;
    return true;
}

int dxi_integer_parse(const char *name, const char *text, int64_t low, int64_t high,
                      int64_t *value_out, dx_error_t *error)
{
    if (!number_parse(text, MULTIPLIERS, value_out) || *value_out < low || *value_out > high) {
        return dxi_fail(error, DX_EINVAL, "%s is %.40s, must be a whole number from %s to %s", name,
                        text, dxi_format_count(&(dxi_text_t){0}, low),
                        dxi_format_count(&(dxi_text_t){0}, high));
    }
    return DX_OK;
}

int dxi_power_parse(const char *name, const char *text, int64_t low, int64_t high,
                    int64_t *value_out, dx_error_t *error)
{
    if (!number_parse(text, MULTIPLIERS, value_out) || *value_out < low || *value_out > high ||
        *value_out < 1 || (*value_out & (*value_out - 1)) != 0) {
        return dxi_fail(error, DX_EINVAL, "%s is %.40s, must be a power of two from %s to %s", name,
                        text, dxi_format_count(&(dxi_text_t){0}, low),
                        dxi_format_count(&(dxi_text_t){0}, high));
    }
    return DX_OK;
}

int dxi_duration_parse(const char *name, const char *text, int64_t low, int64_t high,
                       int64_t *ns_out, dx_error_t *error)
{
    const bool zero = strcmp(text, "0") == 0; /* zero needs no unit */
    *ns_out = 0;
    if ((!zero && !number_parse(text, TIME_UNITS, ns_out)) || *ns_out < low || *ns_out > high) {
        return dxi_fail(error, DX_EINVAL,
                        "%s is %.40s, must be a duration such as 250us, 10ms or 2s, from %s to %s",
                        name, text, dxi_format_ns(&(dxi_text_t){0}, low),
                        dxi_format_ns(&(dxi_text_t){0}, high));
    }
    return DX_OK;
}
