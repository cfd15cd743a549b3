/* rig.c - see rig.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rig.h"

rig_t *rig;

void rig_make(const rig_options_t *options)
{
    rig = machine_alloc(sizeof(*rig));
    const dx_ring_options_t ring_options = {
        .slot_count = options->slot_count,
        .event_bytes = sizeof(int64_t),
        .mode = options->mode,
        .consumers_max = RIG_CONSUMERS,
        .producers_max = RIG_PRODUCERS,
    };
    CHECK(dx_ring_create(&ring_options, &rig->ring, NULL) == DX_OK);
    const dx_producer_options_t producer_options = {.full = options->full,
                                                    .wait = {.kind = options->wait}};
    for (int i = 0; i < options->producers; i++) {
        CHECK(dx_producer_open(&rig->producers[i], rig->ring, &producer_options, NULL) == DX_OK);
    }
}

void rig_end(void)
{
    dx_ring_destroy(rig->ring);
}

void rig_consumer(int index, uint64_t upstream, dx_wait_kind_t wait)
{
    const dx_consumer_options_t options = {.upstream = upstream, .wait = {.kind = wait}};
    CHECK(dx_consumer_open(&rig->consumers[index], rig->ring, &options, NULL) == DX_OK);
}

int64_t rig_claim(int producer)
{
    dx_producer_t *handle = &rig->producers[producer];
    int64_t sequence = dx_producer_claim(handle);
    while (sequence == DX_EAGAIN) {
        machine_yield();
        sequence = dx_producer_claim(handle);
    }
    if (sequence >= 0) {
        *DX_PRODUCER_EVENT(handle, sequence, int64_t) = sequence;
    }
    return sequence;
}

void rig_publish(int producer, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int64_t sequence = rig_claim(producer);
        CHECK(sequence >= 0);
        CHECK(dx_producer_publish(&rig->producers[producer], sequence) == DX_OK);
        rig->written[producer]++;
    }
}

void rig_take(int consumer, int64_t last)
{
    dx_consumer_t *handle = &rig->consumers[consumer];
    for (int64_t sequence = handle->next; sequence <= last; sequence++) {
        if (!dx_consumer_is_hidden(handle, sequence)) {
            CHECK(*DX_CONSUMER_EVENT(handle, sequence, int64_t) == sequence);
            rig->seen[consumer]++;
            rig->sums[consumer] += sequence;
        }
    }
    dx_consumer_release(handle, last);
}

void rig_poll(int consumer, int64_t count)
{
    dx_consumer_t *handle = &rig->consumers[consumer];
    while (rig->seen[consumer] < count) {
        const int64_t last = dx_consumer_poll(handle);
        if (last < handle->next) {
            machine_yield();
            continue;
        }
        rig_take(consumer, last);
    }
}

void rig_poll_through(int consumer, int64_t last)
{
    dx_consumer_t *handle = &rig->consumers[consumer];
    while (handle->next <= last) {
        const int64_t readable = dx_consumer_poll(handle);
        if (readable >= handle->next) {
            rig_take(consumer, readable);
        } else {
            machine_yield();
        }
    }
}

void rig_wait(int consumer, int64_t count)
{
    while (rig->seen[consumer] < count) {
        const int64_t last = dx_consumer_wait(&rig->consumers[consumer]);
        CHECK(last >= rig->consumers[consumer].next);
        rig_take(consumer, last);
    }
}
