/* demo_shared_members.c - what the processes of `dx demo shared` do.
 *
 * They are made by fork() from a process without threads, and end by _exit(): only the ring, the
 * board and the pipe are theirs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/demo_shared.h"
#include "cli/output.h"
#include "disruptorx/clock.h"
#include "disruptorx/consumer.h"
#include "disruptorx/producer.h"

#define COMMAND "dx demo shared"
#define LOOK_NS INT64_C(50000000) /* a wait ends after that to look at the board */
#define TICK_NS INT64_C(1000000)  /* the producer publishes what is due this often */
#define RATE_ENDLESS_BATCH 64
#define PRICE_FIRST 10000
#define PRICES 500

static const char *const NAMES[DXI_DEMO_MEMBERS] = {"feed", "ledger", "audit"};

const char *dxi_demo_member_name(int member)
{
    return NAMES[member];
}

static void add(dx_atomic64_t *word, int64_t amount)
{
    dx_store_relaxed(word, dx_load_relaxed(word) + amount); /* RELAXED: for eyes; one writer */
}

static void sleep_ns(int64_t ns)
{
    const struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    (void)nanosleep(&time, NULL);
}

/* ------------------------------------------------------------------------------------ producer */

static void fill(dxi_demo_event_t *event, int64_t number)
{
    static const char symbols[][8] = {"AAPL", "MSFT", "AMZN", "INTC"};
    event->number = number;
    event->sent_ns = dx_clock_ns();
    event->price = PRICE_FIRST + number % PRICES;
    memcpy(event->symbol, symbols[number % 4], sizeof event->symbol);
}

/* Publishes one event. Returns DX_OK, also when it had to be given up for now. */
static int publish_one(dx_producer_t *producer, dxi_demo_report_t *report)
{
    const int64_t sequence = dx_producer_claim(producer);
    if (sequence < 0) {
        return sequence == DX_ETIMEDOUT ? DX_OK : (int)sequence;
    }
    const int64_t number = dx_load_relaxed(&report->events) + 1;
    fill(DX_PRODUCER_EVENT(producer, sequence, dxi_demo_event_t), number);
    const int code = dx_producer_publish(producer, sequence);
    add(&report->events, 1);
    dx_store_relaxed(&report->last, number);
    return code;
}

/* Publishes what is due, each millisecond, until the board says that it is the end. */
static int produce(const dxi_demo_plan_t *plan, dx_producer_t *producer)
{
    dxi_demo_report_t *const report = &plan->board->report[DXI_DEMO_PRODUCER];
    const int64_t started_ns = dx_clock_ns();
    int code = DX_OK;
    while (code == DX_OK && dx_load32_acquire(&plan->board->end) == 0) {
        int64_t due = RATE_ENDLESS_BATCH;
        if (plan->rate > 0) {
            const double elapsed_s = (double)(dx_clock_ns() - started_ns) / 1e9;
            due = (int64_t)(elapsed_s * (double)plan->rate) - dx_load_relaxed(&report->events);
        }
        for (int64_t i = 0; i < due && code == DX_OK; i++) {
            code = publish_one(producer, report);
            if (dx_load32_acquire(&plan->board->end) != 0) {
                break;
            }
        }
        if (plan->rate > 0) {
            sleep_ns(TICK_NS);
        }
    }
    return code;
}

static int producer_life(const dxi_demo_plan_t *plan, int ready_fd, dx_error_t *error)
{
    const dx_ring_options_t options = {
        .name = plan->place.name,
        .slot_count = (uint32_t)plan->slots,
        .event_bytes = sizeof(dxi_demo_event_t),
        .mode = DX_RING_MULTI,
        .share = {.name = plan->place.name,
                  .folder = plan->place.folder,
                  .detect_ns = plan->detect_ns},
    };
    const dx_producer_options_t producer_options = {.name = NAMES[DXI_DEMO_PRODUCER],
                                                    .wait = {.timeout_ns = LOOK_NS}};
    dx_ring_t *ring = NULL;
    dx_producer_t producer;
    int code = dx_ring_create(&options, &ring, error);
    if (code != DX_OK) {
        return code;
    }
    code = dx_producer_open(&producer, ring, &producer_options, error);
    if (code == DX_OK) {
        code = write(ready_fd, "r", 1) == 1 ? DX_OK : DX_EIO;
        (void)close(ready_fd);
        /* Nothing is published before the consumers are there: they all see the first event. */
        while (dx_load32_acquire(&plan->board->end) == 0 &&
               dx_load32_acquire(&plan->board->begin) == 0) {
            sleep_ns(TICK_NS);
        }
        code = code == DX_OK ? produce(plan, &producer) : code;
        dx_producer_close(&producer);
    }
    dx_ring_destroy(ring);
    return code;
}

/* ----------------------------------------------------------------------------------- consumers */

static int on_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    dxi_demo_report_t *const report = context;
    const dxi_demo_event_t *const seen = event;
    const int64_t expected = dx_load_relaxed(&report->last) + 1;
    (void)sequence;
    (void)end_of_batch;
    if (seen->number < expected) {
        add(&report->again, 1); /* evicted in the middle of a batch, and come back */
        return DX_OK;
    }
    add(&report->missing, seen->number - expected);
    dx_store_relaxed(&report->last, seen->number);
    add(&report->events, 1);
    return DX_OK;
}

static int consumer_open(dx_consumer_t *consumer, dx_ring_t *ring, int member, dx_error_t *error)
{
    const dx_consumer_options_t options = {
        .name = NAMES[member], .resume = true, .wait = {.timeout_ns = LOOK_NS}};
    return dx_consumer_open(consumer, ring, &options, error);
}

/* It did not run for too long, and the others went on: takes its place again. */
static int come_back(dx_consumer_t *consumer, dx_ring_t *ring, int member,
                     dxi_demo_report_t *report, dx_error_t *error)
{
    int64_t first = 0;
    int64_t last = 0;
    dx_consumer_close(consumer);
    const int code = consumer_open(consumer, ring, member, error);
    if (code == DX_OK) {
        add(&report->evictions, 1);
        add(&report->missed, dx_consumer_missed(consumer, &first, &last));
    }
    return code;
}

static int consume(const dxi_demo_plan_t *plan, int member, dx_ring_t *ring,
                   dx_consumer_t *consumer, dx_error_t *error)
{
    dxi_demo_report_t *const report = &plan->board->report[member];
    for (;;) {
        /* Read before the wait: what was published before it was set is seen after. */
        const bool no_more = dx_load32_acquire(&plan->board->no_more) != 0;
        int64_t result = dx_consumer_wait(consumer);
        if (result >= 0) {
            result = dx_consumer_drain(consumer, on_event, report, 0);
        }
        if (result == DX_EEVICTED) {
            result = come_back(consumer, ring, member, report, error);
        } else if (result == DX_ETIMEDOUT) {
            if (no_more) {
                return DX_OK;
            }
            result = DX_OK;
        }
        if (result < 0) {
            return (int)result;
        }
    }
}

static int consumer_life(const dxi_demo_plan_t *plan, int member, int ready_fd, dx_error_t *error)
{
    const dx_attach_options_t options = {.name = plan->place.name, .folder = plan->place.folder};
    dx_ring_t *ring = NULL;
    dx_consumer_t consumer;
    int code = dx_ring_attach(&options, &ring, error);
    if (code != DX_OK) {
        return code;
    }
    code = consumer_open(&consumer, ring, member, error);
    if (code == DX_OK) {
        code = write(ready_fd, "r", 1) == 1 ? DX_OK : DX_EIO;
        (void)close(ready_fd);
        code = code == DX_OK ? consume(plan, member, ring, &consumer, error) : code;
        dx_consumer_close(&consumer);
    }
    dx_ring_destroy(ring);
    return code;
}

_Noreturn void dxi_demo_member_run(const dxi_demo_plan_t *plan, int member, int ready_fd)
{
    dx_error_t error = {0};
    char name[16] = "dx-";
    strncat(name, NAMES[member], sizeof name - sizeof "dx-");
    (void)prctl(PR_SET_NAME, name);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive who watches it */
    (void)signal(SIGINT, SIG_IGN);          /* Ctrl-C is for that one */
    (void)signal(SIGTERM, SIG_DFL);
    const int code = member == DXI_DEMO_PRODUCER ? producer_life(plan, ready_fd, &error)
                                                 : consumer_life(plan, member, ready_fd, &error);
    dx_store32_relaxed(&plan->board->report[member].code, code);
    if (code != DX_OK) {
        if (error.code == DX_OK) {
            dxi_complain(COMMAND, "%s ends: %s", NAMES[member], dx_error_text(code));
        } else {
            dxi_complain_error(COMMAND, &error);
        }
    }
    _exit(code == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED);
}
