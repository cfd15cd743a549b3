/* peer_mutex.c - the queue everybody writes first: a bounded ring under one mutex, two conditions.
 *
 * A waiter is signalled only when it may be waiting (counted under the lock), which is what makes
 * this a fair opponent: the naive form pays a system call for each event.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdlib.h>

#include "peer.h"

#define QUEUE_PEER "mutex-condition"
#define QUEUE_BATCHES 1
#define QUEUE_BLOCKS 1
#define QUEUE_SHARED 1

typedef struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    uint32_t capacity;
    uint32_t waiting_consumers;
    uint32_t waiting_producers;
    uint64_t pushed;
    uint64_t popped;
    uint64_t *slots;
} queue_t;

static queue_t *queue_create(uint32_t capacity)
{
    queue_t *const queue = peer_allocate(sizeof *queue);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    pthread_cond_init(&queue->not_full, NULL);
    queue->capacity = capacity;
    queue->slots = peer_allocate(capacity * sizeof queue->slots[0]);
    return queue;
}

static void queue_destroy(queue_t *queue)
{
    free(queue->slots);
    free(queue);
}

PEER_INLINE uint32_t queue_push(queue_t *queue, const uint64_t *values, uint32_t n)
{
    pthread_mutex_lock(&queue->mutex);
    while (queue->pushed - queue->popped == queue->capacity) {
        queue->waiting_producers++;
        pthread_cond_wait(&queue->not_full, &queue->mutex);
        queue->waiting_producers--;
    }
    const uint64_t room = queue->capacity - (queue->pushed - queue->popped);
    const uint32_t count = n < room ? n : (uint32_t)room;
    for (uint32_t i = 0; i < count; i++) {
        queue->slots[(queue->pushed + i) & (queue->capacity - 1)] = values[i];
    }
    queue->pushed += count;
    const bool wake = queue->waiting_consumers != 0;
    pthread_mutex_unlock(&queue->mutex);
    if (wake) {
        pthread_cond_signal(&queue->not_empty);
    }
    return count;
}

PEER_INLINE uint32_t queue_pop(queue_t *queue, uint64_t *values, uint32_t max)
{
    pthread_mutex_lock(&queue->mutex);
    while (queue->pushed == queue->popped) {
        queue->waiting_consumers++;
        pthread_cond_wait(&queue->not_empty, &queue->mutex);
        queue->waiting_consumers--;
    }
    const uint64_t held = queue->pushed - queue->popped;
    const uint32_t count = max < held ? max : (uint32_t)held;
    for (uint32_t i = 0; i < count; i++) {
        values[i] = queue->slots[(queue->popped + i) & (queue->capacity - 1)];
    }
    queue->popped += count;
    const bool wake = queue->waiting_producers != 0;
    pthread_mutex_unlock(&queue->mutex);
    if (wake) {
        pthread_cond_signal(&queue->not_full);
    }
    return count;
}

#define queue_push_shared queue_push
#define queue_pop_shared queue_pop

#include "driver.h"

int main(int argc, char **argv)
{
    return driver_main(argc, argv);
}
