/* nats.c - core NATS, its text protocol written here (https://docs.nats.io, "client protocol").
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "stream.h"

#define NATS_LINE_BYTES_MAX 4096
#define NATS_PING_CHECK_NS (100 * DX_NS_PER_MS)

struct broker_link {
    broker_sink_t *sink;
    size_t head_bytes;
    int64_t next_check_ns;
    char head[64]; /* the line before a payload: of PUB or, for a subscriber, of MSG */
    stream_t stream;
};

const char *const broker_peer_name = "nats";

broker_link_t *broker_link_open(const broker_options_t *options, broker_role_t role,
                                broker_sink_t *sink)
{
    broker_link_t *const link = malloc(sizeof *link);
    if (link == NULL) {
        broker_fail("out of memory");
    }
    link->sink = sink;
    link->next_check_ns = 0;
    link->head_bytes =
        (size_t)snprintf(link->head, sizeof link->head,
                         role == BROKER_PUBLISHER ? "PUB " BROKER_TOPIC " %llu\r\n"
                                                  : "MSG " BROKER_TOPIC " 1 %llu\r\n",
                         (unsigned long long)options->bytes);
    stream_open(&link->stream, options->address);
    stream_ask(&link->stream,
               "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\","
               "\"protocol\":1}\r\nPING\r\n",
               "PONG\r\n");
    if (role != BROKER_PUBLISHER) {
        stream_ask(&link->stream, "SUB " BROKER_TOPIC " 1\r\nPING\r\n", "PONG\r\n");
    }
    return link;
}

/* A line that is no MSG of ours: answers PING, ends the program at -ERR. Returns its length, or 0
 * when it is not complete. */
static size_t take_line(broker_link_t *link, const char *line, size_t bytes)
{
    const char *const end = memmem(line, bytes, "\r\n", 2);
    if (end == NULL) {
        if (bytes > NATS_LINE_BYTES_MAX) {
            broker_fail("a line of the server does not end");
        }
        return 0;
    }
    if (strncmp(line, "PING", 4) == 0) {
        stream_put(&link->stream, "PONG\r\n", 6);
        stream_flush(&link->stream);
    } else if (strncmp(line, "-ERR", 4) == 0) {
        broker_fail("the server says %.*s", (int)(end - line), line);
    } else if (strncmp(line, "PONG", 4) != 0 && strncmp(line, "INFO", 4) != 0) {
        broker_fail("an unexpected line: %.*s", (int)(end - line), line);
    }
    return (size_t)(end - line) + 2;
}

/* Everything that is complete in the buffer. */
static void take_all(broker_link_t *link)
{
    stream_t *const stream = &link->stream;
    const size_t head_bytes = link->head_bytes;
    const size_t payload_bytes = link->sink != NULL ? (size_t)link->sink->bytes : 0;
    while (stream->begin < stream->end) {
        const char *const at = stream->in + stream->begin;
        const size_t left = stream->end - stream->begin;
        if (*at != 'M') {
            const size_t taken = take_line(link, at, left);
            if (taken == 0) {
                break;
            }
            stream->begin += taken;
            continue;
        }
        if (left < head_bytes + payload_bytes + 2) {
            break;
        }
        if (link->sink == NULL || memcmp(at, link->head, head_bytes) != 0) {
            broker_fail("an unexpected message: %.40s", at);
        }
        broker_sink_take(link->sink, at + head_bytes, payload_bytes);
        stream->begin += head_bytes + payload_bytes + 2;
    }
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
    const int64_t now = dx_clock_ns();
    stream_flush(&link->stream);
    if (now >= link->next_check_ns) { /* the server's PINGs want an answer */
        link->next_check_ns = now + NATS_PING_CHECK_NS;
        if (stream_read(&link->stream, false) > 0) {
            take_all(link);
        }
    }
}

void broker_link_receive(broker_link_t *link, bool wait)
{
    if (stream_read(&link->stream, wait) > 0) {
        take_all(link);
        broker_sink_commit(link->sink);
    }
}

void broker_link_close(broker_link_t *link)
{
    stream_close(&link->stream);
    free(link);
}
