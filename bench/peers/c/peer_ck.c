/* peer_ck.c - Concurrency Kit's ck_ring, typed by value for 8-byte events.
 *
 * It has no operation for several events, so only batch 1 is supported.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ck_ring.h>
#include <stdlib.h>

#include "peer.h"

#define QUEUE_PEER "ck_ring"
#define QUEUE_BATCHES 0
#define QUEUE_BLOCKS 0
#define QUEUE_SHARED 1

typedef struct event {
    uint64_t value;
} event_t;

CK_RING_PROTOTYPE(event, event)

typedef struct queue {
    ck_ring_t ring;
    char pad[PEER_FALSE_SHARING_BYTES];
    struct event *slots;
} queue_t;

static queue_t *queue_create(uint32_t capacity)
{
    queue_t *const queue = peer_allocate(sizeof *queue);
    queue->slots = peer_allocate(capacity * sizeof queue->slots[0]);
    ck_ring_init(&queue->ring, capacity);
    return queue;
}

static void queue_destroy(queue_t *queue)
{
    free(queue->slots);
    free(queue);
}

PEER_INLINE uint32_t queue_push(queue_t *queue, const uint64_t *values, uint32_t n)
{
    struct event event = {.value = values[0]};
    (void)n;
    return ck_ring_enqueue_spsc_event(&queue->ring, queue->slots, &event);
}

PEER_INLINE uint32_t queue_pop(queue_t *queue, uint64_t *values, uint32_t max)
{
    struct event event;
    (void)max;
    if (!ck_ring_dequeue_spsc_event(&queue->ring, queue->slots, &event)) {
        return 0;
    }
    values[0] = event.value;
    return 1;
}

PEER_INLINE uint32_t queue_push_shared(queue_t *queue, const uint64_t *values, uint32_t n)
{
    struct event event = {.value = values[0]};
    (void)n;
    return ck_ring_enqueue_mpmc_event(&queue->ring, queue->slots, &event);
}

PEER_INLINE uint32_t queue_pop_shared(queue_t *queue, uint64_t *values, uint32_t max)
{
    struct event event;
    (void)max;
    if (!ck_ring_dequeue_mpmc_event(&queue->ring, queue->slots, &event)) {
        return 0;
    }
    values[0] = event.value;
    return 1;
}

#include "driver.h"

int main(int argc, char **argv)
{
    return driver_main(argc, argv);
}
