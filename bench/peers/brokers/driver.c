/* driver.c - the scenarios of broker.h over the link of one peer, and the one line of JSON.
 *
 * The question: how many messages a second go through this broker, and how long does one take?
 * The method stands in broker.h. Not measured: connecting, and the ends of a run (a rate is from
 * the first publication to the last receipt, all verified).
 *
 * PROCESSES. Throughput: this process forks the subscribers, then the publisher, and only waits;
 * a child that fails ends the others. All die with their parent. Latency: this process alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"

#define DRIVER_READY_NS (15 * DX_NS_PER_S) /* for the first probe to come through */
#define DRIVER_STALL_NS (3 * DX_NS_PER_S)  /* without progress: the rest counts as lost */
#define DRIVER_PROBE_NS (5 * DX_NS_PER_MS)
#define DRIVER_EARLY_NS (60 * DX_NS_PER_US)
#define DRIVER_WINDOW_NS (100 * DX_NS_PER_US) /* between two looks at a full window */

/* What the processes share. */
typedef struct driver_shared {
    dx_atomic64_t total; /* I4: the last sequence; INT64_MAX before it is known */
    dx_atomic64_t first_ns;
    dx_atomic64_t published;
    dx_atomic64_t window_waits;
    char pad[128 - 4 * sizeof(dx_atomic64_t)];
    broker_tally_t tallies[BROKER_SUBSCRIBERS_MAX];
} driver_shared_t;

/* CPU time of the children, by role. */
typedef struct driver_usage {
    double publisher;
    double subscribers;
} driver_usage_t;

void broker_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", broker_peer_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(BROKER_EXIT_WRONG);
}

static void *allocate_shared(size_t bytes)
{
    void *const memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        broker_fail("no %zu bytes of shared memory: %s", bytes, strerror(errno));
    }
    return memory;
}

static void sleep_until(int64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = deadline_ns / DX_NS_PER_S,
                                   .tv_nsec = deadline_ns % DX_NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

/* --- options --- */

static void usage(const char *sentence, const char *value)
{
    fprintf(stderr, "%s: %s%s\n", broker_peer_name, sentence, value);
    exit(BROKER_EXIT_USAGE);
}

static double number(const char *name, const char *text, double low, double high)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= low && value <= high)) {
        fprintf(stderr, "%s: %s is %s, must be a number from %g to %g\n", broker_peer_name, name,
                text, low, high);
        exit(BROKER_EXIT_USAGE);
    }
    return value;
}

static void option_set(broker_options_t *o, const char *name, const char *value)
{
    if (strcmp(name, "--mode") == 0) {
        o->mode = value;
    } else if (strcmp(name, "--address") == 0) {
        o->address = value;
    } else if (strcmp(name, "--second-address") == 0) {
        o->second_address = value;
    } else if (strcmp(name, "--variant") == 0) {
        o->variant = value;
    } else if (strcmp(name, "--bytes") == 0) {
        o->bytes = (uint64_t)number(name, value, BROKER_BYTES_MIN, BROKER_BYTES_MAX);
    } else if (strcmp(name, "--events") == 0) {
        o->events = (uint64_t)number(name, value, 0, 1e15);
    } else if (strcmp(name, "--rate") == 0) {
        o->rate = (uint64_t)number(name, value, 1, BROKER_RATE_MAX);
    } else if (strcmp(name, "--subscribers") == 0) {
        o->subscribers = (uint64_t)number(name, value, 1, BROKER_SUBSCRIBERS_MAX);
    } else if (strcmp(name, "--stalled") == 0) {
        o->stalled = (uint64_t)number(name, value, 0, BROKER_SUBSCRIBERS_MAX - 1);
    } else if (strcmp(name, "--window") == 0) {
        o->window = (uint64_t)number(name, value, 1, BROKER_WINDOW_MAX);
    } else if (strcmp(name, "--seconds") == 0) {
        o->seconds = number(name, value, 0.01, 3600);
    } else if (strcmp(name, "--warmup-seconds") == 0) {
        o->warmup_seconds = number(name, value, 0, 3600);
    } else {
        usage("unknown option ", name);
    }
}

static broker_options_t options_parse(int argc, char **argv)
{
    broker_options_t options = {.mode = "throughput",
                                .variant = "",
                                .bytes = 128,
                                .rate = 10000,
                                .subscribers = 1,
                                .window = 65536,
                                .seconds = 2,
                                .warmup_seconds = 0.5};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            usage("needs a value: ", argv[i]);
        }
        option_set(&options, argv[i], argv[i + 1]);
    }
    if (options.address == NULL) {
        usage("--address is missing", "");
    }
    if (options.bytes % 8 != 0) {
        usage("--bytes must be a multiple of 8", "");
    }
    return options;
}

/* --- throughput --- */

/* Receives until the last message is there, or nothing has come for DRIVER_STALL_NS. */
static void subscribe_until_done(broker_link_t *link, broker_tally_t *tally,
                                 const dx_atomic64_t *total, bool wait)
{
    int64_t position = 0;
    int64_t progress_ns = dx_clock_ns();
    for (;;) {
        broker_link_receive(link, wait);
        const int64_t now_position = dx_load_acquire(&tally->position);
        const int64_t last = dx_load_acquire(total);
        if (now_position >= last) {
            return;
        }
        const int64_t now = dx_clock_ns();
        if (now_position != position) {
            position = now_position;
            progress_ns = now;
        } else if (now - progress_ns > DRIVER_STALL_NS && last != INT64_MAX) {
            if (tally->last_ns == 0) {
                tally->last_ns = progress_ns;
            }
            return;
        }
    }
}

static broker_sink_t *sink_create(const broker_options_t *options, driver_shared_t *shared,
                                  uint64_t index)
{
    broker_sink_t *const sink = calloc(1, sizeof *sink);
    if (sink == NULL) {
        broker_fail("out of memory");
    }
    *sink = (broker_sink_t){.tally = &shared->tallies[index],
                            .total = &shared->total,
                            .bytes = options->bytes,
                            .next = 1};
    return sink;
}

static void subscriber_process(const broker_options_t *options, driver_shared_t *shared,
                               uint64_t index)
{
    broker_sink_t *const sink = sink_create(options, shared, index);
    broker_tally_t *const tally = sink->tally;
    broker_link_t *const link = broker_link_open(options, BROKER_SUBSCRIBER, sink);
    subscribe_until_done(link, tally, &shared->total, true);
    dx_store_release(&tally->ready, 2);
    broker_link_close(link);
    _exit(BROKER_EXIT_OK);
}

/* Whether every subscriber's `ready` is at least `wanted`. */
static bool all_are(const driver_shared_t *shared, uint64_t subscribers, int64_t wanted)
{
    for (uint64_t i = 0; i < subscribers; i++) {
        if (dx_load_acquire(&shared->tallies[i].ready) < wanted) {
            return false;
        }
    }
    return true;
}

static int64_t slowest(const driver_shared_t *shared, uint64_t subscribers)
{
    int64_t low = INT64_MAX;
    for (uint64_t i = 0; i < subscribers; i++) {
        const int64_t position = dx_load_acquire(&shared->tallies[i].position);
        low = position < low ? position : low;
    }
    return low;
}

/* Publishes probes until each subscriber has seen one; `polled`: the link of one in this thread. */
static void probe_until_ready(broker_link_t *link, broker_link_t *polled,
                              const broker_options_t *options, const driver_shared_t *shared,
                              uint64_t subscribers, uint64_t *words)
{
    const int64_t deadline = dx_clock_ns() + DRIVER_READY_NS;
    broker_message_fill(words, options->bytes, 0);
    while (!all_are(shared, subscribers, 1)) {
        broker_link_publish(link, words, options->bytes);
        broker_link_flush(link);
        const int64_t now = dx_clock_ns();
        if (now > deadline) {
            broker_fail("a subscriber got no probe within %d s", (int)(DRIVER_READY_NS / 1e9));
        }
        sleep_until(now + DRIVER_PROBE_NS);
        if (polled != NULL) {
            broker_link_receive(polled, false);
        }
    }
}

/* The window is full: waits until the slowest subscriber has emptied half of it, so that what comes
 * then is a big batch again. Returns its position, or -1 when it has stopped. */
static int64_t wait_for_room(const broker_options_t *options, driver_shared_t *shared, int64_t sent)
{
    int64_t low = slowest(shared, options->subscribers);
    int64_t progress_ns = dx_clock_ns();
    dx_fetch_add_relaxed(&shared->window_waits, 1);
    while (sent - low > (int64_t)options->window / 2) {
        const int64_t now = dx_clock_ns();
        const int64_t position = slowest(shared, options->subscribers);
        if (position != low) {
            low = position;
            progress_ns = now;
        } else if (now - progress_ns > DRIVER_STALL_NS) {
            return -1;
        } else {
            sleep_until(now + DRIVER_WINDOW_NS);
        }
    }
    return low;
}

/* Publishes for the time, or the number of messages, asked for; returns the last sequence. */
static int64_t publish_all(broker_link_t *link, const broker_options_t *options,
                           driver_shared_t *shared, uint64_t *words)
{
    const int64_t start = dx_clock_ns();
    const int64_t deadline = start + (int64_t)(options->seconds * 1e9);
    dx_store_relaxed(&shared->first_ns, start);
    int64_t low = 0;
    for (int64_t sequence = 1;; sequence++) {
        bool last = (uint64_t)sequence == options->events;
        if (sequence - 1 - low >= (int64_t)options->window) {
            low = slowest(shared, options->subscribers);
            if (sequence - 1 - low >= (int64_t)options->window) {
                broker_link_flush(link);
                low = wait_for_room(options, shared, sequence - 1);
                last = last || low < 0;
            }
        }
        last = last || ((sequence & 63) == 0 && dx_clock_ns() >= deadline);
        if (last) {
            dx_store_release(&shared->total, sequence);
        }
        broker_message_fill(words, options->bytes, (uint64_t)sequence);
        broker_link_publish(link, words, options->bytes);
        if (last) {
            broker_link_flush(link);
            return sequence;
        }
    }
}

static void publisher_process(const broker_options_t *options, driver_shared_t *shared)
{
    _Alignas(64) static uint64_t words[BROKER_BYTES_MAX / 8];
    broker_link_t *const link = broker_link_open(options, BROKER_PUBLISHER, NULL);
    prctl(PR_SET_TIMERSLACK, 1);
    probe_until_ready(link, NULL, options, shared, options->subscribers, words);
    dx_store_relaxed(&shared->published, publish_all(link, options, shared, words));
    /* Closing could throw away what has not been sent; and a subscriber that stalls gives up by
     * itself. */
    while (!all_are(shared, options->subscribers, 2)) {
        sleep_until(dx_clock_ns() + DRIVER_PROBE_NS);
    }
    broker_link_close(link);
    _exit(BROKER_EXIT_OK);
}

/* As fork(); the child dies with its parent. */
static pid_t fork_bound(void)
{
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) {
        broker_fail("fork: %s", strerror(errno));
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(BROKER_EXIT_WRONG);
        }
    }
    return child;
}

static pid_t start_child(const broker_options_t *options, driver_shared_t *shared, uint64_t index)
{
    const pid_t child = fork_bound();
    if (child == 0) {
        if (index == options->subscribers) {
            publisher_process(options, shared);
        }
        subscriber_process(options, shared, index);
    }
    return child;
}

static double cpu_seconds(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

/* Runs all children; false when one failed, and then the others are ended. */
static bool run_children(const broker_options_t *options, driver_shared_t *shared,
                         driver_usage_t *usage_out)
{
    static pid_t children[BROKER_SUBSCRIBERS_MAX + 1];
    const uint64_t count = options->subscribers + 1; /* the last is the publisher */
    bool good = true;
    for (uint64_t i = 0; i < count; i++) {
        children[i] = start_child(options, shared, i);
    }
    for (uint64_t ended = 0; ended < count; ended++) {
        int status = 0;
        struct rusage usage;
        const pid_t child = wait4(-1, &status, 0, &usage);
        const bool fine = WIFEXITED(status) && WEXITSTATUS(status) == BROKER_EXIT_OK;
        for (uint64_t i = 0; i < count; i++) {
            if (children[i] == child) {
                children[i] = 0;
            } else if (good && !fine && children[i] != 0) {
                kill(children[i], SIGKILL);
            }
        }
        good = good && fine;
        if (children[count - 1] == 0 && usage_out->publisher < 0) {
            usage_out->publisher = cpu_seconds(&usage);
        } else {
            usage_out->subscribers += cpu_seconds(&usage);
        }
    }
    return good;
}

static void print_head(const broker_options_t *options)
{
    printf("{\"peer\":\"%s\",\"variant\":\"%s\",\"mode\":\"%s\",\"event_bytes\":%llu,"
           "\"subscribers\":%llu,",
           broker_peer_name, options->variant, options->mode, (unsigned long long)options->bytes,
           (unsigned long long)options->subscribers);
}

static int report_throughput(const broker_options_t *options, const driver_shared_t *shared,
                             const driver_usage_t *usage)
{
    const int64_t published = dx_load_relaxed(&shared->published);
    const double deliveries = (double)published * (double)options->subscribers;
    broker_tally_t sum = {0};
    for (uint64_t i = 0; i < options->subscribers; i++) {
        const broker_tally_t *const tally = &shared->tallies[i];
        sum.received += tally->received;
        sum.disordered += tally->disordered;
        sum.corrupt += tally->corrupt;
        sum.batches += tally->batches;
        sum.last_ns = tally->last_ns > sum.last_ns ? tally->last_ns : sum.last_ns;
    }
    const double seconds = (double)(sum.last_ns - dx_load_relaxed(&shared->first_ns)) / 1e9;
    const double delivered = (double)sum.received;
    const bool good = sum.disordered == 0 && sum.corrupt == 0 && published > 0;
    print_head(options);
    printf("\"events\":%lld,\"seconds\":%.6f,\"events_per_second\":%.1f,"
           "\"deliveries_per_second\":%.1f,\"delivery_ns\":%.2f,\"received\":%.0f,\"lost\":%.0f,"
           "\"disordered\":%llu,\"corrupt\":%llu,\"window\":%llu,\"window_waits\":%lld,"
           "\"average_batch\":%.1f,\"publisher_cpu_ns\":%.1f,\"subscriber_cpu_ns\":%.1f,"
           "\"checksum_ok\":%s}\n",
           (long long)published, seconds, delivered / (double)options->subscribers / seconds,
           delivered / seconds, 1e9 * seconds / delivered, delivered, deliveries - delivered,
           (unsigned long long)sum.disordered, (unsigned long long)sum.corrupt,
           (unsigned long long)options->window, (long long)dx_load_relaxed(&shared->window_waits),
           delivered / (double)(sum.batches > 0 ? sum.batches : 1),
           1e9 * usage->publisher / (double)published, 1e9 * usage->subscribers / delivered,
           good ? "true" : "false");
    return good ? BROKER_EXIT_OK : BROKER_EXIT_WRONG;
}

static int throughput(const broker_options_t *options)
{
    driver_shared_t *const shared = allocate_shared(sizeof *shared);
    driver_usage_t usage = {.publisher = -1};
    dx_store_relaxed(&shared->total, INT64_MAX);
    if (!run_children(options, shared, &usage)) {
        fprintf(stderr, "%s: a process of the run failed\n", broker_peer_name);
        return BROKER_EXIT_WRONG;
    }
    return report_throughput(options, shared, &usage);
}

/* --- latency --- */

typedef struct driver_latency {
    const broker_options_t *options;
    driver_shared_t *shared;
    broker_sink_t sink;
    dx_atomic64_t start_ns;
    dx_atomic64_t *sent_ns;
    dx_histogram_t *late; /* how late this program itself was to send */
} driver_latency_t;

static void *latency_receive(void *context)
{
    driver_latency_t *const run = context;
    broker_link_t *const link = broker_link_open(run->options, BROKER_SUBSCRIBER, &run->sink);
    subscribe_until_done(link, run->sink.tally, &run->shared->total, true);
    broker_link_close(link);
    return NULL;
}

/* Starts the subscribers that stop themselves as soon as a probe has come. */
static void stalled_start(const broker_options_t *options, driver_shared_t *shared, pid_t *children)
{
    for (uint64_t i = 0; i < options->stalled; i++) {
        children[i] = fork_bound();
        if (children[i] == 0) {
            broker_sink_t *const sink = sink_create(options, shared, 1 + i);
            broker_link_t *const link = broker_link_open(options, BROKER_STALLED, sink);
            while (dx_load_acquire(&sink->tally->ready) == 0) {
                broker_link_receive(link, true);
            }
            raise(SIGSTOP);
            _exit(BROKER_EXIT_OK);
        }
    }
}

static void stalled_wait(const pid_t *children, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        int status = 0;
        if (waitpid(children[i], &status, WUNTRACED) != children[i] || !WIFSTOPPED(status)) {
            broker_fail("a subscriber that should be stopped has ended");
        }
    }
}

static void stalled_end(const pid_t *children, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}

/* A sleep ends 20 to 50 us late on a virtual machine, as much as a round trip takes. So this sleeps
 * until shortly before, and then looks at the clock, leaving its CPU to whoever wants it: on two
 * CPUs the broker and the receiver need both. How late it was all the same is reported. */
static void pace_until(int64_t deadline_ns)
{
    if (dx_clock_ns() < deadline_ns - DRIVER_EARLY_NS) {
        sleep_until(deadline_ns - DRIVER_EARLY_NS);
    }
    while (dx_clock_ns() < deadline_ns) {
        sched_yield();
    }
}

/* The same, and looks for answers meanwhile. */
static void poll_until(broker_link_t *polled, int64_t deadline_ns)
{
    while (dx_clock_ns() < deadline_ns) {
        broker_link_receive(polled, false);
        sched_yield();
    }
}

/* By the clock: a message whose time has passed is sent at once, and its delay counts.
 * `polled`: the link of the subscriber, when this thread is the subscriber as well. */
static void latency_publish(driver_latency_t *run, broker_link_t *link, broker_link_t *polled,
                            uint64_t *words, int64_t events)
{
    const uint64_t bytes = run->options->bytes;
    const int64_t start = dx_clock_ns() + 10 * DX_NS_PER_MS;
    dx_store_relaxed(&run->start_ns, start);
    for (int64_t sequence = 1; sequence <= events; sequence++) {
        const int64_t intended = start + (sequence - 1) * run->sink.interval_ns;
        if (polled != NULL) {
            poll_until(polled, intended);
        } else {
            pace_until(intended);
        }
        broker_message_fill(words, bytes, (uint64_t)sequence);
        if (sequence == events) {
            dx_store_release(&run->shared->total, sequence);
        }
        const int64_t now = dx_clock_ns();
        dx_store_relaxed(&run->sent_ns[sequence % BROKER_SENT_SLOTS], now);
        if ((uint64_t)sequence > run->sink.warmup) {
            dx_histogram_record(run->late, now - intended);
        }
        broker_link_publish(link, words, bytes);
        broker_link_flush(link);
    }
}

static int report_latency(const driver_latency_t *run, int64_t events)
{
    const broker_tally_t *const tally = run->sink.tally;
    dx_histogram_summary_t intended, sent, late;
    dx_histogram_summarize(run->sink.intended, &intended);
    dx_histogram_summarize(run->sink.sent, &sent);
    dx_histogram_summarize(run->late, &late);
    const bool good = tally->disordered == 0 && tally->corrupt == 0 && intended.count > 0;
    print_head(run->options);
    printf("\"stalled\":%llu,\"rate\":%llu,\"events\":%lld,\"samples\":%lld,\"p50_ns\":%lld,\"p90_"
           "ns\":%lld,"
           "\"p99_ns\":%lld,\"p999_ns\":%lld,\"max_ns\":%lld,\"mean_ns\":%.1f,",
           (unsigned long long)run->options->stalled, (unsigned long long)run->options->rate,
           (long long)events, (long long)intended.count, (long long)intended.p50,
           (long long)intended.p90, (long long)intended.p99, (long long)intended.p999,
           (long long)intended.max, intended.mean);
    printf("\"sent_p50_ns\":%lld,\"sent_p99_ns\":%lld,\"late_p50_ns\":%lld,\"late_p99_ns\":%lld,"
           "\"lost\":%lld,\"disordered\":%llu,\"corrupt\":%llu,\"checksum_ok\":%s}\n",
           (long long)sent.p50, (long long)sent.p99, (long long)late.p50, (long long)late.p99,
           (long long)events - (long long)tally->received, (unsigned long long)tally->disordered,
           (unsigned long long)tally->corrupt, good ? "true" : "false");
    return good ? BROKER_EXIT_OK : BROKER_EXIT_WRONG;
}

static int latency(const broker_options_t *options)
{
    _Alignas(64) static uint64_t words[BROKER_BYTES_MAX / 8];
    driver_shared_t *const shared = allocate_shared(sizeof *shared);
    dx_store_relaxed(&shared->total, INT64_MAX);
    driver_latency_t run = {
        .options = options,
        .shared = shared,
        .sent_ns = allocate_shared(BROKER_SENT_SLOTS * sizeof(dx_atomic64_t)),
        .sink = {.tally = &shared->tallies[0],
                 .total = &shared->total,
                 .bytes = options->bytes,
                 .next = 1,
                 .interval_ns = DX_NS_PER_S / (int64_t)options->rate,
                 .warmup = (uint64_t)(options->warmup_seconds * (double)options->rate)}};
    run.sink.sent_ns = run.sent_ns;
    run.sink.start_ns = &run.start_ns;
    if (dx_histogram_create(&run.sink.intended, NULL) != DX_OK ||
        dx_histogram_create(&run.sink.sent, NULL) != DX_OK ||
        dx_histogram_create(&run.late, NULL) != DX_OK) {
        broker_fail("out of memory");
    }
    static pid_t children[BROKER_SUBSCRIBERS_MAX];
    stalled_start(options, shared, children);
    pthread_t receiver;
    broker_link_t *polled = NULL;
    if (strcmp(options->mode, "polled") == 0) {
        polled = broker_link_open(options, BROKER_SUBSCRIBER, &run.sink);
    } else if (pthread_create(&receiver, NULL, latency_receive, &run) != 0) {
        broker_fail("the receiving thread cannot be made");
    }
    broker_link_t *const link = broker_link_open(options, BROKER_PUBLISHER, NULL);
    prctl(PR_SET_TIMERSLACK, 1);
    probe_until_ready(link, polled, options, shared, 1 + options->stalled, words);
    stalled_wait(children, options->stalled);
    const int64_t wanted = (int64_t)(options->seconds * (double)options->rate);
    const int64_t events = wanted + (int64_t)run.sink.warmup;
    latency_publish(&run, link, polled, words, events);
    if (polled != NULL) {
        subscribe_until_done(polled, run.sink.tally, &shared->total, false);
        broker_link_close(polled);
    } else {
        pthread_join(receiver, NULL);
    }
    broker_link_close(link);
    stalled_end(children, options->stalled);
    const int status = report_latency(&run, events);
    dx_histogram_destroy(run.sink.intended);
    dx_histogram_destroy(run.sink.sent);
    dx_histogram_destroy(run.late);
    return status;
}

int main(int argc, char **argv)
{
    const broker_options_t options = options_parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(options.mode, "throughput") == 0) {
        return throughput(&options);
    }
    if (strcmp(options.mode, "latency") == 0 || strcmp(options.mode, "polled") == 0) {
        return latency(&options);
    }
    usage("--mode must be throughput, latency or polled, is ", options.mode);
}
