/* cli/trace.h - spans of the dx program itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TRACE_H
#define DXI_CLI_TRACE_H

#include "disruptorx/trace.h"

/* The tracer of this process, which DX_TRACE_ENDPOINT (and DX_TRACE_HEADERS, DX_TRACE_SAMPLE) ask
 * for; made by the first call, and ended with the process, when what it has is exported.
 * Returns DX_OK, with NULL where the environment asks for none; DX_EINVAL and as
 * dx_tracer_create().
 * Threads: main. */
DX_NODISCARD int dxi_trace_of_process(const char *speaker, dx_tracer_t **tracer_out,
                                      dx_error_t *error);

#endif
