/* direct_slot.c - the ring of a direct topic: its geometry, and the names of its consumers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/direct_slot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"

#define NS_PER_MS INT64_C(1000000)
#define BLOCK_MS_MAX INT64_C(3600000)
#define BLOCK_NS_DEFAULT INT64_C(1000000000)

int dxi_direct_geometry(const dx_topic_options_t *options, uint32_t *slot_bytes_out,
                        uint32_t *slots_out, dx_error_t *error)
{
    const uint32_t ring_bytes = options->direct_bytes;
    if (ring_bytes < DX_DIRECT_BYTES_MIN || ring_bytes > DX_DIRECT_BYTES_MAX ||
        (ring_bytes & (ring_bytes - 1)) != 0) {
        return dxi_fail(error, DX_EINVAL,
                        "direct_bytes is %u, must be a power of two from %u to %u", ring_bytes,
                        DX_DIRECT_BYTES_MIN, DX_DIRECT_BYTES_MAX);
    }
    if (options->shard_by != DX_SHARD_BY_TOPIC) {
        return dxi_fail(error, DX_EINVAL,
                        "shard_by is %d, must be 0 (topic) for a direct topic: it has one ring",
                        (int)options->shard_by);
    }
    const uint32_t event_bytes =
        options->event_bytes_max != 0 ? options->event_bytes_max : DX_DIRECT_EVENT_BYTES;
    if (event_bytes > DX_DIRECT_EVENT_BYTES_MAX) {
        return dxi_fail(error, DX_EINVAL,
                        "event_bytes_max is %u, must be at most %u for a direct topic", event_bytes,
                        DX_DIRECT_EVENT_BYTES_MAX);
    }
    const uint32_t slot_bytes = DXI_DIRECT_HEAD_BYTES + ((event_bytes + 7) & ~7u);
    uint32_t slots = 1;
    while (slots * 2 <= ring_bytes / slot_bytes) {
        slots *= 2;
    }
    if (slots < DXI_DIRECT_SLOTS_MIN) {
        return dxi_fail(error, DX_EINVAL,
                        "direct_bytes is %u, must have room for %u events of %u bytes", ring_bytes,
                        DXI_DIRECT_SLOTS_MIN, event_bytes);
    }
    *slot_bytes_out = slot_bytes;
    *slots_out = slots;
    return DX_OK;
}

static const char policy_letters[] = {
    [DX_SLOW_DROP] = 'd', [DX_SLOW_BLOCK] = 'b', [DX_SLOW_DISCONNECT] = 'x'};

void dxi_direct_name(const dxi_direct_policy_t *policy, const char *name,
                     char name_out[DX_RING_NAME_MAX + 1])
{
    int64_t ms = policy->slow == DX_SLOW_BLOCK ? policy->slow_block_ns / NS_PER_MS : 0;
    ms = ms > BLOCK_MS_MAX ? BLOCK_MS_MAX : ms;
    (void)snprintf(name_out, DX_RING_NAME_MAX + 1, "%c%" PRId64 ".%s", policy_letters[policy->slow],
                   ms, name);
}

dxi_direct_policy_t dxi_direct_name_read(const char *name)
{
    dxi_direct_policy_t policy = {.slow = DX_SLOW_DROP};
    if (name[0] == policy_letters[DX_SLOW_DISCONNECT]) {
        policy.slow = DX_SLOW_DISCONNECT;
    } else if (name[0] == policy_letters[DX_SLOW_BLOCK] && name[1] >= '0' && name[1] <= '9') {
        char *end = NULL;
        const long ms = strtol(name + 1, &end, 10);
        if (*end == '.') {
            policy.slow = DX_SLOW_BLOCK;
            policy.slow_block_ns = (ms < BLOCK_MS_MAX ? ms : BLOCK_MS_MAX) * NS_PER_MS;
            policy.slow_block_ns = ms != 0 ? policy.slow_block_ns : BLOCK_NS_DEFAULT;
        }
    }
    return policy;
}
