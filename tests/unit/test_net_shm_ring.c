/* test_net_shm_ring.c - a ring of bytes whose other side is not trusted, and the file it lies in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base_test.h"
#include "net/descriptors.h"
#include "net/shm.h"

#define RING 64

/* Both ends of a small ring in this process. */
typedef struct ring {
    dxi_shm_words_t words;
    char data[RING];
    dxi_shm_end_t writer;
    dxi_shm_end_t reader;
} ring_t;

static ring_t *ring_make(void)
{
    static ring_t ring;
    memset(&ring, 0, sizeof ring);
    dxi_shm_end_init(&ring.writer, &ring.words, ring.data, RING);
    dxi_shm_end_init(&ring.reader, &ring.words, ring.data, RING);
    return &ring;
}

/* ---------------------------------------------------------------------------------------- bytes */

static void bytes_come_in_order_across_the_end(void **state)
{
    (void)state;
    ring_t *const ring = ring_make();
    uint64_t random = 77;
    uint64_t put = 0;
    uint64_t got = 0;
    while (got < 100000) {
        char bytes[RING + 8];
        const uint64_t size = random_next(&random) % (RING + 8) + 1;
        for (uint64_t i = 0; i < size; i++) {
            bytes[i] = (char)((put + i) * 31);
        }
        const int64_t taken = dxi_shm_write(&ring->writer, bytes, size);
        const uint64_t room = RING - (put - got);
        assert_int_equal(taken, size < room ? size : room);
        put += (uint64_t)taken;
        const uint64_t wanted = random_next(&random) % (RING + 8) + 1;
        const int64_t copied = dxi_shm_read(&ring->reader, bytes, wanted);
        assert_int_equal(copied, wanted < put - got ? wanted : put - got);
        for (int64_t i = 0; i < copied; i++) {
            assert_int_equal(bytes[i], (char)((got + (uint64_t)i) * 31));
        }
        got += (uint64_t)copied;
    }
}

static void a_full_ring_takes_nothing_and_an_empty_one_gives_nothing(void **state)
{
    (void)state;
    ring_t *const ring = ring_make();
    char bytes[RING + 1] = {0};
    assert_int_equal(dxi_shm_read(&ring->reader, bytes, RING), 0);
    assert_int_equal(dxi_shm_there(&ring->reader), 0);
    assert_int_equal(dxi_shm_write(&ring->writer, bytes, RING + 1), RING);
    assert_int_equal(dxi_shm_write(&ring->writer, bytes, 1), 0);
    assert_int_equal(dxi_shm_room(&ring->writer), 0);
    assert_int_equal(dxi_shm_there(&ring->reader), RING);
    assert_int_equal(dxi_shm_read(&ring->reader, bytes, 1), 1);
    assert_int_equal(dxi_shm_write(&ring->writer, bytes, 2), 1);
    assert_int_equal(dxi_shm_read(&ring->reader, bytes, RING + 1), RING);
}

/* ------------------------------------------------------------------------------ false positions */

static void a_position_that_can_not_be_true_is_not_believed(void **state)
{
    (void)state;
    /* The writer has put in 100, and believed that 50 were taken out; the reader has taken out 50,
     * and believed that 100 were put in. */
    const struct {
        int64_t head;
        bool true_for_writer;
        int64_t tail;
        bool true_for_reader;
    } cases[] = {
        {50, true, 100, true},
        {100, true, 50 + RING, true}, /* the most that can be */
        {101, false, 51 + RING, false},
        {49, false, 99, false}, /* back */
        {0, false, 0, false},
        {-1, false, -1, false},
        {INT64_MIN, false, INT64_MIN, false},
        {INT64_MAX, false, INT64_MAX, false},
    };
    char bytes[RING] = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ring_t *const ring = ring_make();
        ring->writer.own = 100;
        ring->writer.other = 50;
        ring->reader.own = 50;
        ring->reader.other = 100;
        dx_store_relaxed(&ring->words.head, cases[i].head);
        dx_store_relaxed(&ring->words.tail, cases[i].tail);
        const int64_t room = dxi_shm_room(&ring->writer);
        const int64_t there = dxi_shm_there(&ring->reader);
        assert_int_equal(room, cases[i].true_for_writer ? RING - 100 + cases[i].head : DX_ECORRUPT);
        assert_int_equal(there, cases[i].true_for_reader ? cases[i].tail - 50 : DX_ECORRUPT);
        if (!cases[i].true_for_writer) {
            ring->writer.other = 36; /* as if it were full: it has to look */
            dx_store_relaxed(&ring->words.head, cases[i].head < 50 ? 35 : cases[i].head);
            assert_int_equal(dxi_shm_write(&ring->writer, bytes, 1), DX_ECORRUPT);
            assert_true(dxi_shm_writable(&ring->writer)); /* the next write finds it */
            assert_int_equal(dx_load_relaxed(&ring->words.tail), cases[i].tail); /* untouched */
        }
        if (!cases[i].true_for_reader) {
            assert_int_equal(dxi_shm_read(&ring->reader, bytes, RING), DX_ECORRUPT);
            assert_int_equal(ring->reader.own, 50);
        }
    }
}

/* ---------------------------------------------------------------------------------------- sleep */

static void who_sleeps_is_rung_for_once(void **state)
{
    (void)state;
    ring_t *const ring = ring_make();
    char bytes[RING] = {0};
    assert_int_equal(dxi_shm_write(&ring->writer, bytes, 8), 8);
    assert_false(dxi_shm_must_ring_reader(&ring->writer)); /* it is awake */
    dxi_shm_reader_sleeps(&ring->reader, true);
    assert_int_equal(dxi_shm_write(&ring->writer, bytes, 8), 8);
    assert_true(dxi_shm_must_ring_reader(&ring->writer));
    assert_false(dxi_shm_must_ring_reader(&ring->writer)); /* it was told */
    dxi_shm_reader_sleeps(&ring->reader, true);
    dxi_shm_reader_sleeps(&ring->reader, false); /* it woke up by itself */
    assert_false(dxi_shm_must_ring_reader(&ring->writer));
    dx_store32_relaxed(&ring->words.reader_sleeps, -77); /* S4: nonsense is a bell at most */
    assert_true(dxi_shm_must_ring_reader(&ring->writer));
    assert_false(dxi_shm_must_ring_reader(&ring->writer));
}

static void a_writer_that_sleeps_is_rung_for_when_half_is_free(void **state)
{
    (void)state;
    ring_t *const ring = ring_make();
    char bytes[RING] = {0};
    assert_int_equal(dxi_shm_write(&ring->writer, bytes, RING), RING);
    assert_false(dxi_shm_writable(&ring->writer));
    dxi_shm_writer_sleeps(&ring->writer, true);
    assert_int_equal(dxi_shm_read(&ring->reader, bytes, RING / 2 - 1), RING / 2 - 1);
    assert_false(dxi_shm_must_ring_writer(&ring->reader));
    assert_false(dxi_shm_writable(&ring->writer));
    assert_int_equal(dxi_shm_read(&ring->reader, bytes, 1), 1);
    assert_true(dxi_shm_must_ring_writer(&ring->reader));
    assert_false(dxi_shm_must_ring_writer(&ring->reader));
    assert_true(dxi_shm_writable(&ring->writer));
    dxi_shm_writer_sleeps(&ring->writer, true);
    dxi_shm_writer_sleeps(&ring->writer, false);
    assert_false(dxi_shm_must_ring_writer(&ring->reader));
}

/* Two threads that sleep whenever they may: a lost bell leaves both asleep, and the test hangs. */
#define STREAM_BYTES 300000

typedef struct stream {
    ring_t *ring;
    sem_t reader_bell;
    sem_t writer_bell;
    int64_t sleeps;
} stream_t;

static void *stream_write(void *context)
{
    stream_t *const stream = context;
    dxi_shm_end_t *const writer = &stream->ring->writer;
    uint64_t random = 5;
    for (uint64_t put = 0; put < STREAM_BYTES;) {
        char bytes[RING];
        uint64_t size = random_next(&random) % RING + 1;
        size = size < STREAM_BYTES - put ? size : STREAM_BYTES - put;
        for (uint64_t i = 0; i < size; i++) {
            bytes[i] = (char)((put + i) * 13);
        }
        for (uint64_t done = 0; done < size;) {
            const int64_t taken = dxi_shm_write(writer, bytes + done, size - done);
            done += (uint64_t)taken;
            if (taken > 0 && dxi_shm_must_ring_reader(writer)) {
                (void)sem_post(&stream->reader_bell);
            }
            if (done < size) {
                dxi_shm_writer_sleeps(writer, true);
                dx_fence_seq_cst(); /* pairs with the one of who reads and then looks at the word */
                if (!dxi_shm_writable(writer)) {
                    (void)sem_wait(&stream->writer_bell);
                }
                dxi_shm_writer_sleeps(writer, false);
            }
        }
        put += size;
    }
    return NULL;
}

static void no_bell_is_lost_between_two_threads(void **state)
{
    (void)state;
    stream_t stream = {.ring = ring_make()};
    dxi_shm_end_t *const reader = &stream.ring->reader;
    pthread_t thread;
    assert_int_equal(sem_init(&stream.reader_bell, 0, 0), 0);
    assert_int_equal(sem_init(&stream.writer_bell, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, stream_write, &stream), 0);
    uint64_t wrong = 0;
    for (uint64_t got = 0; got < STREAM_BYTES;) {
        char bytes[RING];
        const int64_t copied = dxi_shm_read(reader, bytes, RING);
        assert_true(copied >= 0);
        for (int64_t i = 0; i < copied; i++) {
            wrong += bytes[i] != (char)((got + (uint64_t)i) * 13);
        }
        got += (uint64_t)copied;
        if (copied > 0) {
            if (dxi_shm_must_ring_writer(reader)) {
                (void)sem_post(&stream.writer_bell);
            }
            continue;
        }
        dxi_shm_reader_sleeps(reader, true);
        dx_fence_seq_cst(); /* pairs with the one of who writes and then looks at the word */
        if (dxi_shm_there(reader) == 0) {
            stream.sleeps++;
            (void)sem_wait(&stream.reader_bell);
        }
        dxi_shm_reader_sleeps(reader, false);
    }
    (void)pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
    (void)sem_destroy(&stream.reader_bell);
    (void)sem_destroy(&stream.writer_bell);
}

/* ------------------------------------------------------------------------------------- the file */

static void both_sides_of_a_file_read_what_the_other_has_written(void **state)
{
    (void)state;
    dx_error_t error = {0};
    dxi_shm_t *node = NULL;
    dxi_shm_t *client = NULL;
    int descriptor = -1;
    const size_t sizes[] = {DXI_SHM_RING_BYTES_MIN, DXI_SHM_RING_BYTES_DEFAULT,
                            DXI_SHM_RING_BYTES_MAX};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char text[16] = {0};
        assert_ok(dxi_shm_create(sizes[i], &node, &descriptor, &error));
        assert_ok(dxi_shm_attach(descriptor, &client, &error));
        (void)close(descriptor);
        assert_int_equal(dxi_shm_write(&node->out, "to the client", 13), 13);
        assert_int_equal(dxi_shm_write(&client->out, "to the node", 11), 11);
        assert_int_equal(dxi_shm_read(&client->in, text, sizeof text), 13);
        assert_memory_equal(text, "to the client", 13);
        assert_int_equal(dxi_shm_read(&node->in, text, sizeof text), 11);
        assert_memory_equal(text, "to the node", 11);
        assert_int_equal(client->in.bytes, sizes[i]);
        dxi_shm_destroy(client);
        dxi_shm_destroy(node);
    }
    dxi_shm_destroy(NULL);
}

static void sizes_out_of_bounds_are_refused(void **state)
{
    (void)state;
    dx_error_t error = {0};
    dxi_shm_t *shm = NULL;
    int descriptor = 0;
    const size_t sizes[] = {0, DXI_SHM_RING_BYTES_MIN / 2, DXI_SHM_RING_BYTES_MIN + 4096,
                            (size_t)DXI_SHM_RING_BYTES_MAX * 2};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        assert_fails(dxi_shm_create(sizes[i], &shm, &descriptor, &error), DX_EINVAL, error,
                     "a power of two from 65536 to 67108864");
        assert_null(shm);
        assert_int_equal(descriptor, -1);
    }
}

/* A sealed file of so many bytes that begins with these words. */
static int file_of(size_t bytes, uint64_t magic, uint32_t layout)
{
    dx_error_t error = {0};
    const int file = dxi_sealed_create("dx-test", bytes, &error);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, &magic, sizeof magic, 0), sizeof magic);
    assert_int_equal(pwrite(file, &layout, sizeof layout, 8), sizeof layout);
    return file;
}

static void a_file_that_is_no_pair_of_rings_is_not_mapped(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t whole = page + 2 * (size_t)DXI_SHM_RING_BYTES_MIN;
    const struct {
        size_t bytes;
        uint64_t magic;
        uint32_t layout;
        int code;
        const char *said;
    } cases[] = {
        {page, DXI_SHM_MAGIC, 1, DX_EINVAL, "which are no two rings"},
        {whole - page, DXI_SHM_MAGIC, 1, DX_EINVAL, "which are no two rings"},
        {whole + page, DXI_SHM_MAGIC, 1, DX_EINVAL, "which are no two rings"},
        {page + 4 * (size_t)DXI_SHM_RING_BYTES_MAX, DXI_SHM_MAGIC, 1, DX_EINVAL, "no two rings"},
        {whole, DXI_SHM_MAGIC + 1, 1, DX_EINVAL, "does not begin as a pair of rings"},
        {whole, DXI_SHM_MAGIC, 2, DX_EVERSION, "layout 2, only 1 is understood"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        dxi_shm_t *shm = NULL;
        const int file = file_of(cases[i].bytes, cases[i].magic, cases[i].layout);
        assert_fails(dxi_shm_attach(file, &shm, &error), cases[i].code, error, cases[i].said);
        assert_null(shm);
        (void)close(file);
    }
    dx_error_t error = {0};
    dxi_shm_t *shm = NULL;
    const int plain = memfd_create("dx-test", MFD_CLOEXEC); /* could be cut under its readers */
    assert_fails(dxi_shm_attach(plain, &shm, &error), DX_EINVAL, error, "shrink or grow");
    (void)close(plain);
}

static int make_both(void)
{
    dxi_shm_t *node = NULL;
    dxi_shm_t *client = NULL;
    int descriptor = -1;
    int code = dxi_shm_create(DXI_SHM_RING_BYTES_MIN, &node, &descriptor, NULL);
    if (code == DX_OK) {
        code = dxi_shm_attach(descriptor, &client, NULL);
        (void)close(descriptor);
    }
    dxi_shm_destroy(client);
    dxi_shm_destroy(node);
    return code;
}

static void whatever_fails_while_it_is_made_leaves_nothing(void **state)
{
    (void)state;
    assert_true(fault_sweep(make_both) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_in_order_across_the_end),
        cmocka_unit_test(a_full_ring_takes_nothing_and_an_empty_one_gives_nothing),
        cmocka_unit_test(a_position_that_can_not_be_true_is_not_believed),
        cmocka_unit_test(who_sleeps_is_rung_for_once),
        cmocka_unit_test(a_writer_that_sleeps_is_rung_for_when_half_is_free),
        cmocka_unit_test(no_bell_is_lost_between_two_threads),
        cmocka_unit_test(both_sides_of_a_file_read_what_the_other_has_written),
        cmocka_unit_test(sizes_out_of_bounds_are_refused),
        cmocka_unit_test(a_file_that_is_no_pair_of_rings_is_not_mapped),
        cmocka_unit_test(whatever_fails_while_it_is_made_leaves_nothing),
    };
    return cmocka_run_group_tests_name("net shm ring", tests, NULL, NULL);
}
