/* chooser.c - which codec the next batch of a topic tries.
 *
 * DESIGN
 *
 *                  lz4 <= enter_ratio                zstd <= lz4 * zstd_enter
 *         NONE  ---------------------->   LZ4   ----------------------->   ZSTD
 *               <----------------------         <-----------------------
 *                  lz4 > leave_ratio                zstd > lz4 * zstd_leave
 *
 * The ratios are those of this topic, smoothed over some eight batches. What is not in use is tried
 * by one batch in `probe_every`, so that a topic whose events change is noticed. Between the two
 * thresholds of each step nothing changes: that is the hysteresis. One that is forbidden is passed
 * over (NONE to ZSTD by enter_ratio and leave_ratio).
 *
 * A small batch says little about large ones and is not compressed: its ratio is not taken in.
 *
 * INVARIANTS
 *
 *   H1  enter_ratio <= leave_ratio and zstd_enter <= zstd_leave
 *   H2  `codec` is never one that the options forbid
 *   H3  a batch below zstd_bytes_min is never given to zstd; lz4 stands in where it may
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "base/fail.h"
#include "base/options.h"
#include "disruptorx/frame_batch.h"

#define BYTES_MIN 1024
#define ZSTD_BYTES_MIN (16 * 1024)
#define ENTER_RATIO 800
#define LEAVE_RATIO 900
#define PROBE_EVERY 64
#define SMOOTHING 8 /* batches */
#define RATIO_MAX 1000

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

int dx_codec_chooser_init(dx_codec_chooser_t *chooser, const dx_codec_options_t *options,
                          dx_error_t *error)
{
    dx_codec_options_t o = {.bytes_min = 0};
    if (options != NULL) {
        o = *options;
    }
    o.bytes_min = or_default(o.bytes_min, BYTES_MIN);
    o.zstd_bytes_min = or_default(o.zstd_bytes_min, ZSTD_BYTES_MIN);
    o.enter_ratio = or_default(o.enter_ratio, ENTER_RATIO);
    o.leave_ratio = or_default(o.leave_ratio, LEAVE_RATIO);
    o.zstd_enter = or_default(o.zstd_enter, ENTER_RATIO);
    o.zstd_leave = or_default(o.zstd_leave, LEAVE_RATIO);
    o.probe_every = or_default(o.probe_every, PROBE_EVERY);
    int code = dxi_options_reserved(error, o.reserved, sizeof o.reserved / sizeof o.reserved[0]);
    if (code == DX_OK) {
        code = dxi_options_range(error, "leave_ratio", o.leave_ratio, o.enter_ratio, RATIO_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "zstd_leave", o.zstd_leave, o.zstd_enter, RATIO_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "probe_every", o.probe_every, 2, INT32_MAX);
    }
    if (code != DX_OK) {
        return code;
    }
    *chooser = (dx_codec_chooser_t){.options = o, .codec = DX_CODEC_NONE};
    return DX_OK;
}

/* The codec that a batch may use instead of `codec`, or none (H3). */
static dx_codec_t codec_allowed(const dx_codec_options_t *o, dx_codec_t codec, uint32_t raw_bytes)
{
    if (codec == DX_CODEC_ZSTD && (o->no_zstd || raw_bytes < o->zstd_bytes_min)) {
        codec = DX_CODEC_LZ4;
    }
    return codec == DX_CODEC_LZ4 && o->no_lz4 ? DX_CODEC_NONE : codec;
}

dx_codec_t dx_codec_choose(dx_codec_chooser_t *chooser, uint32_t raw_bytes)
{
    const dx_codec_options_t *const o = &chooser->options;
    if (raw_bytes < o->bytes_min) {
        return DX_CODEC_NONE;
    }
    const uint32_t turn = chooser->batches++;
    if (turn % o->probe_every != 0) {
        return codec_allowed(o, chooser->codec, raw_bytes);
    }
    /* A probe: lz4 and zstd in turn, so that each is tried, the one in use now and then too. */
    const bool odd = (turn / o->probe_every) % 2 != 0;
    const dx_codec_t probe = odd || o->no_lz4 ? DX_CODEC_ZSTD : DX_CODEC_LZ4;
    return codec_allowed(o, probe, raw_bytes);
}

/* Whether the step upwards is to be taken: by the first threshold from below, by the second from
 * above. */
static bool step_up(uint32_t ratio, uint32_t reference, bool is_up, uint32_t enter, uint32_t leave)
{
    if (ratio == 0) {
        return false; /* never tried */
    }
    return (uint64_t)ratio * RATIO_MAX <= (uint64_t)reference * (is_up ? leave : enter);
}

static dx_codec_t codec_best(const dx_codec_chooser_t *chooser)
{
    const dx_codec_options_t *const o = &chooser->options;
    const uint32_t lz4 = chooser->ratios[DX_CODEC_LZ4], zstd = chooser->ratios[DX_CODEC_ZSTD];
    const bool packs = chooser->codec != DX_CODEC_NONE;
    if (o->no_lz4) {
        return step_up(zstd, RATIO_MAX, packs, o->enter_ratio, o->leave_ratio) ? DX_CODEC_ZSTD
                                                                               : DX_CODEC_NONE;
    }
    const bool lz4_pays = step_up(lz4, RATIO_MAX, packs, o->enter_ratio, o->leave_ratio);
    const bool zstd_pays =
        step_up(zstd, RATIO_MAX, packs, o->enter_ratio, o->leave_ratio) &&
        step_up(zstd, lz4, chooser->codec == DX_CODEC_ZSTD, o->zstd_enter, o->zstd_leave);
    if (zstd_pays) {
        return DX_CODEC_ZSTD;
    }
    return lz4_pays ? DX_CODEC_LZ4 : DX_CODEC_NONE;
}

void dx_codec_learn(dx_codec_chooser_t *chooser, dx_codec_t codec, uint32_t raw_bytes,
                    uint32_t packed_bytes)
{
    if (codec == DX_CODEC_NONE || (unsigned)codec >= DX_CODEC_COUNT ||
        raw_bytes < chooser->options.bytes_min) {
        return;
    }
    uint64_t ratio = (uint64_t)packed_bytes * RATIO_MAX / raw_bytes;
    ratio = ratio < 1 ? 1 : ratio > RATIO_MAX ? RATIO_MAX : ratio;
    uint32_t *const smoothed = &chooser->ratios[codec];
    if (*smoothed == 0) {
        *smoothed = (uint32_t)ratio;
    } else {
        *smoothed =
            (uint32_t)(((uint64_t)*smoothed * (SMOOTHING - 1) + ratio + SMOOTHING / 2) / SMOOTHING);
    }
    const dx_codec_t best = codec_best(chooser);
    assert(codec_allowed(&chooser->options, best, UINT32_MAX) == best); /* H2 */
    if (best != chooser->codec) {
        chooser->codec = best;
        chooser->switches++;
    }
}
