/* peer_boost.cpp - boost::lockfree::spsc_queue of 8-byte events.
 *
 * The capacity is a template argument (its fastest form), so only the two capacities the runner
 * uses are built in; another one is reported as unsupported. One producer, one consumer only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <boost/lockfree/spsc_queue.hpp>
#include <cstring>

#include "../c/peer.h"

#ifndef PEER_BOOST_CAPACITY
#define PEER_BOOST_CAPACITY 65536
#endif

#define QUEUE_PEER "boost-spsc_queue"
#define QUEUE_BATCHES 1
#define QUEUE_BLOCKS 0
#define QUEUE_SHARED 0

using queue_t =
    boost::lockfree::spsc_queue<uint64_t, boost::lockfree::capacity<PEER_BOOST_CAPACITY>>;

static queue_t *queue_create(uint32_t capacity)
{
    if (capacity != PEER_BOOST_CAPACITY) {
        peer_unsupported();
    }
    return new queue_t();
}

static void queue_destroy(queue_t *queue)
{
    delete queue;
}

PEER_INLINE uint32_t queue_push(queue_t *queue, const uint64_t *values, uint32_t n)
{
    return n == 1 ? queue->push(values[0]) : static_cast<uint32_t>(queue->push(values, n));
}

PEER_INLINE uint32_t queue_pop(queue_t *queue, uint64_t *values, uint32_t max)
{
    return max == 1 ? queue->pop(values[0]) : static_cast<uint32_t>(queue->pop(values, max));
}

#include "../c/driver.h"

int main(int argc, char **argv)
{
    return driver_main(argc, argv);
}
