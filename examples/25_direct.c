/* 25_direct.c - a direct topic: as fast as shared memory is.
 *
 *     25_direct [address]        such as unix:///run/dx.sock; without one it starts a node itself
 *
 * Teaches: declaring a topic that has a ring of its own in shared memory; publishing to it in
 * batches, and reading from it in a loop of one's own, without a system call and without the node;
 * a subscriber that comes over the connection and sees the same order; what the node knows of it.
 *
 * Run as two processes it is the same: the publisher and the subscribers know only the address.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <disruptorx/atomic.h>
#include <disruptorx/client.h>
#include <disruptorx/clock.h>
#include <disruptorx/node.h>

#define TICKS 100000
#define BATCH 64
#define DEADLINE_NS (30 * DX_NS_PER_S)

static dx_error_t error; /* of the main thread */

/* What is published: 32 bytes, as many as the topic's slots have room for. */
typedef struct tick {
    uint64_t number;
    uint64_t instrument;
    double bid, ask;
} tick_t;

typedef struct reader {
    dx_atomic64_t count, wrong, missed;
} reader_t;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "25_direct: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code >= 0, error.code == code ? error.message : dx_error_text(code));
}

/* A node of this process, on a UNIX socket: rings are handed to programs of the same host only. */
static dx_node_t *node_begin(const char *address)
{
    dx_config_t *config = NULL;
    dx_node_t *node = NULL;
    must(dx_config_create(&config, &error));
    must(dx_config_set(config, "listen.addresses", address, &error));
    must(dx_config_set(config, "log.level", "warn", &error));
    must(dx_node_create(config, &node, &error));
    must(dx_node_start(node, &error));
    dx_config_destroy(config);
    return node;
}

/* Several events at a time; they lie one behind the other in a copy of the ring's slots. */
static int on_ticks(void *context, const dx_event_t *events, int count)
{
    reader_t *reader = context;
    for (int i = 0; i < count; i++) {
        tick_t tick;
        memcpy(&tick, events[i].data, sizeof tick);
        const bool right = events[i].bytes == sizeof tick && events[i].sequence == tick.number;
        (void)dx_fetch_add_relaxed(&reader->wrong, right ? 0 : 1);
    }
    (void)dx_fetch_add_relaxed(&reader->count, count);
    return count;
}

/* A subscriber that was too slow for its policy, or a publisher that died, leaves a gap. */
static void on_gap(void *context, const dx_gap_t *gap)
{
    reader_t *reader = context;
    (void)dx_fetch_add_relaxed(&reader->missed, (int64_t)(gap->last - gap->first + 1));
}

static dx_client_subscription_t *subscribe(dx_client_t *client, const char *pattern,
                                           dx_dispatch_t dispatch, reader_t *reader)
{
    dx_client_subscription_t *subscription = NULL;
    const dx_subscription_options_t options = {.pattern = pattern,
                                               .on_batch = on_ticks,
                                               .on_gap = on_gap,
                                               .context = reader,
                                               .dispatch = dispatch,
                                               .slow = DX_SLOW_BLOCK, /* publishers wait for us */
                                               .slow_block_ns = DEADLINE_NS};
    must(dx_client_subscribe(client, &options, &subscription, &error));
    return subscription;
}

/* The publisher, in a program of its own as a rule. */
static void publish(void *context)
{
    dx_client_t *client = context;
    tick_t ticks[BATCH];
    dx_message_t messages[BATCH];
    for (uint64_t number = 1; number <= TICKS;) {
        int count = 0;
        for (; count < BATCH && number <= TICKS; count++, number++) {
            ticks[count] = (tick_t){number, number % 100, 99.5, 100.5};
            messages[count] = (dx_message_t){
                .topic = "ticks", .data = &ticks[count], .bytes = sizeof ticks[count]};
        }
        dx_error_t why = {0};
        require(dx_client_publish_batch(client, messages, count, &why) == count, why.message);
    }
}

static void run(const char *address)
{
    dx_client_t *from = NULL;
    dx_client_t *to = NULL;
    reader_t direct = {.count = {0}};
    reader_t remote = {.count = {0}};
    /* One thread publishes: no lock is taken on the way into the ring. */
    must(dx_client_connect(&(dx_client_options_t){.address = address, .single_publisher = true},
                           &from, &error));
    must(dx_client_connect(&(dx_client_options_t){.address = address}, &to, &error));

    /* The ring: 1 MiB of slots that take 32 bytes each. */
    const dx_topic_options_t options = {.direct_bytes = 1u << 20,
                                        .event_bytes_max = sizeof(tick_t)};
    must(dx_client_topic_create(from, "ticks", &options, &error));

    /* By name, it reads from the ring; by a pattern, from the connection: the same events. */
    dx_client_subscription_t *polled = subscribe(to, "ticks", DX_DISPATCH_POLL, &direct);
    dx_client_subscription_t *pattern = subscribe(to, "*", DX_DISPATCH_THREAD, &remote);

    dx_thread_t *thread = NULL;
    must(dx_thread_start(&(dx_thread_options_t){.name = "publisher"}, publish, from, &thread,
                         &error));
    const int64_t deadline_ns = dx_clock_ns() + DEADLINE_NS;
    while (dx_load_acquire(&direct.count) < TICKS || dx_load_acquire(&remote.count) < TICKS) {
        must(dx_client_poll(polled)); /* calls on_ticks() here, and never waits */
        require(dx_clock_ns() < deadline_ns, "something did not arrive");
    }
    (void)dx_thread_join(thread);

    dx_topic_stats_t stats;
    must(dx_client_topic_stats(to, "ticks", &stats, &error));
    printf("ticks: %" PRIu64 " published, ring of %" PRIu32 " bytes, %" PRIu32 " subscriptions\n",
           stats.published, stats.options.direct_bytes, stats.subscriptions);
    printf("read from the ring: %" PRId64 ", over the connection: %" PRId64 ", missed: %" PRId64
           "\n",
           dx_load_acquire(&direct.count), dx_load_acquire(&remote.count),
           dx_load_acquire(&direct.missed) + dx_load_acquire(&remote.missed));
    require(dx_load_acquire(&direct.wrong) + dx_load_acquire(&remote.wrong) == 0,
            "an event has another sequence than its number");
    must(dx_client_unsubscribe(polled, DX_CLIENT_FOREVER));
    must(dx_client_unsubscribe(pattern, DX_CLIENT_FOREVER));
    must(dx_client_topic_delete(to, "ticks", &error));
    must(dx_client_close(from, DX_CLIENT_FOREVER));
    must(dx_client_close(to, DX_CLIENT_FOREVER));
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        run(argv[1]);
        return 0;
    }
    char folder[] = "/tmp/dx-direct-XXXXXX";
    char address[64];
    char path[48];
    require(mkdtemp(folder) != NULL, "no folder for the socket");
    (void)snprintf(path, sizeof path, "%s/s", folder);
    (void)snprintf(address, sizeof address, "unix://%s", path);
    dx_node_t *node = node_begin(address);
    run(address);
    must(dx_node_stop(node, DEADLINE_NS, &error));
    dx_node_destroy(node);
    (void)unlink(path);
    (void)rmdir(folder);
    return 0;
}
