/* queue.c - records in a ring of spans. See bus/queue.h.
 *
 * INVARIANTS
 *
 *   Q1  who pushes a record that lies aside gives it away with the publish; whoever reads it frees
 *   it Q2  a push that fails leaves nothing behind
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/queue.h"

static int push_aside(dx_producer_t *producer, const dxi_record_t *record, const void *head,
                      uint32_t head_bytes, const void *tail, uint32_t tail_bytes)
{
    char *copy = dxi_alloc_zeroed(1, record->bytes);
    if (copy == NULL) {
        return DX_ENOMEM;
    }
    const int64_t sequence =
        dx_producer_claim_span(producer, sizeof(dxi_record_t) + sizeof(void *));
    if (sequence < 0) {
        dxi_free(copy);
        return (int)sequence;
    }
    memcpy(copy, head, head_bytes);
    if (tail_bytes != 0) {
        memcpy(copy + head_bytes, tail, tail_bytes);
    }
    dxi_record_t *placed = dx_span_payload(dx_producer_span(producer, sequence));
    *placed = *record;
    placed->aside = true;
    memcpy(placed + 1, &copy, sizeof copy);
    (void)dx_producer_publish_span(producer, sequence);
    return DX_OK;
}

int dxi_queue_push_two(dx_producer_t *producer, const dxi_record_t *record, const void *head,
                       uint32_t head_bytes, const void *tail, uint32_t tail_bytes)
{
    const size_t bytes = sizeof(dxi_record_t) + record->bytes;
    if (DX_UNLIKELY(bytes > (size_t)producer->span_bytes_max / 2)) {
        return push_aside(producer, record, head, head_bytes, tail, tail_bytes);
    }
    const int64_t sequence = dx_producer_claim_span(producer, bytes);
    if (DX_UNLIKELY(sequence < 0)) {
        return (int)sequence;
    }
    dxi_record_t *placed = dx_span_payload(dx_producer_span(producer, sequence));
    *placed = *record;
    memcpy(placed + 1, head, head_bytes);
    if (tail_bytes != 0) {
        memcpy((char *)(placed + 1) + head_bytes, tail, tail_bytes);
    }
    /* DX_ECLOSED says that the ring has closed since: the record is in it all the same. */
    (void)dx_producer_publish_span(producer, sequence);
    return DX_OK;
}

int dxi_queue_push(dx_producer_t *producer, const dxi_record_t *record, const void *body)
{
    return dxi_queue_push_two(producer, record, body, record->bytes, NULL, 0);
}

void dxi_queue_drop(dx_consumer_t *consumer)
{
    dx_spans_t spans = dx_consumer_spans(consumer, dx_consumer_poll(consumer));
    for (dx_span_t *span; (span = dx_spans_next(&spans)) != NULL;) {
        dxi_record_done(dx_span_payload(span));
    }
    dx_consumer_release(consumer, spans.next - 1);
}
