/* test_share.c - shared rings: names, files, attaching, leaving, and every way to refuse a file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/share.h"
#include "ring_test.h"

/* A folder of our own for each test. */
static char folder[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/dev/shm/dx-test-%d-XXXXXX", (int)getpid());
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when a test has left anything behind */
}

static dx_ring_options_t shared_options(const char *name)
{
    return (dx_ring_options_t){.name = name,
                               .slot_count = 8,
                               .event_bytes = 8,
                               .mode = DX_RING_MULTI,
                               .share = {.name = name, .folder = folder}};
}

static dx_ring_t *share(const char *name)
{
    const dx_ring_options_t options = shared_options(name);
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    const int code = dx_ring_create(&options, &ring, &error);
    if (code != DX_OK) {
        fail_msg("%s: %s", dx_error_name(code), error.message);
    }
    return ring;
}

static dx_ring_t *attach(const char *name)
{
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    const dx_attach_options_t options = {.name = name, .folder = folder};
    const int code = dx_ring_attach(&options, &ring, &error);
    if (code != DX_OK) {
        fail_msg("%s: %s", dx_error_name(code), error.message);
    }
    return ring;
}

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s%s", folder, name, DX_RING_SUFFIX);
    return path;
}

static void what_one_attachment_publishes_another_reads(void **state)
{
    (void)state;
    dx_ring_t *ring = share("orders");
    dx_ring_t *other = attach("orders");
    assert_true(dx_ring_block(ring) != dx_ring_block(other));

    dx_consumer_t consumer;
    assert_code(dx_consumer_open(&consumer, other, NULL, NULL), DX_OK);
    dx_producer_t producer;
    assert_code(dx_producer_open(&producer, ring, NULL, NULL), DX_OK);
    for (int64_t i = 0; i < 100; i++) {
        const int64_t sequence = dx_producer_claim(&producer);
        assert_number(sequence, i);
        *DX_PRODUCER_EVENT(&producer, sequence, int64_t) = i * 7;
        assert_code(dx_producer_publish(&producer, sequence), DX_OK);
        assert_number(dx_consumer_wait(&consumer), i);
        assert_number(*DX_CONSUMER_EVENT(&consumer, i, int64_t), i * 7);
        dx_consumer_release(&consumer, i);
    }
    dx_ring_stat_t stat;
    dx_ring_stat(other, &stat);
    assert_true(stat.shared);
    assert_int_equal(stat.processes, 2);
    dx_producer_close(&producer);
    dx_consumer_close(&consumer);
    dx_ring_destroy(other);
    dx_ring_destroy(ring);
    assert_int_equal(access(path_of("orders"), F_OK), -1); /* the last one took it away */
}

static void a_ring_in_use_is_not_replaced_and_a_stale_one_is(void **state)
{
    (void)state;
    dx_ring_options_t options = shared_options("r");
    options.share.keep = true;
    dx_ring_t *ring = NULL;
    dx_ring_t *second = NULL;
    dx_error_t error = {0};
    assert_code(dx_ring_create(&options, &ring, NULL), DX_OK);
    assert_code(dx_ring_create(&options, &second, &error), DX_EBUSY);
    assert_non_null(strstr(error.message, "is in use by 1 process"));
    assert_null(second);

    options.share.existing = DX_SHARE_ATTACH;
    assert_code(dx_ring_create(&options, &second, &error), DX_OK);
    dx_ring_destroy(second);
    options.slot_count = 16;
    assert_code(dx_ring_create(&options, &second, &error), DX_EINVAL);

    dx_ring_destroy(ring);
    assert_int_equal(access(path_of("r"), F_OK), 0); /* kept, and nobody lives in it */
    assert_code(dx_ring_create(&options, &ring, &error), DX_OK);
    assert_number(dx_ring_remaining(ring), 16);
    dx_ring_destroy(ring);
    assert_code(dx_ring_remove("r", folder, false, NULL), DX_OK);
    assert_code(dx_ring_remove("r", folder, false, NULL), DX_ENOTFOUND);
}

static void a_child_that_dies_with_a_claim_is_voided_and_the_others_go_on(void **state)
{
    (void)state;
    dx_ring_options_t options = shared_options("r");
    options.share.detect_ns = 40000000;
    dx_ring_t *ring = NULL;
    assert_code(dx_ring_create(&options, &ring, NULL), DX_OK);
    dx_consumer_t consumer;
    assert_code(dx_consumer_open(&consumer, ring, NULL, NULL), DX_OK);
    const pid_t child = fork();
    if (child == 0) {
        dx_ring_t *own = attach("r");
        dx_producer_t producer;
        if (dx_producer_open(&producer, own, NULL, NULL) != DX_OK) {
            _exit(1);
        }
        const int64_t first = dx_producer_claim(&producer);
        *DX_PRODUCER_EVENT(&producer, first, int64_t) = 1;
        (void)dx_producer_publish(&producer, first);
        (void)dx_producer_claim_n(&producer, 3);
        abort();
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    dx_producer_t producer;
    assert_code(dx_producer_open(&producer, ring, NULL, NULL), DX_OK);
    int64_t sequence = dx_producer_claim(&producer);
    assert_number(sequence, 4);
    assert_code(dx_producer_publish(&producer, sequence), DX_OK);
    int64_t last = -1;
    while (last < 4) {
        last = dx_consumer_wait(&consumer);
        for (int64_t s = consumer.next; s <= last; s++) {
            assert_int_equal(dx_consumer_is_hidden(&consumer, s), s >= 1 && s <= 3);
        }
        dx_consumer_release(&consumer, last);
    }
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    assert_number(stat.deaths, 1);
    assert_number(stat.voided, 3);
    assert_int_equal(stat.processes, 1);
    assert_int_equal(stat.producers, 1);
    dx_producer_close(&producer);
    dx_consumer_close(&consumer);
    dx_ring_destroy(ring);
}

int main(void)
{
#define SHARED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SHARED(what_one_attachment_publishes_another_reads),
        SHARED(a_ring_in_use_is_not_replaced_and_a_stale_one_is),
        SHARED(a_child_that_dies_with_a_claim_is_voided_and_the_others_go_on),
    };
    return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
