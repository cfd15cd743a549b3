/* dedup.c - a window of receipts for each producer.
 *
 * DESIGN
 *
 * A producer counts what it publishes, over all shards, so a shard sees increasing numbers with
 * gaps; after a reconnect some come again, perhaps in another order. Each producer has a window of
 * `size` receipts; that of number n stands at n mod size, so the window covers the numbers from
 * last - size + 1 to last, however dense they are. A number above `last` is new; one in the window
 * was taken exactly when its receipt stands there; one below it counts as taken: a publisher
 * repeats what it has no answer for, and has answers for what is that far behind. A window that has
 * grown knows nothing of what lay below it before: `floor`.
 *
 * Windows begin small and double while their producer is busy, as long as all windows of the shard
 * together stay below WINDOWS_BYTES_MAX.
 *
 * INVARIANTS
 *
 *   I1  every number from max(floor, last - size + 1) to last that was taken has its receipt in the
 *       window, at its place
 *   I2  at most producers_max producers; `recent` has each once, the one heard of last first
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/dedup.h"

#include "base/alloc.h"

#define WINDOW_MIN 16
#define WINDOW_MAX 4096
#define WINDOWS_BYTES_MAX UINT64_C(8388608) /* beyond it windows don't grow */
#define TABLE_MIN 16

struct dxi_producer {
    uint64_t id;
    uint32_t owner;
    uint64_t last;  /* the highest number taken; 0: none */
    uint64_t floor; /* below it the window does not say what was taken */
    uint64_t noted; /* receipts since the window has this size */
    dxi_list_t in_recent;
    dxi_receipt_t *window;
    uint64_t size; /* a power of two */
};

static uint64_t home_of(uint32_t owner, uint64_t id, uint64_t mask)
{
    return ((id + owner) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & mask;
}

void dxi_dedup_init(dxi_dedup_t *dedup, uint32_t producers_max)
{
    *dedup = (dxi_dedup_t){.producers_max = producers_max};
    dxi_list_init(&dedup->recent);
}

static void producer_free(dxi_dedup_t *dedup, dxi_producer_t *producer)
{
    dxi_list_remove(&producer->in_recent);
    dedup->window_bytes -= producer->size * sizeof(dxi_receipt_t);
    dxi_free(producer->window);
    dxi_free(producer);
}

void dxi_dedup_close(dxi_dedup_t *dedup)
{
    while (dedup->recent.next != NULL && !dxi_list_empty(&dedup->recent)) {
        producer_free(dedup, DXI_LIST_OBJECT(dedup->recent.next, dxi_producer_t, in_recent));
    }
    dxi_free(dedup->table);
    dedup->table = NULL;
}

static void table_put(dxi_producer_t **table, uint64_t mask, dxi_producer_t *producer)
{
    uint64_t i = home_of(producer->owner, producer->id, mask);
    while (table[i] != NULL) {
        i = (i + 1) & mask;
    }
    table[i] = producer;
}

static bool table_reserve(dxi_dedup_t *dedup)
{
    const uint64_t places = dedup->table != NULL ? dedup->mask + 1 : 0;
    if (((uint64_t)dedup->count + 1) * 2 <= places) {
        return true;
    }
    const uint64_t more = places != 0 ? places * 2 : TABLE_MIN;
    dxi_producer_t **const larger = dxi_alloc_zeroed(more, sizeof(dxi_producer_t *));
    if (larger == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < places; i++) {
        if (dedup->table[i] != NULL) {
            table_put(larger, more - 1, dedup->table[i]);
        }
    }
    dxi_free(dedup->table);
    dedup->table = larger;
    dedup->mask = more - 1;
    return true;
}

static void table_take(dxi_dedup_t *dedup, const dxi_producer_t *producer)
{
    uint64_t hole = home_of(producer->owner, producer->id, dedup->mask);
    while (dedup->table[hole] != producer) {
        hole = (hole + 1) & dedup->mask;
    }
    for (uint64_t i = (hole + 1) & dedup->mask; dedup->table[i] != NULL;
         i = (i + 1) & dedup->mask) {
        const uint64_t home = home_of(dedup->table[i]->owner, dedup->table[i]->id, dedup->mask);
        if (((i - home) & dedup->mask) >= ((i - hole) & dedup->mask)) {
            dedup->table[hole] = dedup->table[i];
            hole = i;
        }
    }
    dedup->table[hole] = NULL;
    dedup->count--;
}

static bool is_producer(const dxi_producer_t *producer, uint32_t owner, uint64_t id)
{
    return producer->id == id && producer->owner == owner;
}

static dxi_producer_t *producer_find(const dxi_dedup_t *dedup, uint32_t owner, uint64_t id)
{
    if (dedup->table == NULL) {
        return NULL;
    }
    uint64_t i = home_of(owner, id, dedup->mask);
    while (dedup->table[i] != NULL && !is_producer(dedup->table[i], owner, id)) {
        i = (i + 1) & dedup->mask;
    }
    return dedup->table[i];
}

static dxi_producer_t *producer_make(dxi_dedup_t *dedup, uint32_t owner, uint64_t id)
{
    if (!table_reserve(dedup)) {
        return NULL;
    }
    dxi_producer_t *const producer = dxi_alloc_zeroed(1, sizeof *producer);
    dxi_receipt_t *const window = dxi_alloc_zeroed(WINDOW_MIN, sizeof *window);
    if (producer == NULL || window == NULL) {
        dxi_free(producer);
        dxi_free(window);
        return NULL;
    }
    if (dedup->count >= dedup->producers_max) {
        dxi_producer_t *const oldest =
            DXI_LIST_OBJECT(dedup->recent.previous, dxi_producer_t, in_recent);
        table_take(dedup, oldest);
        producer_free(dedup, oldest);
    }
    producer->id = id;
    producer->owner = owner;
    producer->window = window;
    producer->size = WINDOW_MIN;
    dedup->window_bytes += WINDOW_MIN * sizeof *window;
    dxi_list_insert(&dedup->recent, &producer->in_recent);
    table_put(dedup->table, dedup->mask, producer);
    dedup->count++;
    return producer;
}

dxi_producer_t *dxi_dedup_producer(dxi_dedup_t *dedup, uint32_t owner, uint64_t producer_id)
{
    if (!dxi_list_empty(&dedup->recent)) { /* who publishes often publishes again */
        dxi_producer_t *const first =
            DXI_LIST_OBJECT(dedup->recent.next, dxi_producer_t, in_recent);
        if (is_producer(first, owner, producer_id)) {
            return first;
        }
    }
    dxi_producer_t *const producer = producer_find(dedup, owner, producer_id);
    if (producer == NULL) {
        return producer_make(dedup, owner, producer_id);
    }
    dxi_list_remove(&producer->in_recent);
    dxi_list_insert(&dedup->recent, &producer->in_recent);
    return producer;
}

dxi_seen_t dxi_dedup_seen(const dxi_producer_t *producer, uint64_t producer_sequence,
                          dxi_receipt_t *receipt_out)
{
    if (producer_sequence > producer->last) {
        return DXI_SEEN_NEVER;
    }
    const dxi_receipt_t *const receipt =
        &producer->window[producer_sequence & (producer->size - 1)];
    if (receipt->producer_sequence == producer_sequence) {
        *receipt_out = *receipt;
        return DXI_SEEN;
    }
    const bool known =
        producer_sequence >= producer->floor && producer->last - producer_sequence < producer->size;
    return known ? DXI_SEEN_NEVER : DXI_SEEN_LONG;
}

/* Doubles the window of a busy producer. Without memory it stays as it is. */
static void window_grow(dxi_dedup_t *dedup, dxi_producer_t *producer)
{
    const uint64_t bytes = producer->size * sizeof(dxi_receipt_t);
    producer->noted = 0;
    if (producer->size >= WINDOW_MAX || dedup->window_bytes + bytes > WINDOWS_BYTES_MAX) {
        return;
    }
    const uint64_t size = producer->size * 2;
    dxi_receipt_t *const larger = dxi_alloc_zeroed(size, sizeof *larger);
    if (larger == NULL) {
        return;
    }
    for (uint64_t i = 0; i < producer->size; i++) {
        const dxi_receipt_t *const receipt = &producer->window[i];
        if (receipt->producer_sequence != 0) {
            larger[receipt->producer_sequence & (size - 1)] = *receipt;
        }
    }
    if (producer->last >= producer->size && producer->last - producer->size + 1 > producer->floor) {
        producer->floor = producer->last - producer->size + 1;
    }
    dxi_free(producer->window);
    producer->window = larger;
    producer->size = size;
    dedup->window_bytes += bytes;
}

void dxi_dedup_note(dxi_dedup_t *dedup, dxi_producer_t *producer, const dxi_receipt_t *receipt)
{
    const uint64_t number = receipt->producer_sequence;
    const uint64_t mask = producer->size - 1;
    if (number > producer->last) {
        producer->last = number;
    }
    producer->window[number & mask] = *receipt;
    if (++producer->noted > producer->size) {
        window_grow(dedup, producer);
    }
}

void dxi_dedup_check(const dxi_dedup_t *dedup)
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    for (const dxi_list_t *at = dedup->recent.next; at != &dedup->recent; at = at->next) {
        const dxi_producer_t *const producer = DXI_LIST_OBJECT(at, dxi_producer_t, in_recent);
        assert(producer_find(dedup, producer->owner, producer->id) == producer);
        for (uint64_t i = 0; i < producer->size; i++) {
            const uint64_t number = producer->window[i].producer_sequence;
            assert(number <= producer->last &&
                   (number == 0 || (number & (producer->size - 1)) == i));
            (void)number;
        }
        count++;
        bytes += producer->size * sizeof(dxi_receipt_t);
    }
    assert(count == dedup->count && count <= dedup->producers_max); /* I2 */
    assert(bytes == dedup->window_bytes);
    (void)count;
    (void)bytes;
}
