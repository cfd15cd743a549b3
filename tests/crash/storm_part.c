/* storm_part.c - a participant of crash_storm: it publishes, or reads and checks, until it is
 * killed or told to stop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disruptorx/span.h"
#include "storm.h"

#define EVENT_COPIES 12 /* of an event in a span, at most */
#define BATCH_MAX 6

uint64_t storm_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int64_t storm_below(uint64_t *state, int64_t limit)
{
    return (int64_t)(storm_random(state) % (uint64_t)limit);
}

static uint64_t check_of(int64_t id, int64_t number)
{
    uint64_t state = (uint64_t)id << 40 ^ (uint64_t)number;
    return storm_random(&state);
}

static dx_wait_options_t random_wait(uint64_t *seed)
{
    static const dx_wait_kind_t kinds[] = {DX_WAIT_BLOCKING, DX_WAIT_ADAPTIVE, DX_WAIT_SLEEPING,
                                           DX_WAIT_YIELDING, DX_WAIT_LITE_BLOCKING};
    return (dx_wait_options_t){.kind = kinds[storm_below(seed, 5)], .timeout_ns = 50000000};
}

static dx_ring_t *attach(const storm_journal_t *journal)
{
    const dx_attach_options_t options = {.name = STORM_RING, .folder = journal->folder};
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    const int code = dx_ring_attach(&options, &ring, &error);
    if (code == DX_EBUSY) { /* who holds the tables was stopped; it is the supervisor's to go on */
        exit(STORM_EVICTED);
    }
    if (code != DX_OK) {
        (void)fprintf(stderr, "crash_storm: %s\n", error.message);
        exit(STORM_BROKEN);
    }
    return ring;
}

/* Now and then takes its time: more deaths then fall into this moment. */
static void dwell(uint64_t *seed)
{
    if (storm_below(seed, 32) == 0) {
        (void)usleep((useconds_t)storm_below(seed, 400));
    }
}

/* ---------------------------------------------------------------------------------- publishing */

static void fill(storm_event_t *event, int64_t id, int64_t number)
{
    *event = (storm_event_t){.id = id, .number = number, .check = check_of(id, number)};
}

/* Publishes `count` events in a batch, now and then without the first, which is given up. Returns
 * how many, or an error. */
static int64_t publish_events(dx_producer_t *producer, storm_producer_t *own, int64_t id,
                              int64_t number, int64_t count, uint64_t *seed)
{
    const bool abort_first = storm_below(seed, 8) == 0;
    const int64_t last = dx_producer_claim_n(producer, count);
    if (last < 0) {
        return last;
    }
    int64_t first = last - count + 1;
    if (abort_first && count > 1) {
        (void)dx_producer_abort(producer, first, first);
        first++;
    }
    for (int64_t s = first; s <= last; s++) {
        fill(dx_producer_event(producer, s), id, number + s - first);
    }
    dwell(seed);
    dx_store_release(&own->begun, number + last - first);
    (void)dx_producer_publish_range(producer, first, last);
    return last - first + 1;
}

static int64_t publish_span(dx_producer_t *producer, storm_producer_t *own, int64_t id,
                            int64_t number, uint64_t *seed)
{
    const int64_t copies = 1 + storm_below(seed, EVENT_COPIES);
    const int64_t sequence =
        dx_producer_claim_span(producer, (size_t)copies * sizeof(storm_event_t));
    if (sequence < 0) {
        return sequence;
    }
    dx_span_t *span = dx_producer_span(producer, sequence);
    storm_event_t *events = dx_span_payload(span);
    span->tag = (uint32_t)copies;
    for (int64_t i = 0; i < copies; i++) {
        fill(&events[i], id, number);
    }
    dwell(seed);
    dx_store_release(&own->begun, number);
    (void)dx_producer_publish_span(producer, sequence);
    return 1;
}

static int produce(storm_journal_t *journal, uint64_t seed)
{
    dx_ring_t *ring = attach(journal);
    dx_error_t error = {0};
    dx_producer_t producer;
    const dx_producer_options_t options = {.wait = random_wait(&seed)};
    int code = DX_EBUSY;
    /* Another single producer may be there, or one that died this moment. */
    while (code == DX_EBUSY && dx_load_acquire(&journal->stop_producers) == 0) {
        code = dx_producer_open(&producer, ring, &options, &error);
    }
    if (code == DX_EBUSY) {
        dx_ring_destroy(ring);
        return STORM_DONE;
    }
    const int64_t id = dx_fetch_add_relaxed(&journal->next_id, 1);
    if (code != DX_OK || id >= STORM_IDS) {
        (void)fprintf(stderr, "crash_storm: producer: %s\n", error.message);
        return STORM_BROKEN;
    }
    storm_producer_t *own = &journal->producers[id];
    int64_t number = 1;
    while (dx_load_acquire(&journal->stop_producers) == 0) {
        const int64_t count = journal->spans != 0
                                  ? publish_span(&producer, own, id, number, &seed)
                                  : publish_events(&producer, own, id, number,
                                                   1 + storm_below(&seed, BATCH_MAX), &seed);
        if (count > 0) {
            number += count;
            dx_store_release(&own->published, number - 1);
        } else if (count != DX_ETIMEDOUT) {
            (void)fprintf(stderr, "crash_storm: claim: %s\n", dx_error_name((int)count));
            return STORM_BROKEN;
        }
    }
    dx_producer_close(&producer);
    dx_ring_destroy(ring);
    return STORM_DONE;
}

/* ------------------------------------------------------------------------------------- reading */

typedef struct reader {
    storm_journal_t *journal;
    dx_consumer_t consumer;
    int64_t *seen;          /* per producer: the number of its last event */
    int64_t *floor;         /* per producer: its first event has at most this number */
    dx_atomic64_t *handled; /* a keeper's; NULL */
    int64_t again;          /* a keeper's: up to here it was handled before */
    bool settled;           /* it is beyond that */
    char wrong[160];
} reader_t;

/* One event: whole, and the next of its producer. False fills `wrong`. */
static bool check(reader_t *reader, const storm_event_t *event, int64_t sequence)
{
    const storm_event_t copy = *event;
    if (copy.id < 0 || copy.id >= STORM_IDS || copy.check != check_of(copy.id, copy.number)) {
        (void)snprintf(reader->wrong, sizeof(reader->wrong), "torn event at %lld",
                       (long long)sequence);
        return false;
    }
    int64_t *seen = &reader->seen[copy.id];
    if (!reader->settled && copy.number <= *seen) {
        /* Handled, but not released when it died; one perhaps not even noted as handled. */
        reader->settled = sequence > reader->again;
        return true;
    }
    reader->settled = true;
    const bool first = *seen == 0;
    if (first ? copy.number > reader->floor[copy.id] + 1 : copy.number != *seen + 1) {
        (void)snprintf(reader->wrong, sizeof(reader->wrong),
                       "event %lld of producer %lld at %lld, after %lld (floor %lld)",
                       (long long)copy.number, (long long)copy.id, (long long)sequence,
                       (long long)*seen, (long long)reader->floor[copy.id]);
        return false;
    }
    *seen = copy.number;
    return true;
}

static void handled(reader_t *reader, int64_t sequence)
{
    if (reader->handled != NULL) {
        dx_store_release(reader->handled, sequence);
    }
}

static bool check_spans(reader_t *reader, int64_t last)
{
    dx_spans_t spans = dx_consumer_spans(&reader->consumer, last);
    for (const dx_span_t *span = NULL; (span = dx_spans_next(&spans)) != NULL;) {
        const storm_event_t *events = dx_span_payload(span);
        const uint32_t copies = span->bytes / sizeof(*events);
        for (uint32_t i = 1; i < copies; i++) {
            if (memcmp(&events[i], &events[0], sizeof(*events)) != 0) {
                (void)snprintf(reader->wrong, sizeof(reader->wrong), "torn span at %lld",
                               (long long)spans.sequence);
                return false;
            }
        }
        if (span->tag != copies) {
            (void)snprintf(reader->wrong, sizeof(reader->wrong), "span of %u at %lld says %u",
                           copies, (long long)spans.sequence, span->tag);
            return false;
        }
        if (!check(reader, &events[0], spans.sequence)) {
            return false;
        }
        handled(reader, spans.sequence);
    }
    if (spans.code != DX_OK) {
        (void)snprintf(reader->wrong, sizeof(reader->wrong), "no span at %lld",
                       (long long)spans.next);
    }
    return spans.code == DX_OK;
}

static bool check_events(reader_t *reader, int64_t last)
{
    for (int64_t s = reader->consumer.next; s <= last; s++) {
        if (!dx_consumer_is_hidden(&reader->consumer, s)) {
            if (!check(reader, dx_consumer_event(&reader->consumer, s), s)) {
                return false;
            }
            handled(reader, s);
        }
    }
    return true;
}

/* Whatever it reads after it was evicted may be overwritten; it finds out at the next wait. */
static bool is_evicted(reader_t *reader)
{
    int64_t last = 0;
    for (int i = 0; i < 3 && last != DX_EEVICTED; i++) {
        last = dx_consumer_wait(&reader->consumer);
    }
    return last == DX_EEVICTED;
}

/* All that any producer has published has come. */
static bool check_end(const reader_t *reader)
{
    const int64_t ids = dx_load_acquire(&reader->journal->next_id);
    for (int64_t id = 0; id < ids; id++) {
        const int64_t published = dx_load_acquire(&reader->journal->producers[id].published);
        const int64_t begun = dx_load_acquire(&reader->journal->producers[id].begun);
        const int64_t seen = reader->seen[id];
        const bool none = seen == 0 && published <= reader->floor[id];
        if (!none && (seen < published || seen > begun)) {
            (void)fprintf(stderr, "crash_storm: of producer %lld came %lld of %lld (begun %lld)\n",
                          (long long)id, (long long)seen, (long long)published, (long long)begun);
            return false;
        }
    }
    return true;
}

/* Reads until it is told to stop, or is evicted. Returns the exit code. */
static int read_on(reader_t *reader, dx_ring_t *ring)
{
    for (;;) {
        const bool stop = dx_load_acquire(&reader->journal->stop_consumers) != 0;
        const int64_t last = dx_consumer_wait(&reader->consumer);
        if (last == DX_EEVICTED) {
            return STORM_EVICTED;
        }
        if (last < 0 && last != DX_ETIMEDOUT) {
            (void)fprintf(stderr, "crash_storm: wait: %s\n", dx_error_name((int)last));
            return STORM_BROKEN;
        }
        if (last < 0) {
            if (stop && reader->consumer.next > dx_ring_published(ring)) {
                return check_end(reader) ? STORM_DONE : STORM_BROKEN;
            }
            continue;
        }
        if (!(reader->journal->spans != 0 ? check_spans(reader, last)
                                          : check_events(reader, last))) {
            if (is_evicted(reader)) {
                return STORM_EVICTED;
            }
            (void)fprintf(stderr, "crash_storm: %s\n", reader->wrong);
            return STORM_BROKEN;
        }
        (void)dx_fetch_add_relaxed(&reader->journal->checked, last - reader->consumer.next + 1);
        dx_consumer_release(&reader->consumer, last);
    }
}

/* Some consumer to follow: a mask, 0 for none. */
static uint64_t random_upstream(const dx_ring_t *ring, uint64_t *seed)
{
    dx_consumer_stat_t stat;
    const int32_t index = (int32_t)storm_below(seed, 16);
    return dx_ring_consumer_stat(ring, index, &stat) == DX_OK ? UINT64_C(1) << index : 0;
}

static int open_reader(reader_t *reader, dx_ring_t *ring, int64_t keeper, uint64_t *seed)
{
    dx_error_t error = {0};
    char name[32];
    (void)snprintf(name, sizeof(name), keeper >= 0 ? "keeper%lld" : "reader", (long long)keeper);
    dx_consumer_options_t options = {.name = name, .wait = random_wait(seed)};
    int code = DX_ENOTFOUND;
    if (keeper >= 0) {
        options.on_death = DX_ON_DEATH_BLOCK;
        options.resume = true;
        const int64_t end_ns = dx_clock_ns() + STORM_PATIENCE_NS;
        do { /* the one before may have died this moment */
            code = dx_consumer_open(&reader->consumer, ring, &options, &error);
        } while (code == DX_EBUSY && dx_clock_ns() < end_ns);
    }
    for (int tries = 0; keeper < 0 && tries < 100 && code == DX_ENOTFOUND; tries++) {
        options.upstream = random_upstream(ring, seed); /* it may go at this moment */
        code = dx_consumer_open(&reader->consumer, ring, &options, &error);
    }
    if (code != DX_OK && code != DX_EBUSY) {
        (void)fprintf(stderr, "crash_storm: %s: %s\n", name, error.message);
    }
    return code;
}

static int consume(storm_journal_t *journal, int64_t keeper, uint64_t seed)
{
    static reader_t reader;
    static int64_t seen[STORM_IDS];
    static int64_t floor[STORM_IDS];
    storm_keeper_t *kept = keeper >= 0 ? &journal->keepers[keeper] : NULL;
    reader = (reader_t){.journal = journal, .seen = seen, .floor = floor, .again = INT64_MIN};
    dx_ring_t *ring = attach(journal);
    const int code = open_reader(&reader, ring, keeper, &seed);
    if (code != DX_OK) {
        return code == DX_EBUSY ? STORM_EVICTED : STORM_BROKEN;
    }
    if (kept != NULL) {
        reader.seen = kept->seen;
        reader.floor = kept->floor;
        reader.handled = &kept->handled;
        reader.again = dx_load_acquire(&kept->handled);
    }
    reader.settled = kept == NULL;
    if (kept == NULL || dx_load_acquire(&kept->opened) == 0) {
        for (int64_t id = 0; id < STORM_IDS; id++) {
            /* What begins from now on is ours. What began before may be. */
            reader.floor[id] = dx_load_acquire(&journal->producers[id].begun);
            reader.seen[id] = 0;
        }
        if (kept != NULL) {
            dx_store_release(&kept->opened, 1);
        }
    }
    const int result = read_on(&reader, ring);
    dx_consumer_close(&reader.consumer);
    dx_ring_destroy(ring);
    return result;
}

int storm_participate(storm_journal_t *journal, storm_kind_t kind, int64_t number, uint64_t seed)
{
    if (kind == STORM_PRODUCER) {
        return produce(journal, seed);
    }
    return consume(journal, kind == STORM_KEEPER ? number : -1, seed);
}
