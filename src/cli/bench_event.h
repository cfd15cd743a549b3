/* cli/bench_event.h - the event of the benchmarks: words whose sum has a closed form.
 *
 * An event of b bytes holds b / 8 words; event number v (1 to n) holds v, v + 1, v + 2 ... A
 * producer writes and a consumer adds up every word: a benchmark that leaves its payload alone
 * measures the ring and not the transfer of the data.
 *
 * The functions are inlined with a constant `bytes`, so that the loops over the words unroll and
 * the slot is found by a shift; 0 stands for a size known only at run time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_EVENT_H
#define DXI_CLI_BENCH_EVENT_H

#include <stdint.h>

#include "disruptorx/producer.h"

/* What DX_PRODUCER_EVENT() and its sisters are for a type: see dxi_typed_slot(). */
DX_INLINE uint64_t *dxi_bench_slot(char *slots, int64_t mask, int64_t sequence,
                                   const uint32_t bytes, uint32_t slot_bytes)
{
    if (bytes != 0) {
        return (uint64_t *)dxi_typed_slot(slots, sequence & mask, bytes, slot_bytes);
    }
    return (uint64_t *)(void *)(slots + (size_t)(sequence & mask) * slot_bytes);
}

DX_INLINE uint32_t dxi_bench_words(const uint32_t bytes, uint32_t slot_bytes)
{
    return (bytes != 0 ? bytes : slot_bytes) / (uint32_t)sizeof(uint64_t);
}

DX_INLINE void dxi_bench_event_fill(uint64_t *words, uint32_t word_count, uint64_t value)
{
    for (uint32_t i = 0; i < word_count; i++) {
        words[i] = value + i;
    }
}

DX_INLINE uint64_t dxi_bench_event_sum(const uint64_t *words, uint32_t word_count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < word_count; i++) {
        sum += words[i];
    }
    return sum;
}

/* What the words of the events 1 to n add up to, modulo 2^64. */
DX_INLINE uint64_t dxi_bench_expected_sum(uint64_t n, uint32_t word_count)
{
    const uint64_t w = word_count;
    const uint64_t values = n % 2 == 0 ? n / 2 * (n + 1) : (n + 1) / 2 * n;
    return w * values + n * (w * (w - 1) / 2);
}

#endif
