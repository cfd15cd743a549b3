/* peer_dpdk.c - DPDK's rte_ring with 8-byte elements, as a plain library.
 *
 * No EAL and no huge pages: the ring is initialised on memory of our own, as the manual of
 * rte_ring_init() allows. Single and shared use differ only in the functions called.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdlib.h>

#include "peer.h"

#define QUEUE_PEER "rte_ring"
#define QUEUE_BATCHES 1
#define QUEUE_BLOCKS 0
#define QUEUE_SHARED 1

typedef struct rte_ring queue_t;

static queue_t *queue_create(uint32_t capacity)
{
    const ssize_t bytes = rte_ring_get_memsize_elem(sizeof(uint64_t), capacity);
    if (bytes < 0) {
        peer_fail("rte_ring does not support this capacity");
    }
    queue_t *const queue = peer_allocate((uint64_t)bytes);
    if (rte_ring_init(queue, "peer", capacity, 0) != 0) {
        peer_fail("rte_ring_init failed");
    }
    return queue;
}

static void queue_destroy(queue_t *queue)
{
    free(queue);
}

PEER_INLINE uint32_t queue_push(queue_t *queue, const uint64_t *values, uint32_t n)
{
    return rte_ring_sp_enqueue_burst_elem(queue, values, sizeof values[0], n, NULL);
}

PEER_INLINE uint32_t queue_pop(queue_t *queue, uint64_t *values, uint32_t max)
{
    return rte_ring_sc_dequeue_burst_elem(queue, values, sizeof values[0], max, NULL);
}

PEER_INLINE uint32_t queue_push_shared(queue_t *queue, const uint64_t *values, uint32_t n)
{
    return rte_ring_mp_enqueue_burst_elem(queue, values, sizeof values[0], n, NULL);
}

PEER_INLINE uint32_t queue_pop_shared(queue_t *queue, uint64_t *values, uint32_t max)
{
    return rte_ring_mc_dequeue_burst_elem(queue, values, sizeof values[0], max, NULL);
}

#include "driver.h"

int main(int argc, char **argv)
{
    return driver_main(argc, argv);
}
