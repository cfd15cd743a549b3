/* format.c - numbers for eyes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/format.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Copies the digits of `magnitude` with a comma before every third from the right. */
static void put_thousands(char *out, const char *sign, uint64_t magnitude)
{
    char digits[24];
    const int count = snprintf(digits, sizeof digits, "%" PRIu64, magnitude);
    while (*sign != '\0') {
        *out++ = *sign++;
    }
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) {
            *out++ = ',';
        }
        *out++ = digits[i];
    }
    *out = '\0';
}

const char *dxi_format_count(dxi_text_t *text, int64_t value)
{
    const uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    put_thousands(text->bytes, value < 0 ? "-" : "", magnitude);
    return text->bytes;
}

const char *dxi_format_ns(dxi_text_t *text, int64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double value = (double)ns;
    size_t unit = 0;
    /* 999.5 prints as 1000 with three digits, so it already belongs to the next unit. */
    while (fabs(value) >= 999.5 && unit < 3) {
        value /= 1000;
        unit++;
    }
    const double size = fabs(value);
    const int decimals = unit == 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    snprintf(text->bytes, sizeof text->bytes, "%.*f %s", decimals, value, units[unit]);
    return text->bytes;
}

const char *dxi_format_share(dxi_text_t *text, int64_t part, int64_t whole)
{
    if (whole <= 0) {
        return strcpy(text->bytes, "-");
    }
    snprintf(text->bytes, sizeof text->bytes, "%.1f %%", 100.0 * (double)part / (double)whole);
    return text->bytes;
}

const char *dxi_format_decimal(dxi_text_t *text, double value)
{
    if (!isfinite(value) || fabs(value) > 1e15) {
        return strcpy(text->bytes, "-");
    }
    const int64_t tenths = (int64_t)(value * 10 + (value < 0 ? -0.5 : 0.5));
    const uint64_t magnitude = tenths < 0 ? 0 - (uint64_t)tenths : (uint64_t)tenths;
    put_thousands(text->bytes, tenths < 0 ? "-" : "", magnitude / 10);
    const size_t used = strlen(text->bytes);
    snprintf(text->bytes + used, sizeof text->bytes - used, ".%u", (unsigned)(magnitude % 10));
    return text->bytes;
}
