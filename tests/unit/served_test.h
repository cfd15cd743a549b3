/* served_test.h - what the tests of clients of a bus share: a bus that is served over a UNIX socket
 * in this process, and what arrives at handlers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVED_TEST_H
#define SERVED_TEST_H

#include <stdlib.h>
#include <unistd.h>

#include "bus/session.h"
#include "bus_test.h"
#include "disruptorx/client.h"
#include "patience.h"

typedef struct served {
    char folder[64];
    char address[128];
    char path[96];
    dx_bus_t *bus;
    dxi_listener_t *listener;
    dxi_session_policy_t policy;
    uint32_t loops;
} served_t;

static inline int ask(void *context, const char *question, const char *argument, char **text_out,
                      dx_error_t *error)
{
    (void)context;
    if (strcmp(question, "echo") != 0) {
        (void)snprintf(error->message, sizeof error->message, "no question is called %s", question);
        error->code = DX_ENOTFOUND;
        return DX_ENOTFOUND;
    }
    *text_out = malloc(strlen(argument) + 3);
    (void)sprintf(*text_out, "\"%s\"", argument);
    return DX_OK;
}

static inline void listen_in_loop(void *context)
{
    served_t *const served = context;
    uint32_t count = 0;
    dxi_loop_t *const *loops = dxi_bus_loops(served->bus, &count);
    dxi_address_t address;
    dxi_listener_options_t options = {.connection = {.shm = true}};
    dxi_bus_serve(served->bus, &served->policy, &options);
    check_said(dxi_address_parse(served->path, &address, &said), "address");
    check_said(dxi_listener_create(loops[0], &address, &options, &served->listener, &said),
               "dxi_listener_create()");
}

static inline void listener_end(void *context)
{
    served_t *const served = context;
    dxi_listener_close(served->listener);
    served->listener = NULL;
}

static inline dxi_loop_t *first_loop(const served_t *served)
{
    uint32_t count = 0;
    return dxi_bus_loops(served->bus, &count)[0];
}

static inline void bus_begin(served_t *served)
{
    served->bus = bus_started(served->loops);
    dxi_loop_call(first_loop(served), listen_in_loop, served);
}

static inline void bus_end(served_t *served)
{
    dxi_loop_call(first_loop(served), listener_end, served);
    (void)dxi_bus_sessions_close(served->bus, SOON_NS);
    (void)dx_bus_stop(served->bus, SOON_NS, &said);
    dx_bus_destroy(served->bus);
}

static inline served_t *serve(uint32_t loops)
{
    served_t *const served = calloc(1, sizeof *served);
    assert_non_null(served);
    served->loops = loops;
    served->policy.ask = ask;
    (void)snprintf(served->folder, sizeof served->folder, "/tmp/dx-client-XXXXXX");
    assert_non_null(mkdtemp(served->folder));
    (void)snprintf(served->path, sizeof served->path, "%s/s", served->folder);
    (void)snprintf(served->address, sizeof served->address, "%s://%s",
                   test_over_shm() ? "shm" : "unix", served->path);
    bus_begin(served);
    return served;
}

static inline void serve_end(served_t *served)
{
    bus_end(served);
    (void)unlink(served->path);
    assert_int_equal(rmdir(served->folder), 0);
    free(served);
}

static inline dx_client_t *client_of(const served_t *served)
{
    dx_client_t *client = NULL;
    const dx_client_options_t options = {.address = served->address,
                                         .timeout_ns = SOON_NS,
                                         .reconnect_min_ns = 1000000,
                                         .reconnect_max_ns = 5000000};
    check_said(dx_client_connect(&options, &client, &said), "dx_client_connect()");
    return client;
}

#define FOR_EACH_BUS(loops) for (uint32_t loops = 1; loops <= 2; loops++)

/* What arrives, by the number in the payload. */
typedef struct arrivals {
    dx_atomic64_t count, redelivered, disorders;
    uint64_t last; /* of one topic */
    dx_atomic64_t seen[65536];
    int64_t fail_first; /* so many first deliveries are refused */
    int fail_code;
    dx_client_t *client;
    dx_client_subscription_t *subscription;
} arrivals_t;

static inline void add(dx_atomic64_t *a)
{
    (void)dx_fetch_add_relaxed(a, 1);
}

static inline int arrive(void *context, const dx_event_t *event)
{
    arrivals_t *const arrivals = context;
    uint64_t value = 0;
    memcpy(&value, event->data, event->bytes < 8 ? event->bytes : 8);
    if (event->redelivered) {
        add(&arrivals->redelivered);
    } else {
        if (event->sequence <= arrivals->last) {
            add(&arrivals->disorders);
        }
        arrivals->last = event->sequence;
        if (arrivals->fail_first > 0) {
            arrivals->fail_first--;
            return arrivals->fail_code;
        }
    }
    add(&arrivals->seen[value % 65536]);
    (void)dx_fetch_add_relaxed(&arrivals->count, 1);
    return DX_OK;
}

static inline arrivals_t *arrivals_make(dx_client_t *client)
{
    arrivals_t *const arrivals = calloc(1, sizeof *arrivals);
    assert_non_null(arrivals);
    arrivals->client = client;
    return arrivals;
}

static inline void subscribe(arrivals_t *arrivals, dx_subscription_options_t options)
{
    options.context = arrivals;
    options.on_event = options.on_event != NULL ? options.on_event : arrive;
    check_said(dx_client_subscribe(arrivals->client, &options, &arrivals->subscription, &said),
               "dx_client_subscribe()");
}

static inline void publish(dx_client_t *client, const char *topic, uint64_t value)
{
    check_said(dx_client_publish(
                   client, &(dx_message_t){.topic = topic, .data = &value, .bytes = 8}, &said),
               "dx_client_publish()");
}

static inline int64_t loaded(const dx_atomic64_t *a)
{
    return dx_load_relaxed(a);
}

#endif
