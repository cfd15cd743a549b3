/* stream.c - see stream.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "stream.h"

static int connect_unix(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof name.sun_path) {
        broker_fail("the path %s is too long", path);
    }
    memcpy(name.sun_path, path, strlen(path) + 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&name, sizeof name) != 0) {
        broker_fail("cannot connect to %s: %s", path, strerror(errno));
    }
    return fd;
}

static int connect_tcp(const char *address)
{
    char host[256];
    char port[16];
    if (sscanf(address, "tcp://%255[^:]:%15s", host, port) != 2) {
        broker_fail("the address %s is neither tcp://host:port nor unix:///path", address);
    }
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        broker_fail("cannot resolve %s", host);
    }
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        broker_fail("cannot connect to %s: %s", address, strerror(errno));
    }
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

void stream_open(stream_t *stream, const char *address)
{
    const char *const path = "unix://";
    stream->out_bytes = stream->begin = stream->end = 0;
    stream->fd = strncmp(address, path, strlen(path)) == 0 ? connect_unix(address + strlen(path))
                                                           : connect_tcp(address);
    const struct timeval timeout = {.tv_usec = BROKER_RECEIVE_MS * 1000L};
    setsockopt(stream->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

void stream_flush(stream_t *stream)
{
    for (size_t done = 0; done < stream->out_bytes;) {
        const ssize_t sent =
            send(stream->fd, stream->out + done, stream->out_bytes - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            broker_fail("the broker closed the connection: %s", strerror(errno));
        }
        done += sent > 0 ? (size_t)sent : 0;
    }
    stream->out_bytes = 0;
}

size_t stream_read(stream_t *stream, bool wait)
{
    if (stream->begin == stream->end) {
        stream->begin = stream->end = 0;
    } else if (stream->end == STREAM_IN_BYTES) {
        memmove(stream->in, stream->in + stream->begin, stream->end - stream->begin);
        stream->end -= stream->begin;
        stream->begin = 0;
        if (stream->end == STREAM_IN_BYTES) {
            broker_fail("a message of the broker is longer than %d bytes", STREAM_IN_BYTES);
        }
    }
    const ssize_t got = recv(stream->fd, stream->in + stream->end, STREAM_IN_BYTES - stream->end,
                             wait ? 0 : MSG_DONTWAIT);
    if (got > 0) {
        stream->end += (size_t)got;
        return (size_t)got;
    }
    if (got == 0) {
        broker_fail("the broker closed the connection");
    }
    if (errno != EAGAIN && errno != EINTR) {
        broker_fail("cannot read from the broker: %s", strerror(errno));
    }
    return 0;
}

void stream_ask(stream_t *stream, const char *text, const char *answer)
{
    const int64_t deadline = dx_clock_ns() + 5 * DX_NS_PER_S;
    stream_put(stream, text, strlen(text));
    stream_flush(stream);
    for (;;) {
        const char *const found =
            memmem(stream->in + stream->begin, stream->end - stream->begin, answer, strlen(answer));
        if (found != NULL) {
            stream->begin = (size_t)(found - stream->in) + strlen(answer);
            return;
        }
        if (stream_read(stream, true) == 0 && dx_clock_ns() > deadline) {
            broker_fail("the broker did not answer %.40s", text);
        }
    }
}

void stream_close(stream_t *stream)
{
    close(stream->fd);
}
