/* stream.h - a blocking connection with one big buffer for each direction, for the peers whose
 * protocol is written here (NATS, Redis, MQTT).
 *
 * Writes are collected until 64 KiB are there or somebody flushes; a read takes all that the kernel
 * has, up to 1 MiB. So a call to the system is shared by hundreds of messages, which no published
 * client of these brokers does better: what is measured is the broker.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BROKER_STREAM_H
#define BROKER_STREAM_H

#include "broker.h"

#define STREAM_OUT_BYTES 65536
#define STREAM_OUT_ROOM (2 * BROKER_BYTES_MAX) /* the message that goes over the limit */
#define STREAM_IN_BYTES 1048576

typedef struct stream {
    int fd;
    size_t out_bytes;
    size_t begin, end; /* what is unread lies in in[begin .. end) */
    char out[STREAM_OUT_BYTES + STREAM_OUT_ROOM];
    char in[STREAM_IN_BYTES];
} stream_t;

/* Connects to tcp://host:port or unix:///path, without Nagle. Fails with a sentence. */
void stream_open(stream_t *stream, const char *address);

/* Sends what was collected. */
void stream_flush(stream_t *stream);

/* Reads what is there, at the end of in[]; waits for it up to BROKER_RECEIVE_MS when `wait`.
 * Returns how many bytes came: 0 when none did. */
size_t stream_read(stream_t *stream, bool wait);

/* Sends `text`, then reads until `answer` comes, and takes everything up to its end. */
void stream_ask(stream_t *stream, const char *text, const char *answer);

void stream_close(stream_t *stream);

BROKER_INLINE void stream_put(stream_t *stream, const void *data, size_t bytes)
{
    memcpy(stream->out + stream->out_bytes, data, bytes);
    stream->out_bytes += bytes;
}

/* After each message. */
BROKER_INLINE void stream_put_end(stream_t *stream)
{
    if (stream->out_bytes >= STREAM_OUT_BYTES) {
        stream_flush(stream);
    }
}

#endif
