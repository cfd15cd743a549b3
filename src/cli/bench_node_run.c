/* bench_node_run.c - a run of load on a node.
 *
 * DESIGN
 *
 * All clients connect and subscribe first. Then the publishers' threads start at one time, which
 * the main thread sets; each publishes its share of the rate, event n at begin + n / rate, in turn
 * to each topic. When they are done, the main thread waits until the subscribers have as much as
 * was published, or nothing more came for IDLE_NS.
 *
 * Latency counts from when an event was due (with a rate) or from when its call began (without): a
 * publisher that is held up does not hide what it held up.
 *
 * INVARIANTS
 *
 *   I1  each histogram, check and counter has one writer: a publisher's thread, or a client's
 *   I2  the main thread reads them after the writer has ended (joined, or its client closed); while
 *       they run it reads only atomic words
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "cli/bench_node.h"
#include "cli/commands.h"
#include "cli/dev_node.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/pace.h"
#include "cli/target.h"
#include "disruptorx/thread.h"

#define SPIN_NS (60 * DX_NS_PER_US)
#define IDLE_NS (3 * DX_NS_PER_S) /* nothing more comes */
#define POLL_NS (5 * DX_NS_PER_MS)
#define FLUSH_NS (30 * DX_NS_PER_S)
#define BEGIN_NS                                                                                   \
    (20 * DX_NS_PER_MS)   /* from now until the first is due: threads have started then */
#define LARGE_BYTES 65536 /* payloads from here on want a larger window than the usual one */
#define SLOTS 131072      /* receipts on their way: twice the client's window */

/* A publication whose receipt is awaited. */
typedef struct slot {
    struct publisher *publisher;
    int64_t due_ns;
} slot_t;

typedef struct publisher {
    const struct load *load;
    uint32_t index;
    dx_client_t *client;
    dx_thread_t *thread;
    dx_histogram_t *lateness;
    int64_t published;
    uint64_t checksum;
    uint64_t *numbers; /* of each topic: the next */
    char *payloads;    /* of a batch */
    dx_message_t *messages;
    int64_t end_ns;
    int code;
    dx_error_t error;

    /* Of the client's thread. */
    slot_t *slots;
    dx_histogram_t *latency;
    int64_t acknowledged;
    int64_t refused;
} publisher_t;

typedef struct subscriber {
    const struct load *load;
    dx_client_t *client;
    dx_client_subscription_t *subscription;
    dx_histogram_t *latency;
    dxi_load_check_t check;
    int64_t gaps;
    dx_atomic64_t received; /* RELAXED: a number for the main thread to wait by */
    dx_atomic64_t last_ns;
} subscriber_t;

typedef struct load {
    const char *speaker;
    const dxi_node_bench_t *bench;
    char prefix[64];
    char (*topics)[96];
    uint32_t run;
    int64_t begin_ns;
    dxi_dev_node_t dev;
    publisher_t *publishers;
    subscriber_t *subscribers;
    int64_t publisher_count;
    int64_t subscriber_count;
} load_t;

/* ------------------------------------------------------------------------------------ receiving */

static int on_event(void *context, const dx_event_t *event)
{
    subscriber_t *const subscriber = context;
    const load_t *const load = subscriber->load;
    dxi_load_head_t head;
    if (dxi_load_take(&subscriber->check, event->data, event->bytes, &head)) {
        const int64_t now_ns = dx_clock_ns();
        if (head.due_ns >= load->begin_ns + load->bench->warmup_ns) {
            dx_histogram_record(subscriber->latency, now_ns - head.due_ns);
        }
        dx_store_relaxed(&subscriber->last_ns, now_ns);
    }
    dx_store_relaxed(&subscriber->received, subscriber->check.events);
    return DX_OK;
}

static void on_gap(void *context, const dx_gap_t *gap)
{
    subscriber_t *const subscriber = context;
    subscriber->gaps += (int64_t)(gap->last - gap->first + 1);
}

static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    const slot_t *const slot = context;
    publisher_t *const publisher = slot->publisher;
    if (receipt->code != DX_OK) {
        publisher->refused++;
        return;
    }
    publisher->acknowledged++;
    if (publisher->load->bench->kind == DXI_NODE_BENCH_PUB) {
        dx_histogram_record(publisher->latency, dx_clock_ns() - slot->due_ns);
    }
}

/* ----------------------------------------------------------------------------------- publishing */

/* Fills message `at` of a batch: number `index` of this publisher, due at `due_ns`. */
static void message_fill(publisher_t *publisher, int64_t at, int64_t index, int64_t due_ns)
{
    const load_t *const load = publisher->load;
    const uint32_t topics = (uint32_t)load->bench->topics;
    const uint32_t topic = (uint32_t)(index % topics);
    const uint32_t stream = publisher->index * topics + topic;
    const dxi_load_head_t head = {
        .word = dxi_load_word(load->run, stream, publisher->numbers[topic]++), .due_ns = due_ns};
    char *const payload = publisher->payloads + at * load->bench->bytes;
    memcpy(payload, &head, sizeof head);
    publisher->checksum += dxi_load_mix(head.word);
    publisher->messages[at].topic = load->topics[topic];
}

static int batch_send_acknowledged(publisher_t *publisher, int64_t count, int64_t due_ns)
{
    for (int64_t i = 0; i < count; i++) {
        slot_t *const slot = &publisher->slots[(publisher->published + i) % SLOTS];
        slot->publisher = publisher;
        slot->due_ns = due_ns;
        const int result = dx_client_publish_async(publisher->client, &publisher->messages[i],
                                                   on_receipt, slot, &publisher->error);
        if (result != DX_OK) {
            publisher->published += i;
            return result;
        }
    }
    publisher->published += count;
    return DX_OK;
}

static int batch_send(publisher_t *publisher, int64_t count)
{
    int64_t sent = 0;
    while (sent < count) {
        int result = 0;
        if (count == 1) {
            result = dx_client_publish(publisher->client, publisher->messages, &publisher->error);
            result = result == DX_OK ? 1 : result;
        } else {
            result = dx_client_publish_batch(publisher->client, publisher->messages + sent,
                                             (int)(count - sent), &publisher->error);
        }
        if (result < 0) {
            publisher->published += sent;
            return result;
        }
        sent += result;
    }
    publisher->published += count;
    return DX_OK;
}

/* Waits until `due_ns`, and takes the turns of the client meanwhile where that is wished for. */
static bool due_wait(const publisher_t *publisher, int64_t due_ns)
{
    if (!publisher->load->bench->drive) {
        return dxi_pace_wait(due_ns, SPIN_NS, dxi_interrupt_word());
    }
    while (dx_clock_ns() < due_ns && !dxi_interrupted()) {
        const int done = dx_client_drive(publisher->client);
        if (done < 0) {
            break; /* the next publication says why */
        }
        if (done == 0) {
            (void)sched_yield(); /* the node may want this processor */
        }
    }
    return !dxi_interrupted();
}

/* Publishes until the time or the count is over. */
static int events_send(publisher_t *publisher)
{
    const load_t *const load = publisher->load;
    const dxi_node_bench_t *const bench = load->bench;
    const int64_t end_ns = load->begin_ns + bench->ns;
    const int64_t share = bench->rate / bench->publishers;
    const int64_t total = bench->count / bench->publishers;
    int result = DX_OK;
    int64_t sent = 0;
    while (result == DX_OK && !dxi_interrupted() && (total == 0 || sent < total)) {
        const int64_t count =
            total > 0 && total - sent < bench->batch ? total - sent : bench->batch;
        int64_t due_ns = dx_clock_ns();
        if (share > 0) {
            /* A batch leaves when its last is due, and each is late by what it waited for that. */
            const int64_t last_ns = dxi_pace_due_ns(load->begin_ns, share, sent + count - 1);
            if (last_ns >= end_ns || !due_wait(publisher, last_ns)) {
                break;
            }
        } else if (total == 0 && due_ns >= end_ns) {
            break;
        }
        for (int64_t i = 0; i < count; i++) {
            due_ns = share > 0 ? dxi_pace_due_ns(load->begin_ns, share, sent + i) : due_ns;
            message_fill(publisher, i, sent + i, due_ns);
        }
        if (share > 0) {
            dx_histogram_record(publisher->lateness, dx_clock_ns() - due_ns);
        }
        result = bench->ack ? batch_send_acknowledged(publisher, count, due_ns)
                            : batch_send(publisher, count);
        sent += count;
    }
    return result;
}

static void publisher_run(void *context)
{
    publisher_t *const publisher = context;
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* sleeps end when they should */
    if (dxi_pace_wait(publisher->load->begin_ns, SPIN_NS, dxi_interrupt_word())) {
        publisher->code = events_send(publisher);
    }
    if (publisher->code == DX_OK) {
        publisher->code = dx_client_flush(publisher->client, FLUSH_NS, &publisher->error);
    }
    publisher->end_ns = dx_clock_ns();
}

/* --------------------------------------------------------------------------------------- set-up */

static int publisher_make(load_t *load, publisher_t *publisher, uint32_t index, dx_error_t *error)
{
    const dxi_node_bench_t *const bench = load->bench;
    const size_t batch = (size_t)bench->batch;
    publisher->load = load;
    publisher->index = index;
    publisher->numbers = dxi_alloc_zeroed((size_t)bench->topics, sizeof *publisher->numbers);
    publisher->payloads = dxi_alloc_zeroed(batch, (size_t)bench->bytes);
    publisher->messages = dxi_alloc_zeroed(batch, sizeof *publisher->messages);
    publisher->slots = bench->ack ? dxi_alloc_zeroed(SLOTS, sizeof *publisher->slots) : NULL;
    if (publisher->numbers == NULL || publisher->payloads == NULL || publisher->messages == NULL ||
        (bench->ack && publisher->slots == NULL)) {
        return dxi_fail(error, DX_ENOMEM, "no memory for publisher %u", index);
    }
    for (size_t i = 0; i < batch; i++) {
        char *const payload = publisher->payloads + i * (size_t)bench->bytes;
        dxi_load_pattern(payload, (size_t)bench->bytes);
        publisher->messages[i].data = payload;
        publisher->messages[i].bytes = (size_t)bench->bytes;
    }
    const int result = dx_histogram_create(&publisher->lateness, error);
    return result == DX_OK ? dx_histogram_create(&publisher->latency, error) : result;
}

static int subscriber_make(load_t *load, subscriber_t *subscriber, dx_error_t *error)
{
    const dxi_node_bench_t *const bench = load->bench;
    const bool alone = bench->kind != DXI_NODE_BENCH_SUB;
    const uint32_t streams =
        alone ? (uint32_t)(bench->publishers * bench->topics) : (uint32_t)DXI_LOAD_STREAMS_MAX;
    subscriber->load = load;
    if (dxi_load_check_init(&subscriber->check, alone ? (int32_t)load->run : -1, streams,
                            alone ? (size_t)bench->bytes : 0) != DX_OK) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscriber");
    }
    return dx_histogram_create(&subscriber->latency, error);
}

static int subscriber_subscribe(load_t *load, subscriber_t *subscriber, dx_error_t *error)
{
    char pattern[128];
    snprintf(pattern, sizeof pattern, "%s.>", load->prefix);
    const dx_subscription_options_t options = {
        .pattern = pattern,
        .context = subscriber,
        .on_event = on_event,
        .on_gap = on_gap,
        .group = load->bench->group ? load->prefix : NULL,
        .ack = load->bench->group ? DX_ACK_AUTO : DX_ACK_NONE,
        .slow = load->bench->slow == 0 ? DX_SLOW_BLOCK : DX_SLOW_DROP,
        .slow_block_ns = 10 * DX_NS_PER_S,
    };
    return dx_client_subscribe(subscriber->client, &options, &subscriber->subscription, error);
}

/* Connects one client. Returns DXI_CONNECTED or an exit code. */
static int client_open(load_t *load, dx_client_t **client_out)
{
    const dx_client_options_t wishes = {
        .busy_poll = load->bench->busy_poll,
        .timeout_ns = FLUSH_NS,
        .window_bytes = load->bench->bytes > LARGE_BYTES ? DXI_WINDOW_BYTES_LARGE : 0};
    if (load->dev.node != NULL) {
        dxi_target_words()->address = dxi_dev_node_address(&load->dev);
        dxi_target_words()->context = NULL;
    }
    return dxi_target_connect(load->speaker, &wishes, client_out);
}

static int clients_open(load_t *load)
{
    const bool one = load->bench->kind == DXI_NODE_BENCH_ROUND_TRIP;
    int exit_code = DXI_CONNECTED;
    for (int64_t i = 0; i < load->subscriber_count && exit_code == DXI_CONNECTED; i++) {
        exit_code = client_open(load, &load->subscribers[i].client);
    }
    for (int64_t i = 0; i < load->publisher_count && exit_code == DXI_CONNECTED; i++) {
        if (one) {
            load->publishers[i].client = load->subscribers[0].client;
        } else {
            exit_code = client_open(load, &load->publishers[i].client);
        }
    }
    return exit_code;
}

static void names_make(load_t *load)
{
    const dxi_node_bench_t *const bench = load->bench;
    const uint64_t random = (uint64_t)dx_clock_realtime_ns() ^ ((uint64_t)getpid() << 32);
    load->run = (uint32_t)(dxi_load_mix(random) & 255U);
    if (bench->topic != NULL) {
        snprintf(load->prefix, sizeof load->prefix, "%s", bench->topic);
    } else {
        snprintf(load->prefix, sizeof load->prefix, "dx.bench.%08" PRIx32,
                 (uint32_t)dxi_load_mix(random));
    }
    for (int64_t i = 0; i < bench->topics; i++) {
        snprintf(load->topics[i], sizeof load->topics[i], "%s.%" PRId64, load->prefix, i);
    }
}

static int load_make(load_t *load, dx_error_t *error)
{
    const dxi_node_bench_t *const bench = load->bench;
    load->publisher_count = bench->kind == DXI_NODE_BENCH_SUB ? 0 : bench->publishers;
    load->subscriber_count = bench->kind == DXI_NODE_BENCH_PUB ? 0 : bench->subscribers;
    load->topics = dxi_alloc_zeroed((size_t)bench->topics, sizeof *load->topics);
    load->publishers = dxi_alloc_zeroed(DXI_NODE_BENCH_CLIENTS_MAX, sizeof *load->publishers);
    load->subscribers = dxi_alloc_zeroed(DXI_NODE_BENCH_CLIENTS_MAX, sizeof *load->subscribers);
    if (load->topics == NULL || load->publishers == NULL || load->subscribers == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the clients");
    }
    names_make(load);
    int result = DX_OK;
    for (int64_t i = 0; i < load->publisher_count && result == DX_OK; i++) {
        result = publisher_make(load, &load->publishers[i], (uint32_t)i, error);
    }
    for (int64_t i = 0; i < load->subscriber_count && result == DX_OK; i++) {
        result = subscriber_make(load, &load->subscribers[i], error);
    }
    if (result == DX_OK && bench->own_node) {
        result =
            dxi_dev_node_start((dxi_dev_transport_t)bench->transport, NULL, 0, &load->dev, error);
    }
    return result;
}

/* ------------------------------------------------------------------------------------------ run */

static int threads_start(load_t *load, dx_error_t *error)
{
    const dx_thread_options_t options = {.name = "dx-publisher"};
    int result = DX_OK;
    load->begin_ns = dx_clock_ns() + BEGIN_NS;
    for (int64_t i = 0; i < load->publisher_count && result == DX_OK; i++) {
        result = dx_thread_start(&options, publisher_run, &load->publishers[i],
                                 &load->publishers[i].thread, error);
    }
    if (result != DX_OK) {
        dxi_interrupt_end(); /* those that run stop */
    }
    return result;
}

/* Joins the publishers. Returns the first failure. */
static int threads_join(load_t *load, dx_error_t *error)
{
    int result = DX_OK;
    for (int64_t i = 0; i < load->publisher_count; i++) {
        publisher_t *const publisher = &load->publishers[i];
        (void)dx_thread_join(publisher->thread);
        if (publisher->code != DX_OK && result == DX_OK) {
            result = publisher->code;
            *error = publisher->error;
            error->code = result;
            dxi_fail_context(error, "publisher %" PRId64 " after %" PRId64 " events", i,
                             publisher->published);
        }
    }
    return result;
}

/* What everybody has; of a group, all together. */
static int64_t received_by_all(const load_t *load)
{
    int64_t least = INT64_MAX;
    int64_t sum = 0;
    for (int64_t i = 0; i < load->subscriber_count; i++) {
        const int64_t received = dx_load_relaxed(&load->subscribers[i].received);
        least = received < least ? received : least;
        sum += received;
    }
    return load->bench->group || load->subscriber_count == 0 ? sum : least;
}

/* Waits until everybody has `wanted`, or nothing more comes. */
static void receive_rest(const load_t *load, int64_t wanted)
{
    int64_t seen = -1;
    int64_t seen_ns = dx_clock_ns();
    for (;;) {
        const int64_t received = received_by_all(load);
        const int64_t now_ns = dx_clock_ns();
        if (received >= wanted) {
            return;
        }
        if (received != seen) {
            seen = received;
            seen_ns = now_ns;
        } else if (now_ns - seen_ns > IDLE_NS) {
            return;
        }
        (void)dxi_pace_wait(now_ns + POLL_NS, 0, &(dx_atomic32_t){0});
    }
}

/* dx bench sub: as long as it was told to, from the first event on. */
static void receive_for(const load_t *load)
{
    while (received_by_all(load) == 0) {
        if (dxi_interrupt_wait(POLL_NS) == DXI_WOKEN_INTERRUPT) {
            return;
        }
    }
    (void)dxi_interrupt_wait(load->bench->ns);
}

static int run_connected(load_t *load, dx_error_t *error)
{
    int result = DX_OK;
    load->begin_ns = INT64_MIN / 2; /* dx bench sub: whenever it was due, it counts */
    for (int64_t i = 0; i < load->subscriber_count && result == DX_OK; i++) {
        result = subscriber_subscribe(load, &load->subscribers[i], error);
    }
    if (result != DX_OK) {
        return result;
    }
    if (load->bench->kind == DXI_NODE_BENCH_SUB) {
        receive_for(load);
        return DX_OK;
    }
    result = threads_start(load, error);
    const int joined = threads_join(load, error);
    result = result == DX_OK ? joined : result;
    if (result == DX_OK && load->subscriber_count > 0) {
        int64_t published = 0;
        for (int64_t i = 0; i < load->publisher_count; i++) {
            published += load->publishers[i].published;
        }
        receive_rest(load, published);
    }
    return result;
}

/* -------------------------------------------------------------------------------------- results */

static void client_add(const dx_client_t *client, dxi_node_result_t *result)
{
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    result->lost_by_client += (int64_t)stats.lost;
    result->reconnects += (int64_t)stats.reconnects;
    result->wire_out += (int64_t)stats.bytes_out;
    result->wire_in += (int64_t)stats.bytes_in;
    result->batches += (int64_t)(stats.batches_in + stats.batches_out);
    memcpy(result->address, stats.address, sizeof result->address);
    memcpy(result->node_name, stats.node_name, sizeof result->node_name);
    result->refused += (int64_t)stats.refused;
}

/* Removes the topics that only this run used. */
static void topics_remove(const load_t *load)
{
    dx_client_t *const client = load->publisher_count > 0    ? load->publishers[0].client
                                : load->subscriber_count > 0 ? load->subscribers[0].client
                                                             : NULL;
    const int64_t topics = client != NULL && load->bench->topic == NULL ? load->bench->topics : 0;
    for (int64_t i = 0; i < topics; i++) {
        const int result = dx_client_topic_delete(client, load->topics[i], NULL);
        if (result != DX_OK && result != DX_ENOTFOUND) {
            return; /* a node that does not answer would not for the others */
        }
    }
}

static void clients_close(load_t *load, dxi_node_result_t *result)
{
    for (int64_t i = 0; i < load->subscriber_count; i++) {
        if (load->subscribers[i].subscription != NULL) {
            (void)dx_client_unsubscribe(load->subscribers[i].subscription, 0);
        }
    }
    topics_remove(load);
    for (int64_t i = 0; i < load->publisher_count; i++) {
        dx_client_t *const client = load->publishers[i].client;
        if (client != NULL) {
            client_add(client, result);
        }
        if (client != NULL && load->bench->kind != DXI_NODE_BENCH_ROUND_TRIP) {
            (void)dx_client_close(client, DX_NS_PER_S);
        }
    }
    for (int64_t i = 0; i < load->subscriber_count; i++) {
        if (load->subscribers[i].client != NULL) {
            client_add(load->subscribers[i].client, result);
            (void)dx_client_close(load->subscribers[i].client, DX_NS_PER_S);
        }
    }
}

/* After all have ended (I2). */
static void publishers_add(const load_t *load, dxi_node_result_t *result)
{
    for (int64_t i = 0; i < load->publisher_count; i++) {
        const publisher_t *const publisher = &load->publishers[i];
        const int64_t ns = publisher->end_ns - load->begin_ns;
        result->published += publisher->published;
        result->acknowledged += publisher->acknowledged;
        result->checksum_sent += publisher->checksum;
        result->publish_ns = ns > result->publish_ns ? ns : result->publish_ns;
        dx_histogram_add(result->lateness, publisher->lateness);
        if (load->bench->kind == DXI_NODE_BENCH_PUB) {
            dx_histogram_add(result->latency, publisher->latency);
        }
    }
}

static void subscribers_add(const load_t *load, dxi_node_result_t *result)
{
    for (int64_t i = 0; i < load->subscriber_count; i++) {
        const subscriber_t *const subscriber = &load->subscribers[i];
        const dxi_load_check_t *const check = &subscriber->check;
        const int64_t ns = dx_load_relaxed(&subscriber->last_ns) - load->begin_ns;
        result->received += check->events;
        result->gaps += subscriber->gaps;
        result->corrupt += check->corrupt;
        result->foreign += check->foreign;
        if (load->bench->group) { /* the others have what one has not: the sum tells */
            result->checksum_received += check->checksum;
        } else {
            result->lost += check->lost;
            result->repeated += check->repeated;
            result->checksum_received = check->checksum;
            result->checksums_differ += check->checksum != result->checksum_sent;
        }
        if (load->bench->kind == DXI_NODE_BENCH_SUB) {
            result->receive_ns = load->bench->ns;
        } else {
            result->receive_ns = ns > result->receive_ns ? ns : result->receive_ns;
        }
        dx_histogram_add(result->latency, subscriber->latency);
    }
    if (load->bench->group) {
        result->checksums_differ = result->checksum_received != result->checksum_sent;
    }
}

static void load_free(load_t *load)
{
    for (int64_t i = 0; i < load->publisher_count && load->publishers != NULL; i++) {
        publisher_t *const publisher = &load->publishers[i];
        dx_histogram_destroy(publisher->lateness);
        dx_histogram_destroy(publisher->latency);
        dxi_free(publisher->numbers);
        dxi_free(publisher->payloads);
        dxi_free(publisher->messages);
        dxi_free(publisher->slots);
    }
    for (int64_t i = 0; i < load->subscriber_count && load->subscribers != NULL; i++) {
        dxi_load_check_free(&load->subscribers[i].check);
        dx_histogram_destroy(load->subscribers[i].latency);
    }
    dxi_free(load->topics);
    dxi_free(load->publishers);
    dxi_free(load->subscribers);
}

int dxi_node_bench_run(const char *speaker, const dxi_node_bench_t *bench,
                       dxi_node_result_t *result_out, int *exit_code_out)
{
    load_t load = {.speaker = speaker, .bench = bench};
    dx_error_t error = {0};
    memset(result_out, 0, sizeof *result_out);
    *exit_code_out = DXI_EXIT_OK;
    int result = dx_histogram_create(&result_out->latency, &error);
    if (result == DX_OK) {
        result = dx_histogram_create(&result_out->lateness, &error);
    }
    if (result == DX_OK) {
        result = load_make(&load, &error);
    }
    if (result == DX_OK) {
        const int opened = clients_open(&load);
        if (opened == DXI_CONNECTED) {
            result = run_connected(&load, &error);
        } else {
            *exit_code_out = opened;
        }
    }
    if (result != DX_OK) {
        dxi_complain_error(speaker, &error);
        *exit_code_out = dxi_target_exit_code(result);
    }
    if (load.subscribers != NULL && load.publishers != NULL) {
        clients_close(&load, result_out);
        publishers_add(&load, result_out);
        subscribers_add(&load, result_out);
    }
    result_out->interrupted = dxi_interrupted();
    dxi_dev_node_stop(&load.dev);
    load_free(&load);
    return *exit_code_out == DXI_EXIT_OK ? DX_OK : DX_ECANCELLED;
}

void dxi_node_result_free(dxi_node_result_t *result)
{
    dx_histogram_destroy(result->latency);
    dx_histogram_destroy(result->lateness);
}

bool dxi_node_result_is_good(const dxi_node_bench_t *bench, const dxi_node_result_t *result)
{
    const bool checked =
        bench->kind == DXI_NODE_BENCH_E2E || bench->kind == DXI_NODE_BENCH_ROUND_TRIP;
    const bool all_taken = result->refused == 0 && result->lost_by_client == 0 &&
                           (!bench->ack || result->acknowledged == result->published);
    const int64_t times = bench->group ? 1 : bench->subscribers;
    const bool all_came = !checked || (result->received == result->published * times &&
                                       result->checksums_differ == 0);
    return all_taken && all_came && result->lost == 0 && result->repeated == 0 &&
           result->corrupt == 0 && result->gaps == 0;
}
