/* processor.c - the event processor: a thread that follows the ring and calls a handler.
 *
 * DESIGN
 *
 *     wait for events                     dx_consumer_wait(): the strategy of this consumer
 *       -> a batch: all that is readable, at most batch_max
 *     on_batch_start(events, depth)
 *     on_event() per event                the result decides: see below
 *     release                             one store makes the whole batch visible behind us
 *
 *                    +--------------------------- CONTINUE, SKIP, RELEASE -------------+
 *                    v                                                                 |
 *     [next event] ----> handler --- RETRY ----> pause, same event again               |
 *                           |------- REWIND ---> pause, whole batch again              |
 *                           |------- STOP -----> release up to this one, end STOPPED   |
 *                           |------- error ----> policy: SKIP -------------------------+
 *                                                RETRY (as above), STOP before the event,
 *                                                FATAL: release what came before, end FAILED
 *
 * INVARIANTS
 *
 *   P1  every event is handled, hidden by a mark, or counted as an error by a SKIP policy before
 *       its sequence is released
 *   P2  a processor that ends holds the first event that it did not handle: after a restart it is
 *       first
 *   P3  end_of_batch is true exactly on the last event given of each batch; on_batch_start() says
 *       how many there are, never 0
 *   P4  on_start() and on_shutdown() are called once per run, even when halted before any event
 *   P5  only the owner's control word stops a processor; no other processor can clear it
 *
 * Whether an event is visible is asked only in batches that have a mark, or in keyed workers; the
 * other batches run the plain loop.
 *
 * On rings with spans an event takes several slots, and only its header says how many. Sequences
 * below are those of first slots; where an event ends is asked for (event_end()). Batches are cut
 * by the loop that gives the events, because nobody knows before how many there are; only where
 * that is asked (on_batch, on_batch_start, marks, keys) they are counted first. A header that leads
 * nowhere ends the processor with DX_ECORRUPT before it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/clock.h"
#include "disruptorx/span.h"
#include "ring/disruptor_internal.h"

/* A batch is at most a quarter of the ring: one that took all of it would make the producers wait
 * for all of it, and then the consumer for them. */
#define BATCH_SHARE 4
#define BATCH_LEAST 1024

#define RETRY_ATTEMPTS_DEFAULT 10
#define RETRY_PAUSE_NS_DEFAULT INT64_C(1000000)
#define RETRY_PAUSE_MAX_NS_DEFAULT INT64_C(1000000000)

/* What to do after a handler's result. */
typedef enum step {
    STEP_NEXT,
    STEP_AGAIN,       /* same event */
    STEP_REWIND,      /* same batch */
    STEP_STOP_BEFORE, /* the event is not done */
    STEP_STOP_AFTER,  /* it is */
    STEP_HALT,        /* it is not */
    STEP_FAIL         /* it is not */
} step_t;

static void count_given(dxi_processor_t *processor, int64_t last);

/* ----------------------------------------------------------------------------- errors, retries */

static bool is_halted(const dxi_processor_t *processor)
{
    return (dx_load32_acquire(&processor->consumer.entry->control) & DXI_CONTROL_HALT) != 0;
}

static step_t fail_with(dxi_processor_t *processor, int code)
{
    processor->failure = code;
    return STEP_FAIL;
}

static step_t give_up(dxi_processor_t *processor, int code)
{
    switch (processor->handler.retry.give_up) {
    case DX_ON_ERROR_SKIP:
        dxi_count(&processor->consumer.entry->counters.errors, 1);
        return STEP_NEXT;
    case DX_ON_ERROR_STOP:
        return STEP_STOP_BEFORE;
    case DX_ON_ERROR_DEFAULT:
    case DX_ON_ERROR_FATAL:
    case DX_ON_ERROR_RETRY:
    case DX_ON_ERROR_ASK:
        break;
    }
    return fail_with(processor, code);
}

static int64_t retry_pause_ns(const dx_retry_options_t *retry, int32_t attempts)
{
    if (retry->pause == DX_RETRY_AT_ONCE) {
        return 0;
    }
    int64_t pause_ns = retry->pause_ns != 0 ? retry->pause_ns : RETRY_PAUSE_NS_DEFAULT;
    if (retry->pause == DX_RETRY_EXPONENTIAL) {
        const int64_t max_ns =
            retry->pause_max_ns != 0 ? retry->pause_max_ns : RETRY_PAUSE_MAX_NS_DEFAULT;
        for (int32_t i = 1; i < attempts && pause_ns < max_ns; i++) {
            pause_ns *= 2;
        }
        pause_ns = pause_ns < max_ns ? pause_ns : max_ns;
    }
    return pause_ns;
}

/* One more attempt at `sequence` (an event, or the first of a batch): pauses, then `again`; or
 * gives up with `code`. */
static step_t try_again(dxi_processor_t *processor, int64_t sequence, int code, step_t again)
{
    const dx_retry_options_t *retry = &processor->handler.retry;
    const int32_t attempts_max =
        retry->attempts_max != 0 ? retry->attempts_max : RETRY_ATTEMPTS_DEFAULT;

    dxi_attempts_t *attempts =
        again == STEP_REWIND ? &processor->batch_attempts : &processor->event_attempts;
    if (attempts->sequence != sequence) {
        *attempts = (dxi_attempts_t){.sequence = sequence};
    }
    if (attempts_max > 0 && attempts->count >= attempts_max) {
        dxi_attempts_forget(attempts);
        return give_up(processor, code);
    }
    attempts->count++;
    dxi_count(&processor->consumer.entry->counters.retries, 1);
    if (again == STEP_REWIND) {
        dxi_attempts_forget(&processor->event_attempts); /* each pass has its own */
    }

    const int64_t until_ns = dx_clock_ns() + retry_pause_ns(retry, attempts->count);
    for (int64_t now_ns = dx_clock_ns(); now_ns < until_ns; now_ns = dx_clock_ns()) {
        if (is_halted(processor)) {
            return STEP_HALT;
        }
        if ((dx_fetch_and32_acq_rel(&processor->consumer.entry->control, ~DXI_CONTROL_CANCEL) &
             DXI_CONTROL_CANCEL) != 0) {
            break; /* a cancel ends the wait that goes on: this one */
        }
        dxi_park_pause(processor->consumer.entry, until_ns - now_ns,
                       dxi_block_shared(processor->consumer.block));
    }
    return is_halted(processor) ? STEP_HALT : again;
}

static step_t on_error(dxi_processor_t *processor, int code, void *event, int64_t sequence)
{
    dxi_count(&processor->consumer.entry->counters.errors, 1);
    if (code == DX_EFATAL) {
        return fail_with(processor, code);
    }
    pthread_mutex_lock(&processor->policy_lock);
    dx_error_policy_t policy = processor->policy;
    const dx_error_handler_t ask = processor->on_error;
    void *context = processor->on_error_context;
    pthread_mutex_unlock(&processor->policy_lock);

    if (policy == DX_ON_ERROR_ASK) {
        policy = ask(context, code, event, sequence);
    }
    switch (policy) {
    case DX_ON_ERROR_SKIP:
        return STEP_NEXT;
    case DX_ON_ERROR_RETRY:
        return try_again(processor, sequence, code, STEP_AGAIN);
    case DX_ON_ERROR_STOP:
        return STEP_STOP_BEFORE;
    case DX_ON_ERROR_DEFAULT:
    case DX_ON_ERROR_FATAL:
    case DX_ON_ERROR_ASK:
        break;
    }
    return fail_with(processor, code);
}

/* The last slot of the event at `sequence`, which lies in a batch that ends at `last`; DX_ECORRUPT
 * when nothing in that place can be an event. */
static int64_t event_end(const dxi_processor_t *processor, int64_t sequence, int64_t last)
{
    const dx_ring_block_t *block = processor->consumer.block;
    return DX_LIKELY(block->spans == 0) ? sequence : dxi_span_end(block, sequence, last);
}

/* `end` is the last slot of the event. */
static step_t on_result(dxi_processor_t *processor, int result, void *event, int64_t sequence,
                        int64_t end, int64_t batch_first)
{
    switch (result) {
    case DX_HANDLER_CONTINUE:
        return STEP_NEXT;
    case DX_HANDLER_SKIP:
        if (processor->consumer.entry->skip_bit == 0) {
            return on_error(processor, DX_ESTATE, event, sequence);
        }
        dxi_event_skip(&processor->consumer, sequence);
        return STEP_NEXT;
    case DX_HANDLER_RETRY:
        return try_again(processor, sequence, DX_ELIMIT, STEP_AGAIN);
    case DX_HANDLER_REWIND:
        return try_again(processor, batch_first, DX_ELIMIT, STEP_REWIND);
    case DX_HANDLER_STOP:
        return STEP_STOP_AFTER;
    case DX_HANDLER_RELEASE:
        count_given(processor, end); /* while the slots are still ours to look at */
        dx_consumer_release(&processor->consumer, end);
        return STEP_NEXT;
    default:
        return on_error(processor, result < 0 ? result : DX_EINVAL, event, sequence);
    }
}

/* The end that a step other than NEXT and AGAIN means, about the event that ends at slot `end`;
 * `*done` is the last slot done so far. */
static dxi_end_t end_of(step_t step, int64_t end, int64_t *done)
{
    switch (step) {
    case STEP_STOP_AFTER:
        *done = end;
        return DXI_END_STOP;
    case STEP_STOP_BEFORE:
        return DXI_END_STOP;
    case STEP_HALT:
        return DXI_END_HALT;
    case STEP_FAIL:
        return DXI_END_FAIL;
    case STEP_REWIND:
        return DXI_END_REWIND;
    case STEP_NEXT:
    case STEP_AGAIN:
        break;
    }
    return DXI_END_NONE;
}

dxi_end_t dxi_report_error(dxi_processor_t *processor, int code, int64_t sequence)
{
    int64_t done = 0;
    return end_of(on_error(processor, code, NULL, sequence), sequence, &done);
}

dxi_end_t dxi_deliver_timeout(dxi_processor_t *processor)
{
    const dx_handler_t *handler = &processor->handler;
    dxi_count(&processor->consumer.entry->counters.timeouts, 1);
    if (handler->on_timeout == NULL) {
        return DXI_END_NONE;
    }
    const int64_t last = processor->consumer.next - 1;
    const int code = handler->on_timeout(handler->context, last);
    return code < 0 ? dxi_report_error(processor, code, last) : DXI_END_NONE;
}

/* ---------------------------------------------------------------------------------- delivering */

/* What a batch holds once hidden events and other workers' keys are left out. */
typedef struct visible {
    bool all;      /* every event is visible: no need to ask */
    int64_t count; /* visible events */
    int64_t last;  /* the last visible one */
    int64_t end;   /* the last slot of the batch */
} visible_t;

/* Ends the processor before something that is no span. It may be no damage: one that was evicted
 * reads what others write. */
static dxi_end_t fail_corrupt(dxi_processor_t *processor)
{
    const int32_t control = dx_load32_acquire(&processor->consumer.entry->control);
    processor->failure = (control & DXI_CONTROL_EVICTED) != 0 ? DX_EEVICTED : DX_ECORRUPT;
    return DXI_END_FAIL;
}

static void count_batch(dx_consumer_counters_t *counters, int64_t events)
{
    dxi_count(&counters->batches, events > 0);
    if (events > dx_load_relaxed(&counters->batch_max)) {
        dx_store_relaxed(&counters->batch_max, events);
    }
}

static bool is_visible(const dxi_processor_t *processor, int64_t sequence)
{
    const dx_consumer_t *consumer = &processor->consumer;
    if (dx_consumer_is_hidden(consumer, sequence)) {
        return false;
    }
    if (processor->key == NULL) {
        return true;
    }
    /* The high half of a product spreads keys that differ in few bits (Fibonacci hashing, Knuth
     * vol. 3, 6.4). */
    const uint64_t key =
        processor->key(processor->key_context, dx_consumer_event(consumer, sequence));
    const uint64_t spread = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    return spread % processor->part_count == processor->part;
}

/* Looks at each event of the batch. Spans: cuts it to batch_max, and before a damaged header. */
static visible_t look_at(const dxi_processor_t *processor, int64_t first, int64_t last)
{
    visible_t visible = {.all = true, .last = first - 1, .end = first - 1};
    const bool spans = processor->consumer.block->spans != 0;
    const int64_t slots_max = spans ? processor->batch_slots : INT64_MAX;
    const int64_t count_max = spans ? processor->batch_spans : INT64_MAX;
    while (visible.end < last && visible.end - first + 1 < slots_max && visible.count < count_max) {
        const int64_t sequence = visible.end + 1;
        const int64_t end = event_end(processor, sequence, last);
        if (end < 0) {
            break;
        }
        visible.end = end;
        if (is_visible(processor, sequence)) {
            visible.count++;
            visible.last = sequence;
        } else {
            visible.all = false;
        }
    }
    return visible;
}

/* True when the batch may hold events that the handler must not get. */
static bool may_hide(const dxi_processor_t *processor, int64_t first)
{
    return processor->key != NULL ||
           first <= dx_load_relaxed(&processor->consumer.block->marks_last);
}

/* Gives visible events to the handler as long as it says CONTINUE: the sequence at which it did not
 * (its result in `*result_out`), or last + 1. Everything the loop needs is in registers. */
static int64_t deliver_plain(const dxi_processor_t *processor, int64_t first, int64_t last,
                             int *result_out)
{
    const dx_event_handler_t on_event = processor->handler.on_event;
    void *const context = processor->handler.context;
    char *const slots = processor->consumer.slots;
    const int64_t mask = processor->consumer.mask;
    const size_t slot_bytes = processor->consumer.slot_bytes;

    for (int64_t sequence = first; sequence <= last; sequence++) {
        void *event = slots + (size_t)(sequence & mask) * slot_bytes;
        const int result = on_event(context, event, sequence, sequence == last);
        if (DX_UNLIKELY(result != DX_HANDLER_CONTINUE)) {
            *result_out = result;
            return sequence;
        }
    }
    *result_out = DX_HANDLER_CONTINUE;
    return last + 1;
}

static dxi_end_t deliver_events(dxi_processor_t *processor, int64_t first, int64_t last,
                                const visible_t *visible, int64_t *done)
{
    const dx_handler_t *handler = &processor->handler;
    const dx_consumer_t *consumer = &processor->consumer;
    const bool plain = visible->all && consumer->block->spans == 0;

    for (int64_t sequence = first; sequence <= last; sequence = *done + 1) {
        int64_t end = event_end(processor, sequence, last);
        if (end < 0) {
            return fail_corrupt(processor);
        }
        if (!visible->all && !is_visible(processor, sequence)) {
            *done = end;
            continue;
        }
        int result = DX_HANDLER_CONTINUE;
        if (plain) {
            sequence = deliver_plain(processor, sequence, last, &result);
            *done = sequence - 1;
            if (sequence > last) {
                break;
            }
            end = sequence;
        } else {
            result = handler->on_event(handler->context, dx_consumer_event(consumer, sequence),
                                       sequence, sequence == visible->last);
        }
        void *event = dx_consumer_event(consumer, sequence);
        if (DX_UNLIKELY(result != DX_HANDLER_CONTINUE)) {
            const step_t step = on_result(processor, result, event, sequence, end, first);
            if (step == STEP_AGAIN) {
                continue;
            }
            if (step != STEP_NEXT) {
                return end_of(step, end, done);
            }
        }
        *done = end;
    }
    return DXI_END_NONE;
}

/* Gives spans to the handler, all of them visible, until the batch is as long as it may be. Counts
 * them. */
static dxi_end_t deliver_spans(dxi_processor_t *processor, int64_t first, int64_t last,
                               int64_t *done)
{
    const dx_event_handler_t on_event = processor->handler.on_event;
    void *const context = processor->handler.context;
    char *const slots = processor->consumer.slots;
    const int64_t mask = processor->consumer.mask;
    /* The span that reaches this slot is the last one. */
    const int64_t stop =
        last - first < processor->batch_slots ? last : first + processor->batch_slots - 1;
    dxi_end_t end = DXI_END_NONE;
    int64_t left = processor->batch_spans;
    int64_t uncounted = left; /* what was left when the last of them was counted */
    int64_t sequence = first;

    while (sequence <= stop && left > 0) {
        dx_span_t *span = dxi_span_at(slots, mask, sequence);
        const int64_t next = sequence + dx_span_slots(span->bytes);
        if (DX_UNLIKELY(next > last + 1)) {
            end = fail_corrupt(processor);
            break;
        }
        const int result = on_event(context, span, sequence, next > stop || left == 1);
        if (DX_UNLIKELY(result != DX_HANDLER_CONTINUE)) {
            const step_t step = on_result(processor, result, span, sequence, next - 1, first);
            if (step == STEP_AGAIN) {
                continue;
            }
            if (step != STEP_NEXT) {
                *done = sequence - 1;
                end = end_of(step, next - 1, done);
                left -= step == STEP_STOP_AFTER;
                break;
            }
            uncounted = result == DX_HANDLER_RELEASE ? left - 1 : uncounted;
        }
        *done = next - 1;
        sequence = next;
        left--;
    }
    const int64_t given = processor->batch_spans - left;
    dx_consumer_counters_t *counters = &processor->consumer.entry->counters;
    if (end != DXI_END_REWIND) { /* what will be given again is not counted now */
        dxi_count(&counters->events, uncounted - left);
    }
    count_batch(counters, given);
    return end;
}

/* The end of the run of visible events that starts at `sequence`. */
static int64_t run_end(const dxi_processor_t *processor, int64_t sequence, int64_t last)
{
    int64_t end = event_end(processor, sequence, last);
    while (end >= 0 && end < last && is_visible(processor, end + 1)) {
        end = event_end(processor, end + 1, last);
    }
    return end;
}

/* The event of a batch of spans in which, or before which, `sequence` lies. */
static int64_t event_begin(const dxi_processor_t *processor, int64_t first, int64_t sequence,
                           int64_t last)
{
    int64_t begin = first;
    int64_t end = event_end(processor, begin, last);
    while (end >= 0 && end < last && end < sequence) {
        begin = end + 1;
        end = event_end(processor, begin, last);
    }
    return begin;
}

static dxi_end_t deliver_batches(dxi_processor_t *processor, int64_t first, int64_t last,
                                 const visible_t *visible, int64_t *done)
{
    const dx_handler_t *handler = &processor->handler;
    const dx_consumer_t *consumer = &processor->consumer;
    const bool spans = consumer->block->spans != 0;

    for (int64_t sequence = first; sequence <= last; sequence = *done + 1) {
        if (!visible->all && !is_visible(processor, sequence)) {
            const int64_t hidden_end = event_end(processor, sequence, last);
            if (hidden_end < 0) {
                return fail_corrupt(processor);
            }
            *done = hidden_end;
            continue;
        }
        const int64_t end = visible->all ? last : run_end(processor, sequence, last);
        if (end < 0) {
            return fail_corrupt(processor);
        }
        dx_batch_t batch = {.first = sequence,
                            .last = end,
                            .done = sequence - 1,
                            .end_of_batch = end >= visible->last,
                            .spans = spans,
                            .slots = consumer->slots,
                            .mask = consumer->mask,
                            .slot_bytes = consumer->slot_bytes};
        const int result = handler->on_batch(handler->context, &batch);
        if (DX_LIKELY(result == DX_HANDLER_CONTINUE)) {
            *done = end;
            continue;
        }
        /* The result is about the event after `done`. */
        int64_t about = batch.done < sequence ? sequence : batch.done + 1;
        about = about < end ? about : end;
        about = spans ? event_begin(processor, sequence, about, end) : about;
        *done = about - 1;
        const int64_t about_end = event_end(processor, about, end);
        if (about_end < 0) {
            return fail_corrupt(processor);
        }
        const step_t step = on_result(processor, result, dx_consumer_event(consumer, about), about,
                                      about_end, first);
        if (step == STEP_NEXT) {
            *done = about_end;
        } else if (step != STEP_AGAIN) {
            return end_of(step, about_end, done);
        }
    }
    return DXI_END_NONE;
}

static dxi_end_t begin_batch(dxi_processor_t *processor, int64_t first, int64_t events)
{
    const dx_handler_t *handler = &processor->handler;
    const int64_t readable = dx_consumer_poll(&processor->consumer) - first + 1;
    const int64_t depth = readable > events ? readable : events;
    for (;;) {
        const int code = handler->on_batch_start(handler->context, events, depth);
        if (code >= 0) {
            return DXI_END_NONE;
        }
        const step_t step = on_error(processor, code, NULL, first);
        if (step != STEP_AGAIN) {
            int64_t done = 0;
            return end_of(step, first - 1, &done);
        }
    }
}

/* Counts the events up to `last` that are not counted yet, one by one: given, aborted, skipped
 * upstream. */
static void count_given(dxi_processor_t *processor, int64_t last)
{
    const dx_consumer_t *consumer = &processor->consumer;
    dx_consumer_counters_t *counters = &consumer->entry->counters;
    while (processor->counted < last) {
        const int64_t sequence = processor->counted + 1;
        const int64_t end = event_end(processor, sequence, last);
        processor->counted = end >= 0 ? end : last;
        if (is_visible(processor, sequence)) {
            dxi_count(&counters->events, 1);
        } else if (dx_consumer_is_hidden(consumer, sequence) &&
                   sequence > dx_load_relaxed(&consumer->entry->start_sequence)) {
            const int64_t bits = dxi_mark_bits(consumer->block, sequence);
            dxi_count((bits & DXI_MARK_VOID) != 0 ? &counters->voids : &counters->skips, 1);
        }
    }
}

dxi_end_t dxi_deliver(dxi_processor_t *processor, int64_t first, int64_t last, int64_t *done_out)
{
    const dx_handler_t *handler = &processor->handler;
    dx_consumer_counters_t *counters = &processor->consumer.entry->counters;
    const bool spans = processor->consumer.block->spans != 0;
    visible_t visible = {.all = true, .count = last - first + 1, .last = last, .end = last};

    *done_out = first - 1;
    processor->counted = first - 1;
    if (spans && last - first >= (int64_t)processor->consumer.block->slot_count) {
        return fail_corrupt(processor);
    }
    if (DX_UNLIKELY(may_hide(processor, first))) {
        visible = look_at(processor, first, last);
    } else if (spans) {
        if (handler->on_batch == NULL && handler->on_batch_start == NULL) {
            return deliver_spans(processor, first, last, done_out);
        }
        visible = look_at(processor, first, last);
    }
    if (visible.end < first) {
        return fail_corrupt(processor);
    }
    last = visible.end;
    if (handler->on_batch_start != NULL && visible.count > 0) {
        const dxi_end_t end = begin_batch(processor, first, visible.count);
        if (end != DXI_END_NONE) {
            return end;
        }
    }
    const dxi_end_t end = handler->on_batch != NULL
                              ? deliver_batches(processor, first, last, &visible, done_out)
                              : deliver_events(processor, first, last, &visible, done_out);

    if (DX_LIKELY(end == DXI_END_NONE && visible.all && !spans)) {
        dxi_count(&counters->events, last - processor->counted);
    } else if (end != DXI_END_REWIND) { /* what will be given again is not counted now */
        count_given(processor, *done_out);
    }
    count_batch(counters, visible.count);
    return end;
}

/* ----------------------------------------------------------------------------------- the loops */

/* What a wait that gave no event means for the loop. */
static dxi_end_t after_wait(dxi_processor_t *processor, int64_t code)
{
    switch (code) {
    case DX_EALERTED:
        return DXI_END_HALT;
    case DX_ETIMEDOUT:
        return dxi_deliver_timeout(processor);
    case DX_ECONSUMER: /* what we follow has ended: so must we, and those behind us */
    case DX_EEVICTED:
        processor->failure = (int32_t)code;
        return DXI_END_FAIL;
    default: /* DX_ECANCELLED */
        return DXI_END_NONE;
    }
}

static int64_t batch_share(const dx_ring_block_t *block)
{
    const int64_t share = (int64_t)block->slot_count / BATCH_SHARE;
    return share > BATCH_LEAST ? share : BATCH_LEAST;
}

/* How long dxi_deliver() may make a batch of spans. */
static void batch_limit(dxi_processor_t *processor)
{
    const int64_t batch_max = processor->handler.batch_max;
    const bool by_share = batch_max == 0 && processor->role == DXI_ROLE_HANDLER;
    processor->batch_spans = batch_max != 0 ? batch_max : INT64_MAX;
    processor->batch_slots = by_share ? batch_share(processor->consumer.block) : INT64_MAX;
}

static dxi_end_t handler_loop(dxi_processor_t *processor)
{
    dx_consumer_t *consumer = &processor->consumer;
    int64_t batch_max = processor->handler.batch_max;
    if (consumer->block->spans != 0) {
        batch_max = INT64_MAX; /* dxi_deliver() cuts */
    } else if (batch_max == 0) {
        batch_max = batch_share(consumer->block);
    }

    for (;;) {
        int64_t last = dx_consumer_wait(consumer);
        dxi_end_t end = DXI_END_NONE;
        if (DX_UNLIKELY(last < consumer->next)) {
            end = after_wait(processor, last);
        } else {
            if (last - consumer->next >= batch_max) {
                last = consumer->next + batch_max - 1;
            }
            int64_t done = 0;
            end = dxi_deliver(processor, consumer->next, last, &done);
            if (end == DXI_END_REWIND) {
                continue;
            }
            if (done >= consumer->next) {
                dx_consumer_release(consumer, done);
            }
        }
        if (end != DXI_END_NONE) {
            return end;
        }
    }
}

static dxi_end_t custom_loop(dxi_processor_t *processor)
{
    const int code = processor->custom.run(processor->custom.context, &processor->consumer);
    if (code < 0 && code != DX_EALERTED) {
        processor->failure = code;
        return DXI_END_FAIL;
    }
    return is_halted(processor) ? DXI_END_HALT : DXI_END_STOP;
}

/* Waits until every thread of the start exists. False: one of them could not be made. */
static bool gate_pass(dx_disruptor_t *disruptor)
{
    pthread_mutex_lock(&disruptor->gate_lock);
    while (disruptor->gate_open == 0) {
        pthread_cond_wait(&disruptor->gate_changed, &disruptor->gate_lock);
    }
    const bool pass = disruptor->gate_open > 0;
    pthread_mutex_unlock(&disruptor->gate_lock);
    return pass;
}

static void gate_begun(dx_disruptor_t *disruptor)
{
    pthread_mutex_lock(&disruptor->gate_lock);
    disruptor->gate_begun++;
    pthread_cond_broadcast(&disruptor->gate_changed);
    pthread_mutex_unlock(&disruptor->gate_lock);
}

void dxi_processor_main(void *context)
{
    dxi_processor_t *processor = context;
    dx_consumer_t *consumer = &processor->consumer;
    dx_consumer_entry_t *entry = consumer->entry;
    const dx_handler_t *handler = &processor->handler;

    if (!gate_pass(processor->disruptor)) {
        return;
    }
    dx_store32_relaxed(&entry->thread_id, dx_thread_self_id());
    dxi_set_current_consumer(consumer);
    if (handler->on_start != NULL) {
        handler->on_start(handler->context);
    }
    gate_begun(processor->disruptor);

    batch_limit(processor);
    dxi_end_t end = DXI_END_NONE;
    switch (processor->role) {
    case DXI_ROLE_WORKER:
        end = dxi_worker_loop(processor);
        break;
    case DXI_ROLE_CUSTOM:
        end = custom_loop(processor);
        break;
    case DXI_ROLE_HANDLER:
    case DXI_ROLE_POLLER:
    case DXI_ROLE_POOL:
        end = handler_loop(processor);
        break;
    }
    /* Those who wait for us are told before on_shutdown(), which may take its time. */
    if (end == DXI_END_FAIL) {
        dx_consumer_fail(consumer, processor->failure);
    } else if (end == DXI_END_STOP) {
        dx_store32_release(&entry->state, DX_CONSUMER_STOPPED);
        dx_fence_seq_cst(); /* as in dx_consumer_fail() */
        dxi_wake_followers(consumer->block, consumer->index);
    }
    if (processor->pool != NULL && end != DXI_END_HALT) {
        dxi_pool_check(processor->pool);
    }
    if (handler->on_shutdown != NULL) {
        handler->on_shutdown(handler->context);
    }
    dxi_set_current_consumer(NULL);
}
