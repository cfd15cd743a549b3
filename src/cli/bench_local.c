/* bench_local.c - `dx bench local`: a direct topic between two processes.
 *
 * QUESTION. How fast do two programs on one host talk through a direct topic, compared with what
 * the machine's memory allows?
 *
 * METHOD. Three processes: a node, a publisher and a reader, the last two each on a processor of
 * its own, both clients through the public interface, both spinning. In each round, one after the
 * other:
 *
 *     raw ping-pong     two words, each alone on its lines, one written by each side
 *     direct ping-pong  an event to the reader, which publishes one back: two topics
 *     raw copy          batches of as many bytes as the direct topic's slots take, copied into a
 *                       ring of the same size and out of it again, one word to say how far: one
 *                       producer, one consumer, no record format
 *     direct one way    dx_client_publish_batch() to dx_client_poll(), nothing acknowledged
 *
 * Each round trip is timed with two readings of the clock, which are part of it, in the raw one as
 * well. The reader checks each event: its sequence, its length and all of its bytes.
 *
 * NOT MEASURED. Waking a thread that sleeps, acknowledged publication, several publishers, the way
 * over the node (dx bench e2e).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fail.h"
#include "cli/bench.h"
#include "cli/bench_machine.h"
#include "cli/bench_stats.h"
#include "cli/commands.h"
#include "cli/dev_node.h"
#include "cli/options.h"
#include "cli/output.h"
#include "disruptorx/atomic.h"
#include "disruptorx/client.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"

#define SPEAKER "dx bench local"
#define BATCH_MAX 1024
#define HEAD_BYTES 8u /* of a slot */
#define PATIENCE_NS (120 * DX_NS_PER_S)
#define PING_RING_BYTES 65536u

typedef struct settings {
    int64_t bytes, batch, events, trips, rounds, ring_bytes;
    const char *cpus;
} settings_t;

/* What the processes share. Each word that is waited for stands alone. */
typedef struct shared {
    DX_ISOLATED dx_atomic64_t ping;
    DX_ISOLATED dx_atomic64_t pong;
    DX_ISOLATED dx_atomic64_t written;
    DX_ISOLATED dx_atomic64_t read;
    DX_ISOLATED dx_atomic64_t node_ready;
    dx_atomic64_t reader_ready; /* counts the steps it is ready for */
    dx_atomic64_t failed;       /* a DX_E*: all end */
    dx_atomic64_t wrong;        /* events that were not what they should be */
    dx_atomic64_t over;
    char address[256];
    char sentence[DX_ERROR_MESSAGE_BYTES];
} shared_t;

typedef struct bench {
    settings_t settings;
    dxi_bench_cpus_t cpus;
    shared_t *shared;
    char *ring; /* of the raw copy */
    uint32_t slot_bytes, slots;
    dx_client_t *client;
    uint32_t *trips; /* ns of each */
    dx_error_t error;
} bench_t;

typedef struct results {
    double raw_trip[DXI_BENCH_ROUNDS_MAX], trip[DXI_BENCH_ROUNDS_MAX];
    double raw_trip_p99[DXI_BENCH_ROUNDS_MAX], trip_p99[DXI_BENCH_ROUNDS_MAX];
    double copy[DXI_BENCH_ROUNDS_MAX], one_way[DXI_BENCH_ROUNDS_MAX];
} results_t;

/* --------------------------------------------------------------------------------- together */

/* Says that all is over, and why. */
static void fail_all(const bench_t *bench, int code)
{
    shared_t *shared = bench->shared;
    int64_t none = 0;
    if (dx_compare_exchange_acq_rel(&shared->failed, &none, code)) {
        (void)snprintf(shared->sentence, sizeof shared->sentence, "%s",
                       bench->error.message[0] != '\0' ? bench->error.message
                                                       : dx_error_text(code));
    }
}

static bool is_failed(const bench_t *bench)
{
    return dx_load_acquire(&bench->shared->failed) != 0;
}

/* Waits until a word is at least `value`. False when somebody has failed. */
static bool wait_for(const bench_t *bench, const dx_atomic64_t *word, int64_t value)
{
    const int64_t deadline_ns = dx_clock_ns() + PATIENCE_NS;
    while (dx_load_acquire(word) < value) {
        if (is_failed(bench) || dx_clock_ns() > deadline_ns) {
            fail_all(bench, DX_ETIMEDOUT);
            return false;
        }
        (void)usleep(50);
    }
    return true;
}

static int pin(bench_t *bench, uint32_t which)
{
    dx_cpu_set_t set = {0};
    dx_cpu_set_add(&set, bench->cpus.cpus[which % bench->cpus.count]);
    return dx_thread_pin_self(&set, &bench->error);
}

static int client_make(bench_t *bench)
{
    const dx_client_options_t options = {
        .address = bench->shared->address, .timeout_ns = PATIENCE_NS, .single_publisher = true};
    return dx_client_connect(&options, &bench->client, &bench->error);
}

/* Spins until a word is at least `value`, in a stage that is timed. False when somebody has failed,
 * or it takes so long that the other side must have died. */
static bool spin_for(const bench_t *bench, const dx_atomic64_t *word, int64_t value)
{
    int64_t deadline_ns = 0;
    for (uint32_t spins = 1; dx_load_acquire(word) < value; spins++) {
        if ((spins & 0xfffff) == 0) {
            deadline_ns = deadline_ns != 0 ? deadline_ns : dx_clock_ns() + PATIENCE_NS;
            if (is_failed(bench) || dx_clock_ns() > deadline_ns) {
                fail_all(bench, DX_ETIMEDOUT);
                return false;
            }
        }
    }
    return true;
}

/* The bytes of an event, words of 8: its number, and what follows from it. Filling and checking
 * cost a few instructions a word, so that they are not what is measured. */
DX_INLINE void event_fill(char *data, size_t bytes, uint64_t number)
{
    for (size_t at = 0; at < bytes; at += sizeof number) {
        const uint64_t word = number + at;
        memcpy(data + at, &word, sizeof word);
    }
}

DX_INLINE bool event_is_right(const dx_event_t *event, size_t bytes, uint64_t number)
{
    uint64_t difference = (event->sequence ^ number) | (event->bytes ^ bytes);
    for (size_t at = 0; at < bytes && difference == 0; at += sizeof number) {
        uint64_t word = 0;
        memcpy(&word, (const char *)event->data + at, sizeof word);
        difference = word ^ (number + at);
    }
    return difference == 0;
}

/* --------------------------------------------------------------------------- the node's process */

static void node_process(bench_t *bench)
{
    dxi_dev_node_t node;
    const int code = dxi_dev_node_start(DXI_DEV_UNIX, NULL, 0, &node, &bench->error);
    if (code != DX_OK) {
        fail_all(bench, code);
        return;
    }
    (void)snprintf(bench->shared->address, sizeof bench->shared->address, "%s",
                   dxi_dev_node_address(&node));
    dx_store_release(&bench->shared->node_ready, 1);
    while (dx_load_acquire(&bench->shared->over) == 0 && !is_failed(bench)) {
        (void)usleep(1000);
    }
    dxi_dev_node_stop(&node);
}

/* ------------------------------------------------------------------------- the reader's process */

typedef struct reader {
    bench_t *bench;
    uint64_t next; /* number expected */
    uint64_t wrong;
    bool answers;
} reader_t;

static int on_events(void *context, const dx_event_t *events, int count)
{
    reader_t *reader = context;
    const size_t bytes = (size_t)reader->bench->settings.bytes;
    for (int i = 0; i < count; i++) {
        const uint64_t number = reader->next++;
        reader->wrong += !event_is_right(&events[i], bytes, number);
        if (reader->answers) {
            const dx_message_t message = {
                .topic = "pong", .data = events[i].data, .bytes = events[i].bytes};
            const int code =
                dx_client_publish(reader->bench->client, &message, &reader->bench->error);
            if (code != DX_OK) {
                fail_all(reader->bench, code);
            }
        }
    }
    return count;
}

static dx_client_subscription_t *subscribe(bench_t *bench, const char *topic, void *context,
                                           dx_events_fn on_batch)
{
    dx_client_subscription_t *subscription = NULL;
    const dx_subscription_options_t options = {.pattern = topic,
                                               .on_batch = on_batch,
                                               .context = context,
                                               .dispatch = DX_DISPATCH_POLL,
                                               .slow = DX_SLOW_BLOCK,
                                               .slow_block_ns = PATIENCE_NS};
    const int code = dx_client_subscribe(bench->client, &options, &subscription, &bench->error);
    if (code != DX_OK) {
        fail_all(bench, code);
    }
    return subscription;
}

static void poll_until(reader_t *reader, dx_client_subscription_t *subscription, uint64_t number)
{
    while (reader->next < number && !is_failed(reader->bench)) {
        for (int i = 0; i < 1000 && reader->next < number; i++) {
            const int code = dx_client_poll(subscription);
            if (code < 0) {
                fail_all(reader->bench, code);
                return;
            }
        }
    }
}

static void raw_answer(const bench_t *bench, int64_t first)
{
    shared_t *shared = bench->shared;
    for (int64_t i = first; i < first + bench->settings.trips; i++) {
        if (!spin_for(bench, &shared->ping, i)) {
            return;
        }
        dx_store_release(&shared->pong, i);
    }
}

static void copy_out(const bench_t *bench, int64_t first)
{
    shared_t *shared = bench->shared;
    const int64_t batch = bench->settings.batch;
    char *room = malloc((size_t)batch * bench->slot_bytes);
    for (int64_t at = first; room != NULL && at < first + bench->settings.events; at += batch) {
        if (!spin_for(bench, &shared->written, at + batch)) {
            break;
        }
        memcpy(room, bench->ring + (size_t)(at & (bench->slots - 1)) * bench->slot_bytes,
               (size_t)batch * bench->slot_bytes);
        dx_store_release(&shared->read, at + batch);
    }
    free(room);
}

static void reader_rounds(bench_t *bench)
{
    reader_t pings = {.bench = bench, .next = 1, .answers = true};
    reader_t many = {.bench = bench, .next = 1};
    dx_client_subscription_t *ping = subscribe(bench, "ping", &pings, on_events);
    dx_client_subscription_t *one_way = subscribe(bench, "one-way", &many, on_events);
    for (int64_t round = 0; round < bench->settings.rounds && !is_failed(bench); round++) {
        (void)dx_fetch_add_relaxed(&bench->shared->reader_ready, 1);
        raw_answer(bench, round * bench->settings.trips + 1);
        poll_until(&pings, ping, (uint64_t)((round + 1) * bench->settings.trips + 1));
        copy_out(bench, round * bench->settings.events);
        poll_until(&many, one_way, (uint64_t)((round + 1) * bench->settings.events + 1));
        dx_store_release(&bench->shared->read, -(round + 1)); /* all of them */
    }
    dx_store_release(&bench->shared->wrong, (int64_t)(pings.wrong + many.wrong));
    (void)dx_client_unsubscribe(ping, 0);
    (void)dx_client_unsubscribe(one_way, 0);
}

static void reader_process(bench_t *bench)
{
    if (!wait_for(bench, &bench->shared->reader_ready, 1)) { /* the topics are there */
        return;
    }
    int code = pin(bench, 1);
    if (code == DX_OK) {
        code = client_make(bench);
    }
    if (code != DX_OK) {
        fail_all(bench, code);
        return;
    }
    reader_rounds(bench);
    (void)dx_client_close(bench->client, DX_CLIENT_FOREVER);
    dx_store_release(&bench->shared->over, 1);
}

/* ------------------------------------------------------------------------- this process: writer */

static int compare(const void *a, const void *b)
{
    const uint32_t one = *(const uint32_t *)a;
    const uint32_t other = *(const uint32_t *)b;
    return one < other ? -1 : one > other;
}

static void percentiles(const bench_t *bench, double *p50_out, double *p99_out)
{
    const size_t count = (size_t)bench->settings.trips;
    qsort(bench->trips, count, sizeof bench->trips[0], compare);
    const size_t middle = count / 2;
    const size_t high = count - 1 - count / 100;
    *p50_out = bench->trips[middle];
    *p99_out = bench->trips[high];
}

static void raw_trips(const bench_t *bench, int64_t first)
{
    shared_t *shared = bench->shared;
    for (int64_t i = 0; i < bench->settings.trips; i++) {
        const int64_t began_ns = dx_clock_ns();
        dx_store_release(&shared->ping, first + i);
        if (!spin_for(bench, &shared->pong, first + i)) {
            return;
        }
        bench->trips[i] = (uint32_t)(dx_clock_ns() - began_ns);
    }
}

static int on_pongs(void *context, const dx_event_t *events, int count)
{
    uint64_t *pongs = context;
    (void)events;
    *pongs += (uint64_t)count;
    return count;
}

static int trips(bench_t *bench, dx_client_subscription_t *pong, uint64_t *pongs, uint64_t first)
{
    const size_t bytes = (size_t)bench->settings.bytes;
    char *data = malloc(bytes);
    int code = data != NULL ? DX_OK : DX_ENOMEM;
    for (int64_t i = 0; i < bench->settings.trips && code >= 0; i++) {
        const dx_message_t message = {.topic = "ping", .data = data, .bytes = bytes};
        const uint64_t goal = *pongs + 1;
        event_fill(data, bytes, first + (uint64_t)i);
        const int64_t began_ns = dx_clock_ns();
        code = dx_client_publish(bench->client, &message, &bench->error);
        for (uint32_t spins = 1; code >= 0 && *pongs < goal; spins++) {
            code = (spins & 0xfffff) == 0 && is_failed(bench) ? DX_ECLOSED : dx_client_poll(pong);
        }
        bench->trips[i] = (uint32_t)(dx_clock_ns() - began_ns);
    }
    free(data);
    return code < 0 ? code : DX_OK;
}

static void copy_in(const bench_t *bench, int64_t first, const char *from)
{
    shared_t *shared = bench->shared;
    const int64_t batch = bench->settings.batch;
    int64_t read = dx_load_acquire(&shared->read);
    for (int64_t at = first; at < first + bench->settings.events; at += batch) {
        if (at + batch - read > bench->slots) {
            if (!spin_for(bench, &shared->read, at + batch - bench->slots)) {
                return;
            }
            read = dx_load_acquire(&shared->read);
        }
        memcpy(bench->ring + (size_t)(at & (bench->slots - 1)) * bench->slot_bytes, from,
               (size_t)batch * bench->slot_bytes);
        dx_store_release(&shared->written, at + batch);
    }
    (void)spin_for(bench, &shared->read, first + bench->settings.events);
}

static int one_way(bench_t *bench, uint64_t first, char *data, int64_t round)
{
    dx_message_t messages[BATCH_MAX];
    const int64_t batch = bench->settings.batch;
    const size_t bytes = (size_t)bench->settings.bytes;
    for (int64_t i = 0; i < batch; i++) {
        messages[i] =
            (dx_message_t){.topic = "one-way", .data = data + (size_t)i * bytes, .bytes = bytes};
    }
    for (int64_t at = 0; at < bench->settings.events; at += batch) {
        for (int64_t i = 0; i < batch; i++) {
            event_fill(data + (size_t)i * bytes, bytes, first + (uint64_t)(at + i));
        }
        const int done =
            dx_client_publish_batch(bench->client, messages, (int)batch, &bench->error);
        if (done != (int)batch) {
            return done < 0 ? done : DX_ETIMEDOUT;
        }
    }
    while (dx_load_acquire(&bench->shared->read) != -(round + 1)) {
        if (is_failed(bench)) {
            return DX_ECLOSED;
        }
    }
    return DX_OK;
}

static double rate(int64_t events, int64_t began_ns)
{
    return (double)events * 1e9 / (double)(dx_clock_ns() - began_ns);
}

static int round_run(bench_t *bench, int64_t round, dx_client_subscription_t *pong, uint64_t *pongs,
                     char *data, results_t *results)
{
    const settings_t *s = &bench->settings;
    if (!wait_for(bench, &bench->shared->reader_ready, round + 2)) {
        return DX_ECLOSED;
    }
    raw_trips(bench, round * s->trips + 1);
    percentiles(bench, &results->raw_trip[round], &results->raw_trip_p99[round]);
    int code = trips(bench, pong, pongs, (uint64_t)(round * s->trips + 1));
    if (code != DX_OK) {
        return code;
    }
    percentiles(bench, &results->trip[round], &results->trip_p99[round]);
    dx_store_release(&bench->shared->read, round * s->events);
    dx_store_release(&bench->shared->written, round * s->events);
    int64_t began_ns = dx_clock_ns();
    copy_in(bench, round * s->events, data);
    results->copy[round] = rate(s->events, began_ns);
    began_ns = dx_clock_ns();
    code = one_way(bench, (uint64_t)(round * s->events + 1), data, round);
    results->one_way[round] = rate(s->events, began_ns);
    return code;
}

static int topics_make(bench_t *bench)
{
    static const char *const names[] = {"ping", "pong", "one-way"};
    int code = DX_OK;
    for (size_t i = 0; i < 3 && code == DX_OK; i++) {
        const dx_topic_options_t options = {
            .event_bytes_max = (uint32_t)bench->settings.bytes,
            .direct_bytes = i == 2 ? (uint32_t)bench->settings.ring_bytes : PING_RING_BYTES};
        code = dx_client_topic_create(bench->client, names[i], &options, &bench->error);
    }
    return code;
}

static int rounds_run(bench_t *bench, results_t *results)
{
    int code = pin(bench, 0);
    code = code == DX_OK ? client_make(bench) : code;
    code = code == DX_OK ? topics_make(bench) : code;
    if (code != DX_OK) {
        return code;
    }
    dx_store_release(&bench->shared->reader_ready, 1);
    uint64_t pongs = 0;
    dx_client_subscription_t *pong = subscribe(bench, "pong", &pongs, on_pongs);
    char *data = calloc((size_t)bench->settings.batch, bench->slot_bytes);
    code = pong == NULL ? DX_ECLOSED : data == NULL ? DX_ENOMEM : DX_OK;
    for (int64_t round = 0; round < bench->settings.rounds && code == DX_OK; round++) {
        code = round_run(bench, round, pong, &pongs, data, results);
    }
    free(data);
    (void)dx_client_unsubscribe(pong, 0);
    return code;
}

/* ------------------------------------------------------------------------------------ processes */

static pid_t process_start(bench_t *bench, void (*run)(bench_t *bench))
{
    const pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* never left behind */
        run(bench);
        _exit(0);
    }
    return child;
}

static int memory_make(bench_t *bench)
{
    const settings_t *s = &bench->settings;
    if (s->bytes % 8 != 0) {
        return dxi_fail(&bench->error, DX_EINVAL, "--bytes is %lld, must be a multiple of 8",
                        (long long)s->bytes);
    }
    bench->slot_bytes = HEAD_BYTES + (((uint32_t)s->bytes + 7) & ~7u);
    bench->slots = 1;
    while ((uint64_t)bench->slots * 2 <= (uint64_t)s->ring_bytes / bench->slot_bytes) {
        bench->slots *= 2;
    }
    if ((int64_t)bench->slots < 2 * s->batch) {
        return dxi_fail(&bench->error, DX_EINVAL,
                        "--ring has room for %u events, must have it for two batches of %lld",
                        bench->slots, (long long)s->batch);
    }
    const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
    bench->shared = mmap(NULL, sizeof *bench->shared, PROT_READ | PROT_WRITE, flags, -1, 0);
    bench->ring =
        mmap(NULL, (size_t)bench->slots * bench->slot_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    bench->trips = malloc((size_t)s->trips * sizeof bench->trips[0]);
    return bench->shared != MAP_FAILED && bench->ring != MAP_FAILED && bench->trips != NULL
               ? DX_OK
               : dxi_fail(&bench->error, DX_ENOMEM, "no memory for the benchmark");
}

/* Forks before this process has a thread. */
static int bench_run(bench_t *bench, results_t *results)
{
    int code = memory_make(bench);
    if (code != DX_OK) {
        return code;
    }
    const pid_t node = process_start(bench, node_process);
    const pid_t reader = process_start(bench, reader_process);
    if (node < 0 || reader < 0) {
        (void)dxi_fail(&bench->error, DX_EIO, "no further process can be made");
        fail_all(bench, DX_EIO);
    } else if (wait_for(bench, &bench->shared->node_ready, 1)) {
        code = rounds_run(bench, results);
        if (code != DX_OK) {
            fail_all(bench, code);
        }
    }
    if (reader > 0) {
        (void)waitpid(reader, NULL, 0);
    }
    (void)dx_client_close(bench->client, 0);
    dx_store_release(&bench->shared->over, 1);
    if (node > 0) {
        (void)waitpid(node, NULL, 0);
    }
    code = (int)dx_load_acquire(&bench->shared->failed);
    return code == 0 ? DX_OK : dxi_fail(&bench->error, code, "%s", bench->shared->sentence);
}

/* --------------------------------------------------------------------------------------- report */

static void report_json(const bench_t *bench, const results_t *results,
                        const dxi_bench_machine_t *machine)
{
    const settings_t *s = &bench->settings;
    const uint32_t count = (uint32_t)s->rounds;
    const struct {
        const char *key;
        const double *values;
    } rows[] = {{"raw_round_trip_p50_ns", results->raw_trip},
                {"raw_round_trip_p99_ns", results->raw_trip_p99},
                {"round_trip_p50_ns", results->trip},
                {"round_trip_p99_ns", results->trip_p99},
                {"raw_copy_events_s", results->copy},
                {"one_way_events_s", results->one_way}};
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "bench", "local");
    dxi_bench_machine_json(machine, &json);
    dxi_json_integer(&json, "bytes", s->bytes);
    dxi_json_integer(&json, "batch", s->batch);
    dxi_json_integer(&json, "events", s->events);
    dxi_json_integer(&json, "trips", s->trips);
    dxi_json_integer(&json, "rounds", s->rounds);
    dxi_json_integer(&json, "ring_bytes", s->ring_bytes);
    dxi_json_integer(&json, "wrong", dx_load_acquire(&bench->shared->wrong));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const dxi_bench_quartiles_t q = dxi_bench_quartiles(rows[i].values, count);
        dxi_bench_quartiles_json(&json, rows[i].key, &q);
    }
    dxi_json_object_end(&json);
    (void)dxi_json_finish(&json);
}

static void report_print(const bench_t *bench, const results_t *results,
                         const dxi_bench_machine_t *machine)
{
    const settings_t *s = &bench->settings;
    const uint32_t count = (uint32_t)s->rounds;
    const dxi_bench_quartiles_t raw = dxi_bench_quartiles(results->raw_trip, count);
    const dxi_bench_quartiles_t raw_p99 = dxi_bench_quartiles(results->raw_trip_p99, count);
    const dxi_bench_quartiles_t trip = dxi_bench_quartiles(results->trip, count);
    const dxi_bench_quartiles_t trip_p99 = dxi_bench_quartiles(results->trip_p99, count);
    const dxi_bench_quartiles_t copy = dxi_bench_quartiles(results->copy, count);
    const dxi_bench_quartiles_t way = dxi_bench_quartiles(results->one_way, count);
    dxi_bench_machine_print(machine);
    printf("%lld bytes, batches of %lld, a ring of %lld bytes; medians of %lld rounds\n\n",
           (long long)s->bytes, (long long)s->batch, (long long)s->ring_bytes,
           (long long)s->rounds);
    printf("%-34s %10s %10s %9s\n", "round trip", "p50", "p99", "spread");
    printf("%-34s %7.0f ns %7.0f ns %7.1f %%\n", "  two words in shared memory", raw.median,
           raw_p99.median, raw.spread_percent);
    printf("%-34s %7.0f ns %7.0f ns %7.1f %%   %.1f times\n\n", "  two direct topics", trip.median,
           trip_p99.median, trip.spread_percent, trip.median / raw.median);
    printf("%-34s %10s %20s\n", "one way", "events/s", "spread");
    printf("%-34s %8.1f M %18.1f %%\n", "  bytes copied into a ring and out", copy.median / 1e6,
           copy.spread_percent);
    printf("%-34s %8.1f M %18.1f %%   %.2f of it\n\n", "  a direct topic", way.median / 1e6,
           way.spread_percent, way.median / copy.median);
    printf("%lld events were checked, %lld were wrong.\n",
           (long long)s->rounds * (s->events + s->trips),
           (long long)dx_load_acquire(&bench->shared->wrong));
}

/* -------------------------------------------------------------------------------------- command */

static const dxi_option_t OPTIONS[] = {
    {.name = "bytes",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, bytes),
     .low = 8,
     .high = 1024,
     .help = "of an event, a multiple of 8; default 32"},
    {.name = "batch",
     .kind = DXI_OPTION_POWER,
     .value_name = "N",
     .offset = offsetof(settings_t, batch),
     .low = 1,
     .high = BATCH_MAX,
     .help = "events in one call, one way; default 64"},
    {.name = "events",
     .kind = DXI_OPTION_POWER,
     .value_name = "N",
     .offset = offsetof(settings_t, events),
     .low = 1024,
     .high = 1 << 30,
     .help = "one way, in each round; default 4Mi"},
    {.name = "trips",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, trips),
     .low = 100,
     .high = 100000000,
     .help = "round trips, in each round; default 100k"},
    {.name = "rounds",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, rounds),
     .low = 1,
     .high = DXI_BENCH_ROUNDS_MAX,
     .help = "default 5"},
    {.name = "ring",
     .kind = DXI_OPTION_POWER,
     .value_name = "BYTES",
     .offset = offsetof(settings_t, ring_bytes),
     .low = DX_DIRECT_BYTES_MIN,
     .high = DX_DIRECT_BYTES_MAX,
     .help = "of the topic; default 4Mi"},
    {.name = "cpus",
     .kind = DXI_OPTION_TEXT,
     .value_name = "LIST",
     .offset = offsetof(settings_t, cpus),
     .help = "of the two processes: 2,3; default: two cores"},
};

static const dxi_usage_t USAGE = {
    .command = SPEAKER,
    .description =
        "Two processes talk through direct topics of a node that it starts: round trips\n"
        "of single events, and batches one way, both sides spinning. Beside them, in the\n"
        "same rounds, what the machine allows: two words that are written in turn, and\n"
        "the same bytes copied into a ring and out of it. Every event is checked.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx bench local\n  dx bench local --bytes 256 --ring 16Mi --cpus 2,3\n",
};

int dxi_bench_local_command(int argc, char **argv)
{
    bench_t bench = {.settings = {.bytes = 32,
                                  .batch = 64,
                                  .events = 4194304,
                                  .trips = 100000,
                                  .rounds = 5,
                                  .ring_bytes = 4194304}};
    dxi_operands_t operands;
    const int exit_code = dxi_arguments_begin(&USAGE, argc, argv, &bench.settings, &operands);
    if (exit_code != DXI_GO_ON) {
        return exit_code;
    }
    static results_t results;
    dxi_bench_machine_t machine;
    int code = bench.settings.cpus != NULL
                   ? dxi_bench_cpus_parse(bench.settings.cpus, &bench.cpus, &bench.error)
                   : dxi_bench_cpus_default(&bench.cpus, &bench.error);
    if (code == DX_OK) {
        dxi_bench_machine_read(&bench.cpus, &machine);
        code = bench_run(&bench, &results);
    }
    free(bench.trips);
    if (code != DX_OK) {
        dxi_complain_error(SPEAKER, &bench.error);
        return code == DX_EINVAL || code == DX_EPARSE ? DXI_EXIT_USAGE : DXI_EXIT_FAILED;
    }
    (dxi_output_is_json() ? report_json : report_print)(&bench, &results, &machine);
    return dx_load_acquire(&bench.shared->wrong) == 0 ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}
