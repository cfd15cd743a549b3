/* test_share_life.c - the life of a shared ring's file: who makes it, who is the last, who forks,
 * who dies over it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "share_test.h"
#include "span_test.h"

static dx_ring_options_t options_of(const char *name)
{
    return (dx_ring_options_t){
        .slot_count = 8,
        .event_bytes = sizeof(event_t),
        .mode = DX_RING_MULTI,
        .consumers_max = 4,
        .producers_max = 4,
        .share = {.name = name, .folder = share_folder, .detect_ns = DETECT_NS}};
}

static int attach_to(const char *name, dx_ring_t **ring_out, dx_error_t *error)
{
    return dx_ring_attach(&(dx_attach_options_t){.name = name, .folder = share_folder}, ring_out,
                          error);
}

static int32_t attached(const dx_ring_t *ring)
{
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    return stat.processes;
}

static void sixty_four_attach_and_no_more(void **state)
{
    (void)state;
    dx_ring_t *rings[DX_RING_PROCESSES_MAX];
    const dx_ring_options_t options = options_of("r");
    rings[0] = ring_from(&options);
    for (size_t i = 1; i < COUNT_OF(rings); i++) {
        assert_code(attach_to("r", &rings[i], NULL), DX_OK);
    }
    assert_int_equal(attached(rings[0]), 64);
    dx_ring_t *more = NULL;
    dx_error_t error = {0};
    assert_fails(attach_to("r", &more, &error), DX_ELIMIT, error, "has 64 processes attached");
    assert_null(more);
    assert_int_equal(attached(rings[0]), 64);
    dx_ring_destroy(rings[0]); /* any place will do, and the first may go first */
    assert_code(attach_to("r", &rings[0], NULL), DX_OK);
    for (size_t i = 0; i < COUNT_OF(rings); i++) {
        dx_ring_destroy(rings[i]);
    }
}

static void producers_and_consumers_of_all_processes_count_together(void **state)
{
    (void)state;
    const dx_ring_options_t options = options_of("r");
    dx_ring_t *rings[2] = {ring_from(&options), NULL};
    assert_code(attach_to("r", &rings[1], NULL), DX_OK);
    dx_producer_t producers[4];
    dx_consumer_t consumers[4];
    for (int i = 0; i < 4; i++) {
        assert_code(dx_producer_open(&producers[i], rings[i % 2], NULL, NULL), DX_OK);
        assert_code(dx_consumer_open(&consumers[i], rings[i % 2], NULL, NULL), DX_OK);
    }
    dx_error_t error = {0};
    dx_producer_t producer;
    dx_consumer_t consumer;
    assert_fails(dx_producer_open(&producer, rings[1], NULL, &error), DX_ELIMIT, error,
                 "has 4 producers");
    assert_fails(dx_consumer_open(&consumer, rings[1], NULL, &error), DX_ELIMIT, error,
                 "has 4 consumers");
    for (int i = 0; i < 4; i++) {
        dx_producer_close(&producers[i]);
        dx_consumer_close(&consumers[i]);
    }
    dx_ring_destroy(rings[1]);
    dx_ring_destroy(rings[0]);
}

static void places_of_dead_processes_can_be_had_again(void **state)
{
    (void)state;
    const dx_ring_options_t options = options_of("r");
    dx_ring_t *ring = ring_from(&options);
    share_word_t *word = share_word();
    const pid_t child = fork();
    if (child == 0) {
        dx_ring_t *own[DX_RING_PROCESSES_MAX - 1];
        for (size_t i = 0; i < COUNT_OF(own); i++) {
            own[i] = child_attach();
        }
        dx_producer_t producers[4];
        for (int i = 0; i < 4; i++) {
            child_must(dx_producer_open(&producers[i], own[0], NULL, NULL));
        }
        dx_store_release(&word->value, 1);
        child_await(word, 1);
    }
    wait_until(dx_load_acquire(&word->value) == 1);
    dx_ring_t *more = NULL;
    assert_code(attach_to("r", &more, NULL), DX_ELIMIT);
    assert_int_equal(kill(child, SIGKILL), 0);
    share_reap(child, SIGKILL);
    dx_producer_t producer;
    assert_code(attach_to("r", &more, NULL), DX_OK);
    assert_code(dx_producer_open(&producer, more, NULL, NULL), DX_OK);
    dx_producer_close(&producer);
    dx_ring_destroy(more);
    assert_int_equal(attached(ring), 1);
    dx_ring_destroy(ring);
    share_word_free(word);
}

static void an_observer_sees_everything_and_changes_nothing(void **state)
{
    (void)state;
    const dx_ring_options_t options = options_of("r");
    dx_ring_t *ring = ring_from(&options);
    dx_producer_t producer;
    dx_consumer_t consumer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    open_consumer(&consumer, ring, 0);
    for (int i = 0; i < 3; i++) {
        assert_code(dx_producer_publish(&producer, dx_producer_claim(&producer)), DX_OK);
    }
    dx_ring_t *seen = NULL;
    const dx_attach_options_t observe = {.name = "r", .folder = share_folder, .observe = true};
    assert_code(dx_ring_attach(&observe, &seen, NULL), DX_OK);
    assert_int_equal(attached(ring), 1);
    for (int with_consumer = 1; with_consumer >= 0; with_consumer--) {
        dx_ring_stat_t stat;
        dx_consumer_stat_t of_consumer;
        dx_producer_stat_t of_producer;
        dx_process_stat_t of_process;
        dx_ring_stat(seen, &stat);
        assert_number(stat.published, 2);
        assert_int_equal(stat.consumers, with_consumer);
        assert_number(dx_ring_published(seen), 2);
        assert_number(dx_ring_consumed(seen), with_consumer != 0 ? -1 : 2);
        assert_number(dx_ring_remaining(seen), with_consumer != 0 ? 5 : 8);
        assert_true(dx_ring_is_available(seen, 1));
        assert_code(dx_ring_consumer_stat(seen, 0, &of_consumer),
                    with_consumer != 0 ? DX_OK : DX_ENOTFOUND);
        assert_code(dx_ring_producer_stat(seen, 0, &of_producer), DX_OK);
        assert_code(dx_ring_process_stat(seen, 0, &of_process), DX_OK);
        assert_int_equal(of_process.process_id, getpid());
        assert_false(of_process.self);
        dx_consumer_close(&consumer);
    }
    dx_producer_t no_producer;
    dx_consumer_t no_consumer;
    dx_error_t error = {0};
    assert_fails(dx_producer_open(&no_producer, seen, NULL, &error), DX_EPERM, error,
                 "is only observed here");
    assert_fails(dx_consumer_open(&no_consumer, seen, NULL, &error), DX_EPERM, error,
                 "is only observed here");
    assert_code(dx_ring_recover(seen), 0);
    dx_ring_close(seen); /* not its to close */
    assert_true(dx_producer_claim(&producer) >= 0);
    dx_ring_reopen(seen);
    dx_producer_close(&producer);
    dx_ring_destroy(ring);
    dx_ring_destroy(seen);
}

/* ------------------------------------------------------------------------------------ the name */

static void removing_by_force_leaves_those_attached_what_they_have(void **state)
{
    (void)state;
    const dx_ring_options_t options = options_of("r");
    dx_ring_t *ring = ring_from(&options);
    dx_error_t error = {0};
    assert_fails(dx_ring_remove("r", share_folder, false, &error), DX_EBUSY, error,
                 "is in use by 1 process; remove it by force");
    assert_code(dx_ring_remove("r", share_folder, true, &error), DX_OK);
    dx_ring_t *other = NULL;
    assert_code(attach_to("r", &other, NULL), DX_ENOTFOUND);
    dx_ring_t *second = ring_from(&options); /* another of the same name */
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    assert_code(dx_producer_publish(&producer, dx_producer_claim(&producer)), DX_OK);
    assert_number(dx_ring_published(ring), 0);
    assert_number(dx_ring_published(second), -1);
    dx_producer_close(&producer);
    dx_ring_destroy(ring); /* does not take the other's file away */
    assert_code(attach_to("r", &other, NULL), DX_OK);
    dx_ring_destroy(other);
    dx_ring_destroy(second);
}

typedef struct found {
    int rings;
    int unfinished;
    int attached;
    char name[DX_RING_NAME_MAX + 1];
} found_t;

static void note(void *context, const dx_ring_file_t *file)
{
    found_t *found = context;
    found->rings += !file->unfinished;
    found->unfinished += file->unfinished;
    found->attached += file->attached;
    memcpy(found->name, file->name, sizeof(found->name));
}

static found_t list(void)
{
    found_t found = {0};
    const int count = dx_ring_list(share_folder, note, &found, NULL);
    assert_int_equal(count, found.rings + found.unfinished);
    return found;
}

#if DX_TEST_HOOKS
static void die_at(const char *point, void *context)
{
    if (strcmp(point, context) == 0) {
        (void)raise(SIGKILL);
    }
}
#endif

static void what_a_dead_maker_left_is_found_and_removed(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
#if DX_TEST_HOOKS
    for (int again = 0; again < 2; again++) {
        const pid_t child = fork();
        if (child == 0) {
            const dx_ring_options_t options = options_of("a.ring");
            dxi_point_set(die_at, (void *)(uintptr_t) "create:before-link");
            (void)ring_from(&options);
        }
        share_reap(child, SIGKILL);
        const found_t found = list();
        assert_int_equal(found.rings, 0);
        assert_int_equal(found.unfinished, 1);
        assert_int_equal(found.attached, 0);
        assert_string_equal(found.name, "a.ring");
        if (again == 0) {
            assert_code(dx_ring_remove("ring", share_folder, false, NULL), DX_ENOTFOUND);
            assert_code(dx_ring_remove("a.ring", share_folder, false, NULL), DX_OK);
        } else { /* and a new start takes it away, too */
            const dx_ring_options_t options = options_of("a.ring");
            dx_ring_t *ring = ring_from(&options);
            assert_int_equal(list().unfinished, 0);
            dx_ring_destroy(ring);
        }
        assert_int_equal(list().unfinished, 0);
    }
#endif
}

static void odd_names_in_the_folder_are_listed_or_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = {
        ".x.dxring", "x.dxring",      "..dxring-new",    ".dxring-new",
        ".dxring",   ".1.dxring-new", ".r.1.dxring-new", "long name with a space.dxring"};
    char path[160];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", share_folder, names[i]);
        (void)close(open(path, O_WRONLY | O_CREAT, 0600));
    }
    const found_t found = list();
    assert_int_equal(found.rings, 2);
    assert_int_equal(found.unfinished, 3);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", share_folder, names[i]);
        (void)unlink(path);
    }
}

static void two_makers_of_one_name_get_one_ring(void **state)
{
    (void)state;
    share_word_t *word = share_word();
    enum { MAKERS = 4, ROUNDS = 40 };
    for (int round = 1; round <= ROUNDS; round++) {
        pid_t makers[MAKERS];
        for (int i = 0; i < MAKERS; i++) {
            makers[i] = fork();
            if (makers[i] == 0) {
                dx_ring_options_t options = options_of("r");
                options.share.existing = round % 2 == 0 ? DX_SHARE_ATTACH : DX_SHARE_REPLACE_STALE;
                dx_ring_t *ring = NULL;
                child_await(word, round);
                const int code = dx_ring_create(&options, &ring, NULL);
                (void)dx_fetch_add_relaxed(&word->value, code == DX_OK ? 1 : 0);
                const bool good = code == DX_OK || (round % 2 != 0 && code == DX_EBUSY);
                dx_ring_destroy(ring);
                _exit(good ? 0 : 1);
            }
        }
        dx_store_release(&word->step, round);
        for (int i = 0; i < MAKERS; i++) {
            share_reap(makers[i], 0);
        }
        assert_int_equal(list().rings + list().unfinished, 0);
    }
    assert_true(dx_load_acquire(&word->value) >= ROUNDS);
    share_word_free(word);
}

static void makers_attachers_and_removers_do_not_harm_each_other(void **state)
{
    (void)state;
    enum { PROCESSES = 3, ROUNDS = 150 };
    pid_t children[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        children[p] = fork();
        if (children[p] != 0) {
            continue;
        }
        for (int round = 0; round < ROUNDS; round++) {
            dx_ring_t *ring = NULL;
            int code = DX_OK;
            if (p == 0) {
                const dx_ring_options_t options = options_of("r");
                code = dx_ring_create(&options, &ring, NULL);
            } else if (p == 1) {
                code = attach_to("r", &ring, NULL);
            } else {
                code = dx_ring_remove("r", share_folder, round % 4 == 0, NULL);
            }
            if (code != DX_OK && code != DX_EBUSY && code != DX_ENOTFOUND) {
                _exit(2);
            }
            if (ring != NULL) {
                dx_producer_t producer;
                child_must(dx_producer_open(&producer, ring, NULL, NULL));
                child_must(dx_producer_publish(&producer, dx_producer_claim(&producer)));
                dx_producer_close(&producer);
                dx_ring_destroy(ring);
            }
        }
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        share_reap(children[p], 0);
    }
    assert_int_equal(list().rings + list().unfinished, 0);
}

/* ---------------------------------------------------------------------------------------- fork */

static void a_child_neither_holds_nor_harms_what_its_parent_has(void **state)
{
    (void)state;
    const dx_ring_options_t options = options_of("r");
    dx_ring_t *ring = ring_from(&options);
    share_word_t *word = share_word();
    const pid_t parent = fork();
    if (parent == 0) {
        dx_ring_t *own = child_attach();
        dx_producer_t producer;
        dx_consumer_t consumer;
        child_must(dx_producer_open(&producer, own, NULL, NULL));
        child_must(dx_consumer_open(&consumer, own, NULL, NULL));
        child_must(dx_producer_claim(&producer));
        const pid_t grandchild = fork();
        if (grandchild == 0) {
            /* Its parent's handles are nothing to it, and do no harm. */
            dx_consumer_close(&consumer);
            dx_producer_close(&producer);
            dx_error_t error = {0};
            if (dx_producer_open(&producer, own, NULL, &error) != DX_EPERM ||
                strstr(error.message, "before fork()") == NULL) {
                _exit(1);
            }
            dx_ring_destroy(own);
            for (int i = 0; i < 5; i++) { /* it can attach by itself, again and again */
                dx_ring_destroy(child_attach());
            }
            dx_store_release(&word->value, 1);
            child_await(word, 1);
            _exit(0);
        }
        (void)pause();
    }
    wait_until(dx_load_acquire(&word->value) == 1);
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    assert_int_equal(stat.processes, 2);
    assert_int_equal(stat.producers, 1);
    assert_int_equal(stat.consumers, 1);
    share_kill(parent); /* the grandchild lives on */
    wait_until(attached(ring) == 1);
    dx_ring_stat(ring, &stat);
    assert_int_equal(stat.producers, 0);
    assert_int_equal(stat.consumers, 0);
    assert_number(stat.voided, 1);
    dx_store_release(&word->step, 1);
    dx_ring_destroy(ring);
    share_word_free(word);
}

/* ------------------------------------------------------------------------- stopped, with tables */

#if DX_TEST_HOOKS
static void stop_at(const char *point, void *context)
{
    if (strcmp(point, context) == 0) {
        (void)raise(SIGSTOP);
    }
}
#endif

static void who_is_stopped_with_the_tables_in_its_hands_is_killed(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
#if DX_TEST_HOOKS
    static const char *const points[] = {"recover:before-void", "close:closed",
                                         "open:before-fence"};
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        const dx_ring_options_t options = options_of("r");
        dx_ring_t *ring = ring_from(&options);
        const pid_t child = fork();
        if (child == 0) {
            dx_ring_t *own = child_attach();
            dx_producer_t producer;
            dx_consumer_t consumer;
            child_must(dx_producer_open(&producer, own, NULL, NULL));
            child_must(dx_producer_claim(&producer));
            dxi_point_set(stop_at, (void *)(uintptr_t)points[i]);
            child_must(dx_consumer_open(&consumer, own, NULL, NULL));
            dx_producer_close(&producer);
            _exit(1);
        }
        dx_ring_t *other = NULL; /* comes while the tables are held */
        int status = 0;
        assert_int_equal(waitpid(child, &status, WUNTRACED), child);
        assert_true(WIFSTOPPED(status));
        assert_code(attach_to("r", &other, NULL), DX_OK);
        share_reap(child, SIGKILL);
        wait_until(attached(ring) == 2);
        dx_ring_stat_t stat;
        do { /* counted after the deed */
            dx_ring_stat(ring, &stat);
        } while (stat.kills == 0);
        assert_int_equal(stat.producers, 0);
        dx_ring_destroy(other);
        dx_ring_destroy(ring);
    }
#endif
}

/* Spans of every length a ring of this size takes, from a child to its parent, over the place where
 * the memory wraps many times: each process has mapped the slots twice in a row for itself. */
static void spans_go_from_one_process_to_another_over_the_wrap(void **state)
{
    (void)state;
    enum { SPANS = 2000 };
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        dx_ring_t *ring = ring_from(&(dx_ring_options_t){
            .slot_count = SLOTS,
            .mode = (dx_ring_mode_t)mode,
            .spans = true,
            .share = {.name = "r", .folder = share_folder, .detect_ns = DETECT_NS}});
        dx_consumer_t consumer;
        assert_code(dx_consumer_open(&consumer, ring, NULL, NULL), DX_OK);
        const pid_t child = fork();
        if (child == 0) {
            dx_ring_t *attached = child_attach();
            dx_producer_t producer;
            child_must(dx_producer_open(&producer, attached, NULL, NULL));
            for (uint32_t i = 0; i < SPANS; i++) {
                const int64_t sequence = dx_producer_claim_span(&producer, i % (BYTES_MAX + 1));
                child_must(sequence);
                span_fill(dx_producer_span(&producer, sequence), sequence);
                child_must(dx_producer_publish_span(&producer, sequence));
            }
            dx_producer_close(&producer);
            dx_ring_destroy(attached);
            _exit(0);
        }
        uint32_t seen = 0;
        while (seen < SPANS) {
            dx_spans_t spans = dx_consumer_spans(&consumer, dx_consumer_wait(&consumer));
            for (const dx_span_t *span; (span = dx_spans_next(&spans)) != NULL; seen++) {
                assert_int_equal(span->bytes, seen % (BYTES_MAX + 1));
                assert_true(span_is_right(span, spans.sequence));
            }
            dx_consumer_release(&consumer, spans.next - 1);
        }
        assert_int_equal(seen, SPANS);
        share_reap(child, 0);
        dx_consumer_close(&consumer);
        dx_ring_destroy(ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED(spans_go_from_one_process_to_another_over_the_wrap),
        SHARED(sixty_four_attach_and_no_more),
        SHARED(producers_and_consumers_of_all_processes_count_together),
        SHARED(places_of_dead_processes_can_be_had_again),
        SHARED(an_observer_sees_everything_and_changes_nothing),
        SHARED(removing_by_force_leaves_those_attached_what_they_have),
        SHARED(what_a_dead_maker_left_is_found_and_removed),
        SHARED(odd_names_in_the_folder_are_listed_or_left_alone),
        SHARED(two_makers_of_one_name_get_one_ring),
        SHARED(makers_attachers_and_removers_do_not_harm_each_other),
        SHARED(a_child_neither_holds_nor_harms_what_its_parent_has),
        SHARED(who_is_stopped_with_the_tables_in_its_hands_is_killed),
    };
    return cmocka_run_group_tests_name("share_life", tests, NULL, NULL);
}
