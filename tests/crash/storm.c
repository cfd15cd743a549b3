/* storm.c - processes that share a ring are killed at random, under load, and every event is
 * checked.
 *
 *     crash_storm                   some seconds: a part of `make test`
 *     DX_CRASH_KILLS=5000           as many deaths and stops
 *     DX_CRASH_SEED=12345           begins with this seed; a failure names the seed of its round
 *
 * DESIGN
 *
 * The supervisor makes a ring and starts producers, readers that are evicted when they die, and
 * keepers that hold their place until the next of the same name resumes it: programs of their own,
 * of which it kills -9, stops, and lets crash one after the other at random moments, and starts the
 * next. Readers follow the publication or each other. In each round the ring is another: single or
 * multi, of fixed events or of spans.
 *
 * Each event says whose it is and which, with a check sum. Each producer notes in the supervisor's
 * memory, which outlives it, which event it begins to publish and which publish has returned. So
 * each consumer knows exactly what must come: of each producer one event after the other, without a
 * gap, none twice, and in the end everything whose publish has returned. The only event of which
 * nobody can say whether it comes is the one that its producer was publishing when it died.
 *
 * A round ends with all tables empty. That nothing moves for STORM_PATIENCE_NS is a failure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "storm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The address sanitizer would take ours for its own. */
#ifndef STORM_SEGV
#define STORM_SEGV SIGSEGV
#endif

#define KILLS_DEFAULT 240
#define KILLS_PER_ROUND 60
#define PARTS_MAX 7
#define DETECT_NS INT64_C(60000000)
#define PAUSE_MAX_NS 12000000

typedef struct part {
    storm_kind_t kind;
    int64_t number;
    pid_t pid; /* 0: not running */
    bool stopped;
    int64_t resume_ns; /* stopped: until then */
} part_t;

typedef struct storm {
    storm_journal_t *journal;
    int journal_fd;
    const char *program;
    dx_ring_t *ring;
    uint64_t seed;
    uint64_t random;
    part_t parts[PARTS_MAX];
    int32_t part_count;
    int64_t kills;
    int64_t stops;
    int64_t evicted; /* participants that were told so */
    int64_t deaths;  /* noticed by the rings */
    int64_t voided;
    int64_t checked;
    int64_t published_seen;
    int64_t moved_ns;
} storm_t;

static void show(const dx_ring_t *ring)
{
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    (void)fprintf(stderr,
                  "ring: published %lld claimed %lld consumed %lld, %d processes %d producers %d "
                  "consumers, deaths %lld stalls %lld kills %lld voided %lld\n",
                  (long long)stat.published, (long long)stat.claimed, (long long)stat.consumed,
                  stat.processes, stat.producers, stat.consumers, (long long)stat.deaths,
                  (long long)stat.stalls, (long long)stat.kills, (long long)stat.voided);
    for (int32_t i = 0; i < (int32_t)DX_RING_CONSUMERS_MAX; i++) {
        dx_consumer_stat_t c;
        if (dx_ring_consumer_stat(ring, i, &c) == DX_OK) {
            (void)fprintf(stderr,
                          "consumer %d %s: state %d pid %d sequence %lld upstream %#llx gating %d "
                          "asleep %d\n",
                          i, c.name, (int)c.state, c.process_id, (long long)c.sequence,
                          (unsigned long long)c.upstream, c.gating, c.asleep);
        }
    }
    for (int32_t i = 0; i < (int32_t)DX_RING_PRODUCERS_MAX; i++) {
        dx_producer_stat_t p;
        if (dx_ring_producer_stat(ring, i, &p) == DX_OK) {
            (void)fprintf(stderr, "producer %d: pid %d holds %lld to %lld\n", i, p.process_id,
                          (long long)p.held_first, (long long)p.held_last);
        }
    }
}

static void end_all(storm_t *storm)
{
    for (int32_t i = 0; i < storm->part_count; i++) {
        if (storm->parts[i].pid != 0) {
            (void)kill(storm->parts[i].pid, SIGKILL);
            (void)waitpid(storm->parts[i].pid, NULL, 0);
        }
    }
}

static void fail(storm_t *storm, const char *what)
{
    (void)fprintf(stderr, "crash_storm: %s\n", what);
    show(storm->ring);
    end_all(storm);
    (void)fprintf(stderr, "again: DX_CRASH_SEED=%llu crash_storm\n",
                  (unsigned long long)storm->seed);
    dx_ring_destroy(storm->ring);
    (void)rmdir(storm->journal->folder);
    exit(1);
}

/* ------------------------------------------------------------------------------- participants */

static void start(storm_t *storm, part_t *part)
{
    char arguments[4][32];
    (void)snprintf(arguments[0], sizeof(arguments[0]), "%d", storm->journal_fd);
    (void)snprintf(arguments[1], sizeof(arguments[1]), "%d", (int)part->kind);
    (void)snprintf(arguments[2], sizeof(arguments[2]), "%lld", (long long)part->number);
    (void)snprintf(arguments[3], sizeof(arguments[3]), "%llu",
                   (unsigned long long)storm_random(&storm->random));
    part->stopped = false;
    part->pid = fork();
    if (part->pid == 0) {
        (void)execl(storm->program, storm->program, arguments[0], arguments[1], arguments[2],
                    arguments[3], (char *)NULL);
        _exit(127);
    }
    if (part->pid < 0) {
        fail(storm, "cannot fork");
    }
}

/* Notes the end of a participant. True when it has ended by itself, as it was told to. */
static bool note_end(storm_t *storm, part_t *part, int status)
{
    part->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == STORM_EVICTED) {
        storm->evicted++;
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == STORM_DONE) {
        return true;
    }
    if (WIFEXITED(status)) {
        fail(storm, "a participant found a fault");
    }
    const int by = WTERMSIG(status); /* SIGKILL: ours, or that of a guard */
    if (by != SIGKILL) {
        fail(storm, "a participant crashed by itself");
    }
    return false;
}

/* Takes what has ended meanwhile, and starts it again. */
static void reap(storm_t *storm, bool restart)
{
    for (int32_t i = 0; i < storm->part_count; i++) {
        part_t *part = &storm->parts[i];
        int status = 0;
        if (part->pid != 0 && waitpid(part->pid, &status, WNOHANG) == part->pid) {
            (void)note_end(storm, part, status);
        }
        if (part->pid == 0 && restart) {
            start(storm, part);
        }
    }
}

static void go_on(part_t *part)
{
    if (part->stopped && part->pid != 0) {
        (void)kill(part->pid, SIGCONT);
    }
    part->stopped = false;
}

/* Does something to one of them. */
static void strike(storm_t *storm)
{
    static const int signals[] = {SIGKILL, SIGKILL,    SIGKILL, SIGKILL, SIGKILL,
                                  SIGKILL, STORM_SEGV, SIGABRT, SIGSTOP, SIGSTOP};
    part_t *part = &storm->parts[storm_below(&storm->random, storm->part_count)];
    const int signal_number = signals[storm_below(&storm->random, 10)];
    if (part->pid == 0 || part->stopped) {
        return;
    }
    if (signal_number == SIGSTOP) {
        part->stopped = true;
        part->resume_ns = dx_clock_ns() + storm_below(&storm->random, 4 * DETECT_NS);
        storm->stops++;
        (void)kill(part->pid, SIGSTOP);
        return;
    }
    (void)kill(part->pid, signal_number);
    storm->kills++;
    int status = 0;
    if (waitpid(part->pid, &status, 0) != part->pid) {
        fail(storm, "waitpid");
    }
    if (WIFEXITED(status)) {
        (void)note_end(storm, part, status); /* it was faster */
    }
    part->pid = 0;
}

static void look_at_progress(storm_t *storm)
{
    const int64_t published = dx_ring_published(storm->ring);
    const int64_t now_ns = dx_clock_ns();
    if (published != storm->published_seen) {
        storm->published_seen = published;
        storm->moved_ns = now_ns;
    } else if (now_ns - storm->moved_ns > STORM_PATIENCE_NS) {
        fail(storm, "nothing moves any more");
    }
}

static void pause_ns(int64_t ns)
{
    const struct timespec time = {.tv_nsec = ns};
    (void)nanosleep(&time, NULL);
}

/* ---------------------------------------------------------------------------------- one round */

static void make_ring(storm_t *storm)
{
    const int64_t way = storm_below(&storm->random, 4);
    storm->journal->spans = way >= 2;
    const dx_ring_options_t options = {
        .slot_count = UINT32_C(64) << storm_below(&storm->random, 3),
        .event_bytes = way >= 2 ? 0 : sizeof(storm_event_t),
        .spans = way >= 2,
        .mode = storm_below(&storm->random, 4) == 0 ? DX_RING_SINGLE : DX_RING_MULTI,
        .share = {.name = STORM_RING, .folder = storm->journal->folder, .detect_ns = DETECT_NS}};
    dx_error_t error = {0};
    if (dx_ring_create(&options, &storm->ring, &error) != DX_OK) {
        (void)fprintf(stderr, "crash_storm: %s\n", error.message);
        exit(1);
    }
    const int32_t producers = options.mode == DX_RING_SINGLE ? 2 : 3;
    storm->part_count = 0;
    for (int32_t i = 0; i < producers + 2 + STORM_KEEPERS; i++) {
        storm->parts[storm->part_count++] = (part_t){.kind = i < producers       ? STORM_PRODUCER
                                                             : i < producers + 2 ? STORM_READER
                                                                                 : STORM_KEEPER,
                                                     .number = i - producers - 2};
    }
}

/* Waits until all of a kind have ended as they were told to; the dead ones begin anew. */
static void await_end(storm_t *storm, bool producers)
{
    const int64_t end_ns = dx_clock_ns() + 3 * STORM_PATIENCE_NS;
    for (;;) {
        bool any = false;
        for (int32_t i = 0; i < storm->part_count; i++) {
            part_t *part = &storm->parts[i];
            if ((part->kind == STORM_PRODUCER) != producers || part->pid == 0) {
                continue;
            }
            int status = 0;
            any = true;
            if (waitpid(part->pid, &status, WNOHANG) == part->pid &&
                !note_end(storm, part, status) && part->kind == STORM_KEEPER) {
                start(storm, part); /* somebody has to take its place and leave it in order */
            }
        }
        if (!any) {
            return;
        }
        if (dx_clock_ns() > end_ns) {
            fail(storm, producers ? "a producer does not end" : "a consumer does not end");
        }
        pause_ns(1000000);
    }
}

static void check_tables(storm_t *storm)
{
    if (dx_ring_recover(storm->ring) < 0) {
        fail(storm, "the tables are held");
    }
    dx_ring_stat_t stat;
    dx_ring_stat(storm->ring, &stat);
    if (stat.processes != 1 || stat.producers != 0 || stat.consumers != 0 ||
        stat.published != stat.claimed || dx_load_acquire(&dx_ring_block(storm->ring)->gating)) {
        fail(storm, "something is left in the tables");
    }
    storm->deaths += stat.deaths;
    storm->voided += stat.voided;
}

static void run_round(storm_t *storm, int64_t kills)
{
    memset(storm->journal->producers, 0, sizeof(storm->journal->producers));
    memset(storm->journal->keepers, 0, sizeof(storm->journal->keepers));
    for (int i = 0; i < STORM_KEEPERS; i++) {
        dx_store_relaxed(&storm->journal->keepers[i].handled, INT64_MIN);
    }
    dx_store_relaxed(&storm->journal->next_id, 0);
    dx_store_relaxed(&storm->journal->stop_producers, 0);
    dx_store_relaxed(&storm->journal->stop_consumers, 0);
    storm->random = storm->seed;
    storm->published_seen = INT64_MIN;
    make_ring(storm);
    const int64_t until = storm->kills + storm->stops + kills;
    while (storm->kills + storm->stops < until) {
        reap(storm, true);
        pause_ns(storm_below(&storm->random, PAUSE_MAX_NS));
        for (int32_t i = 0; i < storm->part_count; i++) {
            if (storm->parts[i].stopped && dx_clock_ns() > storm->parts[i].resume_ns) {
                go_on(&storm->parts[i]);
            }
        }
        strike(storm);
        look_at_progress(storm);
    }
    for (int32_t i = 0; i < storm->part_count; i++) {
        go_on(&storm->parts[i]);
    }
    reap(storm, true);
    dx_store_release(&storm->journal->stop_producers, 1);
    await_end(storm, true);
    dx_store_release(&storm->journal->stop_consumers, 1);
    await_end(storm, false);
    check_tables(storm);
    storm->checked += dx_fetch_and_acq_rel(&storm->journal->checked, 0);
    dx_ring_destroy(storm->ring);
}

/* ---------------------------------------------------------------------------------------- main */

static int64_t number_of(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != 0 ? strtoll(text, NULL, 10) : otherwise;
}

static storm_journal_t *map_journal(int fd)
{
    void *memory = mmap(NULL, sizeof(storm_journal_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        perror("journal");
        exit(1);
    }
    return memory;
}

int main(int argc, char **argv)
{
    if (argc == 5) {
        return storm_participate(map_journal((int)strtol(argv[1], NULL, 10)),
                                 (storm_kind_t)strtol(argv[2], NULL, 10),
                                 strtoll(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
    }
    static storm_t storm = {.program = "/proc/self/exe"};
    storm.journal_fd = memfd_create("crash_storm", 0);
    if (storm.journal_fd < 0 || ftruncate(storm.journal_fd, sizeof(storm_journal_t)) != 0) {
        perror("crash_storm");
        return 1;
    }
    storm.journal = map_journal(storm.journal_fd);
    (void)snprintf(storm.journal->folder, sizeof(storm.journal->folder),
                   "/dev/shm/dx-storm-XXXXXX");
    if (mkdtemp(storm.journal->folder) == NULL) {
        perror(storm.journal->folder);
        return 1;
    }
    const int64_t kills = number_of("DX_CRASH_KILLS", KILLS_DEFAULT);
    storm.seed = (uint64_t)number_of("DX_CRASH_SEED", 1);
    const int64_t started_ns = dx_clock_ns();
    for (int64_t done = 0; done < kills; done += KILLS_PER_ROUND) {
        run_round(&storm, kills - done < KILLS_PER_ROUND ? kills - done : KILLS_PER_ROUND);
        storm.seed++;
    }
    if (rmdir(storm.journal->folder) != 0) {
        (void)fprintf(stderr, "crash_storm: %s: %s\n", storm.journal->folder, strerror(errno));
        return 1;
    }
    printf("%lld kills, %lld stops, %lld told of their eviction; %lld deaths noticed, %lld "
           "sequences voided; %lld sequences checked; %.1f s\n",
           (long long)storm.kills, (long long)storm.stops, (long long)storm.evicted,
           (long long)storm.deaths, (long long)storm.voided, (long long)storm.checked,
           (double)(dx_clock_ns() - started_ns) / 1e9);
    return 0;
}
