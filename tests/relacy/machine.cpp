/* machine.cpp - see machine.h. One program runs one scenario, or lists them.
 *
 *     relacy_<file> --list
 *     relacy_<file> NAME [--runs N] [--bound N]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <relacy/relacy.hpp>

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include "machine.h"

extern "C" {
#include "disruptorx/clock.h"
#include "disruptorx/memory.h"
extern const scenario_t *const scenarios[]; /* ends with a null pointer */
void dxi_point_set(void (*hook)(const char *point, void *context), void *context);
}

namespace
{

const size_t ARENA_BYTES = 1 << 18;
const size_t CELL_BYTES = 4;
const int MUTEXES_MAX = 8;
const unsigned STEPS_MAX = 20000;
const int LINGER_STEPS = 200; /* longer than any one operation of another thread */
const int LINGER_EVERY = 24;
const int AWAIT_STEPS = 1000;

typedef rl::timestamp_t order_t[MACHINE_THREADS_MAX];

/* What the machine knows about 4 bytes of the arena. */
struct cell {
    rl::atomic_data *atomic;
    rl::var_data *plain;
    int64_t history[rl::atomic_history_size];
    int64_t value; /* of the atomic: the newest in its modification order */
    unsigned bytes;
    const void *last_by; /* the last plain access, for the report */
};

struct waiter {
    const void *address;
    int thread;
};

struct mutex {
    const void *address;
    bool locked;
    order_t order;
};

/* The thread that may be killed. */
struct victim {
    int thread; /* -1: none */
    int steps_left;
    bool dead;
    order_t order;
    jmp_buf end;
};

alignas(4096) char arena[ARENA_BYTES];
cell cells[ARENA_BYTES / CELL_BYTES];
uint32_t touched[ARENA_BYTES / CELL_BYTES];
size_t touched_count;
size_t arena_used;

const scenario_t *chosen;
rl::thread_info_base *thread_infos[MACHINE_THREADS_MAX];
void (*atomic_begin)(rl::atomic_data *data);
rl::timestamp_t *(*atomic_order)(rl::atomic_data *data, unsigned index);
waiter waiters[MACHINE_THREADS_MAX];
int waiter_count;
mutex mutexes[MUTEXES_MAX];
victim mortal;
order_t heavy_order;                      /* everything ordered by a heavy fence so far */
order_t light_order[MACHINE_THREADS_MAX]; /* what each thread knew at its last light fence */
int64_t clock_ns;
int64_t runs_done;
int64_t runs_max;
unsigned known_context;

void order_join(rl::timestamp_t *to, const rl::timestamp_t *from)
{
    for (int i = 0; i < chosen->threads; i++) {
        to[i] = std::max(to[i], from[i]);
    }
}

/* The place in our code, for relacy's history; print_located() turns it to a file and line. */
rl::debug_info here(const void *pc)
{
    return rl::debug_info("", "pc", (unsigned)(uintptr_t)pc - 1);
}

/* ---------------------------------------------------------------------------- the run's memory */

cell &cell_at(const void *address)
{
    const size_t index = (size_t)((const char *)address - arena) / CELL_BYTES;
    cell &found = cells[index];
    if (found.atomic == NULL && found.plain == NULL) {
        touched[touched_count++] = (uint32_t)index;
    }
    return found;
}

bool in_arena(const void *address)
{
    return (const char *)address >= arena && (const char *)address < arena + ARENA_BYTES;
}

/* Between two steps of a protocol, now and then, a thread is left standing for as long as another
 * takes to do all of its own: a switch at each step with even odds would hardly ever do that. */
void linger(const char *name, void *)
{
    if (chosen->point != NULL && rl::ctx().threadx_ != NULL) {
        chosen->point(rl::ctx().threadx_->index_, name);
    }
    if (rl::ctx().is_random_sched() && machine_choose(LINGER_EVERY) == 0) {
        machine_delay(LINGER_STEPS);
    }
}

void machine_begin()
{
    dxi_point_set(linger, NULL);
    rl::context &c = rl::ctx();
    if (known_context != c.get_ctx_seq()) { /* a run of before failed: its context is gone */
        known_context = c.get_ctx_seq();
        memset(cells, 0, sizeof(cells));
        touched_count = 0;
    }
    memset(arena, 0, arena_used);
    arena_used = 0;
    waiter_count = 0;
    clock_ns = 1000000;
    memset(mutexes, 0, sizeof(mutexes));
    memset(&mortal, 0, sizeof(mortal));
    mortal.thread = -1;
    memset(heavy_order, 0, sizeof(heavy_order));
    memset(light_order, 0, sizeof(light_order));
    memset(thread_infos, 0, sizeof(thread_infos));
}

void machine_end()
{
    rl::context &c = rl::ctx();
    for (size_t i = 0; i < touched_count; i++) {
        cell &used = cells[touched[i]];
        if (used.atomic != NULL) {
            c.atomic_dtor(used.atomic);
        }
        if (used.plain != NULL) {
            c.var_dtor(used.plain);
        }
        memset(&used, 0, sizeof(used));
    }
    touched_count = 0;
    runs_done++;
}

/* A step that others can see: somebody else may run first, or the end may have come. */
void step()
{
    rl::context &c = rl::ctx();
    if (c.threadx_->index_ == mortal.thread && mortal.steps_left-- == 0) {
        mortal.thread = -1;
        longjmp(mortal.end, 1);
    }
    c.sched();
}

/* ------------------------------------------------------------------------------ plain accesses */

struct race_event {
    const void *address;
    bool is_store;
    unsigned other;

    void output(std::ostream &s) const
    {
        s << "RACE: a plain " << (is_store ? "store" : "load") << " at +"
          << (const char *)address - arena << ", the last access there was in pc(" << other << ")";
    }
};

void plain_access(const void *address, size_t bytes, bool is_store, const void *pc)
{
    if (!in_arena(address) || rl::ctx().threadx_ == NULL) {
        return;
    }
    rl::context &c = rl::ctx();
    rl::thread_info_base &self = *c.threadx_;
    const char *first = (const char *)((uintptr_t)address & ~(uintptr_t)(CELL_BYTES - 1));
    for (const char *at = first; at < (const char *)address + bytes; at += CELL_BYTES) {
        cell &found = cell_at(at);
        bool fine = true;
        if (found.plain == NULL) {
            found.plain = c.var_ctor();
        }
        fine = is_store ? found.plain->store(self) : found.plain->load(self);
        if (!fine) {
            const rl::debug_info info = here(pc);
            RL_HIST(race_event){at, is_store, (unsigned)(uintptr_t)found.last_by - 1} RL_HIST_END();
            c.fail_test("data race", rl::test_result_data_race, info);
        }
        found.last_by = pc;
    }
}

/* --------------------------------------------------------------------------- atomic operations */

struct atomic_event {
    const char *what;
    const void *address;
    int order;
    int64_t before;
    int64_t after;
    bool old;

    void output(std::ostream &s) const
    {
        static const char *const orders[] = {"relaxed", "consume", "acquire",
                                             "release", "acq_rel", "seq_cst"};
        s << "+" << (const char *)address - arena << " " << what << " " << orders[order] << ", "
          << before;
        if (after != before) {
            s << " -> " << after;
        }
        s << (old ? " (not the newest)" : "");
    }
};

int64_t raw_load(const void *address, unsigned bytes)
{
    if (bytes == 8) {
        return *(const int64_t *)address;
    }
    return bytes == 4 ? *(const int32_t *)address : *(const uint8_t *)address;
}

void raw_store(const void *address, unsigned bytes, int64_t value)
{
    if (bytes == 8) {
        *(int64_t *)(uintptr_t)address = value;
    } else if (bytes == 4) {
        *(int32_t *)(uintptr_t)address = (int32_t)value;
    } else {
        *(uint8_t *)(uintptr_t)address = (uint8_t)value;
    }
}

/* The word at `address`. One that is new begins with what stands in memory, known to all. */
cell &atomic_at(const void *address, unsigned bytes)
{
    cell &word = cell_at(address);
    if (word.atomic == NULL) {
        word.atomic = rl::ctx().atomic_ctor(NULL);
        atomic_begin(word.atomic);
        word.value = word.history[0] = raw_load(address, bytes);
        word.bytes = bytes;
    }
    if (word.bytes != bytes || word.value != raw_load(address, bytes)) {
        rl::ctx().fail_test("a plain store, or one of another size, to an atomic word",
                            rl::test_result_user_assert_failed, here(__builtin_return_address(0)));
    }
    return word;
}

int64_t atomic_load(const void *address, unsigned bytes, int order, const void *pc)
{
    if (!in_arena(address)) {
        return raw_load(address, bytes);
    }
    rl::context &c = rl::ctx();
    step();
    cell &word = atomic_at(address, bytes);
    const unsigned index = order == __ATOMIC_RELAXED ? c.threadx_->atomic_load_relaxed(word.atomic)
                           : order == __ATOMIC_SEQ_CST
                               ? c.threadx_->atomic_load_seq_cst(word.atomic)
                               : c.threadx_->atomic_load_acquire(word.atomic);
    const int64_t value = word.history[index];
    const rl::debug_info info = here(pc);
    RL_HIST(atomic_event){"load", address, order, value, value, value != word.value} RL_HIST_END();
    return value;
}

void atomic_store(const void *address, unsigned bytes, int64_t value, int order, const void *pc)
{
    if (!in_arena(address)) {
        raw_store(address, bytes, value);
        return;
    }
    rl::context &c = rl::ctx();
    step();
    cell &word = atomic_at(address, bytes);
    const unsigned index = order == __ATOMIC_RELAXED ? c.threadx_->atomic_store_relaxed(word.atomic)
                           : order == __ATOMIC_SEQ_CST
                               ? c.threadx_->atomic_store_seq_cst(word.atomic)
                               : c.threadx_->atomic_store_release(word.atomic);
    const rl::debug_info info = here(pc);
    RL_HIST(atomic_event){"store", address, order, word.value, value, false} RL_HIST_END();
    order_join(atomic_order(word.atomic, index), heavy_order);
    word.history[index] = word.value = value;
    raw_store(address, bytes, value);
}

/* Read, modify, write; `compute` makes the new value of the old one, or says to leave it. */
template <typename compute_t>
int64_t atomic_exchange(const void *address, unsigned bytes, int order, int failure_order,
                        const void *pc, const char *what, compute_t compute)
{
    int64_t after = 0;
    if (!in_arena(address)) {
        const int64_t before = raw_load(address, bytes);
        if (compute(before, &after)) {
            raw_store(address, bytes, after);
        }
        return before;
    }
    rl::context &c = rl::ctx();
    step();
    cell &word = atomic_at(address, bytes);
    const int64_t before = word.value;
    const rl::debug_info info = here(pc);
    if (!compute(before, &after)) {
        if (failure_order == __ATOMIC_RELAXED) {
            c.threadx_->atomic_load_relaxed_rmw(word.atomic);
        } else {
            c.threadx_->atomic_load_acquire_rmw(word.atomic);
        }
        RL_HIST(atomic_event){
            "failed exchange", address, failure_order, before, before, false} RL_HIST_END();
        return before;
    }
    bool aba = false;
    unsigned index = 0;
    switch (order) {
    case __ATOMIC_RELAXED:
        index = c.threadx_->atomic_rmw_relaxed(word.atomic, aba);
        break;
    case __ATOMIC_ACQUIRE:
        index = c.threadx_->atomic_rmw_acquire(word.atomic, aba);
        break;
    case __ATOMIC_RELEASE:
        index = c.threadx_->atomic_rmw_release(word.atomic, aba);
        break;
    case __ATOMIC_ACQ_REL:
        index = c.threadx_->atomic_rmw_acq_rel(word.atomic, aba);
        break;
    default:
        index = c.threadx_->atomic_rmw_seq_cst(word.atomic, aba);
        break;
    }
    if (bytes == 4) {
        after = (int32_t)after;
    }
    RL_HIST(atomic_event){what, address, order, before, after, false} RL_HIST_END();
    order_join(atomic_order(word.atomic, index), heavy_order);
    word.history[index] = word.value = after;
    raw_store(address, bytes, after);
    return before;
}

/* -------------------------------------------------------------------------------------- fences */

void fence_light()
{
    rl::thread_info_base &self = *rl::ctx().threadx_;
    order_join(self.acq_rel_order_, heavy_order);
    memcpy(light_order[self.index_], self.acq_rel_order_,
           (size_t)chosen->threads * sizeof(rl::timestamp_t));
}

/* What is stored after a heavy fence is stored behind it on every processor: the stores of others
 * carry it, too, with or without a light fence (see order_join() in atomic_store()). */
void fence_heavy()
{
    rl::context &c = rl::ctx();
    step();
    rl::thread_info_base &self = *c.threadx_;
    for (int i = 0; i < chosen->threads; i++) {
        order_join(self.acq_rel_order_, light_order[i]);
    }
    fence_light();
    order_join(heavy_order, self.acq_rel_order_);
}

/* ------------------------------------------------------------------------------- system calls */

struct text_event {
    const char *text;
    const void *address;

    void output(std::ostream &s) const
    {
        s << text << " +" << (const char *)address - arena;
    }
};

bool spurious_run()
{
    return chosen->spurious && runs_done % 4 == 3 && rl::ctx().is_random_sched();
}

/* What the thread has seen change, it does not see as it was before from here on. Without this a
 * search of all interleavings follows one in which a thread looks at old values for ever; C11 says
 * that new ones arrive in time. Random schedules end by themselves. */
void time_passes()
{
    if (!rl::ctx().is_random_sched()) {
        rl::ctx().threadx_->last_yield_ = rl::ctx().threadx_->own_acq_rel_order_;
    }
}

/* Sleeps until woken at `address`, or for another reason where that is allowed. */
void sleep_at(const void *address, int64_t timeout_ns, bool spurious, rl::debug_info_param info)
{
    rl::context &c = rl::ctx();
    const int self = c.threadx_->index_;
    waiters[waiter_count++] = {address, self};
    const rl::unpark_reason reason = c.park_current_thread(timeout_ns >= 0, spurious, false, info);
    if (reason == rl::unpark_reason_timeout) {
        clock_ns += timeout_ns;
    }
    if (reason != rl::unpark_reason_normal) {
        for (int i = 0; i < waiter_count; i++) {
            if (waiters[i].thread == self) {
                waiters[i] = waiters[--waiter_count];
                break;
            }
        }
    }
}

int wake_at(const void *address, int count, rl::debug_info_param info)
{
    int woken = 0;
    for (int i = 0; i < waiter_count && woken < count;) {
        if (waiters[i].address == address) {
            const int thread = waiters[i].thread;
            waiters[i] = waiters[--waiter_count];
            rl::ctx().unpark_thread(thread, false, info);
            woken++;
        } else {
            i++;
        }
    }
    return woken;
}

long futex_call(const void *address, int operation, int value, const struct timespec *timeout,
                const void *pc)
{
    rl::context &c = rl::ctx();
    const rl::debug_info info = here(pc);
    step();
    switch (operation & ~FUTEX_PRIVATE_FLAG) {
    case FUTEX_WAIT:
        if (raw_load(address, 4) != value) {
            RL_HIST(text_event){"futex: the word has changed", address} RL_HIST_END();
            time_passes();
            return -1;
        }
        RL_HIST(text_event){"futex: wait", address} RL_HIST_END();
        sleep_at(address, timeout != NULL ? timeout->tv_sec * 1000000000 + timeout->tv_nsec : -1,
                 spurious_run(), info);
        time_passes();
        return 0;
    case FUTEX_WAKE:
        RL_HIST(text_event){"futex: wake", address} RL_HIST_END();
        return wake_at(address, value, info);
    default:
        c.fail_test("a futex call that the machine does not know",
                    rl::test_result_user_assert_failed, info);
    }
    return -1;
}

long membarrier_call(int command, const void *pc)
{
    const rl::debug_info info = here(pc);
    rl::context &c = rl::ctx();
    if (chosen->without_membarrier) {
        return -1;
    }
    if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED || command == MEMBARRIER_CMD_GLOBAL_EXPEDITED) {
        RL_HIST(text_event){"membarrier", arena} RL_HIST_END();
        fence_heavy();
    }
    return 0;
}

mutex &mutex_at(const void *address)
{
    int i = 0;
    while (mutexes[i].address != NULL && mutexes[i].address != address) {
        i++;
    }
    mutexes[i].address = address;
    return mutexes[i];
}

} // namespace

/* ------------------------------------------------------------- what the compiled ring calls */

extern "C" {

#define PC __builtin_return_address(0)

void __tsan_init(void)
{
}
void __tsan_func_entry(void *)
{
}
void __tsan_func_exit(void)
{
}

#define PLAIN(bytes)                                                                               \
    void __tsan_read##bytes(void *address)                                                         \
    {                                                                                              \
        plain_access(address, bytes, false, PC);                                                   \
    }                                                                                              \
    void __tsan_write##bytes(void *address)                                                        \
    {                                                                                              \
        plain_access(address, bytes, true, PC);                                                    \
    }                                                                                              \
    void __tsan_unaligned_read##bytes(void *address)                                               \
    {                                                                                              \
        plain_access(address, bytes, false, PC);                                                   \
    }                                                                                              \
    void __tsan_unaligned_write##bytes(void *address)                                              \
    {                                                                                              \
        plain_access(address, bytes, true, PC);                                                    \
    }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *address, size_t bytes)
{
    plain_access(address, bytes, false, PC);
}
void __tsan_write_range(void *address, size_t bytes)
{
    plain_access(address, bytes, true, PC);
}

#define ATOMIC_FETCH(bits, type, name, expression)                                                 \
    type __tsan_atomic##bits##_##name(volatile type *address, type value, int order)               \
    {                                                                                              \
        return (type)atomic_exchange((const void *)address, bits / 8, order, __ATOMIC_RELAXED, PC, \
                                     #name, [value](int64_t before, int64_t *after) {              \
                                         *after = (int64_t)(expression);                           \
                                         return true;                                              \
                                     });                                                           \
    }
#define ATOMIC(bits, type)                                                                         \
    type __tsan_atomic##bits##_load(const volatile type *address, int order)                       \
    {                                                                                              \
        return (type)atomic_load((const void *)address, bits / 8, order, PC);                      \
    }                                                                                              \
    void __tsan_atomic##bits##_store(volatile type *address, type value, int order)                \
    {                                                                                              \
        atomic_store((const void *)address, bits / 8, value, order, PC);                           \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *address, type *expected,      \
                                                      type value, int order, int failure)          \
    {                                                                                              \
        const type wanted = *expected;                                                             \
        bool done = false;                                                                         \
        *expected = (type)atomic_exchange((const void *)address, bits / 8, order, failure, PC,     \
                                          "exchange", [=, &done](int64_t before, int64_t *after) { \
                                              *after = value;                                      \
                                              return done = (type)before == wanted;                \
                                          });                                                      \
        return done;                                                                               \
    }                                                                                              \
    ATOMIC_FETCH(bits, type, exchange, ((void)before, value))                                      \
    ATOMIC_FETCH(bits, type, fetch_add, (uint64_t)before + (uint64_t)value)                        \
    ATOMIC_FETCH(bits, type, fetch_sub, (uint64_t)before - (uint64_t)value)                        \
    ATOMIC_FETCH(bits, type, fetch_and, before &value)                                             \
    ATOMIC_FETCH(bits, type, fetch_or, before | value)
ATOMIC(8, int8_t)
ATOMIC(32, int32_t)
ATOMIC(64, int64_t)

void __tsan_atomic_thread_fence(int order)
{
    rl::context &c = rl::ctx();
    if (order == __ATOMIC_SEQ_CST) {
        step();
        c.atomic_thread_fence_seq_cst();
    } else if (order == __ATOMIC_ACQUIRE) {
        c.atomic_thread_fence_acquire();
    } else if (order == __ATOMIC_RELEASE) {
        c.atomic_thread_fence_release();
    } else if (order == __ATOMIC_ACQ_REL) {
        c.atomic_thread_fence_acq_rel();
    }
}

void __tsan_atomic_signal_fence(int)
{
    fence_light();
}

long machine_syscall(long number, ...)
{
    va_list list;
    va_start(list, number);
    long result = -1;
    if (number == SYS_futex) {
        const void *address = va_arg(list, void *);
        const int operation = va_arg(list, int);
        const int value = va_arg(list, int);
        result = futex_call(address, operation, value, va_arg(list, struct timespec *), PC);
    } else if (number == SYS_membarrier) {
        result = membarrier_call(va_arg(list, int), PC);
    }
    va_end(list);
    return result;
}

void machine_delay(int steps_max)
{
    rl::context &c = rl::ctx();
    for (int rest = c.is_random_sched() ? machine_choose(steps_max + 1) : 0; rest > 0; rest--) {
        c.sched();
    }
}

void machine_await(const int *stage, int reached)
{
    rl::context &c = rl::ctx();
    for (int rest = c.is_random_sched() ? AWAIT_STEPS : 0; rest > 0 && *stage < reached; rest--) {
        c.sched();
    }
}

void machine_yield(void)
{
    rl::ctx().yield(1, here(PC));
}

int machine_sched_yield(void)
{
    rl::ctx().yield(1, here(PC));
    return 0;
}

int machine_nanosleep(const struct timespec *, struct timespec *)
{
    rl::ctx().yield(1, here(PC));
    return 0;
}

void machine_mortal(void (*body)(void), int steps_max)
{
    rl::context &c = rl::ctx();
    mortal.steps_left = (int)c.rand((unsigned)steps_max + 1, rl::sched_type_user);
    mortal.thread = c.threadx_->index_;
    if (setjmp(mortal.end) == 0) {
        body();
    }
    mortal.thread = -1;
    const rl::debug_info info = here(PC);
    RL_HIST(text_event){"dies", arena} RL_HIST_END();
    c.threadx_->own_acq_rel_order_++;
    order_join(mortal.order, c.threadx_->acq_rel_order_);
    mortal.dead = true;
    (void)wake_at(&mortal, MACHINE_THREADS_MAX, info);
}

bool machine_is_dead(void)
{
    step();
    if (mortal.dead) {
        order_join(rl::ctx().threadx_->acq_rel_order_, mortal.order);
    }
    return mortal.dead;
}

void machine_wait_dead(void)
{
    while (!machine_is_dead()) {
        sleep_at(&mortal, -1, false, here(PC));
    }
}

int machine_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *)
{
    (void)mutex_at(mutex);
    return 0;
}

int machine_mutex_destroy(pthread_mutex_t *)
{
    return 0;
}

int machine_mutex_lock(pthread_mutex_t *address)
{
    const rl::debug_info info = here(PC);
    rl::context &c = rl::ctx();
    mutex &found = mutex_at(address);
    step();
    while (found.locked) {
        sleep_at(address, -1, false, info);
    }
    found.locked = true;
    order_join(c.threadx_->acq_rel_order_, found.order);
    RL_HIST(text_event){"lock", address} RL_HIST_END();
    return 0;
}

int machine_mutex_trylock(pthread_mutex_t *address)
{
    const rl::debug_info info = here(PC);
    rl::context &c = rl::ctx();
    mutex &found = mutex_at(address);
    step();
    if (found.locked) {
        RL_HIST(text_event){"is locked", address} RL_HIST_END();
        return EBUSY;
    }
    found.locked = true;
    order_join(c.threadx_->acq_rel_order_, found.order);
    RL_HIST(text_event){"lock", address} RL_HIST_END();
    return 0;
}

int machine_mutex_unlock(pthread_mutex_t *address)
{
    const rl::debug_info info = here(PC);
    rl::context &c = rl::ctx();
    mutex &found = mutex_at(address);
    RL_HIST(text_event){"unlock", address} RL_HIST_END();
    c.threadx_->own_acq_rel_order_++;
    order_join(found.order, c.threadx_->acq_rel_order_);
    found.locked = false;
    (void)wake_at(address, MACHINE_THREADS_MAX, info);
    return 0;
}

int64_t machine_clock_ns(void)
{
    clock_ns += 1000;
    return clock_ns;
}

const dx_tsc_t *machine_tsc(void)
{
    static const dx_tsc_t tsc = {0, 0, UINT64_C(1) << 32, 1000000000, false};
    return &tsc;
}

int32_t machine_thread_id(void)
{
    return 1 + machine_thread();
}

void *machine_alloc(size_t bytes)
{
    const size_t unit = DX_FALSE_SHARING_BYTES;
    void *memory = arena + arena_used;
    arena_used += (bytes + unit - 1) / unit * unit;
    if (arena_used > ARENA_BYTES) {
        abort();
    }
    return memory;
}

void *machine_alloc_zeroed(size_t count, size_t object_bytes)
{
    return machine_alloc(count * object_bytes);
}

void machine_free(void *)
{
}

int machine_memory_map(const dx_memory_options_t *options, dx_memory_t *memory_out, dx_error_t *)
{
    memset(memory_out, 0, sizeof(*memory_out));
    arena_used = (arena_used + 4095) / 4096 * 4096;
    memory_out->address = machine_alloc(options->size_bytes);
    memory_out->size_bytes = options->size_bytes;
    memory_out->page_bytes = 4096;
    return 0;
}

void machine_memory_unmap(dx_memory_t *)
{
}

void machine_fail(const char *condition, const char *file, int line)
{
    rl::ctx().fail_test(condition, rl::test_result_user_assert_failed,
                        rl::debug_info("check", file, (unsigned)line));
    abort(); /* fail_test() does not return */
}

int machine_choose(int limit)
{
    return (int)rl::ctx().rand((unsigned)limit, rl::sched_type_user);
}

int machine_thread(void)
{
    rl::thread_info_base *self = rl::ctx().threadx_;
    return self != NULL ? self->index_ : 0;
}

} // extern "C"

/* ------------------------------------------------------------------------------------- running */

namespace
{

template <int count> struct suite : rl::test_suite<suite<count>, count> {
    static void begin_atomic(rl::atomic_data *data)
    {
        rl::atomic_data_impl<count> *whole = static_cast<rl::atomic_data_impl<count> *>(data);
        typename rl::atomic_data_impl<count>::history_record &first = whole->history_[0];
        first.busy_ = true;
        first.thread_id_ = 0;
        first.acq_rel_timestamp_ = 0;
        for (int i = 0; i < count; i++) {
            first.acq_rel_order_[i] = 0;
            first.first_seen_order_[i] = (rl::timestamp_t)-1;
        }
    }
    static rl::timestamp_t *order_of(rl::atomic_data *data, unsigned index)
    {
        return static_cast<rl::atomic_data_impl<count> *>(data)->history_[index].acq_rel_order_;
    }
    void before()
    {
        atomic_begin = begin_atomic;
        atomic_order = order_of;
        machine_begin();
        chosen->before();
    }
    void thread(unsigned index)
    {
        thread_infos[index] = rl::ctx().threadx_;
        chosen->thread((int)index);
    }
    void after()
    {
        chosen->after();
        machine_end();
        if (runs_max > 0 && runs_done >= runs_max) {
            rl::ctx().rl_until("enough", rl::debug_info());
        }
    }
};

/* The source lines of a place in the program, innermost inlined function first. */
std::string located(unsigned long pc)
{
    static std::map<unsigned long, std::string> known;
    std::string &places = known[pc];
    if (places.empty()) {
        char command[64];
        char line[512];
        snprintf(command, sizeof(command), "addr2line -si -e /proc/%d/exe %#lx", (int)getpid(), pc);
        FILE *pipe = popen(command, "r");
        while (pipe != NULL && fgets(line, sizeof(line), pipe) != NULL) {
            if (strncmp(line, "atomic.h", 8) != 0) {
                places += std::string(places.empty() ? "" : " < ") +
                          std::string(line, strcspn(line, " \n"));
            }
        }
        if (pipe != NULL) {
            pclose(pipe);
        }
    }
    return places;
}

/* Prints relacy's report, without its second half (each thread alone), with source lines. */
void print_located(const std::string &whole)
{
    const std::string text = whole.substr(0, whole.find("\nthread 0:"));
    size_t from = 0;
    for (size_t at = text.find("pc("); at != std::string::npos; at = text.find("pc(", from)) {
        std::cout << text.substr(from, at - from)
                  << located(strtoul(text.c_str() + at + 3, NULL, 10));
        from = text.find(")", at) + 1;
    }
    std::cout << text.substr(from) << std::endl;
}

/* Runs the chosen scenario; when it fails, once more the same way with a history of each step. */
template <int count, typename scheduler_t>
bool simulate(rl::scheduler_type_e kind, int64_t runs, int bound)
{
    rl::ostringstream report;
    rl::ostringstream progress;
    rl::ostringstream state;
    rl::ostringstream ignored;
    rl::test_params params;
    params.output_stream = &report;
    params.progress_stream = &progress;
    params.execution_depth_limit = STEPS_MAX;
    params.search_type = kind;
    params.iteration_count = (rl::iteration_t)runs;
    params.context_bound = (unsigned)bound;
    runs_done = 0;
    runs_max = kind == rl::sched_random ? 0 : runs;
    const rl::test_result_e result = rl::run_test<suite<count>, scheduler_t>(params, state, false);
    const int64_t run = (int64_t)params.stop_iteration;
    std::cout << chosen->name << ": " << (bound == 0 ? "random" : "bounded") << ": ";
    if (result == rl::test_result_success || result == rl::test_result_until_condition_hit) {
        std::cout << run << " runs";
        if (kind != rl::sched_random && result == rl::test_result_success) {
            std::cout << ", every interleaving with at most " << bound << " preemptions";
        }
        std::cout << std::endl;
        return true;
    }
    std::cout << "FAILED in run " << run << "\n";
    runs_done = run - 1;
    runs_max = 0;
    params.initial_state = state.str();
    params.collect_history = true;
    (void)rl::run_test<suite<count>, scheduler_t>(params, ignored, true);
    print_located(report.str().c_str());
    return false;
}

template <int count> bool simulate_both(int64_t runs, int bound)
{
    return (runs == 0 || simulate<count, rl::random_scheduler<count>>(rl::sched_random, runs, 0)) &&
           (bound == 0 || simulate<count, rl::context_bound_scheduler<count>>(
                              rl::sched_bound, chosen->bound_runs, bound));
}

} // namespace

int main(int argc, char **argv)
{
    int64_t runs = -1;
    int bound = -1;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--runs") == 0) {
            runs = atoll(argv[i + 1]);
        } else if (strcmp(argv[i], "--bound") == 0) {
            bound = atoi(argv[i + 1]);
        }
    }
    for (const scenario_t *const *row = scenarios; *row != NULL; row++) {
        if (argc < 2 || strcmp(argv[1], "--list") == 0) {
            std::cout << (*row)->name << " - " << (*row)->what << "\n";
        } else if (strcmp(argv[1], (*row)->name) == 0) {
            chosen = *row;
        }
    }
    if (chosen == NULL) {
        return argc < 2 || strcmp(argv[1], "--list") == 0 ? 0 : 2;
    }
    runs = runs >= 0 ? runs : chosen->runs;
    bound = bound >= 0 ? bound : chosen->bound;
    bool fine = false;
    switch (chosen->threads) {
    case 2:
        fine = simulate_both<2>(runs, bound);
        break;
    case 3:
        fine = simulate_both<3>(runs, bound);
        break;
    case 4:
        fine = simulate_both<4>(runs, bound);
        break;
    default:
        break;
    }
    return fine ? 0 : 1;
}
