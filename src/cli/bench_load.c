/* bench_load.c - the events of the benchmarks, checked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_load.h"

#include "base/alloc.h"

static unsigned char pattern_byte(size_t at)
{
    return (unsigned char)(at * 31 + 7);
}

void dxi_load_pattern(void *payload, size_t bytes)
{
    unsigned char *const to = payload;
    for (size_t i = sizeof(dxi_load_head_t); i < bytes; i++) {
        to[i] = pattern_byte(i);
    }
}

int dxi_load_check_init(dxi_load_check_t *check, int32_t run, uint32_t streams, size_t bytes)
{
    memset(check, 0, sizeof *check);
    check->run = run;
    check->streams = streams;
    check->bytes = bytes;
    if (run < 0) {
        return DX_OK; /* made when the first event of a run comes */
    }
    check->next[run] = dxi_alloc_zeroed(streams, sizeof *check->next[run]);
    return check->next[run] == NULL ? DX_ENOMEM : DX_OK;
}

void dxi_load_check_free(dxi_load_check_t *check)
{
    for (size_t i = 0; i < DXI_LOAD_RUNS; i++) {
        dxi_free(check->next[i]);
        check->next[i] = NULL;
    }
}

/* Compares the last bytes, which a cut or shifted payload would have wrong. */
static bool pattern_is_right(const unsigned char *payload, size_t bytes)
{
    const size_t from = bytes < sizeof(dxi_load_head_t) + 8 ? sizeof(dxi_load_head_t) : bytes - 8;
    for (size_t i = from; i < bytes; i++) {
        if (payload[i] != pattern_byte(i)) {
            return false;
        }
    }
    return true;
}

/* The table of a run, made when it is first seen. */
static uint64_t *table_of(dxi_load_check_t *check, uint32_t run)
{
    if (check->next[run] == NULL && check->run < 0) {
        check->next[run] = dxi_alloc_zeroed(check->streams, sizeof *check->next[run]);
    }
    return check->next[run];
}

static void number_take(dxi_load_check_t *check, uint64_t *next, uint64_t number)
{
    if (*next == 0) { /* the first of its stream: any, where we may have come late */
        *next = check->run < 0 ? number + 1 : 1;
    }
    const uint64_t wanted = *next - 1;
    if (number < wanted) {
        check->repeated++;
        return;
    }
    check->lost += (int64_t)(number - wanted);
    *next = number + 2;
}

bool dxi_load_take(dxi_load_check_t *check, const void *payload, size_t bytes,
                   dxi_load_head_t *head_out)
{
    if (bytes < sizeof *head_out) {
        check->corrupt++;
        return false;
    }
    memcpy(head_out, payload, sizeof *head_out);
    const uint32_t run = (uint32_t)(head_out->word >> 56);
    const uint32_t stream = (uint32_t)(head_out->word >> 42) & 16383U;
    uint64_t *const table = table_of(check, run);
    if (table == NULL || stream >= check->streams) {
        check->foreign++;
        return false;
    }
    if ((check->bytes != 0 && bytes != check->bytes) || !pattern_is_right(payload, bytes)) {
        check->corrupt++;
        return false;
    }
    check->events++;
    check->checksum += dxi_load_mix(head_out->word);
    number_take(check, &table[stream], head_out->word & ((UINT64_C(1) << 42) - 1));
    return true;
}
