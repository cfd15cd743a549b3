/* cli/bench_latency.c - scenarios that time single events, and the one in which nothing happens.
 *
 *     pingpong            two rings, two threads that wait on each other: the round trip
 *     one-way             one event each `pace`, from the moment it was DUE to its handler: an
 *                         event that the producer sent late counts as late, so there is no
 *                         coordinated omission
 *     pipeline3-latency   one event each `pace` through three stages, from its publication to the
 *                         last stage, divided by three: the mean hop, as LMAX measures it
 *     wakeup              the consumer sleeps in the kernel when the event comes
 *     futex               the same with a word and the two futex calls and no ring: what the system
 *                         itself takes to wake a thread
 *     idle                CPU time of the process while a consumer waits and nothing is published
 *
 * Times are of dx_clock_ns(), one reading at each end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <linux/futex.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "cli/bench_event.h"
#include "cli/bench_run.h"
#include "disruptorx/span.h"

#define SPINS_BEFORE_YIELD 20000u
#define IDLE_SETTLE_MS 20

/* A word that is a value (pingpong) or a time in nanoseconds. */
typedef struct stamp {
    int64_t value;
} stamp_t;

/* Spins: a sleep would let the core cool down, and wake up tens of microseconds late. */
static void pace_until(int64_t deadline_ns)
{
    while (dx_clock_ns() < deadline_ns) {
        dx_cpu_relax();
    }
}

DX_INLINE int publish_value(dx_producer_t *producer, int64_t value)
{
    const int64_t sequence = dx_producer_claim(producer);
    if (DX_UNLIKELY(sequence < 0)) {
        return (int)sequence;
    }
    DX_PRODUCER_EVENT(producer, sequence, stamp_t)->value = value;
    return dx_producer_publish(producer, sequence);
}

/* Waits for the next event: its value, or a negative code. The caller releases it. */
DX_INLINE int64_t take_value(dx_consumer_t *consumer)
{
    const int64_t last = dx_consumer_wait(consumer);
    if (DX_UNLIKELY(last < 0)) {
        return last;
    }
    return DX_CONSUMER_EVENT(consumer, consumer->next, stamp_t)->value;
}

/* Ping-pong ----------------------------------------------------------------------------------- */

int dxi_bench_pingpong_open(dxi_bench_run_t *run, dx_error_t *error)
{
    int result = DX_OK;
    for (uint32_t i = 0; i < 2 && result == DX_OK; i++) {
        result = dxi_bench_ring_open(run, i, i, 1, error);
        if (result == DX_OK && dxi_bench_is_mine(run, 1 - i)) { /* who writes one reads the other */
            result = dxi_bench_consumer_open(run, i, error);
        }
    }
    return result;
}

/* The whole payload of an event of 32 bytes is written, and read. */
#define PONG_WORDS 4u
#define PONG_REST (0u + 1 + 2 + 3) /* what the words are more than the first, together */

DX_INLINE int publish_words(dx_producer_t *producer, int64_t value, const bool spans)
{
    const int64_t sequence = spans ? dx_producer_claim_span(producer, PONG_WORDS * sizeof(uint64_t))
                                   : dx_producer_claim(producer);
    if (DX_UNLIKELY(sequence < 0)) {
        return (int)sequence;
    }
    uint64_t *words = spans ? dx_span_payload(dx_producer_span(producer, sequence))
                            : dx_producer_event(producer, sequence);
    dxi_bench_event_fill(words, PONG_WORDS, (uint64_t)value);
    return spans ? dx_producer_publish_span(producer, sequence)
                 : dx_producer_publish(producer, sequence);
}

DX_INLINE int64_t take_words(dx_consumer_t *consumer, const bool spans)
{
    const int64_t last = dx_consumer_wait(consumer);
    if (DX_UNLIKELY(last < 0)) {
        return last;
    }
    const uint64_t *words = dx_consumer_event(consumer, consumer->next);
    if (spans) {
        dx_spans_t range = dx_consumer_spans(consumer, last);
        const dx_span_t *span = dx_spans_next(&range);
        if (DX_UNLIKELY(span == NULL)) {
            return DX_ECORRUPT;
        }
        words = dx_span_payload(span);
    }
    return (int64_t)((dxi_bench_event_sum(words, PONG_WORDS) - PONG_REST) / PONG_WORDS);
}

/* How a ping-pong sends and takes one value. */
typedef enum ball { BALL_VALUE = 0, BALL_WORDS = 1, BALL_SPAN = 2 } ball_t;

DX_INLINE int hit(dx_producer_t *producer, int64_t value, const ball_t ball)
{
    return ball == BALL_VALUE ? publish_value(producer, value)
                              : publish_words(producer, value, ball == BALL_SPAN);
}

DX_INLINE int64_t take(dx_consumer_t *consumer, const ball_t ball)
{
    return ball == BALL_VALUE ? take_value(consumer) : take_words(consumer, ball == BALL_SPAN);
}

DX_INLINE int ping(dxi_bench_run_t *run, const ball_t ball)
{
    dxi_bench_tally_t *const tally = &run->tallies[0];
    const int64_t pace_ns = run->params->pace_ns;
    dx_producer_t producer = run->producers[0]; /* in registers, see bench_loops.c */
    dx_producer_assume_single(&producer);
    int64_t result = DX_OK;
    for (int64_t i = 1; i <= (int64_t)run->events && result >= 0; i++) {
        const int64_t from_ns = dx_clock_ns();
        result = hit(&producer, i, ball);
        const int64_t value = result == DX_OK ? take(&run->consumers[1], ball) : result;
        const int64_t to_ns = dx_clock_ns();
        result = value < 0 ? value : DX_OK;
        dx_consumer_release(&run->consumers[1], run->consumers[1].next);
        tally->sum +=
            ball == BALL_VALUE ? (uint64_t)value : PONG_WORDS * (uint64_t)value + PONG_REST;
        if (pace_ns == 0) {
            dx_histogram_record(run->latency, to_ns - from_ns);
        } else {
            dx_histogram_record_corrected(run->latency, to_ns - from_ns, pace_ns);
            pace_until(to_ns + pace_ns);
        }
    }
    run->producers[0] = producer;
    tally->events = run->events;
    return (int)result;
}

DX_INLINE int pong(dxi_bench_run_t *run, const ball_t ball)
{
    dx_producer_t producer = run->producers[1];
    dx_producer_assume_single(&producer);
    int64_t result = DX_OK;
    for (uint64_t i = 0; i < run->events && result == DX_OK; i++) {
        dx_consumer_t *const consumer = &run->consumers[0];
        const int64_t value = take(consumer, ball);
        result = value < 0 ? value : hit(&producer, value, ball);
        dx_consumer_release(consumer, consumer->next); /* after the answer, which is waited for */
    }
    run->producers[1] = producer;
    return (int)result;
}

int dxi_bench_pingpong_thread(dxi_bench_run_t *run, uint32_t index)
{
    return index == 0 ? ping(run, BALL_VALUE) : pong(run, BALL_VALUE);
}

int dxi_bench_span_pingpong_thread(dxi_bench_run_t *run, uint32_t index)
{
    if (run->scenario->spans) {
        return index == 0 ? ping(run, BALL_SPAN) : pong(run, BALL_SPAN);
    }
    return index == 0 ? ping(run, BALL_WORDS) : pong(run, BALL_WORDS);
}

/* Stamped events ------------------------------------------------------------------------------ */

static int on_stamp(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    dxi_bench_tally_t *const tally = context;
    const int64_t stamp = ((const stamp_t *)event)->value;
    if (tally->latency != NULL) {
        const int64_t hops =
            tally->run->scenario->shape == DXI_BENCH_PIPELINE ? tally->run->consumer_count : 1;
        dx_histogram_record(tally->latency, (dx_clock_ns() - stamp) / hops);
        /* RELEASE, pairs with the acquire in acknowledge_wait(), so that the producer's next time
         * stamp is younger than this reading of the clock. */
        dx_store_release(&tally->run->common->acknowledged, (int64_t)tally->events + 1);
    }
    tally->sum += (uint64_t)stamp;
    tally->events++;
    if (end_of_batch) {
        dxi_bench_batch_end(tally, sequence);
    }
    return DX_HANDLER_CONTINUE;
}

int dxi_bench_stamped_open(dxi_bench_run_t *run, dx_error_t *error)
{
    dx_handler_t handlers[DXI_BENCH_CONSUMERS_MAX] = {0};
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        handlers[i].context = &run->tallies[i];
        handlers[i].on_event = on_stamp;
    }
    run->tallies[run->consumer_count - 1].latency = run->latency;
    return dxi_bench_graph_build(run, handlers, error);
}

int dxi_bench_paced_thread(dxi_bench_run_t *run, uint32_t index)
{
    const bool from_due_time = run->scenario->shape == DXI_BENCH_PARALLEL;
    int64_t due_ns = dx_clock_ns();
    uint64_t sum = 0;
    (void)index;
    for (uint64_t i = 0; i < run->events; i++) {
        due_ns += run->params->pace_ns;
        pace_until(due_ns);
        const int64_t stamp = from_due_time ? due_ns : dx_clock_ns();
        const int result = publish_value(&run->producers[0], stamp);
        if (DX_UNLIKELY(result != DX_OK)) {
            return result;
        }
        sum += (uint64_t)stamp;
    }
    run->common->stamp_sum = sum;
    return DX_OK;
}

/* Waits until the consumer has handled `count` events of this phase. */
static int acknowledge_wait(dxi_bench_run_t *run, int64_t count)
{
    for (uint32_t spins = 0; dx_load_acquire(&run->common->acknowledged) != count;) {
        if (++spins < SPINS_BEFORE_YIELD) {
            dx_cpu_relax();
        } else if (dxi_bench_is_failed(run)) {
            return DX_ECANCELLED;
        } else {
            (void)sched_yield();
        }
    }
    return DX_OK;
}

int dxi_bench_wakeup_thread(dxi_bench_run_t *run, uint32_t index)
{
    uint64_t sum = 0;
    (void)index;
    for (uint64_t i = 0; i < run->events; i++) {
        int result = acknowledge_wait(run, (int64_t)i);
        pace_until(dx_clock_ns() + run->params->pace_ns);
        const int64_t stamp = dx_clock_ns();
        result = result == DX_OK ? publish_value(&run->producers[0], stamp) : result;
        if (DX_UNLIKELY(result != DX_OK)) {
            return result;
        }
        sum += (uint64_t)stamp;
    }
    run->common->stamp_sum = sum;
    return DX_OK;
}

/* A bare futex -------------------------------------------------------------------------------- */

int dxi_bench_futex_open(dxi_bench_run_t *run, dx_error_t *error)
{
    (void)run;
    (void)error;
    return DX_OK;
}

static int futex_command(const dxi_bench_run_t *run, int command)
{
    return run->params->shared ? command : command | FUTEX_PRIVATE_FLAG;
}

static int futex_wake_each(dxi_bench_run_t *run)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < run->events; i++) {
        const int result = acknowledge_wait(run, (int64_t)i);
        if (result != DX_OK) {
            return result;
        }
        pace_until(dx_clock_ns() + run->params->pace_ns);
        const int64_t stamp = dx_clock_ns();
        run->common->futex_stamp = (uint64_t)stamp;
        /* RELEASE, pairs with the acquire in futex_sleep_each(): the stamp is visible with it. */
        dx_store32_release(&run->common->futex_word, (int32_t)(i + 1));
        (void)syscall(SYS_futex, &run->common->futex_word, futex_command(run, FUTEX_WAKE), 1, NULL,
                      NULL, 0);
        sum += (uint64_t)stamp;
    }
    run->common->stamp_sum = sum;
    return DX_OK;
}

static int futex_sleep_each(dxi_bench_run_t *run)
{
    dxi_bench_tally_t *const tally = &run->tallies[0];
    for (uint64_t i = 0; i < run->events; i++) {
        while (dx_load32_acquire(&run->common->futex_word) == (int32_t)i) {
            (void)syscall(SYS_futex, &run->common->futex_word, futex_command(run, FUTEX_WAIT),
                          (int32_t)i, NULL, NULL, 0);
        }
        dx_histogram_record(run->latency, dx_clock_ns() - (int64_t)run->common->futex_stamp);
        tally->sum += run->common->futex_stamp;
        dx_store_release(&run->common->acknowledged, (int64_t)i + 1);
    }
    tally->events = run->events;
    return DX_OK;
}

int dxi_bench_futex_thread(dxi_bench_run_t *run, uint32_t index)
{
    return index == 0 ? futex_wake_each(run) : futex_sleep_each(run);
}

/* Idle ---------------------------------------------------------------------------------------- */

static void sleep_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

static int64_t process_cpu_ns(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * DX_NS_PER_S +
           ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * DX_NS_PER_US;
}

/* Sleeps while the consumer has nothing to do, then publishes one event to prove that it still
 * listens. The event is outside of the measured time. */
int dxi_bench_idle_thread(dxi_bench_run_t *run, uint32_t index)
{
    if (run->measured) {
        sleep_ms(IDLE_SETTLE_MS);
        const int64_t cpu_ns = process_cpu_ns();
        const int64_t from_ns = dx_clock_ns();
        sleep_ms((int64_t)run->params->events);
        run->common->cpu_percent =
            100.0 * (double)(process_cpu_ns() - cpu_ns) / (double)(dx_clock_ns() - from_ns);
    }
    uint64_t first = 0;
    const uint64_t count = dxi_bench_share(run, index, &first);
    return dxi_bench_loops_find(8)->produce(&run->producers[0], first, count, 1);
}
