/* redis.c - Redis, its protocol written here (RESP2, "Redis serialization protocol" on redis.io).
 *
 * Variants: "" publishes to a channel (PUBLISH, SUBSCRIBE); "streams" appends to a stream of at
 * least REDIS_STREAM_EVENTS entries (XADD) that subscribers read in batches (XREAD BLOCK). The
 * publisher asks for no replies (CLIENT REPLY OFF), as fire and forget means.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "stream.h"

#define REDIS_STREAM_EVENTS "200000" /* more than the window: nothing unread is trimmed */
#define REDIS_READ_COUNT "1000"
#define REDIS_ID_BYTES_MAX 48

struct broker_link {
    broker_sink_t *sink;
    bool streams;
    bool asked; /* streams: an XREAD has no answer yet */
    size_t head_bytes;
    char head[160];                   /* what stands before each payload */
    char last_id[REDIS_ID_BYTES_MAX]; /* streams: of the last entry read */
    stream_t stream;
};

/* A reader of one RESP value after the other; `at` is NULL once something was not complete. */
typedef struct resp {
    const char *at;
    const char *end;
} resp_t;

const char *const broker_peer_name = "redis";

/* Reads `<mark><number>\r\n`. */
static long resp_number(resp_t *resp, char mark)
{
    if (resp->at == NULL) {
        return 0;
    }
    const char *const line = resp->at;
    const char *const end = memchr(line, '\n', (size_t)(resp->end - line));
    if (end == NULL) {
        resp->at = NULL;
        return 0;
    }
    if (*line != mark) {
        broker_fail("the server says %.*s", (int)(end - line), line);
    }
    long value = 0;
    for (const char *digit = line + 1; *digit >= '0' && *digit <= '9'; digit++) {
        value = 10 * value + (*digit - '0');
    }
    resp->at = end + 1;
    return line[1] == '-' ? -1 : value;
}

/* Reads one string; its bytes stay in the buffer. */
static const char *resp_string(resp_t *resp, size_t *bytes_out)
{
    const long bytes = resp_number(resp, '$');
    if (resp->at == NULL || resp->end - resp->at < bytes + 2) {
        resp->at = NULL;
        return NULL;
    }
    const char *const text = resp->at;
    *bytes_out = (size_t)bytes;
    resp->at += bytes + 2;
    return text;
}

static void head_make(broker_link_t *link, const broker_options_t *options, broker_role_t role)
{
    const char *format = "*3\r\n$7\r\nmessage\r\n$7\r\n" BROKER_TOPIC "\r\n$%llu\r\n";
    if (role == BROKER_PUBLISHER) {
        format = link->streams ? "*8\r\n$4\r\nXADD\r\n$7\r\n" BROKER_TOPIC "\r\n$6\r\nMAXLEN\r\n"
                                 "$1\r\n~\r\n$6\r\n" REDIS_STREAM_EVENTS "\r\n$1\r\n*\r\n"
                                 "$1\r\nd\r\n$%llu\r\n"
                               : "*3\r\n$7\r\nPUBLISH\r\n$7\r\n" BROKER_TOPIC "\r\n$%llu\r\n";
    }
    link->head_bytes =
        (size_t)snprintf(link->head, sizeof link->head, format, (unsigned long long)options->bytes);
}

broker_link_t *broker_link_open(const broker_options_t *options, broker_role_t role,
                                broker_sink_t *sink)
{
    broker_link_t *const link = malloc(sizeof *link);
    if (link == NULL) {
        broker_fail("out of memory");
    }
    link->sink = sink;
    link->streams = strcmp(options->variant, "streams") == 0;
    link->asked = false;
    memcpy(link->last_id, "$", 2);
    head_make(link, options, role);
    stream_open(&link->stream, options->address);
    stream_ask(&link->stream, "PING\r\n", "+PONG\r\n");
    if (role == BROKER_PUBLISHER) {
        const char *const quiet = "CLIENT REPLY OFF\r\n";
        stream_put(&link->stream, quiet, strlen(quiet));
        stream_flush(&link->stream);
    } else if (!link->streams) {
        stream_ask(&link->stream, "SUBSCRIBE " BROKER_TOPIC "\r\n", ":1\r\n");
    }
    return link;
}

void broker_link_publish(broker_link_t *link, const void *data, size_t bytes)
{
    stream_t *const stream = &link->stream;
    stream_put(stream, link->head, link->head_bytes);
    stream_put(stream, data, bytes);
    stream_put(stream, "\r\n", 2);
    stream_put_end(stream);
}

void broker_link_flush(broker_link_t *link)
{
    stream_flush(&link->stream);
}

/* Messages of a channel. */
static void take_messages(broker_link_t *link)
{
    stream_t *const stream = &link->stream;
    const size_t payload_bytes = (size_t)link->sink->bytes;
    const size_t message_bytes = link->head_bytes + payload_bytes + 2;
    while (stream->end - stream->begin >= message_bytes) {
        const char *const at = stream->in + stream->begin;
        if (memcmp(at, link->head, link->head_bytes) != 0) {
            broker_fail("an unexpected message: %.40s", at);
        }
        broker_sink_take(link->sink, at + link->head_bytes, payload_bytes);
        stream->begin += message_bytes;
    }
}

/* One entry of a stream: its id, then its fields and values. */
static void take_entry(broker_link_t *link, resp_t *resp)
{
    size_t id_bytes = 0, field_bytes = 0, bytes = 0;
    (void)resp_number(resp, '*');
    const char *const id = resp_string(resp, &id_bytes);
    (void)resp_number(resp, '*');
    (void)resp_string(resp, &field_bytes);
    const char *const data = resp_string(resp, &bytes);
    if (data == NULL) {
        return;
    }
    if (id_bytes >= REDIS_ID_BYTES_MAX) {
        broker_fail("the id of an entry has %zu bytes", id_bytes);
    }
    memcpy(link->last_id, id, id_bytes);
    link->last_id[id_bytes] = '\0';
    broker_sink_take(link->sink, data, bytes);
}

/* Whether the buffer has the whole answer of an XREAD, without taking anything of it. */
static bool answer_is_complete(const broker_link_t *link)
{
    const stream_t *const stream = &link->stream;
    resp_t resp = {.at = stream->in + stream->begin, .end = stream->in + stream->end};
    size_t bytes = 0;
    if (resp_number(&resp, '*') < 0) {
        return true;
    }
    (void)resp_number(&resp, '*');
    (void)resp_string(&resp, &bytes);
    const long entries = resp_number(&resp, '*');
    for (long i = 0; i < entries && resp.at != NULL; i++) {
        (void)resp_number(&resp, '*');
        (void)resp_string(&resp, &bytes);
        (void)resp_number(&resp, '*');
        (void)resp_string(&resp, &bytes);
        (void)resp_string(&resp, &bytes);
    }
    return resp.at != NULL;
}

static void take_answer(broker_link_t *link)
{
    stream_t *const stream = &link->stream;
    resp_t resp = {.at = stream->in + stream->begin, .end = stream->in + stream->end};
    size_t bytes = 0;
    if (resp_number(&resp, '*') > 0) {
        (void)resp_number(&resp, '*');
        (void)resp_string(&resp, &bytes);
        const long entries = resp_number(&resp, '*');
        for (long i = 0; i < entries; i++) {
            take_entry(link, &resp);
        }
    }
    stream->begin = (size_t)(resp.at - stream->in);
    link->asked = false;
}

static void ask_for_entries(broker_link_t *link)
{
    char text[256];
    const int length = snprintf(
        text, sizeof text,
        "XREAD COUNT " REDIS_READ_COUNT " BLOCK 0 STREAMS " BROKER_TOPIC " %s\r\n", link->last_id);
    stream_put(&link->stream, text, (size_t)length);
    stream_flush(&link->stream);
    link->asked = true;
}

void broker_link_receive(broker_link_t *link, bool wait)
{
    if (link->streams && !link->asked) {
        ask_for_entries(link);
    }
    if (stream_read(&link->stream, wait) == 0) {
        return;
    }
    if (!link->streams) {
        take_messages(link);
    } else if (answer_is_complete(link)) {
        take_answer(link);
    }
    broker_sink_commit(link->sink);
}

void broker_link_close(broker_link_t *link)
{
    stream_close(&link->stream);
    free(link);
}
