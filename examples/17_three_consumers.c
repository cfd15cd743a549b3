/* 17_three_consumers.c - one producer, three consumers in a process each; one of them is killed.
 *
 *     gateway (we) --> journal --> trader      the trader sees what the journal has finished
 *                 \--> screen                  nice to have: nobody waits for it when it dies
 *
 * The journal keeps its place when it dies, and the trader and the gateway wait for it; started
 * again under its name it goes on with the first event that it had not finished. The screen is just
 * evicted.
 *
 * Teaches: graphs over several processes; on_death, resume; what others see of a death.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <disruptorx/disruptor.h>

#define ORDERS INT64_C(5000)

static dx_error_t error;
static char ring_name[32];
static dx_atomic64_t *done; /* what journal and trader have seen, for us to check */

static void must(int code)
{
    if (code < 0) {
        (void)fprintf(stderr, "%s: %s\n", dx_error_name(code), error.message);
        exit(1);
    }
}

static void require(bool truth, const char *what)
{
    if (!truth) {
        (void)fprintf(stderr, "not true: %s\n", what);
        exit(1);
    }
}

/* Each process makes the ring or attaches to it, whoever comes first. */
static dx_disruptor_t *join(void)
{
    dx_disruptor_t *disruptor = NULL;
    const dx_disruptor_options_t options = {
        .ring = {.name = ring_name,
                 .slot_count = 256,
                 .event_bytes = sizeof(int64_t),
                 .share = {.name = ring_name,
                           .existing = DX_SHARE_ATTACH,
                           .detect_ns = 100000000}}}; /* a death is noticed within 100 ms */
    must(dx_disruptor_create(&options, &disruptor, &error));
    return disruptor;
}

/* An event whose handling was interrupted by a death comes again, so handlers are written to be
 * told twice: this one goes by the number of the order. */
static int on_order(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const int64_t order = *(const int64_t *)event;
    (void)sequence;
    (void)end_of_batch;
    dx_atomic64_t *mine = context;
    if (order == dx_load_relaxed(mine) + 1) {
        dx_store_release(mine, order);
    }
    return DX_HANDLER_CONTINUE;
}

/* A process with one handler, that runs until it is killed. `behind`: whom it follows. */
static pid_t start(const char *name, const char *behind, dx_on_death_t on_death,
                   dx_atomic64_t *seen)
{
    const pid_t child = fork();
    if (child != 0) {
        return child;
    }
    dx_disruptor_t *disruptor = join();
    const dx_handler_t handler = {
        .name = name, .context = seen, .on_event = on_order, .on_death = on_death, .resume = true};
    if (behind != NULL) {
        dx_group_t group;
        must(dx_disruptor_after(disruptor, &behind, 1, &group, &error));
        must(dx_group_then(group, &handler, 1, NULL, &error));
    } else {
        must(dx_disruptor_handle_events_with(disruptor, &handler, 1, NULL, &error));
    }
    must(dx_disruptor_start(disruptor, &error));
    for (;;) {
        (void)pause();
    }
}

static void wait_for_consumer(const dx_ring_t *ring, const char *name)
{
    dx_consumer_stat_t stat = {.state = DX_CONSUMER_FREE};
    while (stat.state != DX_CONSUMER_RUNNING) {
        const int32_t index = dx_ring_consumer_find(ring, name);
        if (index < 0 || dx_ring_consumer_stat(ring, index, &stat) != DX_OK) {
            stat.state = DX_CONSUMER_FREE;
        }
        (void)usleep(1000);
    }
}

static void stop(pid_t process)
{
    require(kill(process, SIGKILL) == 0 && waitpid(process, NULL, 0) == process, "it is dead");
}

static void publish(dx_producer_t *producer, int64_t from, int64_t to)
{
    for (int64_t order = from; order <= to; order++) {
        const int64_t sequence = dx_producer_claim(producer);
        require(sequence >= 0, "there is room, sooner or later");
        *DX_PRODUCER_EVENT(producer, sequence, int64_t) = order;
        must(dx_producer_publish(producer, sequence));
    }
}

int main(void)
{
    (void)snprintf(ring_name, sizeof(ring_name), "example-%d", (int)getpid());
    done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(done != MAP_FAILED, "there is memory");

    pid_t journal = start("journal", NULL, DX_ON_DEATH_BLOCK, &done[0]);
    dx_disruptor_t *disruptor = join();
    dx_ring_t *ring = dx_disruptor_ring(disruptor);
    wait_for_consumer(ring, "journal");
    const pid_t trader = start("trader", "journal", DX_ON_DEATH_BLOCK, &done[1]);
    const pid_t screen = start("screen", NULL, DX_ON_DEATH_EVICT, &done[2]);
    wait_for_consumer(ring, "trader");
    wait_for_consumer(ring, "screen");

    dx_producer_t gateway;
    must(dx_producer_open(&gateway, ring, NULL, &error));
    publish(&gateway, 1, ORDERS);

    /* Nobody waits for the screen: what is published next goes through, after 100 ms at most. */
    stop(screen);
    publish(&gateway, ORDERS + 1, 2 * ORDERS);

    /* Everybody waits for the journal, and it misses nothing. */
    stop(journal);
    journal = start("journal", NULL, DX_ON_DEATH_BLOCK, &done[0]);
    publish(&gateway, 2 * ORDERS + 1, 3 * ORDERS);

    while (dx_load_acquire(&done[1]) < 3 * ORDERS) {
        (void)usleep(1000);
    }
    require(dx_load_acquire(&done[0]) == 3 * ORDERS, "the journal has seen every order");
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    (void)printf("%lld orders; %lld processes died, %lld consumers were evicted\n",
                 (long long)(3 * ORDERS), (long long)stat.deaths, (long long)stat.evictions);
    stop(trader);
    stop(journal);
    dx_producer_close(&gateway);
    dx_disruptor_destroy(disruptor); /* the last one that leaves removes the ring */
    return 0;
}
