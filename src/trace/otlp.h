/* trace/otlp.h - spans as OTLP/HTTP JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_TRACE_OTLP_H
#define DXI_TRACE_OTLP_H

#include "trace/span.h"

#define DXI_OTLP_SPAN_BYTES_MAX 4096  /* one span, whatever its topic is */
#define DXI_OTLP_FRAME_BYTES_MAX 8192 /* what stands around the spans */
#define DXI_OTLP_NAME_BYTES_MAX 255   /* of the service, of the instance */

/* A request that is put together. */
typedef struct dxi_otlp {
    char *text;
    size_t room;
    size_t used;
    uint32_t spans;
} dxi_otlp_t;

/* Begins a request in `text`, which has `room` bytes: DXI_OTLP_FRAME_BYTES_MAX and
 * DXI_OTLP_SPAN_BYTES_MAX at least. */
void dxi_otlp_begin(dxi_otlp_t *otlp, char *text, size_t room, const char *service,
                    const char *instance);

/* Adds a span. False: there is no room for it. */
bool dxi_otlp_add(dxi_otlp_t *otlp, const dxi_trace_span_t *span);

/* Ends the request; it has otlp->used bytes, and a NUL behind them. */
void dxi_otlp_end(dxi_otlp_t *otlp);

/* The spans that an answer says were not taken; 0 when it says nothing. */
uint64_t dxi_otlp_rejected(const char *answer, size_t bytes);

#endif
