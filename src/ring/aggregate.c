/* aggregate.c - several handlers as one: each event goes to all of them, in order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "disruptorx/disruptor.h"

/* Whether a handler is done with its event. */
static bool is_done(int result)
{
    return result == DX_HANDLER_CONTINUE || result == DX_HANDLER_SKIP ||
           result == DX_HANDLER_STOP || result == DX_HANDLER_RELEASE;
}

static int aggregate_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const dx_aggregate_t *aggregate = context;
    int first = DX_HANDLER_CONTINUE;
    for (uint32_t i = 0; i < aggregate->count; i++) {
        const dx_handler_t *handler = &aggregate->handlers[i];
        const int result = handler->on_event(handler->context, event, sequence, end_of_batch);
        if (!is_done(result)) {
            return result; /* it comes again, or goes to the error policy */
        }
        first = first != DX_HANDLER_CONTINUE ? first : result;
    }
    return first;
}

static void aggregate_start(void *context)
{
    const dx_aggregate_t *aggregate = context;
    for (uint32_t i = 0; i < aggregate->count; i++) {
        if (aggregate->handlers[i].on_start != NULL) {
            aggregate->handlers[i].on_start(aggregate->handlers[i].context);
        }
    }
}

static void aggregate_shutdown(void *context)
{
    const dx_aggregate_t *aggregate = context;
    for (uint32_t i = 0; i < aggregate->count; i++) {
        if (aggregate->handlers[i].on_shutdown != NULL) {
            aggregate->handlers[i].on_shutdown(aggregate->handlers[i].context);
        }
    }
}

static int aggregate_batch_start(void *context, int64_t batch_events, int64_t depth_events)
{
    const dx_aggregate_t *aggregate = context;
    int first_error = DX_OK;
    for (uint32_t i = 0; i < aggregate->count; i++) {
        const dx_handler_t *handler = &aggregate->handlers[i];
        if (handler->on_batch_start != NULL) {
            const int code = handler->on_batch_start(handler->context, batch_events, depth_events);
            first_error = first_error == DX_OK && code < 0 ? code : first_error;
        }
    }
    return first_error;
}

static int aggregate_timeout(void *context, int64_t sequence)
{
    const dx_aggregate_t *aggregate = context;
    int first_error = DX_OK;
    for (uint32_t i = 0; i < aggregate->count; i++) {
        const dx_handler_t *handler = &aggregate->handlers[i];
        if (handler->on_timeout != NULL) {
            const int code = handler->on_timeout(handler->context, sequence);
            first_error = first_error == DX_OK && code < 0 ? code : first_error;
        }
    }
    return first_error;
}

int dx_aggregate_handler(const dx_aggregate_t *aggregate, dx_handler_t *handler_out,
                         dx_error_t *error)
{
    memset(handler_out, 0, sizeof(*handler_out));
    for (uint32_t i = 0; i < aggregate->count; i++) {
        if (aggregate->handlers[i].on_event == NULL) {
            return dxi_fail(error, DX_EINVAL, "handler %u of the aggregate has no on_event", i);
        }
    }
    handler_out->name = "aggregate";
    handler_out->context = (void *)(uintptr_t)aggregate;
    handler_out->on_event = aggregate_event;
    handler_out->on_start = aggregate_start;
    handler_out->on_shutdown = aggregate_shutdown;
    handler_out->on_batch_start = aggregate_batch_start;
    handler_out->on_timeout = aggregate_timeout;
    return DX_OK;
}
