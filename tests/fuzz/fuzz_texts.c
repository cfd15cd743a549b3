/* fuzz_texts.c - any bytes as the JSON of options and statistics. What is read can be written, and
 * is read again as the same.
 *
 * Byte 0 chooses: 0 subscription options, 1 topic options, 2 topic statistics.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/texts.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static bool same(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static void subscription(const char *text, size_t bytes)
{
    char texts[2][DXI_TEXT_BYTES_MAX];
    char written[DXI_TEXT_BYTES_MAX];
    dx_subscription_options_t options;
    dx_subscription_options_t again;
    dx_error_t error;
    if (dxi_subscription_options_read(text, bytes, &options, texts[0], &error) != DX_OK) {
        return;
    }
    const int64_t length = dxi_subscription_options_write(&options, written, sizeof written);
    REQUIRE(length > 0);
    REQUIRE(dxi_subscription_options_read(written, (size_t)length, &again, texts[1], &error) ==
            DX_OK);
    REQUIRE(same(options.name, again.name) && same(options.dead_letter, again.dead_letter));
    again.name = options.name;
    again.dead_letter = options.dead_letter;
    REQUIRE(memcmp(&options, &again, sizeof options) == 0);
}

static void topic(const char *text, size_t bytes)
{
    char written[DXI_TEXT_BYTES_MAX];
    dx_topic_options_t options;
    dx_topic_options_t again;
    dx_error_t error;
    if (dxi_topic_options_read(text, bytes, &options, &error) == DX_OK) {
        const int64_t length = dxi_topic_options_write(&options, written, sizeof written);
        REQUIRE(length > 0);
        REQUIRE(dxi_topic_options_read(written, (size_t)length, &again, &error) == DX_OK);
        REQUIRE(memcmp(&options, &again, sizeof options) == 0);
    }
}

static void stats(const char *text, size_t bytes)
{
    char written[DXI_TEXT_BYTES_MAX];
    dx_topic_stats_t read;
    dx_error_t error;
    if (dxi_topic_stats_read(text, bytes, &read, &error) == DX_OK) {
        const int64_t length = dxi_topic_stats_write(&read, written, sizeof written);
        REQUIRE(length > 0);
        REQUIRE(dxi_topic_stats_read(written, (size_t)length, &read, &error) == DX_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    switch (data[0] % 3) {
    case 0:
        subscription(text, size - 1);
        break;
    case 1:
        topic(text, size - 1);
        break;
    default:
        stats(text, size - 1);
        break;
    }
    return 0;
}
