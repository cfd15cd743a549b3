/* sweep.c - a participant is killed at each instruction of an operation; then the ring must be
 * whole.
 *
 *     crash_sweep                     all cases, where shared memory or the kernel saw a step
 *     crash_sweep claim-multi         this case only
 *     crash_sweep claim-multi 131     and only after 131 instructions: a failure says this line
 *     DX_CRASH_FULL=1                 all places of long ones, every instruction of short ones
 *     DX_CRASH_EVERY=1                kills after every single instruction (N: every N-th), too
 *
 * DESIGN
 *
 * The victim is a child that attaches, gets ready at full speed, and then runs the operation one
 * instruction at a time under ptrace(). Killed after n instructions, it leaves what a kill -9 at
 * that place leaves. A first run without a kill notes after which instructions the ring's memory
 * was not what it was before, and which were system calls: between two such places nobody else can
 * tell where the victim stood, so one kill per place covers all instructions of the operation.
 * Short operations, of EACH_BELOW instructions, are killed after every one all the same. Without
 * DX_CRASH_FULL, of the places of long operations PLACES_QUICK are taken, evenly.
 *
 * After each kill the survivor, which was attached all the time, calls dx_ring_recover() and then
 * asks for everything that a ring promises: see verify().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <sys/user.h>
#endif

#include "disruptorx/clock.h"

#define EACH_BELOW 700
#define PLACES_QUICK 48
#define LEAD_ABOVE 200 /* longer ways are run at full speed to a breakpoint */
#define STEPS_MAX 3000000
#define PLACES_MAX 100000
#define PATIENCE_NS INT64_C(20000000000)
#define ASLEEP_NS INT64_C(30000000)
#define FIRST_OF_SURVIVOR 1000000      /* the survivor's values; the victim's count from 0 */
#define DETECT_NS INT64_C(60000000000) /* no guard comes in between */

static const char *case_name;
static int64_t case_steps = -1;

void sweep_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "crash_sweep: ");
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\nagain: crash_sweep %s %lld\n", case_name, (long long)case_steps);
    _exit(1);
}

/* -------------------------------------------------------------------------------- the survivor */

static int64_t next_of_survivor; /* the next value expected */
static int64_t next_to_write;
static int64_t seen_of_victim; /* bit v: its event of value v has come */
static int64_t hidden;

dx_ring_options_t sweep_ring_options(const sweep_t *sweep)
{
    return (dx_ring_options_t){
        .name = SWEEP_NAME,
        .slot_count = sweep->spans ? SWEEP_SPAN_SLOTS : SWEEP_SLOTS,
        .event_bytes = sweep->spans ? 0 : sizeof(sweep_event_t),
        .spans = sweep->spans,
        .mode = sweep->mode,
        .consumers_max = 4,
        .producers_max = 4,
        .share = {.name = SWEEP_NAME, .folder = sweep->folder, .detect_ns = DETECT_NS}};
}

dx_ring_t *sweep_attach(const sweep_t *sweep)
{
    const dx_attach_options_t options = {.name = SWEEP_NAME, .folder = sweep->folder};
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    if (dx_ring_attach(&options, &ring, &error) != DX_OK) {
        sweep_fail("attach: %s", error.message);
    }
    return ring;
}

void sweep_open_reader(sweep_t *sweep)
{
    if (!sweep->reading) {
        sweep_check(dx_consumer_open(&sweep->reader, sweep->ring,
                                     &(dx_consumer_options_t){.name = "reader"}, NULL) == DX_OK);
        sweep->reading = true;
        next_of_survivor = next_to_write; /* it begins with what comes next */
    }
}

void sweep_open_writer(sweep_t *sweep)
{
    if (!sweep->writing) {
        dx_error_t error = {0};
        const dx_producer_options_t options = {.name = "writer", .full = DX_FULL_FAIL};
        if (dx_producer_open(&sweep->writer, sweep->ring, &options, &error) != DX_OK) {
            sweep_fail("%s", error.message);
        }
        sweep->writing = true;
    }
}

static void write_span(sweep_t *sweep, int64_t value)
{
    const size_t copies = (size_t)SWEEP_COPIES(value);
    const int64_t sequence = dx_producer_claim_span(&sweep->writer, copies * sizeof(sweep_event_t));
    if (sequence < 0) {
        sweep_fail("the survivor's claim: %s", dx_error_name((int)sequence));
    }
    sweep_event_t *events = dx_span_payload(dx_producer_span(&sweep->writer, sequence));
    for (size_t i = 0; i < copies; i++) {
        events[i] = (sweep_event_t){.value = value, .check = ~value};
    }
    sweep_check(dx_producer_publish_span(&sweep->writer, sequence) == DX_OK);
}

static void write_event(sweep_t *sweep, int64_t value)
{
    const int64_t sequence = dx_producer_claim(&sweep->writer);
    if (sequence < 0) {
        sweep_fail("the survivor's claim: %s", dx_error_name((int)sequence));
    }
    *DX_PRODUCER_EVENT(&sweep->writer, sequence, sweep_event_t) =
        (sweep_event_t){.value = value, .check = ~value};
    sweep_check(dx_producer_publish(&sweep->writer, sequence) == DX_OK);
}

void sweep_write(sweep_t *sweep, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int64_t value = next_to_write++;
        if (sweep->spans) {
            write_span(sweep, value);
        } else {
            write_event(sweep, value);
        }
    }
}

/* Every event is whole, and each side's come in order, each once. */
static void check_event(const sweep_event_t *event, int64_t sequence)
{
    if (event->check != ~event->value) {
        sweep_fail("torn event at %lld", (long long)sequence);
    }
    if (event->value >= FIRST_OF_SURVIVOR) {
        if (event->value != next_of_survivor) {
            sweep_fail("event %lld at %lld, expected %lld", (long long)event->value,
                       (long long)sequence, (long long)next_of_survivor);
        }
        next_of_survivor++;
        return;
    }
    sweep_check(event->value >= 0 && event->value < 60);
    if (seen_of_victim >> event->value != 0) {
        sweep_fail("the victim's event %lld came again or late", (long long)event->value);
    }
    seen_of_victim |= INT64_C(1) << event->value;
}

static void take_spans(sweep_t *sweep, int64_t last)
{
    dx_spans_t spans = dx_consumer_spans(&sweep->reader, last);
    for (const dx_span_t *span = NULL; (span = dx_spans_next(&spans)) != NULL;) {
        const sweep_event_t *events = dx_span_payload(span);
        check_event(&events[0], spans.sequence);
        sweep_check(span->bytes == (size_t)SWEEP_COPIES(events[0].value) * sizeof(*events));
        for (size_t i = 0; i < span->bytes / sizeof(*events); i++) {
            sweep_check(memcmp(&events[i], &events[0], sizeof(*events)) == 0);
        }
    }
    sweep_check(spans.code == DX_OK && spans.next == last + 1);
    dx_consumer_release(&sweep->reader, last);
}

static void take(sweep_t *sweep, int64_t last)
{
    if (sweep->spans) {
        take_spans(sweep, last);
        return;
    }
    for (int64_t s = sweep->reader.next; s <= last; s++) {
        if (dx_consumer_is_hidden(&sweep->reader, s)) {
            hidden++;
        } else {
            check_event(DX_CONSUMER_EVENT(&sweep->reader, s, sweep_event_t), s);
        }
    }
    dx_consumer_release(&sweep->reader, last);
}

/* Waits until the sleeper has got to `value`. */
static void await_sleeper(sweep_t *sweep, int64_t value)
{
    const int64_t end_ns = dx_clock_ns() + PATIENCE_NS;
    while (dx_load_acquire(&sweep->sleeper_at) < value) {
        if (dx_clock_ns() > end_ns) {
            sweep_fail("the sleeper has reached %lld of %lld",
                       (long long)dx_load_acquire(&sweep->sleeper_at), (long long)value);
        }
        (void)sched_yield();
    }
}

void sweep_read(sweep_t *sweep)
{
    if (sweep->sleeper_reads) {
        await_sleeper(sweep, dx_ring_published(sweep->ring));
        return;
    }
    int64_t last = 0;
    while ((last = dx_consumer_poll(&sweep->reader)) >= sweep->reader.next) {
        take(sweep, last);
    }
}

void *sweep_sleeper_reads(void *context)
{
    sweep_t *sweep = context;
    while (dx_load_acquire(&sweep->sleeper_ends) == 0) {
        const int64_t last = dx_consumer_wait(&sweep->reader);
        if (last >= 0) {
            take(sweep, last);
            dx_store_release(&sweep->sleeper_at, last);
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------- after the kill */

static void check_tables(const sweep_t *sweep)
{
    dx_ring_stat_t stat;
    dx_ring_stat(sweep->ring, &stat);
    if (stat.processes != 1 || stat.producers != (sweep->writing ? 1 : 0) ||
        stat.consumers != (sweep->reading ? 1 : 0)) {
        sweep_fail("left: %d processes, %d producers, %d consumers", stat.processes, stat.producers,
                   stat.consumers);
    }
    const uint64_t gating = (uint64_t)dx_load_acquire(&dx_ring_block(sweep->ring)->gating);
    const uint64_t expected = sweep->reading ? UINT64_C(1) << sweep->reader.index : 0;
    if (gating != expected) {
        sweep_fail("gating is %#llx, expected %#llx", (unsigned long long)gating,
                   (unsigned long long)expected);
    }
    sweep_check(stat.claimed == stat.published);
}

/* As many as the ring was made for can still come. */
static void check_room(const sweep_t *sweep)
{
    dx_consumer_t consumers[4];
    dx_producer_t producers[4];
    int consumers_open = 0;
    int producers_open = 0;
    for (int i = sweep->reading ? 1 : 0; i < 4; i++) {
        sweep_check(dx_consumer_open(&consumers[consumers_open++], sweep->ring, NULL, NULL) ==
                    DX_OK);
    }
    const int producers_max = sweep->mode == DX_RING_MULTI ? 4 : 1;
    for (int i = sweep->writing ? 1 : 0; i < producers_max; i++) {
        sweep_check(dx_producer_open(&producers[producers_open++], sweep->ring, NULL, NULL) ==
                    DX_OK);
    }
    while (producers_open > 0) {
        dx_producer_close(&producers[--producers_open]);
    }
    while (consumers_open > 0) {
        dx_consumer_close(&consumers[--consumers_open]);
    }
}

static void count_file(void *context, const dx_ring_file_t *file)
{
    int *attached = context;
    if (!file->unfinished) {
        sweep_check(file->code == DX_OK);
        *attached += file->attached;
    }
}

/* Everything that a ring promises after a death:
 *   - the dead is noticed, and nothing of it is left in any table
 *   - what it had published is there, whole, once, in order; of what it had begun, all or nothing
 *   - what it had claimed holds nobody up, and who slept is awake
 *   - the others go on for several laps, and losing nothing
 *   - all places of the tables can be had again */
static void verify(sweep_t *sweep)
{
    const int dead = dx_ring_recover(sweep->ring);
    sweep_check(dead >= 0);
    if (sweep->sleeper_writes) {
        await_sleeper(sweep, 1);
    }
    check_tables(sweep);
    if (sweep->reading) {
        sweep_read(sweep);
        const int64_t published = dx_load_acquire(&sweep->journal->published);
        const int64_t attempted = dx_load_acquire(&sweep->journal->attempted);
        if ((published & ~seen_of_victim) != 0 || (seen_of_victim & ~attempted) != 0) {
            sweep_fail("events of the victim: came %#llx, published %#llx, begun %#llx",
                       (unsigned long long)seen_of_victim, (unsigned long long)published,
                       (unsigned long long)attempted);
        }
    }
    sweep_open_writer(sweep);
    sweep_open_reader(sweep);
    const int64_t hidden_before = hidden;
    for (int i = 0; i < 3 * SWEEP_SLOTS; i++) {
        sweep_write(sweep, 1);
        sweep_read(sweep);
        sweep_check(next_of_survivor == next_to_write);
    }
    sweep_check(hidden == hidden_before);
    check_room(sweep);
    int attached = 0;
    sweep_check(dx_ring_list(sweep->folder, count_file, &attached, NULL) >= 1);
    sweep_check(attached == 1);
}

static int files_in(const char *folder)
{
    int count = 0;
    DIR *entries = opendir(folder);
    for (const struct dirent *e = readdir(entries); e != NULL; e = readdir(entries)) {
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    (void)closedir(entries);
    return count;
}

/* --------------------------------------------------------------------------------- the victim */

static void become_victim(const sweep_case_t *swept, sweep_t *sweep)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    if (swept->arrange != NULL) {
        swept->arrange(sweep);
    }
    (void)raise(SIGSTOP);
    dx_store_release(&sweep->journal->phase, SWEEP_INSIDE);
    swept->operate(sweep);
    dx_store_release(&sweep->journal->phase, SWEEP_AFTER);
    for (;;) {
        (void)raise(SIGSTOP);
    }
}

/* True when the child sleeps in the kernel. */
static bool is_asleep(pid_t child)
{
    char path[64];
    char text[256] = {0};
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
    FILE *file = fopen(path, "re");
    const bool read = file != NULL && fgets(text, sizeof(text), file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    const char *at = strrchr(text, ')');
    return read && at != NULL && at[1] == ' ' && at[2] == 'S';
}

typedef enum outcome { STEPPED, DONE, ASLEEP } outcome_t;

/* One instruction. */
static outcome_t step(const sweep_case_t *swept, const sweep_t *sweep, pid_t child)
{
    int status = 0;
    sweep_check(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
    if (!swept->sleeps) {
        sweep_check(waitpid(child, &status, __WALL) == child);
    } else {
        const int64_t end_ns = dx_clock_ns() + ASLEEP_NS;
        while (waitpid(child, &status, __WALL | WNOHANG) == 0) {
            if (dx_clock_ns() > end_ns && is_asleep(child)) {
                return ASLEEP;
            }
            (void)sched_yield();
        }
    }
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
        sweep_fail("the victim ended by itself: status %#x", (unsigned)status);
    }
    return dx_load_acquire(&sweep->journal->phase) == SWEEP_AFTER ? DONE : STEPPED;
}

#if defined(__x86_64__)
static uint64_t address_of(pid_t child)
{
    struct user_regs_struct registers;
    sweep_check(ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0);
    return registers.rip;
}

static bool is_system_call(pid_t child, uint64_t address)
{
    const long word = ptrace(PTRACE_PEEKTEXT, child, address, NULL);
    return (word & 0xffff) == 0x050f;
}

static void poke(pid_t child, uint64_t address, long word)
{
    sweep_check(ptrace(PTRACE_POKETEXT, child, address, word) == 0);
}

/* Runs at full speed to the `visits`-th time that the victim comes to the address. False when that
 * never came: its loops are not always as long, and a thread that nobody traces dies there. */
static bool run_to(const sweep_case_t *swept, const sweep_t *sweep, pid_t child, uint64_t address,
                   int64_t visits)
{
    const long word = ptrace(PTRACE_PEEKTEXT, child, address, NULL);
    for (;;) {
        int status = 0;
        poke(child, address, (word & ~0xffL) | 0xcc);
        sweep_check(ptrace(PTRACE_CONT, child, NULL, NULL) == 0);
        /* Not taken yet, if it has ended. */
        siginfo_t info = {0};
        sweep_check(waitid(P_PID, (id_t)child, &info, WEXITED | WSTOPPED | WNOWAIT) == 0);
        if (info.si_code != CLD_TRAPPED || info.si_status != SIGTRAP) {
            return false;
        }
        sweep_check(waitpid(child, &status, __WALL) == child);
        if (!WIFSTOPPED(status)) {
            return false;
        }
        struct user_regs_struct registers;
        sweep_check(ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0);
        poke(child, address, word);
        registers.rip = address;
        sweep_check(ptrace(PTRACE_SETREGS, child, NULL, &registers) == 0);
        if (--visits == 0) {
            return true;
        }
        (void)step(swept, sweep, child);
    }
}
#else
static uint64_t address_of(pid_t child)
{
    (void)child;
    return 0;
}

static bool is_system_call(pid_t child, uint64_t address)
{
    (void)child;
    (void)address;
    return true; /* every instruction may be one */
}

static bool run_to(const sweep_case_t *swept, const sweep_t *sweep, pid_t child, uint64_t address,
                   int64_t visits)
{
    (void)address;
    for (int64_t i = 1; i < visits; i++) {
        (void)step(swept, sweep, child);
    }
    return true;
}
#endif

/* Places to kill: numbers of instructions, in order. */
typedef struct places {
    int64_t *at;
    int64_t count;
    int64_t total;       /* instructions of the operation */
    uint64_t *addresses; /* of each of them; NULL where breakpoints are not known */
} places_t;

static void add_place(places_t *places, int64_t steps)
{
    if (places->count == 0 || places->at[places->count - 1] != steps) {
        sweep_check(places->count < PLACES_MAX);
        places->at[places->count++] = steps;
    }
}

/* What others can see of the ring: its block, if there is one. */
static bool has_changed(const sweep_t *sweep, char *seen)
{
    if (sweep->ring == NULL) {
        return false;
    }
    const dx_ring_block_t *block = dx_ring_block(sweep->ring);
    if (memcmp(seen, block, block->block_bytes) == 0) {
        return false;
    }
    memcpy(seen, block, block->block_bytes);
    return true;
}

/* Runs the operation once to the end and notes its places. */
static void explore(const sweep_case_t *swept, const sweep_t *sweep, pid_t child, places_t *places)
{
    char *seen = calloc(1, sweep->ring != NULL ? dx_ring_block(sweep->ring)->block_bytes : 1);
    (void)has_changed(sweep, seen);
    outcome_t outcome = STEPPED;
    int64_t steps = 0;
    add_place(places, 0);
    while (outcome == STEPPED) {
        sweep_check(steps < STEPS_MAX);
        const uint64_t address = address_of(child);
        const bool call = is_system_call(child, address);
        places->addresses[steps] = address;
        outcome = step(swept, sweep, child);
        steps++;
        if (call) {
            add_place(places, steps - 1); /* the last moment before it */
        }
        if (call || outcome != STEPPED || has_changed(sweep, seen)) {
            add_place(places, steps);
        }
    }
    places->addresses[steps] = 0; /* the end */
    places->total = steps;
    free(seen);
}

static pid_t start_victim(const sweep_case_t *swept, sweep_t *sweep)
{
    const pid_t child = fork();
    sweep_check(child >= 0);
    if (child == 0) {
        become_victim(swept, sweep);
    }
    int status = 0;
    sweep_check(waitpid(child, &status, __WALL) == child);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP) {
        sweep_fail("the victim did not get ready: status %#x", (unsigned)status);
    }
    (void)ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL);
    return child;
}

static void end_victim(pid_t child)
{
    int status = 0;
    (void)kill(child, SIGKILL); /* if it has ended by itself, nobody else has its id yet */
    while (waitpid(child, &status, __WALL) == child && !WIFSIGNALED(status)) {
    }
}

static void set_up(const sweep_case_t *swept, sweep_t *sweep)
{
    memset(sweep->journal, 0, sizeof(*sweep->journal));
    sweep->mode = swept->mode;
    sweep->spans = swept->spans;
    sweep->ring = NULL;
    sweep->own = NULL;
    sweep->reading = sweep->writing = sweep->sleeper_reads = sweep->sleeper_writes = false;
    dx_store_relaxed(&sweep->sleeper_at, -1);
    dx_store_relaxed(&sweep->sleeper_ends, 0);
    seen_of_victim = hidden = 0;
    next_of_survivor = next_to_write = FIRST_OF_SURVIVOR;
    if (!swept->makes) {
        const dx_ring_options_t options = sweep_ring_options(sweep);
        dx_error_t error = {0};
        if (dx_ring_create(&options, &sweep->ring, &error) != DX_OK) {
            sweep_fail("%s", error.message);
        }
    }
    if (swept->prepare != NULL) {
        swept->prepare(sweep);
    }
}

/* The maker of a file may have died before it locked it: then it is left alone for a moment. */
static void check_no_files(const sweep_t *sweep)
{
    const int64_t end_ns = dx_clock_ns() + PATIENCE_NS;
    while (files_in(sweep->folder) != 0) {
        const int code = dx_ring_remove(SWEEP_NAME, sweep->folder, false, NULL);
        sweep_check(code == DX_OK || code == DX_ENOTFOUND);
        if (dx_clock_ns() > end_ns) {
            sweep_fail("files are left in %s", sweep->folder);
        }
        (void)sched_yield();
    }
}

static void tear_down(sweep_t *sweep)
{
    if (sweep->sleeper_reads || sweep->sleeper_writes) {
        dx_store_release(&sweep->sleeper_ends, 1);
        if (sweep->sleeper_reads) {
            dx_consumer_cancel(&sweep->reader);
        }
        sweep_check(pthread_join(sweep->sleeper, NULL) == 0);
    }
    if (sweep->writing) {
        dx_producer_close(&sweep->writer);
    }
    if (sweep->reading) {
        dx_consumer_close(&sweep->reader);
    }
    dx_ring_destroy(sweep->ring);
    const pid_t helper = (pid_t)dx_load_acquire(&sweep->journal->helper);
    if (helper != 0) {
        (void)kill(helper, SIGKILL);
        (void)waitpid(helper, NULL, 0);
    }
    check_no_files(sweep);
}

/* Leads the victim to where it has run `steps` instructions. False when it ended before. */
static bool lead(const sweep_case_t *swept, const sweep_t *sweep, pid_t child, int64_t steps,
                 const places_t *places)
{
    if (places != NULL && steps > LEAD_ABOVE && places->addresses[steps] != 0) {
        int64_t visits = 1;
        for (int64_t i = 0; i < steps; i++) {
            visits += places->addresses[i] == places->addresses[steps];
        }
        if (visits < steps / 4) {
            return run_to(swept, sweep, child, places->addresses[steps], visits);
        }
    }
    outcome_t outcome = STEPPED;
    for (int64_t i = 0; i < steps && outcome == STEPPED; i++) {
        outcome = step(swept, sweep, child);
    }
    return true;
}

/* Kills after `steps` instructions; explores when that is negative. False when the victim ended
 * too early. */
static bool run(const sweep_case_t *swept, sweep_t *sweep, int64_t steps, places_t *places)
{
    case_steps = steps;
    set_up(swept, sweep);
    const pid_t child = start_victim(swept, sweep);
    bool arrived = true;
    if (steps < 0) {
        explore(swept, sweep, child, places);
    } else {
        arrived = lead(swept, sweep, child, steps, places);
    }
    end_victim(child);
    if (swept->makes) {
        /* Whatever is left, a new start finds nothing in its way. */
        sweep_check(sweep->ring == NULL);
        dx_error_t error = {0};
        const dx_ring_options_t options = sweep_ring_options(sweep);
        const int code = dx_ring_create(&options, &sweep->ring, &error);
        if (code != DX_OK) {
            sweep_fail("a new start: %s", error.message);
        }
    }
    if (swept->mend != NULL) {
        swept->mend(sweep);
    }
    verify(sweep);
    tear_down(sweep);
    return arrived;
}

static int64_t sweep_case(const sweep_case_t *swept, sweep_t *sweep, int64_t every)
{
    places_t places = {.at = calloc(PLACES_MAX, sizeof(int64_t)),
                       .addresses = calloc(STEPS_MAX, sizeof(uint64_t))};
    const int64_t started_ns = dx_clock_ns();
    (void)run(swept, sweep, -1, &places);
    int64_t kills = 1;
    int64_t next = 0;
    const bool full = getenv("DX_CRASH_FULL") != NULL;
    every = every == 0 && full && places.total < EACH_BELOW ? 1 : every;
    const int64_t stride = full ? 1 : 1 + places.count / PLACES_QUICK;
    for (int64_t n = 0; n <= places.total; n++) {
        const bool noted = next < places.count && places.at[next] == n;
        next += noted;
        if ((noted && next % stride == 0) || (every != 0 && n % every == 0)) {
            kills++;
            if (!run(swept, sweep, n, &places)) {
                (void)run(swept, sweep, n, NULL); /* step by step, then */
            }
        }
    }
    printf("%-28s %7lld instructions, %6lld places, %6lld kills, %5.1f s\n", swept->name,
           (long long)places.total, (long long)places.count, (long long)kills,
           (double)(dx_clock_ns() - started_ns) / 1e9);
    (void)fflush(stdout);
    free(places.at);
    free(places.addresses);
    return kills;
}

/* Tracer and victim take turns: on one processor each finds the other ready at once. */
static void stay_here(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
}

int main(int argc, char **argv)
{
    static sweep_t sweep;
    char folder[] = "/dev/shm/dx-sweep-XXXXXX";
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    sweep.folder = folder;
    sweep.journal = mmap(NULL, sizeof(*sweep.journal), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    stay_here();
    const char *every = getenv("DX_CRASH_EVERY");
    int64_t kills = 0;
    for (int i = 0; i < sweep_case_count; i++) {
        const sweep_case_t *swept = &sweep_cases[i];
        case_name = swept->name;
        if (argc > 1 && strcmp(argv[1], swept->name) != 0) {
            continue;
        }
        if (argc > 2) {
            (void)run(swept, &sweep, strtoll(argv[2], NULL, 10), NULL);
            kills++;
            continue;
        }
        kills += sweep_case(swept, &sweep, every != NULL ? strtoll(every, NULL, 10) : 0);
    }
    (void)rmdir(folder);
    printf("%lld kills, every one survived\n", (long long)kills);
    return kills > 0 ? 0 : 1;
}
