/* 07_waiting.c - how threads wait, what ends a wait, and what the ring says from outside.
 *
 * Teaches: a wait strategy per participant; timeouts and cancelling of both sides; the policies of
 * a full ring; dx_ring_stat() and dx_ring_consumer_stat(), which cost the hot path nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/disruptor.h>

static dx_error_t error;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "07_waiting: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

/* Strategies have names, for a command line or a configuration. */
static void choose_by_name(void)
{
    for (int kind = 0; kind < DX_WAIT_KIND_COUNT; kind++) {
        dx_wait_kind_t found = DX_WAIT_KIND_COUNT;
        const char *name = dx_wait_kind_name((dx_wait_kind_t)kind);
        must(dx_wait_kind_parse(name, &found, &error));
        require((int)found == kind, "a strategy is not found by its own name");
        printf("%-21s  %s\n", name, dx_wait_kind_help(found));
    }
    if (dx_wait_monitor_available() == 0) {
        fprintf(stderr, "note: this processor can't watch a line, so monitor spins\n");
    }
    const dx_wait_options_t too_long = {.timeout_ns = DX_WAIT_NS_MAX + 1};
    require(dx_wait_options_check(&too_long, &error) == DX_EINVAL, "two hours were accepted");
}

/* What a claim returns when the ring is full. The only consumer, `slow`, is not reading now. */
static void fill_the_ring(dx_ring_t *ring, dx_consumer_t *slow)
{
    const dx_producer_options_t waits = {.wait = {.kind = DX_WAIT_BLOCKING, .timeout_ns = 1000000}};
    dx_producer_t producer;
    must(dx_producer_open(&producer, ring, &waits, &error));
    require(dx_producer_remaining(&producer) == 4, "the ring is not empty");
    require(dx_producer_has_available(&producer, 4), "there is no room for four");
    const int64_t last = dx_producer_claim_n(&producer, 4);
    require(last == 3, "four slots, four claims");
    must(dx_producer_publish_range(&producer, last - 3, last));

    require(dx_producer_claim(&producer) == DX_ETIMEDOUT, "the policy is to wait for 1 ms");
    require(dx_producer_try_claim_n(&producer, 1) == DX_EAGAIN, "try never waits");
    require(dx_producer_claim_timed(&producer, 1, 1000) == DX_ETIMEDOUT, "1 us, for this claim");
    dx_producer_cancel(&producer); /* any thread may do this: a supervisor, for one */
    require(dx_producer_claim(&producer) == DX_ECANCELLED, "the next wait ends at once");
    dx_producer_close(&producer);

    must(dx_producer_open(&producer, ring, &(dx_producer_options_t){.full = DX_FULL_FAIL}, &error));
    require(dx_producer_claim(&producer) == DX_EAGAIN, "FAIL says that it is full");
    dx_producer_close(&producer);
    must(dx_producer_open(&producer, ring, &(dx_producer_options_t){.full = DX_FULL_DROP}, &error));
    require(dx_producer_claim(&producer) == DX_EDROPPED, "DROP counts what was not sent");

    dx_consumer_release(slow, 0); /* one slot is free again */
    require(dx_producer_claim(&producer) == 4, "the free slot is given to the next claim");
    must(dx_producer_publish(&producer, 4));
    dx_ring_close(ring);
    require(dx_producer_claim(&producer) == DX_ECLOSED, "a closed ring takes nothing");
    dx_producer_close(&producer);
}

static void look_from_outside(const dx_ring_t *ring, const dx_consumer_t *slow)
{
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    printf("ring %s: published %" PRId64 ", depth %" PRId64 ", drops %" PRId64 "\n", stat.name,
           stat.published, stat.depth, stat.drops);
    require(stat.published == 4 && stat.depth == 4 && stat.remaining == 0, "the depth is wrong");
    require(stat.claim_waits >= 3 && stat.claim_wait_ns >= 1000000, "the waits were not counted");
    require(stat.drops == 1 && stat.refusals == 6 && stat.closed, "the refusals were not counted");

    dx_consumer_stat_t reader;
    must(dx_ring_consumer_stat(ring, slow->index, &reader));
    require(reader.gating && reader.sequence == 0 && reader.lag == 4, "the lag is wrong");
    require(strcmp(reader.name, "slow") == 0 && reader.waits > 0, "the waits are wrong");
}

static int on_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)context, (void)event, (void)sequence, (void)end_of_batch;
    return DX_HANDLER_CONTINUE;
}

/* Called when timeout_ns passed without an event: the moment for housekeeping. */
static int on_quiet(void *context, int64_t sequence)
{
    (void)context, (void)sequence;
    return DX_OK;
}

/* In one graph: a stage that never sleeps beside one that sleeps and looks up each millisecond. */
static void wait_side_by_side(void)
{
    const dx_handler_t handlers[] = {
        {.name = "trader", .on_event = on_event, .wait = {.kind = DX_WAIT_YIELDING}},
        {.name = "logger",
         .on_event = on_event,
         .on_timeout = on_quiet,
         .wait = {.kind = DX_WAIT_TIMEOUT_BLOCKING, .timeout_ns = 1000000}}};
    dx_disruptor_t *disruptor = NULL;
    const dx_disruptor_options_t options = {.ring = {.slot_count = 8, .event_bytes = 8}};
    must(dx_disruptor_create(&options, &disruptor, &error));
    must(dx_disruptor_handle_events_with(disruptor, handlers, 2, NULL, &error));
    must(dx_disruptor_start(disruptor, &error));
    dx_consumer_stat_t logger = {0};
    while (logger.timeouts == 0) {
        must(dx_ring_consumer_stat(dx_disruptor_ring(disruptor), 1, &logger));
        dx_cpu_relax(); /* tells the core that this is a waiting loop */
    }
    dx_disruptor_destroy(disruptor); /* stops it, too */
}

int main(void)
{
    choose_by_name();
    dx_ring_t *ring = NULL;
    dx_consumer_t slow;
    const dx_ring_options_t options = {.name = "quotes", .slot_count = 4, .event_bytes = 8};
    must(dx_ring_create(&options, &ring, &error));
    const dx_consumer_options_t waits = {.name = "slow", .wait = {.timeout_ns = 1000000}};
    must(dx_consumer_open(&slow, ring, &waits, &error));
    require(dx_consumer_wait(&slow) == DX_ETIMEDOUT, "nothing comes within 1 ms");
    dx_consumer_cancel(&slow);
    require(dx_consumer_wait(&slow) == DX_ECANCELLED, "a cancelled wait ends at once");
    fill_the_ring(ring, &slow);
    look_from_outside(ring, &slow);
    dx_consumer_close(&slow);
    dx_ring_destroy(ring);
    wait_side_by_side();
    return 0;
}
