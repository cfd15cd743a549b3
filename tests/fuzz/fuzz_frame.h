/* fuzz_frame.h - what the fuzz targets of frames share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_FRAME_H
#define FUZZ_FRAME_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program, so that the fuzzer keeps the input. */
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy of exactly the input, aligned as frames are, that a sanitizer knows the ends of. */
static inline char *fuzz_copy(const uint8_t *data, size_t size, size_t *bytes_out)
{
    char *const copy = malloc(size != 0 ? size : 1);
    FUZZ_REQUIRE(copy != NULL);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    *bytes_out = size;
    return copy;
}

/* Makes checksums right: bit 0 of `which` the header's, bit 1 the body's, over what is there. */
static inline void fuzz_repair(char *frame, size_t bytes, uint8_t which)
{
    if (bytes < DX_FRAME_HEADER_BYTES) {
        return;
    }
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)frame;
    if ((which & 2) != 0) {
        header->body_checksum =
            dxi_body_checksum(frame + DX_FRAME_HEADER_BYTES, bytes - DX_FRAME_HEADER_BYTES);
    }
    if ((which & 1) != 0) {
        const dxi_header_words_t words = dxi_header_load(frame);
        header->header_checksum = dxi_header_checksum(&words);
    }
}

/* Reads every byte that a view leads to, and asks that they are inside the frame. */
static inline void fuzz_view_use(const dx_frame_view_t *view, const char *frame, size_t bytes)
{
    uint64_t sum = 0;
    FUZZ_REQUIRE(view->bytes <= bytes && view->bytes % 8 == 0);
    const char *const end = frame + view->bytes;
    for (int part = 0; part < DX_FRAME_PARTS; part++) {
        uint32_t part_bytes = 0;
        const char *const value = dx_frame_part(view, part, &part_bytes);
        FUZZ_REQUIRE(value == NULL || (value >= frame && value + part_bytes <= end));
        sum += value != NULL ? dxi_body_checksum(value, part_bytes) : 0;
    }
    dx_frame_pair_t pair;
    uint32_t pairs = 0;
    for (dx_frame_headers_t headers = dx_frame_headers(view);
         dx_frame_headers_next(&headers, &pair); pairs++) {
        FUZZ_REQUIRE((const char *)pair.value + pair.value_bytes <= end);
        sum += dxi_body_checksum(pair.name, pair.name_bytes);
    }
    FUZZ_REQUIRE(pairs <= DX_FRAME_HEADERS_MAX);
    FUZZ_REQUIRE((const char *)view->payload + view->payload_bytes <= end);
    sum += dxi_body_checksum(view->payload, view->payload_bytes);
    sum += (uint64_t)dx_frame_header_find(view, "x", &pair);
    __asm__ volatile("" : : "r"(sum)); /* the reads count */
}

#endif
