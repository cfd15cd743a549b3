/* format.c - numbers for eyes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/format.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
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

const char *dxi_format_name(dxi_text_t *text, const char *name)
{
    unsigned char before = 0;
    size_t i = 0;
    for (; i < sizeof text->bytes - 1 && name[i] != '\0'; i++) {
        const unsigned char c = (unsigned char)name[i];
        const bool is_high = c >= 0x80 && c < 0xa0;
        const bool is_c0 = c < 0x20 || c == 0x7f;
        /* 0x80 to 0x9f are commands, too, alone or as UTF-8 spells them, with 0xc2 before. */
        const bool is_c1 = is_high && (before < 0x80 || before == 0xc2);
        text->bytes[i] = is_c0 || is_c1 ? '?' : name[i];
        if (is_c1 && before == 0xc2) {
            text->bytes[i - 1] = '?';
        }
        before = c;
    }
    text->bytes[i] = '\0';
    return text->bytes;
}

const char *dxi_format_bytes(dxi_text_t *text, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit < 4) {
        value /= 1024;
        unit++;
    }
    const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text->bytes, sizeof text->bytes, "%.*f %s", decimals, value, units[unit]);
    return text->bytes;
}
