/* 15_shared_ring.c - two processes, one ring: a feed publishes prices, a trader in another process
 * reads them. Then a second feed is killed in the middle of its work, and nobody is held up by it.
 *
 * The processes are children of one program here, which only makes the example short: any program
 * attaches in the same way, by the name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disruptorx/consumer.h"
#include "disruptorx/producer.h"
#include "disruptorx/ring.h"

#define PRICES INT64_C(1000)

static dx_error_t error;
static char name[32];

static void must(int code)
{
    if (code < 0) {
        (void)fprintf(stderr, "%s: %s\n", dx_error_name(code), error.message);
        exit(1);
    }
}

static void require(int truth, const char *what)
{
    if (!truth) {
        (void)fprintf(stderr, "not true: %s\n", what);
        exit(1);
    }
}

static dx_ring_t *attach(void)
{
    dx_ring_t *ring = NULL;
    const dx_attach_options_t options = {.name = name};
    must(dx_ring_attach(&options, &ring, &error));
    return ring;
}

static void publish(dx_producer_t *producer, int64_t price)
{
    const int64_t sequence = dx_producer_claim(producer);
    require(sequence >= 0, "there is room, sooner or later");
    *DX_PRODUCER_EVENT(producer, sequence, int64_t) = price;
    must(dx_producer_publish(producer, sequence));
}

/* A process: publishes its prices and leaves; `dies`: it claims once more and is killed there. */
static pid_t start_feed(int dies)
{
    const pid_t child = fork();
    if (child != 0) {
        return child;
    }
    dx_ring_t *ring = attach();
    dx_producer_t producer;
    const dx_producer_options_t options = {.name = "feed"};
    must(dx_producer_open(&producer, ring, &options, &error));
    for (int64_t price = 1; price <= PRICES; price++) {
        publish(&producer, price);
    }
    if (dies) {
        (void)dx_producer_claim(&producer);
        (void)raise(SIGKILL);
    }
    dx_producer_close(&producer);
    dx_ring_destroy(ring); /* detaches */
    _exit(0);
}

/* Reads until `wanted` prices have come; returns their sum. */
static int64_t read_prices(dx_consumer_t *consumer, int64_t wanted)
{
    int64_t sum = 0;
    for (int64_t count = 0; count < wanted;) {
        const int64_t last = dx_consumer_wait(consumer);
        require(last >= consumer->next, "the wait ends with prices");
        for (int64_t s = consumer->next; s <= last; s++) {
            if (!dx_consumer_is_hidden(consumer, s)) { /* what a dead feed had claimed */
                sum += *DX_CONSUMER_EVENT(consumer, s, int64_t);
                count++;
            }
        }
        dx_consumer_release(consumer, last);
    }
    return sum;
}

static void show_ring(void *context, const dx_ring_file_t *file)
{
    (void)context;
    if (strcmp(file->name, name) == 0) {
        (void)printf("%s: %llu bytes, %d attached\n", file->name,
                     (unsigned long long)file->file_bytes, file->attached);
    }
}

static void show_participants(const dx_ring_t *ring)
{
    dx_process_stat_t process;
    for (int32_t i = 0; i < (int32_t)DX_RING_PROCESSES_MAX; i++) {
        if (dx_ring_process_stat(ring, i, &process) == DX_OK) {
            (void)printf("process %d (%s)%s\n", process.process_id, process.name,
                         process.self ? ", that is we" : "");
        }
    }
    dx_producer_stat_t producer;
    if (dx_ring_producer_stat(ring, 0, &producer) == DX_OK) {
        (void)printf("producer %s of process %d\n", producer.name, producer.process_id);
    }
}

int main(void)
{
    (void)snprintf(name, sizeof(name), "example-%d", (int)getpid());
    dx_ring_t *ring = NULL;
    const dx_ring_options_t options = {.slot_count = 256,
                                       .event_bytes = sizeof(int64_t),
                                       .mode = DX_RING_MULTI,
                                       .share = {.name = name}};
    must(dx_ring_create(&options, &ring, &error));
    must(dx_ring_list(NULL, show_ring, NULL, &error));

    /* The trader keeps its place should it die, and takes it up again by its name. */
    dx_consumer_t trader;
    const dx_consumer_options_t trader_options = {
        .name = "trader", .on_death = DX_ON_DEATH_BLOCK, .resume = true};
    must(dx_consumer_open(&trader, ring, &trader_options, &error));
    int64_t first = 0;
    int64_t last = 0;
    require(dx_consumer_missed(&trader, &first, &last) == 0, "nothing was missed");

    const pid_t feeds[] = {start_feed(0), start_feed(1)};
    const int64_t sum = read_prices(&trader, 2 * PRICES);
    require(sum == PRICES * (PRICES + 1), "each price came once");
    for (int i = 0; i < 2; i++) {
        require(waitpid(feeds[i], NULL, 0) == feeds[i], "the feed has ended");
    }
    /* Found within detect_ns by itself; at once when somebody asks. */
    must(dx_ring_recover(ring));
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    require(stat.deaths == 1 && stat.voided == 1, "one feed died, with one claim");

    dx_producer_t producer;
    must(dx_producer_open(&producer, ring, NULL, &error));
    publish(&producer, 7);
    require(read_prices(&trader, 1) == 7, "the ring works on");
    show_participants(ring);

    dx_producer_close(&producer);
    dx_consumer_close(&trader);
    must(dx_ring_remove(name, NULL, true, &error)); /* nobody can attach any more */
    dx_ring_destroy(ring);
    return 0;
}
