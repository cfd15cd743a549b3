/* orders_publisher.c - sends the orders: at full speed, or each at its own time.
 *
 * PACING. With a rate, order n is due at begin + n / rate, whatever happened to those before it. It
 * is never sent early, and when the ring was full it is late and says so: its latency counts from
 * when it was due (the correction of coordinated omission, built in instead of estimated). A batch
 * leaves when its last order is due.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders_publisher.h"

#include <inttypes.h>
#include <time.h>

#include "base/fail.h"

#define SPIN_NS (100 * DX_NS_PER_US) /* the rest of a wait, which a sleep could miss */
#define SLEEP_MAX_NS (50 * DX_NS_PER_MS)

static bool is_stopped(const dxi_publisher_t *publisher)
{
    const dx_atomic32_t *const stop = publisher->options->stop;
    return stop != NULL && dx_load32_relaxed(stop) != 0;
}

static void sleep_ns(int64_t ns)
{
    const struct timespec time = {.tv_sec = (time_t)(ns / DX_NS_PER_S),
                                  .tv_nsec = (long)(ns % DX_NS_PER_S)};
    (void)nanosleep(&time, NULL); /* a signal may end it: the caller looks at the clock again */
}

/* Waits until the clock shows `due_ns`. False when stopped. */
static bool wait_until(const dxi_publisher_t *publisher, int64_t due_ns)
{
    for (;;) {
        const int64_t left_ns = due_ns - dxi_stamp_ns(publisher->tsc);
        if (left_ns <= 0) {
            return true;
        }
        if (is_stopped(publisher)) {
            return false;
        }
        if (left_ns > 2 * SPIN_NS) {
            const int64_t most_ns = left_ns - SPIN_NS;
            sleep_ns(most_ns < SLEEP_MAX_NS ? most_ns : SLEEP_MAX_NS);
        } else {
            dx_cpu_relax();
        }
    }
}

/* When order `index` is due. The product stays below 10^18. */
static int64_t due_ns(const dxi_publisher_t *publisher, int64_t index)
{
    const int64_t rate = publisher->options->rate;
    return publisher->begin_ns + index / rate * DX_NS_PER_S + index % rate * DX_NS_PER_S / rate;
}

/* Claims, in spite of strategies that time out. */
static int64_t claim(const dxi_publisher_t *publisher, dx_producer_t *producer, int64_t count)
{
    for (;;) {
        const int64_t last = dx_producer_claim_n(producer, count);
        if (last != DX_ETIMEDOUT || is_stopped(publisher)) {
            return last;
        }
    }
}

static void order_fill(dxi_publisher_t *publisher, dxi_order_t *order, int64_t round, int64_t index,
                       int64_t number)
{
    order->message = dxi_pipeline_message(publisher->options->orders, round, index);
    order->sent_ns = dxi_stamp_ns(publisher->tsc);
    order->intended_ns = order->sent_ns;
    if (publisher->options->rate > 0) {
        order->intended_ns = due_ns(publisher, number);
        dx_histogram_record(publisher->lateness, order->sent_ns - order->intended_ns);
    }
}

/* Sends orders until all are sent, it is stopped, or the ring refuses. */
static int orders_send(dxi_publisher_t *publisher, dx_producer_t *producer)
{
    const dxi_pipeline_options_t *const options = publisher->options;
    int64_t round = 0;
    int64_t index = 0; /* within the round */

    while (publisher->published < publisher->total && !is_stopped(publisher)) {
        const int64_t left = publisher->total - publisher->published;
        const int64_t count = left < options->batch ? left : options->batch;
        if (options->rate > 0 &&
            !wait_until(publisher, due_ns(publisher, publisher->published + count - 1))) {
            return DX_OK;
        }
        const int64_t last = claim(publisher, producer, count);
        if (last < 0) {
            return last == DX_ETIMEDOUT ? DX_OK : (int)last;
        }
        for (int64_t sequence = last - count + 1; sequence <= last; sequence++) {
            order_fill(publisher, DX_PRODUCER_EVENT(producer, sequence, dxi_order_t), round, index,
                       publisher->published++);
            if (++index == options->orders->count) {
                index = 0;
                round++;
            }
        }
        const int result = dx_producer_publish_range(producer, last - count + 1, last);
        if (result != DX_OK) {
            return result;
        }
    }
    return DX_OK;
}

void dxi_publisher_run(void *context)
{
    dxi_publisher_t *const publisher = context;
    const dx_producer_options_t options = {.name = "publisher",
                                           .wait = {.kind = publisher->options->wait}};
    dx_producer_t producer;
    publisher->result = dx_producer_open(&producer, publisher->ring, &options, &publisher->error);
    if (publisher->result == DX_OK) {
        publisher->begin_ns = dxi_stamp_ns(publisher->tsc);
        publisher->result = orders_send(publisher, &producer);
        if (publisher->result != DX_OK) {
            dxi_fail(&publisher->error, publisher->result,
                     "publishing stopped after %" PRId64 " orders: %s", publisher->published,
                     dx_error_text(publisher->result));
        }
        dx_producer_close(&producer);
    }
    sem_post(&publisher->done);
}
