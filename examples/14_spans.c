/* 14_spans.c - events of any size on one ring: short notes and long documents, none of them copied.
 *
 * Teaches: a ring with spans; claiming by bytes, filling in place, publishing one and several at
 * once; giving up a claim; what is refused; reading spans in a handler, in a batch handler, and by
 * hand; what a damaged ring looks like to who reads it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/disruptor.h>
#include <disruptorx/span.h>

/* The user's tag says what the payload is. */
enum kind { NOTE = 1, DOCUMENT = 2, END = 3 };

#define PAGE_BYTES 1500
#define PAGES 3

static dx_error_t error;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "14_spans: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

/* ---------------------------------------------------------------------------------- publishing */

static int64_t must_claim(int64_t sequence)
{
    require(sequence >= 0, "a claim was refused");
    return sequence;
}

/* Long events are written where they will be read: claim, fill, publish. */
static void publish_document(dx_producer_t *producer, uint32_t bytes)
{
    const int64_t sequence = must_claim(dx_producer_claim_span(producer, bytes));
    dx_span_t *span = dx_producer_span(producer, sequence);
    span->tag = DOCUMENT;
    memset(dx_span_payload(span), 'd', bytes);
    dx_producer_prefetch_span(producer, sequence); /* worth it at full speed only */
    must(dx_producer_publish_span(producer, sequence));
}

/* Several with one claim, readable at the same moment. */
static void publish_pages(dx_producer_t *producer)
{
    const uint32_t bytes[PAGES] = {PAGE_BYTES, PAGE_BYTES, 20};
    const int64_t first = must_claim(dx_producer_claim_spans(producer, bytes, PAGES));
    int64_t sequence = first;
    int64_t last = first;
    for (int i = 0; i < PAGES; i++) {
        dx_span_t *span = dx_producer_span(producer, sequence);
        span->tag = DOCUMENT;
        memset(dx_span_payload(span), 'p', span->bytes);
        last = sequence;
        sequence += dx_span_slots(span->bytes);
    }
    must(dx_producer_publish_spans(producer, first, last));
}

static int fill_note(void *event, int64_t sequence, void *context)
{
    dx_span_t *span = event;
    (void)sequence;
    span->tag = NOTE;
    memcpy(dx_span_payload(span), context, span->bytes);
    return DX_OK; /* an error would abort the claim */
}

static void publish_notes(dx_producer_t *producer)
{
    (void)must_claim(dx_producer_publish_span_copy(producer, NOTE, "by copy", 8));
    (void)must_claim(dx_producer_publish_span_event(producer, 7, fill_note, "filled"));
    /* Without waiting, and not for longer than a millisecond, whatever the policy. */
    const int64_t changed_mind = must_claim(dx_producer_try_claim_span(producer, 200));
    const int64_t also = must_claim(dx_producer_claim_span_timed(producer, 300, 1000000));
    must(dx_producer_abort_spans(producer, changed_mind, also));
    const int64_t one_more = must_claim(dx_producer_claim_span(producer, 100));
    must(dx_producer_abort_span(producer, one_more));
    /* An event may have no payload at all. */
    (void)must_claim(dx_producer_publish_span_copy(producer, END, NULL, 0));
}

/* ------------------------------------------------------------------------------------- reading */

typedef struct reader {
    int notes;
    int documents;
    int64_t document_bytes;
    int ends;
} reader_t;

static void read_span(reader_t *reader, const dx_span_t *span)
{
    const char *payload = dx_span_payload(span);
    switch (span->tag) {
    case NOTE:
        reader->notes += strcmp(payload, "by copy") == 0 || strcmp(payload, "filled") == 0;
        break;
    case DOCUMENT:
        reader->documents++;
        for (uint32_t i = 0; i < span->bytes; i++) { /* one piece, also across the ring's end */
            reader->document_bytes += payload[i] == 'd' || payload[i] == 'p';
        }
        break;
    case END:
        reader->ends++;
        break;
    default:
        require(false, "a span of an unknown kind");
    }
}

static int on_span(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)sequence;
    (void)end_of_batch;
    read_span(context, event);
    return DX_HANDLER_CONTINUE;
}

static int on_spans(void *context, dx_batch_t *batch)
{
    dx_spans_t spans = dx_batch_spans(batch);
    for (dx_span_t *span; (span = dx_spans_next(&spans)) != NULL;) {
        read_span(context, span);
    }
    return spans.code; /* DX_OK, which is DX_HANDLER_CONTINUE */
}

static void check(const reader_t *reader, const char *who)
{
    fprintf(stderr, "%s: %d notes, %d documents of %" PRId64 " bytes\n", who, reader->notes,
            reader->documents, reader->document_bytes);
    require(reader->notes == 2 && reader->ends == 1, "a note is missing");
    require(reader->documents == 1 + PAGES, "a document is missing");
    require(reader->document_bytes == 4000 + 2 * PAGE_BYTES + 20, "a document is damaged");
}

/* The same without threads: a consumer that is polled. */
static void by_hand(dx_ring_t *ring)
{
    dx_producer_t producer;
    dx_consumer_t consumer;
    reader_t reader = {0};
    must(dx_consumer_open(&consumer, ring, NULL, &error));
    must(dx_producer_open(&producer, ring, NULL, &error));
    require(dx_producer_claim(&producer) == DX_EINVAL, "an event of a fixed size must be refused");
    const size_t longest = (size_t)dx_ring_span_bytes_max(ring);
    require(dx_producer_claim_span(&producer, longest + 1) == DX_EINVAL, "too long is too long");

    publish_document(&producer, 4000);
    publish_pages(&producer);
    publish_notes(&producer);

    dx_spans_t spans = dx_consumer_spans(&consumer, dx_consumer_poll(&consumer));
    for (dx_span_t *span; (span = dx_spans_next(&spans)) != NULL;) {
        read_span(&reader, span);
    }
    require(spans.code == DX_OK, "the ring is damaged"); /* DX_ECORRUPT would say so */
    dx_consumer_release(&consumer, spans.next - 1);      /* whole spans only */
    check(&reader, "by hand");
    dx_producer_close(&producer);
    dx_consumer_close(&consumer);
}

int main(void)
{
    const dx_ring_options_t options = {.name = "texts", .slot_count = 512, .spans = true};
    dx_ring_t *ring = NULL;
    must(dx_ring_create(&options, &ring, &error));
    by_hand(ring);
    dx_ring_destroy(ring);

    dx_disruptor_t *disruptor = NULL;
    must(dx_disruptor_create(&(dx_disruptor_options_t){.ring = options}, &disruptor, &error));
    reader_t readers[2] = {{0}, {0}};
    const dx_handler_t handlers[2] = {{.context = &readers[0], .on_event = on_span},
                                      {.context = &readers[1], .on_batch = on_spans}};
    must(dx_disruptor_handle_events_with(disruptor, handlers, 2, NULL, &error));
    must(dx_disruptor_start(disruptor, &error));
    dx_producer_t producer;
    must(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, &error));
    publish_document(&producer, 4000);
    publish_pages(&producer);
    publish_notes(&producer);
    dx_producer_close(&producer);
    must(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error));
    check(&readers[0], "one by one");
    check(&readers[1], "in batches");
    dx_disruptor_destroy(disruptor);
    return 0;
}
