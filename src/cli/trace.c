/* trace.c - spans of the dx program itself, when its environment asks for them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/trace.h"

#include <stdlib.h>

#include "base/fail.h"
#include "disruptorx/clock.h"

#define LAST_SPANS_NS (2 * DX_NS_PER_S)

static dx_tracer_t *tracer;

static void tracer_end(void)
{
    dx_tracer_destroy(tracer, LAST_SPANS_NS);
    tracer = NULL;
}

/* DX_TRACE_SAMPLE: each event, unless it says otherwise. */
static int sample_read(uint32_t *sample_out, dx_error_t *error)
{
    const char *const text = getenv("DX_TRACE_SAMPLE");
    *sample_out = 1;
    if (text == NULL || text[0] == '\0') {
        return DX_OK;
    }
    char *end = NULL;
    const unsigned long long number = strtoull(text, &end, 10);
    if (*end != '\0' || text[0] == '-' || number > DX_TRACE_SAMPLE_MAX) {
        return dxi_fail(error, DX_EINVAL, "DX_TRACE_SAMPLE is \"%.40s\", must be from 0 to %d",
                        text, DX_TRACE_SAMPLE_MAX);
    }
    *sample_out = number != 0 ? (uint32_t)number : DX_TRACE_NEVER;
    return DX_OK;
}

int dxi_trace_of_process(const char *speaker, dx_tracer_t **tracer_out, dx_error_t *error)
{
    const char *const endpoint = getenv("DX_TRACE_ENDPOINT");
    uint32_t sample = 0;
    *tracer_out = tracer;
    if (tracer != NULL || endpoint == NULL || endpoint[0] == '\0') {
        return DX_OK;
    }
    int code = sample_read(&sample, error);
    if (code == DX_OK) {
        code = dx_tracer_create(&(dx_tracer_options_t){.endpoint = endpoint,
                                                       .headers = getenv("DX_TRACE_HEADERS"),
                                                       .service_name = speaker,
                                                       .sample = sample},
                                &tracer, error);
    }
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "DX_TRACE_ENDPOINT");
        return code;
    }
    *tracer_out = tracer;
    return atexit(tracer_end) == 0 ? DX_OK : DX_ENOMEM;
}
