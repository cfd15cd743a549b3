/* cli/bench_load.h - the events of the benchmarks of bus and node: how they are made, and how a
 * receiver finds out that each came once, in order, and unchanged.
 *
 * The first 16 bytes of a payload are a dxi_load_head_t, the rest is a pattern. A stream is one
 * publisher and one topic: the bus keeps the order of a stream, so its numbers must come as 0, 1, 2
 * and so on. The checksum is a sum over heads, so it is the same whatever the order in which the
 * streams come.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_LOAD_H
#define DXI_CLI_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_LOAD_BYTES_MIN 16
#define DXI_LOAD_BYTES_MAX 1048576
#define DXI_LOAD_STREAMS_MAX 16384
#define DXI_LOAD_RUNS 256

typedef struct dxi_load_head {
    uint64_t word;  /* run: 8 bits, stream: 14, number: 42 */
    int64_t due_ns; /* dx_clock_ns() when it should have been published */
} dxi_load_head_t;

DX_INLINE uint64_t dxi_load_word(uint32_t run, uint32_t stream, uint64_t number)
{
    return (uint64_t)(run & 255U) << 56 | (uint64_t)(stream & 16383U) << 42 |
           (number & ((UINT64_C(1) << 42) - 1));
}

/* What a head adds to the checksum. Threads: any. */
DX_INLINE uint64_t dxi_load_mix(uint64_t word)
{
    word = (word ^ (word >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    return word ^ (word >> 29);
}

/* Fills the pattern behind the head, once. Threads: any. */
void dxi_load_pattern(void *payload, size_t bytes);

/* What a receiver has seen. Private but for the numbers. */
typedef struct dxi_load_check {
    int64_t events;
    uint64_t checksum;
    int64_t lost;                  /* numbers that were passed over */
    int64_t repeated;              /* numbers that came again, or too late */
    int64_t corrupt;               /* too short, or another pattern */
    int64_t foreign;               /* of another run, where one is set */
    int32_t run;                   /* -1: any */
    size_t bytes;                  /* of each payload; 0: any */
    uint32_t streams;              /* of a run, at most */
    uint64_t *next[DXI_LOAD_RUNS]; /* by run: the next number of each stream, plus 1 */
} dxi_load_check_t;

/* `run` -1: events of any run, from whichever number they begin with.
 * Returns DX_OK, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_load_check_init(dxi_load_check_t *check, int32_t run, uint32_t streams,
                                     size_t bytes);
void dxi_load_check_free(dxi_load_check_t *check);

/* Takes one payload and copies its head. False when it is none of ours.
 * Threads: owner. */
bool dxi_load_take(dxi_load_check_t *check, const void *payload, size_t bytes,
                   dxi_load_head_t *head_out);

#endif
