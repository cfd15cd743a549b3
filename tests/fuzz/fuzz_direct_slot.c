/* fuzz_direct_slot.c - any bytes as a slot of a direct topic's ring, as what the node answers about
 * one, and as the name of a consumer. Whatever is accepted lies in the slot, and what was written
 * is read again as the same.
 *
 * Byte 0 chooses: 0 a slot, 1 an answer, 2 a list of names, 3 the name of a consumer, 4 a question.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/direct_ask.h"
#include "bus/direct_slot.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define NOW_US UINT64_C(1760000000000000)
#define AHEAD_US_MAX (UINT64_C(1) << (DXI_DIRECT_TIME_BITS - 1)) /* 25 days */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void slot(const char *bytes, size_t size)
{
    const uint32_t slot_bytes = (uint32_t)(size & ~(size_t)7);
    if (slot_bytes < 16) {
        return;
    }
    char *const copy = malloc(slot_bytes);
    char *const again = malloc(slot_bytes);
    REQUIRE(copy != NULL && again != NULL);
    memcpy(copy, bytes, slot_bytes);
    dxi_direct_event_t event;
    if (dxi_direct_read(copy, slot_bytes, NOW_US, &event) == DX_OK) {
        dxi_direct_event_t read;
        REQUIRE(event.bytes <= slot_bytes - DXI_DIRECT_HEAD_BYTES);
        REQUIRE(event.timestamp_ns % 1000 == 0);
        REQUIRE(event.timestamp_ns <= (NOW_US + AHEAD_US_MAX) * 1000);
        dxi_direct_write(again, event.kind, event.data, event.bytes, event.timestamp_ns / 1000);
        REQUIRE(dxi_direct_read(again, slot_bytes, NOW_US, &read) == DX_OK);
        REQUIRE(read.kind == event.kind && read.bytes == event.bytes);
        REQUIRE(read.timestamp_ns == event.timestamp_ns);
        REQUIRE(memcmp(read.data, event.data, event.bytes) == 0);
    }
    free(copy);
    free(again);
}

static void answer(const char *text)
{
    dxi_direct_answer_t read;
    if (dxi_direct_answer_read(text, &read, NULL) == DX_OK && read.direct) {
        REQUIRE(strlen(read.ring) >= 1 && strlen(read.ring) < sizeof read.ring);
        REQUIRE(strlen(read.folder) >= 1 && strlen(read.folder) < sizeof read.folder);
    }
}

static void take_name(void *context, const char *name)
{
    *(size_t *)context += strlen(name);
}

static void consumer(const char *text)
{
    const dxi_direct_policy_t policy = dxi_direct_name_read(text);
    char name[DX_RING_NAME_MAX + 1];
    REQUIRE(policy.slow_block_ns >= 0 && policy.slow_block_ns <= INT64_C(3600000000000));
    dxi_direct_name(&policy, text, name);
    const dxi_direct_policy_t again = dxi_direct_name_read(name);
    REQUIRE(again.slow == policy.slow && again.slow_block_ns == policy.slow_block_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    char *const text = calloc(1, size);
    REQUIRE(text != NULL);
    memcpy(text, data + 1, size - 1);
    size_t bytes = 0;
    bool publish = false;
    switch (data[0] % 5) {
    case 0:
        slot(text, size - 1);
        break;
    case 1:
        answer(text);
        break;
    case 2: {
        const int code = dxi_direct_names_read(text, take_name, &bytes, NULL);
        REQUIRE(code == DX_OK || bytes == 0);
        break;
    }
    case 3:
        consumer(text);
        break;
    default: {
        const char *const topic = dxi_direct_topic_of(text, &publish);
        REQUIRE(topic == NULL || (topic > text && topic < text + size));
        break;
    }
    }
    free(text);
    return 0;
}
