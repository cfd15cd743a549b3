/* trace_test.h - a collector for tests: a thread that takes requests on a port of its own, and
 * answers what the test wants.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACE_TEST_H
#define TRACE_TEST_H

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base_test.h"
#include "disruptorx/clock.h"
#include "disruptorx/trace.h"

#define COLLECTOR_BYTES (1 << 20)

typedef struct collector {
    int listener;
    char endpoint[64];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex. */
    bool ends;
    int status;         /* of the answers */
    const char *answer; /* their body */
    const char *more;   /* their further headers, each with its line end */
    bool holds;         /* it does not answer now */
    uint32_t requests;
    char head[8192];  /* of the last request, with its NUL */
    json_t *spans;    /* all that came with a request that was answered with 200 */
    size_t body_most; /* the longest body */
} collector_t;

/* Reads one request. Returns the bytes of its body, which lies at `*body_out`; -1: none came. */
static inline ssize_t collector_read(collector_t *c, int fd, char *room, char **body_out)
{
    size_t used = 0;
    for (;;) {
        const ssize_t got = read(fd, room + used, COLLECTOR_BYTES - used - 1);
        if (got <= 0) {
            return -1;
        }
        used += (size_t)got;
        room[used] = '\0';
        char *const end = strstr(room, "\r\n\r\n");
        const char *const length = strcasestr(room, "content-length:");
        if (end != NULL && length != NULL) {
            const size_t body = (size_t)strtoul(length + 15, NULL, 10);
            const size_t head = (size_t)(end + 4 - room);
            if (used >= head + body) {
                pthread_mutex_lock(&c->mutex);
                snprintf(c->head, sizeof c->head, "%.*s", (int)head, room);
                pthread_mutex_unlock(&c->mutex);
                *body_out = end + 4;
                return (ssize_t)body;
            }
        }
    }
}

static inline void collector_keep(collector_t *c, const char *body, size_t bytes)
{
    json_t *const root = json_loadb(body, bytes, JSON_REJECT_DUPLICATES, NULL);
    json_t *const resource = json_array_get(json_object_get(root, "resourceSpans"), 0);
    json_t *const scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    json_t *const spans = json_object_get(scope, "spans");
    if (json_is_array(spans)) {
        json_array_extend(c->spans, spans);
    }
    c->body_most = bytes > c->body_most ? bytes : c->body_most;
    json_decref(root);
}

static inline void collector_serve(collector_t *c, int fd, char *room)
{
    char *body = NULL;
    ssize_t bytes = 0;
    while ((bytes = collector_read(c, fd, room, &body)) >= 0) {
        char answer[1024];
        pthread_mutex_lock(&c->mutex);
        c->requests++;
        pthread_cond_broadcast(&c->changed);
        while (c->holds && !c->ends) {
            pthread_cond_wait(&c->changed, &c->mutex);
        }
        if (c->status == 200) {
            collector_keep(c, body, (size_t)bytes);
        }
        snprintf(answer, sizeof answer, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n%s\r\n%s",
                 c->status, strlen(c->answer), c->more, c->answer);
        const bool ends = c->ends;
        pthread_mutex_unlock(&c->mutex);
        if (ends || write(fd, answer, strlen(answer)) < 0) {
            break;
        }
    }
}

static inline void *collector_run(void *context)
{
    collector_t *const c = context;
    char *const room = malloc(COLLECTOR_BYTES);
    for (;;) {
        const int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_mutex_lock(&c->mutex);
        const bool ends = c->ends;
        pthread_mutex_unlock(&c->mutex);
        if (fd < 0 || ends) {
            if (fd >= 0) {
                close(fd);
            }
            break;
        }
        collector_serve(c, fd, room);
        close(fd);
    }
    free(room);
    return NULL;
}

static inline void collector_start(collector_t *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    *c = (collector_t){.status = 200, .answer = "{}", .more = "", .spans = json_array()};
    c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(c->listener, (void *)&address, bytes), 0);
    assert_int_equal(listen(c->listener, 4), 0);
    assert_int_equal(getsockname(c->listener, (void *)&address, &bytes), 0);
    snprintf(c->endpoint, sizeof c->endpoint, "http://127.0.0.1:%u", ntohs(address.sin_port));
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->changed, NULL);
    assert_int_equal(pthread_create(&c->thread, NULL, collector_run, c), 0);
}

/* After the last tracer that speaks with it has ended. */
static inline void collector_stop(collector_t *c)
{
    pthread_mutex_lock(&c->mutex);
    c->ends = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
    shutdown(c->listener, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->listener);
    json_decref(c->spans);
    pthread_mutex_destroy(&c->mutex);
    pthread_cond_destroy(&c->changed);
}

static inline void collector_say(collector_t *c, int status, const char *answer, const char *more)
{
    pthread_mutex_lock(&c->mutex);
    c->status = status;
    c->answer = answer;
    c->more = more;
    pthread_mutex_unlock(&c->mutex);
}

static inline void collector_hold(collector_t *c, bool holds)
{
    pthread_mutex_lock(&c->mutex);
    c->holds = holds;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

/* Waits until so many requests have come since the start. */
static inline void collector_await(collector_t *c, uint32_t requests)
{
    pthread_mutex_lock(&c->mutex);
    while (c->requests < requests) {
        pthread_cond_wait(&c->changed, &c->mutex);
    }
    pthread_mutex_unlock(&c->mutex);
}

/* Its spans so far, in the order in which they came. The caller owns the array. */
static inline json_t *collector_spans(collector_t *c)
{
    pthread_mutex_lock(&c->mutex);
    json_t *const copy = json_deep_copy(c->spans);
    pthread_mutex_unlock(&c->mutex);
    return copy;
}

/* A field of a span that is a text. */
static inline const char *span_text(const json_t *span, const char *key)
{
    const char *const text = json_string_value(json_object_get(span, key));
    return text != NULL ? text : "";
}

static inline dx_tracer_stats_t tracer_stats(const dx_tracer_t *tracer)
{
    dx_tracer_stats_t stats;
    dx_tracer_stats(tracer, &stats);
    return stats;
}

#endif
