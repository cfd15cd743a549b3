/* disruptorx/frame_batch.h - many frames in one, compressed when that pays.
 *
 * A BATCH frame's payload is whole frames, one after the other as they stand in the ring, as they
 * are or compressed as one block. Batches go over connections whose two sides want compression, and
 * lie in the journal; where frames are gathered straight from the ring, no batch is needed.
 *
 * A chooser, one per topic, decides which codec the next batch is to try, by its size and by what
 * the codecs have achieved on that topic:
 *
 *     dx_codec_t codec = dx_codec_choose(&chooser, dx_frame_batch_raw_bytes(batch));
 *     int64_t bytes = dx_frame_batch_seal(batch, codec, out, room, &error);
 *     dx_codec_learn(&chooser, codec, raw_bytes, (uint32_t)bytes);
 *
 * A receiver is bounded by what it has made room for: a batch that says more than that is refused
 * before a byte of it is decompressed, and one that comes to more or less than it says is corrupt.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_FRAME_BATCH_H
#define DISRUPTORX_FRAME_BATCH_H

#include "disruptorx/frame.h"

DX_EXTERN_C_BEGIN

#define DX_BATCH_RAW_BYTES_MIN 1024
#define DX_BATCH_RAW_BYTES_MAX 8388608 /* 8 MiB: frames in one batch, before compression */

/* X(name, number, text): the codecs, by their numbers in frames. */
#define DX_CODEC_LIST(X)                                                                           \
    X(NONE, 0, "none")                                                                             \
    X(LZ4, 1, "lz4")                                                                               \
    X(ZSTD, 2, "zstd")

#define DX_CODEC_ENUMERATOR(name, number, text) DX_CODEC_##name = (number),
typedef enum dx_codec { DX_CODEC_LIST(DX_CODEC_ENUMERATOR) } dx_codec_t;
#undef DX_CODEC_ENUMERATOR
#define DX_CODEC_COUNT 3

/* What one side of a connection wants to be compressed. Zero = default. */
typedef enum dx_compression {
    DX_COMPRESSION_AUTO = 0, /* between hosts, or when the other side asks for it; by what pays */
    DX_COMPRESSION_OFF = 1,  /* nothing, in neither direction */
    DX_COMPRESSION_LZ4 = 2,  /* in both directions, where the other side can; also in this host */
    DX_COMPRESSION_ZSTD = 3, /* the same */
} dx_compression_t;

/* "lz4"; "unknown" for a number that is none.
 * Threads: any. */
DX_API const char *dx_codec_name(int codec);

/* -------------------------------------------------------------------------------------- batches */

/* Room for the frames of one batch, and the codecs' working memory. For writing or for reading. */
typedef struct dx_frame_batch dx_frame_batch_t;

/* Allocates what batches of up to `raw_bytes_max` need, DX_BATCH_RAW_BYTES_MIN to
 * DX_BATCH_RAW_BYTES_MAX; 0 means 256 KiB. Stores NULL on failure.
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM.
 * Threads: any. */
DX_API DX_NODISCARD int dx_frame_batch_create(uint32_t raw_bytes_max, dx_frame_batch_t **batch_out,
                                              dx_error_t *error);

/* `batch` may be NULL.
 * Threads: owner. */
DX_API void dx_frame_batch_destroy(dx_frame_batch_t *batch);

/* Forgets its frames.
 * Threads: owner. */
DX_API void dx_frame_batch_reset(dx_frame_batch_t *batch);

/* Copies a sealed frame behind those that are there. Its checksums are not looked at.
 * Returns DX_OK, DX_EAGAIN when there is no room for it, DX_EINVAL for a BATCH.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_frame_batch_add(dx_frame_batch_t *batch, const void *frame);

/* The bytes and the number of its frames.
 * Threads: owner. */
DX_API uint32_t dx_frame_batch_raw_bytes(const dx_frame_batch_t *batch);
DX_API uint32_t dx_frame_batch_count(const dx_frame_batch_t *batch);

/* The room that dx_frame_batch_seal() needs for the frames that are there, whatever the codec.
 * Threads: owner. */
DX_API uint32_t dx_frame_batch_room(const dx_frame_batch_t *batch);

/* Writes the BATCH frame into `out`, aligned to 8. Where the codec gains nothing, the frames go in
 * as they are.
 * Returns the bytes of the whole frame; DX_ESTATE for an empty batch, DX_ELIMIT for too little
 * room, DX_EINVAL for a codec that is none or a bad alignment.
 * Threads: owner. */
DX_API DX_NODISCARD int64_t dx_frame_batch_seal(dx_frame_batch_t *batch, dx_codec_t codec,
                                                void *out, size_t room, dx_error_t *error);

/* The frames of a BATCH frame that was decoded: in place where it is not compressed, else in the
 * memory of `batch`, until its next call. They are not checked yet: go through them with a
 * dx_frame_stream_t, or with dx_frame_batch_next().
 * Returns DX_OK; DX_EINVAL for a frame that is no BATCH, DX_ELIMIT for one that says more bytes
 * than `batch` has room for, DX_ENOTSUP for an unknown codec, DX_ECORRUPT for one that does not
 * come to what it says.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_frame_batch_open(dx_frame_batch_t *batch, const dx_frame_view_t *view,
                                            dx_error_t *error);

/* The next frame of an open batch, checked.
 * Returns DX_OK; DX_ENOTFOUND behind the last; DX_ENOTSUP or DX_EINVAL for a frame to be refused,
 * after which the next call goes on; DX_ECORRUPT, also when the batch holds another number of
 * frames than it says, DX_ELIMIT or DX_EVERSION when the rest can't be read.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_frame_batch_next(dx_frame_batch_t *batch, dx_frame_view_t *view_out,
                                            dx_error_t *error);

/* -------------------------------------------------------------------------------------- chooser */

/* Zero = default. Ratios are in thousandths: bytes after compression per 1000 before. */
typedef struct dx_codec_options {
    uint32_t bytes_min;      /* smaller batches are not compressed; 1024 */
    uint32_t zstd_bytes_min; /* smaller batches never try zstd; 16384 */
    uint32_t enter_ratio;    /* begin to compress at this ratio or below; 800 */
    uint32_t leave_ratio;    /* stop above it; 900. At least enter_ratio */
    uint32_t zstd_enter;     /* from lz4 to zstd when zstd's ratio is at most so many thousandths of
                              * lz4's; 800 */
    uint32_t zstd_leave;     /* and back above it; 900. At least zstd_enter */
    uint32_t probe_every;    /* of so many batches one tries a codec not in use; 64 */
    bool no_lz4;
    bool no_zstd;
    uint64_t reserved[4]; /* must be 0 */
} dx_codec_options_t;

/* The state of one topic. A plain value, without memory of its own; no clock and no random number:
 * the same batches make the same choices. */
typedef struct dx_codec_chooser {
    dx_codec_options_t options;
    uint32_t ratios[DX_CODEC_COUNT]; /* smoothed, in thousandths; 0: never tried */
    uint32_t batches;                /* large enough for compression, since the start */
    uint32_t switches;               /* how often `codec` has changed */
    dx_codec_t codec;                /* in use */
} dx_codec_chooser_t;

/* Begins with DX_CODEC_NONE and nothing measured. `options` may be NULL.
 * Returns DX_OK, DX_EINVAL.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_codec_chooser_init(dx_codec_chooser_t *chooser,
                                              const dx_codec_options_t *options, dx_error_t *error);

/* The codec to try for a batch of so many bytes: the one in use, now and then another one to learn
 * what it would achieve, none when it is small.
 * Threads: owner. */
DX_API dx_codec_t dx_codec_choose(dx_codec_chooser_t *chooser, uint32_t raw_bytes);

/* Takes in what a codec has made of a batch, and changes the one in use when the smoothed ratios
 * have crossed a threshold.
 * Threads: owner. */
DX_API void dx_codec_learn(dx_codec_chooser_t *chooser, dx_codec_t codec, uint32_t raw_bytes,
                           uint32_t packed_bytes);

DX_EXTERN_C_END

#endif
