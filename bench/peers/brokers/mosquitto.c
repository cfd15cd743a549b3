/* mosquitto.c - mosquitto, its protocol written here (MQTT 3.1.1, OASIS standard), QoS 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stream.h"

#define MQTT_CONNECT 0x10
#define MQTT_PUBLISH 0x30
#define MQTT_SUBSCRIBE 0x82
#define MQTT_LENGTH_BYTES_MAX 4

struct broker_link {
    broker_sink_t *sink;
    size_t head_bytes;
    char head[32]; /* of a PUBLISH: type, length, topic */
    stream_t stream;
};

const char *const broker_peer_name = "mosquitto";

/* MQTT's number of seven bits a byte; returns how many bytes it took. */
static size_t put_length(char *out, size_t value)
{
    size_t bytes = 0;
    do {
        const size_t rest = value >> 7;
        out[bytes++] = (char)((value & 127) | (rest > 0 ? 128 : 0));
        value = rest;
    } while (value > 0);
    return bytes;
}

/* A string as MQTT writes it, with its length in two bytes before. */
static size_t put_string(char *out, const char *text, size_t bytes)
{
    out[0] = (char)(bytes >> 8);
    out[1] = (char)(bytes & 255);
    memcpy(out + 2, text, bytes);
    return bytes + 2;
}

/* Sends a packet and takes its answer, which has `answer_bytes` and begins with `answer_type`. */
static void packet_ask(stream_t *stream, char type, const char *body, size_t body_bytes,
                       unsigned char answer_type, size_t answer_bytes)
{
    char head[1 + MQTT_LENGTH_BYTES_MAX] = {type};
    const size_t head_bytes = 1 + put_length(head + 1, body_bytes);
    stream_put(stream, head, head_bytes);
    stream_put(stream, body, body_bytes);
    stream_flush(stream);
    const int64_t deadline = dx_clock_ns() + 5 * DX_NS_PER_S;
    while (stream->end - stream->begin < answer_bytes) {
        if (stream_read(stream, true) == 0 && dx_clock_ns() > deadline) {
            broker_fail("the broker did not answer");
        }
    }
    const char *const answer = stream->in + stream->begin;
    if ((unsigned char)answer[0] != answer_type || answer[answer_bytes - 1] != 0) {
        broker_fail("the broker refused, with type %d and code %d", answer[0] & 255,
                    answer[answer_bytes - 1]);
    }
    stream->begin += answer_bytes;
}

static void connect_and_subscribe(broker_link_t *link, bool subscribe)
{
    char body[64];
    char name[24];
    size_t bytes = put_string(body, "MQTT", 4);
    memcpy(body + bytes, "\x04\x02\x00\x00", 4); /* 3.1.1, clean session, no keep-alive */
    bytes += 4;
    snprintf(name, sizeof name, "b%d%c", (int)getpid(), subscribe ? 's' : 'p');
    bytes += put_string(body + bytes, name, strlen(name));
    packet_ask(&link->stream, MQTT_CONNECT, body, bytes, 0x20, 4);
    if (subscribe) {
        memcpy(body, "\x00\x01", 2); /* packet 1 */
        bytes = 2 + put_string(body + 2, BROKER_TOPIC, strlen(BROKER_TOPIC));
        body[bytes++] = 0; /* QoS 0 */
        packet_ask(&link->stream, (char)MQTT_SUBSCRIBE, body, bytes, 0x90, 5);
    }
}

broker_link_t *broker_link_open(const broker_options_t *options, broker_role_t role,
                                broker_sink_t *sink)
{
    broker_link_t *const link = malloc(sizeof *link);
    if (link == NULL) {
        broker_fail("out of memory");
    }
    link->sink = sink;
    link->head[0] = MQTT_PUBLISH;
    link->head_bytes = 1;
    link->head_bytes += put_length(link->head + 1, 2 + strlen(BROKER_TOPIC) + options->bytes);
    link->head_bytes +=
        put_string(link->head + link->head_bytes, BROKER_TOPIC, strlen(BROKER_TOPIC));
    stream_open(&link->stream, options->address);
    connect_and_subscribe(link, role != BROKER_PUBLISHER);
    return link;
}

void broker_link_publish(broker_link_t *link, const void *data, size_t bytes)
{
    stream_t *const stream = &link->stream;
    stream_put(stream, link->head, link->head_bytes);
    stream_put(stream, data, bytes);
    stream_put_end(stream);
}

void broker_link_flush(broker_link_t *link)
{
    stream_flush(&link->stream);
}

void broker_link_receive(broker_link_t *link, bool wait)
{
    stream_t *const stream = &link->stream;
    const size_t message_bytes = link->head_bytes + (size_t)link->sink->bytes;
    if (stream_read(stream, wait) == 0) {
        return;
    }
    while (stream->end - stream->begin >= message_bytes) {
        const char *const at = stream->in + stream->begin;
        if (memcmp(at, link->head, link->head_bytes) != 0) {
            broker_fail("an unexpected packet of type %d", *at & 255);
        }
        broker_sink_take(link->sink, at + link->head_bytes, link->sink->bytes);
        stream->begin += message_bytes;
    }
    broker_sink_commit(link->sink);
}

void broker_link_close(broker_link_t *link)
{
    stream_close(&link->stream);
    free(link);
}
