/* 16_frames.c - one layout from the publisher to the last reader: frames in spans of a ring.
 *
 * Teaches: encoding a frame in place in a claimed span; stamping it as a shard's leader does;
 * reading it where it lies; sending it as it lies, and finding frames again in what a connection
 * gives; checksums and refusals; batches, compressed when that pays.
 *
 * Links libdisruptorx-node (pkg-config disruptorx-node).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <disruptorx/disruptor.h>
#include <disruptorx/frame.h>
#include <disruptorx/frame_batch.h>
#include <disruptorx/span.h>

#define ORDERS 200
#define RECEIVE_BYTES 65536

static dx_error_t error;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "16_frames: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

static int64_t must_have(int64_t bytes)
{
    require(bytes >= 0, error.message);
    return bytes;
}

/* ---------------------------------------------------------------------------------- publishing */

/* The frame is made where it will stay: its size first, then a span of that size, then its header
 * and parts, then the payload by its owner, then the checksums. */
static void publish_order(dx_producer_t *producer, uint64_t number)
{
    char text[64];
    const int text_bytes = snprintf(text, sizeof text, "{\"order\":%d}", (int)number);
    const char *customer = number % 2 == 0 ? "customer-7" : "customer-8";
    const uint64_t timeout_ns = 1000000000;
    const dx_frame_trace_t trace = {{1, 2, 3}, {4, 5}, 1}; /* of a W3C traceparent */
    const dx_frame_part_t parts[] = {                      /* in the order of their numbers */
                                     dx_frame_part_text(DX_PART_TOPIC, "orders.created"),
                                     dx_frame_part_text(DX_PART_KEY, customer),
                                     dx_frame_part_of(DX_PART_TRACE, &trace, sizeof trace),
                                     dx_frame_part_of(DX_PART_TIMEOUT, &timeout_ns, 8)};
    const dx_frame_pair_t header = {"content-type", "application/json", 12, 16};
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                    .flags = DX_FRAME_ACK_WANTED,
                                    .key_hash = dx_frame_key_hash(customer, strlen(customer)),
                                    .producer_id = 42, /* retries of (42, number) are known */
                                    .producer_sequence = number,
                                    .parts = parts,
                                    .part_count = 4,
                                    .headers = &header,
                                    .header_count = 1,
                                    .payload_bytes = (uint32_t)text_bytes};
    const size_t bytes = (size_t)must_have(dx_frame_bytes(&draft, &error));
    const int64_t sequence = dx_producer_claim_span(producer, bytes - DX_FRAME_SPAN_BYTES);
    require(sequence >= 0, "the ring is full");
    void *frame = dx_producer_span(producer, sequence);
    void *payload = NULL;
    (void)must_have(dx_frame_begin(frame, bytes, &draft, &payload, &error));
    memcpy(payload, text, (size_t)text_bytes);
    dx_frame_seal(frame);
    must(dx_producer_publish_span(producer, sequence));
}

/* ------------------------------------------------------------------------------------- reading */

static void check_order(const dx_frame_view_t *view, uint64_t number)
{
    char expected[64];
    const int bytes = snprintf(expected, sizeof expected, "{\"order\":%d}", (int)number);
    require(view->header->type == DX_FRAME_EVENT && view->header->sequence == number, "not it");
    require(view->payload_bytes == (uint32_t)bytes, "another payload");
    require(memcmp(view->payload, expected, (size_t)bytes) == 0, "another payload");

    uint32_t topic_bytes = 0;
    const char *topic = dx_frame_part(view, DX_PART_TOPIC, &topic_bytes);
    require(topic_bytes == 14 && memcmp(topic, "orders.created", 14) == 0, "another topic");
    require(!dx_frame_has(view, DX_PART_REPLY_TO), "it asks for no reply");
    require(dx_frame_part_u64(view, DX_PART_TIMEOUT, 0) == 1000000000, "another timeout");
    dx_frame_pair_t pair;
    must(dx_frame_header_find(view, "content-type", &pair));
    require(pair.value_bytes == 16, "another header");
    dx_frame_headers_t headers = dx_frame_headers(view);
    int count = 0;
    while (dx_frame_headers_next(&headers, &pair)) {
        count++;
    }
    require(count == 1, "another number of headers");
}

/* The single writer of a shard gives the order; then everybody reads the same bytes. */
static void stamp_and_send(dx_consumer_t *consumer, int connection, dx_frame_batch_t *batch)
{
    struct iovec frames[ORDERS];
    size_t bytes = 0;
    uint64_t sequence = 0;
    dx_spans_t spans = dx_consumer_spans(consumer, dx_consumer_poll(consumer));
    for (dx_span_t *span; (span = dx_spans_next(&spans)) != NULL;) {
        require(sequence < ORDERS, "an order too many");
        sequence++;
        const dx_frame_stamp_t stamp = {.type = DX_FRAME_EVENT,
                                        .shard = 3,
                                        .term = 1,
                                        .sequence = sequence,
                                        .timestamp_ns = UINT64_C(1700000000000000000)};
        must(dx_frame_stamp(span, &stamp)); /* touches the header only */

        dx_frame_view_t view; /* nobody else has written it: no need to check its checksums */
        must(dx_frame_view(span, span->bytes + sizeof *span, &view, &error));
        check_order(&view, sequence);

        frames[sequence - 1] = (struct iovec){span, view.bytes};
        bytes += view.bytes;
        must(dx_frame_batch_add(batch, span));
    }
    require(sequence == ORDERS, "an order is missing");
    /* What goes out is what lies in the ring. */
    require(writev(connection, frames, ORDERS) == (ssize_t)bytes, "not all was sent");
    dx_consumer_release(consumer, spans.next - 1);
}

/* A receive buffer: bytes come in as they like, whole frames go, the rest moves to the start. */
static void receive(int connection)
{
    static __attribute__((aligned(DX_FRAME_ALIGN))) char buffer[RECEIVE_BYTES];
    dx_frame_stream_t stream;
    must(dx_frame_stream_init(&stream, RECEIVE_BYTES)); /* so that a frame always fits */
    size_t have = 0;
    for (uint64_t next = 1; next <= ORDERS;) {
        const ssize_t got = read(connection, buffer + have,
                                 1000 < RECEIVE_BYTES - have ? 1000 : RECEIVE_BYTES - have);
        require(got > 0, "the connection ended");
        have += (size_t)got;
        size_t at = 0;
        dx_frame_view_t view;
        int code = DX_OK;
        while ((code = dx_frame_stream_next(&stream, buffer + at, have - at, &view, &error)) ==
               DX_OK) {
            check_order(&view, next++);
            at += dx_frame_header_frame_bytes(view.header);
        }
        require(code == DX_EAGAIN, error.message); /* stream.needed bytes make the next one */
        memmove(buffer, buffer + at, have - at);
        have -= at;
    }
    require(have == 0, "bytes are left");
}

/* ------------------------------------------------------------------------------------- refusals */

static void refuse(void)
{
    static __attribute__((aligned(DX_FRAME_ALIGN))) char frame[256];
    const dx_frame_draft_t ping = {.type = DX_FRAME_PING, .payload_bytes = 4};
    const size_t bytes =
        (size_t)must_have(dx_frame_encode(frame, sizeof frame, &ping, "ping", &error));
    dx_frame_view_t view;
    must(dx_frame_decode(frame, bytes, &view, &error));
    require(dx_frame_decode(frame, bytes - 1, &view, &error) == DX_EAGAIN, "it is cut off");
    frame[66] ^= 1;
    require(dx_frame_decode(frame, bytes, &view, &error) == DX_ECORRUPT, "a bit has changed");
    printf("a changed bit: %s\n", error.message);

    const dx_frame_draft_t nowhere = {.type = DX_FRAME_PUBLISH};
    require(dx_frame_bytes(&nowhere, &error) == DX_EINVAL, "it has no topic");
    printf("a %s without a %s: %s\n", dx_frame_type_name(DX_FRAME_PUBLISH),
           dx_frame_part_name(DX_PART_TOPIC), error.message);
}

/* -------------------------------------------------------------------------------------- batches */

static void send_batch(dx_frame_batch_t *batch)
{
    dx_codec_chooser_t chooser; /* one per topic */
    must(dx_codec_chooser_init(&chooser, &(dx_codec_options_t){.bytes_min = 512}, &error));
    const uint32_t raw_bytes = dx_frame_batch_raw_bytes(batch);
    const size_t room = dx_frame_batch_room(batch);
    char *out = aligned_alloc(DX_FRAME_ALIGN, (room + 7) / 8 * 8);
    require(out != NULL, "no memory");
    int64_t bytes = 0;
    for (int i = 0; i < 200; i++) { /* the first batches try; then it is known what pays */
        const dx_codec_t codec = dx_codec_choose(&chooser, raw_bytes);
        bytes = must_have(dx_frame_batch_seal(batch, codec, out, room, &error));
        dx_codec_learn(&chooser, codec, raw_bytes, (uint32_t)bytes);
    }
    require(chooser.codec != DX_CODEC_NONE, "orders can be packed");
    require(bytes < raw_bytes / 2, "orders can be packed well");
    fprintf(stderr, "%u frames, %u bytes, as %s %d bytes\n", dx_frame_batch_count(batch), raw_bytes,
            dx_codec_name((int)chooser.codec), (int)bytes);

    dx_frame_batch_t *reader = NULL; /* never takes more memory than this, whatever it is sent */
    must(dx_frame_batch_create(1 << 20, &reader, &error));
    dx_frame_view_t view, event;
    must(dx_frame_decode(out, (size_t)bytes, &view, &error));
    must(dx_frame_batch_open(reader, &view, &error));
    uint64_t number = 0;
    while (dx_frame_batch_next(reader, &event, &error) == DX_OK) {
        check_order(&event, ++number);
    }
    require(number == ORDERS, "an order is missing in the batch");
    dx_frame_batch_destroy(reader);
    dx_frame_batch_reset(batch); /* ready for the next ones */
    free(out);
}

int main(void)
{
    const dx_ring_options_t options = {.name = "shard", .slot_count = 2048, .spans = true};
    dx_ring_t *ring = NULL;
    dx_consumer_t consumer;
    dx_producer_t producer;
    dx_frame_batch_t *batch = NULL;
    int connection[2];
    must(dx_ring_create(&options, &ring, &error));
    must(dx_consumer_open(&consumer, ring, NULL, &error));
    must(dx_producer_open(&producer, ring, NULL, &error));
    must(dx_frame_batch_create(0, &batch, &error));
    require(socketpair(AF_UNIX, SOCK_STREAM, 0, connection) == 0, "no connection");

    for (uint64_t number = 1; number <= ORDERS; number++) {
        publish_order(&producer, number);
    }
    stamp_and_send(&consumer, connection[0], batch);
    receive(connection[1]);
    refuse();
    send_batch(batch);
    printf("%d orders, encoded once each\n", ORDERS);

    (void)close(connection[0]);
    (void)close(connection[1]);
    dx_frame_batch_destroy(batch);
    dx_producer_close(&producer);
    dx_consumer_close(&consumer);
    dx_ring_destroy(ring);
    return 0;
}
