/* machine.h - the simulated machine on which the ring's own object code runs.
 *
 * DESIGN
 *
 * The C files of the ring are compiled as they are, by gcc with -fsanitize=thread. That makes gcc
 * call a function for each atomic operation, each fence and each plain load and store. Usually
 * those functions are the race checker's; here they are machine.cpp, which answers them with the
 * memory model and the schedulers of relacy. So what is checked is the code that ships, to the last
 * memory order, and a weaker order in a source file is a weaker order here.
 *
 *   atomic words     relacy's: a load may return an old value wherever C11 allows it
 *   plain memory     relacy's race detector, for everything in the arena (rings, handles, slots)
 *   futex            sleeps in relacy's scheduler; all asleep is an error, which is what a lost
 *                    wake-up ends in. It orders no memory: the code must not rely on that
 *   membarrier()     the heavy side of an asymmetric fence: it orders what others did before their
 *                    last signal fence, what they do after their next one, and what they store from
 *                    then on. Two light sides order nothing between each other
 *   mutexes, clock   simulated: time moves by a microsecond with each look at it
 *
 * What is outside of the arena (stacks, static tables) belongs to one thread and is not looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MACHINE_THREADS_MAX 4

/* One case: what is set up, what each thread does, and what must be true afterwards. */
typedef struct scenario {
    const char *name;
    const char *what; /* one sentence */
    int threads;
    bool without_membarrier; /* the kernel has none */
    bool spurious;           /* a futex may also wake for no reason, in a quarter of the runs */
    int64_t runs;            /* of the random scheduler */
    int bound;               /* 0, or search all interleavings with so many preemptions ... */
    int64_t bound_runs;      /* ... but no more than so many */
    void (*before)(void);
    void (*thread)(int index);
    void (*after)(void);
    void (*point)(int thread, const char *name); /* at each named point of the ring; or NULL */
} scenario_t;

/* Zeroed memory that the machine watches; it is gone when the run ends. */
void *machine_alloc(size_t bytes);

/* Ends the run as failed unless `condition` holds. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            machine_fail(#condition, __FILE__, __LINE__);                                          \
        }                                                                                          \
    } while (0)
void machine_fail(const char *condition, const char *file, int line) __attribute__((noreturn));

/* A number from 0 to limit - 1 that the scheduler chooses. */
int machine_choose(int limit);

/* Runs `body` in the calling thread, as a process that may be killed at any of its next `steps_max`
 * looks at shared memory or system calls: it then simply stops, and what it had stored stays. Ends
 * in a death in any case. One thread of a scenario may be mortal. */
void machine_mortal(void (*body)(void), int steps_max);

/* Whether it is dead; when it is, the caller sees everything it did, as the kernel's locks see to
 * it. The second waits for it. */
bool machine_is_dead(void);
void machine_wait_dead(void);

/* Up to so many steps in which nothing is done, so that a long operation of another thread comes
 * to its end before a short one here begins. In the search of all interleavings it is nothing. */
void machine_delay(int steps_max);

/* Lets others run until `*stage`, a number of the scenario's own, has come to `reached`, but for no
 * more than a thousand steps: for an order of steps that chance would hardly ever find. It says
 * when things happen, and nothing about what anybody sees of them. In the search of all
 * interleavings it is nothing. */
void machine_await(const int *stage, int reached);

/* Lets others run, as in a loop that polls. */
void machine_yield(void);

/* The calling thread, from 0. */
int machine_thread(void);

#ifdef __cplusplus
}
#endif
#endif
