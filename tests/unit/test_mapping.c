/* test_mapping.c - files mapped as the ring needs them: mirrored, aligned, on huge pages if any.
 *
 * Whether a kernel joins the pages of a file is its own affair: the advice is answered by a fake.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mapping.h"
#include "base/memory_os.h"
#include "base_test.h"

#define HUGE_BYTES ((size_t)1 << 21)
enum { ADVICE_POPULATE_READ = 22, ADVICE_POPULATE_WRITE = 23, ADVICE_COLLAPSE = 25 };

/* What the fake kernel answers, and what it was asked. */
static struct {
    int collapse; /* errno */
    int populate;
    int collapsed; /* how often it was asked */
    size_t collapsed_bytes;
    int populated; /* the advice */
} fake;

static int fake_advise(void *address, size_t bytes, int advice)
{
    (void)address;
    if (advice == ADVICE_COLLAPSE) {
        fake.collapsed++;
        fake.collapsed_bytes = bytes;
        return fake.collapse;
    }
    if (advice == ADVICE_POPULATE_READ || advice == ADVICE_POPULATE_WRITE) {
        fake.populated = advice;
        return fake.populate;
    }
    return 0;
}

static dxi_memory_os_t fake_os;

static int setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    fake_os = dxi_memory_os_system;
    fake_os.advise = fake_advise;
    dxi_memory_os = &fake_os;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dxi_memory_os = &dxi_memory_os_system;
    return 0;
}

static dx_memory_t map_ok(const dxi_mapping_options_t *options)
{
    dx_memory_t memory;
    dx_error_t error = {0};
    assert_ok(dxi_mapping_map(options, &memory, &error));
    return memory;
}

static int file_of(size_t bytes)
{
    dx_error_t error = {0};
    const int fd = dxi_mapping_anonymous(bytes, &error);
    assert_true(fd >= 0);
    return fd;
}

static void a_large_file_begins_on_a_huge_page_wherever_it_is_mapped(void **state)
{
    (void)state;
    const size_t bytes = HUGE_BYTES + 8192;
    const int fd = file_of(bytes);
    dx_memory_t memory[3];
    for (size_t i = 0; i < COUNT_OF(memory); i++) {
        memory[i] = map_ok(&(dxi_mapping_options_t){.fd = fd, .bytes = bytes});
        assert_int_equal((uintptr_t)memory[i].address % HUGE_BYTES, 0);
        assert_int_equal(memory[i].size_bytes, bytes);
    }
    ((char *)memory[0].address)[bytes - 1] = 'x';
    assert_int_equal(((char *)memory[2].address)[bytes - 1], 'x');
    for (size_t i = 0; i < COUNT_OF(memory); i++) {
        dx_memory_unmap(&memory[i]);
    }
    assert_int_equal(close(fd), 0);
}

static void only_who_makes_a_file_joins_its_pages(void **state)
{
    (void)state;
    const size_t bytes = 2 * HUGE_BYTES + 4096;
    const int fd = file_of(bytes);
    dx_memory_t other = map_ok(&(dxi_mapping_options_t){.fd = fd, .bytes = bytes});
    assert_int_equal(fake.collapsed, 0);
    assert_int_equal(other.pages, DX_PAGES_NORMAL);
    dx_memory_t own = map_ok(&(dxi_mapping_options_t){.fd = fd, .bytes = bytes, .fresh = true});
    assert_int_equal(fake.collapsed, 1);
    assert_int_equal(fake.collapsed_bytes, 2 * HUGE_BYTES);
    assert_int_equal(own.pages, DX_PAGES_TRANSPARENT);
    dx_memory_unmap(&other);
    dx_memory_unmap(&own);
    assert_int_equal(close(fd), 0);
}

static void pages_are_not_joined_when_that_is_refused_unwanted_or_too_much(void **state)
{
    (void)state;
    const dx_memory_options_t normal = {.pages = DX_PAGES_NORMAL};
    const struct {
        size_t bytes;
        const dx_memory_options_t *memory;
        int collapse;
        int collapsed;
    } cases[] = {{HUGE_BYTES, NULL, EINVAL, 1},
                 {HUGE_BYTES, &normal, 0, 0},
                 {HUGE_BYTES - 4096, NULL, 0, 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const int fd = file_of(cases[i].bytes);
        fake.collapsed = 0;
        fake.collapse = cases[i].collapse;
        dx_memory_t memory = map_ok(&(dxi_mapping_options_t){
            .fd = fd, .bytes = cases[i].bytes, .fresh = true, .memory = cases[i].memory});
        assert_int_equal(fake.collapsed, cases[i].collapsed);
        assert_int_equal(memory.pages, DX_PAGES_NORMAL);
        dx_memory_unmap(&memory);
        assert_int_equal(close(fd), 0);
    }
}

static void prefaulting_changes_nothing_that_others_have_written(void **state)
{
    (void)state;
    const dx_memory_options_t prefault = {.prefault = true};
    const int fd = file_of(16384);
    dx_memory_t first = map_ok(&(dxi_mapping_options_t){.fd = fd, .bytes = 16384});
    memset(first.address, 'y', 16384);
    const struct {
        bool read_only;
        int populate; /* EINVAL: an old kernel, pages are read one by one */
        int advice;
    } cases[] = {{false, 0, ADVICE_POPULATE_WRITE},
                 {true, 0, ADVICE_POPULATE_READ},
                 {false, EINVAL, ADVICE_POPULATE_WRITE}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fake.populate = cases[i].populate;
        dx_memory_t memory = map_ok(&(dxi_mapping_options_t){
            .fd = fd, .bytes = 16384, .read_only = cases[i].read_only, .memory = &prefault});
        assert_int_equal(fake.populated, cases[i].advice);
        assert_true(memory.prefaulted);
        for (size_t at = 0; at < 16384; at += 1024) {
            assert_int_equal(((const char *)memory.address)[at], 'y');
        }
        dx_memory_unmap(&memory);
    }
    dx_memory_unmap(&first);
    assert_int_equal(close(fd), 0);
}

static void the_mirror_of_a_large_file_is_its_tail(void **state)
{
    (void)state;
    const size_t bytes = HUGE_BYTES + 4096;
    const size_t mirror = HUGE_BYTES;
    const int fd = file_of(bytes);
    dx_memory_t memory = map_ok(
        &(dxi_mapping_options_t){.fd = fd, .bytes = bytes, .mirror_bytes = mirror, .fresh = true});
    volatile char *const at = memory.address; /* one byte has two addresses */
    at[bytes - mirror] = 'a';
    at[bytes - 1] = 'b';
    assert_int_equal(at[bytes], 'a');
    assert_int_equal(at[bytes + mirror - 1], 'b');
    assert_int_equal(memory.size_bytes, bytes + mirror);
    dx_memory_unmap(&memory);
    assert_int_equal(close(fd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_large_file_begins_on_a_huge_page_wherever_it_is_mapped,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(only_who_makes_a_file_joins_its_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(
            pages_are_not_joined_when_that_is_refused_unwanted_or_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(prefaulting_changes_nothing_that_others_have_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_mirror_of_a_large_file_is_its_tail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
