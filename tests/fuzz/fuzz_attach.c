/* fuzz_attach.c - files of shared rings with any bytes in them: an error, or a ring that works, but
 * never a crash, an access outside it, or a loop without an end.
 *
 *     byte 0               which of the four rings it begins with: single or multi, events or spans
 *     then, 12 bytes each  where (32 bits, little-endian), what (64 bits): written over the ring
 *
 * The rings that it begins with have producers with claims, consumers that follow each other, and
 * events; their processes are gone, so whoever attaches recovers them first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disruptorx/consumer.h"
#include "disruptorx/producer.h"
#include "disruptorx/span.h"

#define NAME "fuzz"
#define PATCH_BYTES 12
#define LOOKS_MAX 300 /* events of a poll that are looked at: more than any ring here holds */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct image {
    char *bytes;
    size_t size;
} image_t;

static char folder[64];
static char path[128];
static image_t images[4];
static volatile uint64_t sink; /* what was read must not be optimised away */

/* ------------------------------------------------------------------------------- honest rings */

static void publish_some(dx_producer_t *producer, bool spans)
{
    for (size_t i = 0; i < 5; i++) {
        if (spans) {
            char payload[300] = {0};
            (void)dx_producer_publish_span_copy(producer, 7, payload, i * 70);
        } else {
            const int64_t value = (int64_t)i;
            (void)dx_producer_publish_copy(producer, &value, sizeof(value));
        }
    }
}

static void must(int64_t code)
{
    if (code < 0) {
        (void)fprintf(stderr, "fuzz_attach: %s\n", dx_error_name((int)code));
        abort();
    }
}

static void read_file(image_t *image)
{
    const int fd = open(path, O_RDONLY);
    struct stat status;
    must(fd >= 0 && fstat(fd, &status) == 0 ? 0 : DX_EIO);
    image->size = (size_t)status.st_size;
    image->bytes = malloc(image->size);
    must(read(fd, image->bytes, image->size) == (ssize_t)image->size ? 0 : DX_EIO);
    (void)close(fd);
}

/* A ring as it is in the middle of its life; its bytes are kept. */
static void make_image(image_t *image, dx_ring_mode_t mode, bool spans)
{
    const dx_ring_options_t options = {
        .slot_count = spans ? 64 : 8,
        .event_bytes = spans ? 0 : 24,
        .spans = spans,
        .mode = mode,
        .consumers_max = 5,
        .producers_max = 3,
        .share = {.name = NAME, .folder = folder, .detect_ns = DX_RING_DETECT_NS_MAX}};
    dx_ring_t *ring = NULL;
    must(dx_ring_create(&options, &ring, NULL));
    dx_consumer_t consumers[3];
    dx_producer_t producer;
    must(dx_consumer_open(&consumers[0], ring, &(dx_consumer_options_t){.name = "a"}, NULL));
    must(dx_consumer_open(
        &consumers[1], ring,
        &(dx_consumer_options_t){
            .name = "b", .upstream = 1, .may_skip = true, .on_death = DX_ON_DEATH_BLOCK},
        NULL));
    must(dx_consumer_open(&consumers[2], ring, &(dx_consumer_options_t){.name = "c", .upstream = 2},
                          NULL));
    must(dx_producer_open(&producer, ring, NULL, NULL));
    publish_some(&producer, spans);
    (void)dx_consumer_poll(&consumers[0]);
    dx_consumer_release(&consumers[0], spans ? 0 : 2);
    if (spans) {
        must(dx_producer_claim_span(&producer, 100));
    } else {
        must(dx_producer_claim_n(&producer, 2));
    }
    read_file(image);
    dx_producer_close(&producer);
    for (int i = 0; i < 3; i++) {
        dx_consumer_close(&consumers[i]);
    }
    dx_ring_destroy(ring);
}

static void clean_up(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

static void set_up(void)
{
    (void)snprintf(folder, sizeof(folder), "/dev/shm/dx-fuzz-XXXXXX");
    must(mkdtemp(folder) != NULL ? 0 : DX_EIO);
    (void)snprintf(path, sizeof(path), "%s/" NAME DX_RING_SUFFIX, folder);
    (void)atexit(clean_up);
    for (int i = 0; i < 4; i++) {
        make_image(&images[i], (i & 1) != 0 ? DX_RING_MULTI : DX_RING_SINGLE, (i & 2) != 0);
    }
}

/* ---------------------------------------------------------------------------- all there is */

static void look(const dx_ring_t *ring)
{
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    sink += (uint64_t)stat.depth + (uint64_t)dx_ring_published(ring) +
            (uint64_t)dx_ring_consumed(ring) + (uint64_t)dx_ring_remaining(ring) +
            (uint64_t)dx_ring_is_available(ring, stat.published) + strlen(stat.name);
    for (int32_t i = -1; i <= 257; i++) {
        dx_consumer_stat_t consumer;
        dx_producer_stat_t producer;
        dx_process_stat_t process;
        sink += dx_ring_consumer_stat(ring, i, &consumer) == DX_OK ? strlen(consumer.name) : 0;
        sink += dx_ring_producer_stat(ring, i, &producer) == DX_OK ? strlen(producer.name) : 0;
        sink += dx_ring_process_stat(ring, i, &process) == DX_OK ? strlen(process.name) : 0;
    }
}

static void read_some(dx_consumer_t *consumer, bool spans)
{
    const int64_t last = dx_consumer_poll(consumer);
    if (spans) {
        dx_spans_t range = dx_consumer_spans(consumer, last);
        for (const dx_span_t *span = NULL; (span = dx_spans_next(&range)) != NULL;) {
            const char *payload = dx_span_payload(span);
            for (uint32_t i = 0; i < span->bytes; i++) {
                sink += (uint64_t)payload[i];
            }
        }
        if (range.code == DX_OK) {
            dx_consumer_release(consumer, last);
        }
        return;
    }
    int64_t looks = 0;
    for (int64_t s = consumer->next; s <= last && looks < LOOKS_MAX; s++, looks++) {
        if (!dx_consumer_is_hidden(consumer, s)) {
            sink += *(const uint64_t *)dx_consumer_event(consumer, s);
        }
    }
    if (last >= consumer->next) {
        (void)!dx_consumer_skip(consumer, last);
        dx_consumer_release(consumer, last);
    }
}

static int take(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)context;
    (void)end_of_batch;
    sink += *(const uint64_t *)event + (uint64_t)sequence;
    return DX_OK;
}

static void consume(dx_ring_t *ring, const dx_consumer_options_t *options, bool spans)
{
    dx_consumer_t consumer;
    dx_error_t error;
    if (dx_consumer_open(&consumer, ring, options, &error) != DX_OK) {
        return;
    }
    int64_t first = 0;
    int64_t last = 0;
    sink += (uint64_t)dx_consumer_missed(&consumer, &first, &last);
    read_some(&consumer, spans);
    sink += (uint64_t)dx_consumer_drain(&consumer, take, NULL, 0);
    sink += (uint64_t)dx_consumer_follow(ring, consumer.index, 4, &error);
    read_some(&consumer, spans);
    dx_consumer_close(&consumer);
}

static void produce(dx_ring_t *ring, bool spans)
{
    dx_producer_t producer;
    dx_error_t error;
    if (dx_producer_open(&producer, ring, NULL, &error) != DX_OK) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        const int64_t sequence = spans ? dx_producer_try_claim_span(&producer, 90)
                                       : dx_producer_try_claim_n(&producer, 2);
        if (sequence < 0) {
            break;
        }
        if (i == 2) {
            continue; /* the close gives it up */
        }
        if (spans) {
            (void)dx_producer_publish_span(&producer, sequence);
        } else {
            (void)dx_producer_publish_range(&producer, sequence - 1, sequence);
        }
    }
    dx_producer_close(&producer);
}

static void use(dx_ring_t *ring)
{
    const bool spans = dx_ring_block(ring)->spans != 0;
    look(ring);
    dx_consumer_options_t options = {.name = "d", .start = DX_START_OLDEST};
    consume(ring, &options, spans);
    produce(ring, spans);
    options.upstream = 2;
    options.may_skip = true;
    consume(ring, &options, spans);
    options = (dx_consumer_options_t){.name = "b", .resume = true};
    consume(ring, &options, spans);
    options.name = "c";
    consume(ring, &options, spans);
    sink += (uint64_t)dx_ring_recover(ring);
    look(ring);
}

static void count(void *context, const dx_ring_file_t *file)
{
    (void)context;
    sink += strlen(file->name) + (uint64_t)file->code;
}

static void write_file(const image_t *image, const char *bytes)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, bytes, image->size) == (ssize_t)image->size ? 0 : DX_EIO);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (images[0].bytes == NULL) {
        set_up();
    }
    if (size < 1) {
        return 0;
    }
    const image_t *image = &images[data[0] & 3];
    char *bytes = malloc(image->size);
    memcpy(bytes, image->bytes, image->size);
    for (size_t at = 1; at + PATCH_BYTES <= size; at += PATCH_BYTES) {
        uint32_t where = 0;
        memcpy(&where, data + at, sizeof(where));
        const size_t offset = where % (image->size - 8);
        memcpy(bytes + offset, data + at + sizeof(where), 8);
    }
    write_file(image, bytes);
    free(bytes);
    sink += (uint64_t)dx_ring_list(folder, count, NULL, NULL);
    for (int observe = 1; observe >= 0; observe--) {
        const dx_attach_options_t options = {
            .name = NAME, .folder = folder, .observe = observe != 0};
        dx_ring_t *ring = NULL;
        dx_error_t error;
        if (dx_ring_attach(&options, &ring, &error) == DX_OK) {
            if (observe != 0) {
                look(ring);
            } else {
                use(ring);
            }
            dx_ring_destroy(ring);
        }
    }
    (void)unlink(path);
    return 0;
}
