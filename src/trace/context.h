/* trace/context.h - trace contexts: in a frame, of the running handler, and new ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_TRACE_CONTEXT_H
#define DXI_TRACE_CONTEXT_H

#include <stdbool.h>

#include "disruptorx/trace.h"

/* A random number that is not 0. Threads: any. */
uint64_t dxi_trace_random(void);

/* A new span id. Threads: any. */
void dxi_trace_span_make(uint8_t id_out[8]);

/* Whether spans are wanted, and both ids are valid: not all zero. Threads: any. */
bool dxi_trace_sampled(const dx_frame_trace_t *trace);

/* The context of a frame. False: it has none. Threads: any. */
bool dxi_trace_of(const dx_frame_view_t *view, dx_frame_trace_t *trace_out);

/* Bytes of a frame once it carries a context and the flag TRACED; 0: it can't, its parts would be
 * too long. Threads: any. */
uint32_t dxi_trace_frame_bytes(const dx_frame_view_t *view);

/* Writes a copy of a frame with this context and the flag TRACED, sealed, to `to`, which is aligned
 * to 8 and has dxi_trace_frame_bytes(). Threads: any. */
void dxi_trace_frame_copy(const dx_frame_view_t *view, const dx_frame_trace_t *trace, void *to);

/* Another span id in a frame that has a context, and its checksums. `frame` may be written, and is
 * sound. False: it has no sampled context. `was_out`: the context before. Threads: its writer. */
bool dxi_trace_frame_step(void *frame, uint32_t bytes, const uint8_t span_id[8],
                          dx_frame_trace_t *was_out);

/* The context of an answer to an event: that of the handler in which this thread is, when it is of
 * the same trace; else the event's own. False: it has none. Threads: any. */
bool dxi_trace_answer(const dx_frame_view_t *asked, dx_frame_trace_t *trace_out);

/* What dx_trace_current() says in this thread; NULL: nothing. Threads: any. */
void dxi_trace_current_set(const dx_frame_trace_t *trace);

#endif
