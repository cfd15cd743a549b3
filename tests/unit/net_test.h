/* net_test.h - what the tests of src/net share: loops, sides of a conversation, waiting.
 *
 * Callbacks run in loops' threads and only write words of a `side_t` under its mutex; the test
 * waits for what they say. Nothing here waits for time, but until a limit that says "hung".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_TEST_H
#define NET_TEST_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "base_test.h"
#include "disruptorx/clock.h"
#include "net/connection.h"
#include "net/shm.h"

#define HUNG_S 60

/* One side: what its connections were told. */
typedef struct side {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    dxi_connection_t *connection; /* the last that opened, or was accepted; NULL when closed */
    int accepts, opens, frames, pauses, writables, closes, auths;
    uint64_t sum;      /* of the sequences of the frames */
    uint64_t payload;  /* bytes */
    dx_error_t why;    /* of the last close */
    uint8_t last_type; /* of the last frame */
    uint64_t count;    /* in the last DELIVER */
    dx_error_t error;  /* what the last ERROR frame said */
    bool ordered;      /* sequences came 1, 2, 3 ... */
    bool echo;         /* send each frame back */
    int answer;        /* of on_frame() */
    int auth_answer;   /* of on_auth() */
    char mechanism[40];
    char proof[80];
} side_t;

static inline void side_init(side_t *side)
{
    *side = (side_t){.ordered = true};
    pthread_mutex_init(&side->mutex, NULL);
    pthread_cond_init(&side->changed, NULL);
}

static inline void side_lock(side_t *side)
{
    pthread_mutex_lock(&side->mutex);
}

static inline void side_unlock(side_t *side)
{
    pthread_cond_broadcast(&side->changed);
    pthread_mutex_unlock(&side->mutex);
}

/* Waits until `condition`, which looks at `side`, is true. */
#define side_wait(side, condition)                                                                 \
    do {                                                                                           \
        struct timespec limit_here;                                                                \
        (void)clock_gettime(CLOCK_REALTIME, &limit_here);                                          \
        limit_here.tv_sec += HUNG_S;                                                               \
        bool hung_here = false;                                                                    \
        pthread_mutex_lock(&(side)->mutex);                                                        \
        while (!(condition) && !hung_here) {                                                       \
            hung_here =                                                                            \
                pthread_cond_timedwait(&(side)->changed, &(side)->mutex, &limit_here) != 0;        \
        }                                                                                          \
        pthread_mutex_unlock(&(side)->mutex);                                                      \
        if (hung_here) {                                                                           \
            fail_msg("%s:%d: waited in vain for %s (why: %s)", __FILE__, __LINE__, #condition,     \
                     (side)->why.message);                                                         \
        }                                                                                          \
    } while (0)

static inline int side_opens(side_t *side)
{
    side_lock(side);
    const int opens = side->opens;
    side_unlock(side);
    return opens;
}

static inline int side_closes(side_t *side)
{
    side_lock(side);
    const int closes = side->closes;
    side_unlock(side);
    return closes;
}

static inline int side_on_accept(void *context, dxi_connection_t *connection, dx_error_t *error)
{
    side_t *const side = context;
    (void)error;
    side_lock(side);
    side->accepts++;
    side->connection = connection;
    side_unlock(side);
    return DX_OK;
}

static inline void side_on_open(void *context, dxi_connection_t *connection)
{
    side_t *const side = context;
    side_lock(side);
    side->opens++;
    side->connection = connection;
    side_unlock(side);
}

static inline int side_on_frame(void *context, dxi_connection_t *connection,
                                const dx_frame_view_t *frame, dx_error_t *error)
{
    side_t *const side = context;
    (void)error;
    side_lock(side);
    const int answer = side->answer;
    if (answer == DX_OK) {
        side->frames++;
        side->ordered = side->ordered && frame->header->sequence == side->sum + 1;
        side->sum = frame->header->sequence;
        side->payload += frame->payload_bytes;
        side->last_type = frame->header->type;
        if (frame->header->type == DX_FRAME_DELIVER) {
            side->count = dx_frame_part_u64(frame, DX_PART_COUNT, 0);
        }
        if (frame->header->type == DX_FRAME_ERROR) {
            uint32_t bytes = 0;
            const dx_frame_code_t *const code = dx_frame_part(frame, DX_PART_CODE, &bytes);
            side->error.code = code->code;
            (void)snprintf(side->error.message, sizeof side->error.message, "%.*s",
                           (int)frame->payload_bytes, (const char *)frame->payload);
        }
        if (side->echo) {
            (void)!dxi_connection_send(connection, frame->header, frame->bytes);
        }
    }
    side_unlock(side);
    return answer;
}

static inline void side_on_pause(void *context, dxi_connection_t *connection)
{
    side_t *const side = context;
    (void)connection;
    side_lock(side);
    side->pauses++;
    side_unlock(side);
}

static inline void side_on_writable(void *context, dxi_connection_t *connection)
{
    side_t *const side = context;
    (void)connection;
    side_lock(side);
    side->writables++;
    side_unlock(side);
}

static inline int side_on_auth(void *context, dxi_connection_t *connection, const char *mechanism,
                               const void *proof, size_t proof_bytes, dx_error_t *error)
{
    side_t *const side = context;
    (void)connection;
    (void)error;
    side_lock(side);
    side->auths++;
    if (mechanism != NULL) {
        (void)snprintf(side->mechanism, sizeof side->mechanism, "%s", mechanism);
        (void)snprintf(side->proof, sizeof side->proof, "%.*s", (int)proof_bytes,
                       proof_bytes != 0 ? (const char *)proof : "");
    }
    const int answer = mechanism == NULL ? DX_EAGAIN : side->auth_answer;
    side_unlock(side);
    return answer;
}

static inline void side_on_close(void *context, dxi_connection_t *connection, const dx_error_t *why)
{
    side_t *const side = context;
    side_lock(side);
    side->closes++;
    side->why = *why;
    if (side->connection == connection) {
        side->connection = NULL;
    }
    side_unlock(side);
}

static inline dxi_connection_events_t side_events(side_t *side)
{
    return (dxi_connection_events_t){.context = side,
                                     .on_open = side_on_open,
                                     .on_frame = side_on_frame,
                                     .on_pause = side_on_pause,
                                     .on_writable = side_on_writable,
                                     .on_close = side_on_close};
}

static inline dxi_loop_t *loop_make(const char *name)
{
    dxi_loop_t *loop = NULL;
    dx_error_t error = {0};
    assert_ok(dxi_loop_create(&(dxi_loop_options_t){.name = name}, &loop, &error));
    return loop;
}

static inline dxi_loop_t *loop_started(const char *name)
{
    dxi_loop_t *const loop = loop_make(name);
    dx_error_t error = {0};
    assert_ok(dxi_loop_start(loop, &error));
    return loop;
}

/* Creating and closing a listener in its loop's thread. */
typedef struct listen_call {
    dxi_loop_t *loop;
    const dxi_address_t *address;
    const dxi_listener_options_t *options;
    dxi_listener_t *listener;
    dx_error_t error;
    int code;
} listen_call_t;

static inline void listen_run(void *context)
{
    listen_call_t *const call = context;
    call->code = dxi_listener_create(call->loop, call->address, call->options, &call->listener,
                                     &call->error);
}

static inline void listen_close_run(void *context)
{
    dxi_listener_close(context);
}

static inline dxi_listener_t *listen_on(dxi_loop_t *loop, const char *text,
                                        const dxi_listener_options_t *options)
{
    dxi_address_t address;
    dx_error_t error = {0};
    assert_ok(dxi_address_parse(text, &address, &error));
    listen_call_t call = {.loop = loop, .address = &address, .options = options};
    dxi_loop_call(loop, listen_run, &call);
    if (call.code != DX_OK) {
        fail_msg("cannot listen on %s: %s", text, call.error.message);
    }
    return call.listener;
}

static inline void listener_end(dxi_loop_t *loop, dxi_listener_t *listener)
{
    dxi_loop_call(loop, listen_close_run, listener);
}

typedef struct connect_call {
    dxi_loop_t *loop;
    const dxi_address_t *address;
    const dxi_connection_options_t *options;
    const dxi_connection_events_t *events;
    dxi_connection_t *connection;
    dx_error_t error;
    int code;
} connect_call_t;

static inline void connect_run(void *context)
{
    connect_call_t *const call = context;
    call->code = dxi_connection_connect(call->loop, call->address, call->options, call->events,
                                        &call->connection, &call->error);
}

static inline int connect_try(dxi_loop_t *loop, const dxi_address_t *address,
                              const dxi_connection_options_t *options,
                              const dxi_connection_events_t *events, dx_error_t *error)
{
    connect_call_t call = {.loop = loop, .address = address, .options = options, .events = events};
    dxi_loop_call(loop, connect_run, &call);
    *error = call.error;
    return call.code;
}

static inline void connect_to(dxi_loop_t *loop, const dxi_address_t *address,
                              const dxi_connection_options_t *options, side_t *side)
{
    static const dxi_connection_options_t defaults;
    const dxi_connection_events_t events = side_events(side);
    dx_error_t error = {0};
    const int code =
        connect_try(loop, address, options != NULL ? options : &defaults, &events, &error);
    if (code != DX_OK) {
        fail_msg("cannot begin to connect: %s", error.message);
    }
}

/* Frames to send, or an end, in the loop's thread. */
typedef struct send_call {
    side_t *side;
    uint64_t first;
    int count;
    uint32_t payload_bytes;
    int sent;
    int code;
    const char *sentence;
} send_call_t;

static inline void send_run(void *context)
{
    send_call_t *const call = context;
    static char payload[1048576];
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "orders.created");
    for (call->sent = 0; call->sent < call->count; call->sent++) {
        const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                        .sequence = call->first + (uint64_t)call->sent,
                                        .parts = &topic,
                                        .part_count = 1,
                                        .payload_bytes = call->payload_bytes};
        call->code = call->side->connection != NULL
                         ? dxi_connection_encode(call->side->connection, &draft, payload, NULL)
                         : DX_ECLOSED;
        if (call->code != DX_OK) {
            return;
        }
    }
}

/* Returns how many went into the ring. */
static inline int side_send(dxi_loop_t *loop, side_t *side, uint64_t first, int count,
                            uint32_t payload_bytes)
{
    send_call_t call = {
        .side = side, .first = first, .count = count, .payload_bytes = payload_bytes};
    dxi_loop_call(loop, send_run, &call);
    return call.sent;
}

static inline void close_run(void *context)
{
    send_call_t *const call = context;
    if (call->side->connection != NULL) {
        dxi_connection_close(call->side->connection, call->code, call->sentence);
    }
}

static inline void side_close(dxi_loop_t *loop, side_t *side, int code, const char *sentence)
{
    send_call_t call = {.side = side, .code = code, .sentence = sentence};
    dxi_loop_call(loop, close_run, &call);
}

/* A listener and a client, each on a loop of its own. */
typedef struct pair {
    dxi_loop_t *node_loop;
    dxi_loop_t *client_loop;
    dxi_listener_t *listener;
    side_t node;
    side_t client;
    int64_t live_before;
} pair_t;

/* What pair_begin() gives to its sides. */
static int pair_auth_answer;
static int (*pair_client_auth)(void *context, dxi_connection_t *connection, const char *mechanism,
                               const void *proof, size_t proof_bytes, dx_error_t *error);

static inline void pair_begin(pair_t *pair, const char *address,
                              const dxi_listener_options_t *wishes,
                              const dxi_connection_options_t *client_options)
{
    dxi_listener_options_t options = wishes != NULL ? *wishes : (dxi_listener_options_t){0};
#if DX_TEST_HOOKS
    pair->live_before = dxi_live_count();
#endif
    side_init(&pair->node);
    side_init(&pair->client);
    pair->node_loop = loop_started("node");
    pair->client_loop = loop_started("client");
    options.events = side_events(&pair->node);
    options.events.on_auth = wishes != NULL ? wishes->events.on_auth : NULL;
    options.on_accept = side_on_accept;
    pair->node.auth_answer = pair_auth_answer;
    options.connection.shm = true;
    options.connection.shm_ring_bytes = DXI_SHM_RING_BYTES_MIN;
    pair->listener = listen_on(pair->node_loop, address, &options);
    dxi_connection_events_t events = side_events(&pair->client);
    events.on_auth = pair_client_auth;
    dx_error_t error = {0};
    const dxi_connection_options_t none = {0};
    dxi_address_t to = *dxi_listener_address(pair->listener);
    to.transport = to.transport == DXI_UNIX && test_over_shm() ? DXI_SHM : to.transport;
    assert_ok(connect_try(pair->client_loop, &to, client_options != NULL ? client_options : &none,
                          &events, &error));
}

static inline void pair_open(pair_t *pair, const char *address,
                             const dxi_listener_options_t *wishes,
                             const dxi_connection_options_t *client_options)
{
    pair_begin(pair, address, wishes, client_options);
    side_wait(&pair->client, pair->client.opens == 1);
    side_wait(&pair->node, pair->node.opens == 1);
}

static inline void pair_end(pair_t *pair)
{
    listener_end(pair->node_loop, pair->listener);
    dxi_loop_destroy(pair->client_loop);
    dxi_loop_destroy(pair->node_loop);
    assert_int_equal(pair->client.closes, 1);
    assert_int_equal(pair->node.closes, pair->node.accepts);
#if DX_TEST_HOOKS
    assert_int_equal(dxi_live_count(), pair->live_before);
#endif
}

/* What is known of a side's connection, asked in its loop. */
static inline void info_run(void *context)
{
    side_t *const side = ((void **)context)[0];
    dxi_connection_info_t *const info = ((void **)context)[1];
    memset(info, 0, sizeof *info);
    if (side->connection != NULL) {
        dxi_connection_info(side->connection, info);
    }
}

static inline dxi_connection_info_t info_of(dxi_loop_t *loop, side_t *side)
{
    dxi_connection_info_t info;
    dxi_loop_call(loop, info_run, (void *[]){side, &info});
    return info;
}

#endif
