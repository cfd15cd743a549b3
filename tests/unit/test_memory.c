/* test_memory.c - regions on this machine, and on machines that it plays.
 *
 * The fake system below answers as a machine with or without huge pages, nodes and limits, so the
 * tests need none of them. What it hands out is real memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/memory.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory_os.h"
#include "base_test.h"
#include "fake_tree.h"

enum { POPULATE_WRITE = 23 };

/* What the fake system answers, and what it was asked. */
static struct {
    int huge_2m; /* errno of mapping such pages, 0: there are some */
    int huge_1g;
    int normal;
    int populate;
    int bind;
    int node_errno;
    int32_t node;
    int lock;
    int bind_mode;
    int32_t bind_node;
    int advice; /* the first one */
    int64_t mapped;
} fake;

static int fake_map(size_t bytes, int flags, void **address_out)
{
    const size_t natural = (size_t)1 << ((unsigned)flags >> 26 & 63U);
    int rc = fake.normal;
    *address_out = NULL;
    if ((flags & MAP_HUGETLB) != 0) {
        rc = natural == (size_t)1 << 21 ? fake.huge_2m : fake.huge_1g;
    }
    if (rc != 0) {
        return rc;
    }
    const size_t extra = (flags & MAP_HUGETLB) != 0 ? natural : 0;
    char *const start = mmap(NULL, bytes + extra, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(start, MAP_FAILED);
    if (extra == 0) {
        *address_out = start;
    } else { /* as explicit huge pages are: aligned */
        const size_t head = (natural - ((uintptr_t)start & (natural - 1))) & (natural - 1);
        if (head != 0) {
            assert_int_equal(munmap(start, head), 0);
        }
        if (head != extra) {
            assert_int_equal(munmap(start + head + bytes, extra - head), 0);
        }
        *address_out = start + head;
    }
    fake.mapped += (int64_t)bytes;
    return 0;
}

static int fake_unmap(void *address, size_t bytes)
{
    fake.mapped -= (int64_t)bytes;
    return munmap(address, bytes) == 0 ? 0 : errno;
}

static int fake_advise(void *address, size_t bytes, int advice)
{
    (void)address;
    (void)bytes;
    if (advice == POPULATE_WRITE) {
        return fake.populate;
    }
    fake.advice = advice;
    return 0;
}

static int fake_bind(void *address, size_t bytes, int32_t node, int mode)
{
    (void)address;
    (void)bytes;
    fake.bind_node = node;
    fake.bind_mode = mode;
    return fake.bind;
}

static int fake_node_of(void *address, int32_t *node_out)
{
    (void)address;
    *node_out = fake.node;
    return fake.node_errno;
}

static int fake_lock(void *address, size_t bytes)
{
    (void)address;
    (void)bytes;
    return fake.lock;
}

static fake_tree_t tree;
static dxi_memory_os_t fake_os = {
    .map = fake_map,
    .unmap = fake_unmap,
    .advise = fake_advise,
    .bind = fake_bind,
    .node_of = fake_node_of,
    .lock = fake_lock,
};

static int setup(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.bind_node = -1;
    fake_tree_create(&tree);
    fake_tree_write(&tree, "kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    fake_tree_write(&tree, "kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n");
    fake_os.sysfs_root = tree.root;
    dxi_memory_os = &fake_os;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dxi_memory_os = &dxi_memory_os_system;
    fake_tree_destroy(&tree);
    return fake.mapped == 0 ? 0 : -1; /* every byte mapped was unmapped */
}

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static void the_real_system_gives_zeroed_memory_of_some_kind(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4096, 4097, 2 * MIB, 2 * MIB + 1};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        dx_memory_t memory;
        assert_ok(dx_memory_map(&(dx_memory_options_t){.size_bytes = sizes[i]}, &memory, NULL));
        assert_true(memory.size_bytes >= sizes[i]);
        assert_int_equal(memory.size_bytes % memory.page_bytes, 0);
        assert_int_equal((uintptr_t)memory.address % memory.page_bytes, 0);
        assert_in_range(memory.pages, DX_PAGES_NORMAL, DX_PAGES_HUGE_1G);
        unsigned char *const bytes = memory.address;
        for (size_t b = 0; b < memory.size_bytes; b += 509) {
            assert_int_equal(bytes[b], 0);
            bytes[b] = 1;
        }
        bytes[memory.size_bytes - 1] = 1;
        dx_memory_unmap(&memory);
        assert_null(memory.address);
        assert_int_equal(memory.size_bytes, 0);
        dx_memory_unmap(&memory);
    }
    dx_memory_unmap(NULL);
}

static void the_real_system_takes_every_wish_with_best_effort(void **state)
{
    (void)state;
    dx_error_t error = {.code = 77};
    for (int32_t node_plus_1 = 0; node_plus_1 <= DX_NUMA_NODE_MAX; node_plus_1 += 512) {
        for (int pages = DX_PAGES_AUTO; pages <= DX_PAGES_HUGE_2M; pages++) {
            const dx_memory_options_t options = {
                .size_bytes = 3 * MIB,
                .alignment_bytes = 4 * MIB,
                .pages = (dx_pages_t)pages,
                .numa_node_plus_1 = node_plus_1,
                .prefault = true,
                .lock = true,
                .best_effort = true,
            };
            dx_memory_t memory;
            assert_ok(dx_memory_map(&options, &memory, &error));
            assert_int_equal((uintptr_t)memory.address % (4 * MIB), 0);
            memset(memory.address, 1, memory.size_bytes);
            dx_memory_unmap(&memory);
        }
    }
    assert_int_equal(error.code, 77); /* success leaves the error alone */
}

static void the_real_system_binds_to_its_first_node_or_says_why_not(void **state)
{
    (void)state;
    const dx_memory_options_t options = {
        .size_bytes = 4096, .numa_node_plus_1 = 1, .prefault = true};
    dx_memory_t memory;
    dx_error_t error = {0};
    const int code = dx_memory_map(&options, &memory, &error);
    if (code == DX_OK) {
        assert_in_range(memory.numa_node, 0, DX_NUMA_NODE_MAX);
        dx_memory_unmap(&memory);
    } else { /* a container without mbind(), or a kernel without NUMA */
        assert_contains(error.message, "numa_node_plus_1 is 1");
    }
}

static void each_limit_of_the_options_holds_at_its_end(void **state)
{
    (void)state;
    static const struct {
        dx_memory_options_t options;
        const char *message; /* NULL: allowed */
    } rows[] = {
        {{.size_bytes = 1}, NULL},
        {{.size_bytes = 0}, "size_bytes is 0, must be from 1 to 1099511627776"},
        {{.size_bytes = DX_MEMORY_BYTES_MAX + 1}, "size_bytes is 1099511627777, must be from 1"},
        {{.size_bytes = 1, .alignment_bytes = 1}, NULL},
        {{.size_bytes = 1, .alignment_bytes = 3}, "alignment_bytes is 3, must be a power of two"},
        {{.size_bytes = 1, .alignment_bytes = DX_MEMORY_ALIGNMENT_MAX}, NULL},
        {{.size_bytes = 1, .alignment_bytes = DX_MEMORY_ALIGNMENT_MAX * 2},
         "alignment_bytes is 2147483648, must be a power of two from 1 to 1073741824"},
        {{.size_bytes = 1, .pages = (dx_pages_t)5}, "pages is 5, must be from 0 to 4"},
        {{.size_bytes = 1, .numa_node_plus_1 = DX_NUMA_NODE_MAX}, NULL},
        {{.size_bytes = 1, .numa_node_plus_1 = DX_NUMA_NODE_MAX + 1},
         "numa_node_plus_1 is 1025, must be from 0 to 1024"},
        {{.size_bytes = 1, .numa_node_plus_1 = -1}, "numa_node_plus_1 is -1, must be from 0"},
        {{.size_bytes = 1, .reserved = {0, 0, 0, 9}}, "reserved[3] is 9, must be 0"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_memory_t memory = {.size_bytes = 99};
        dx_error_t error = {0};
        if (rows[i].message == NULL) {
            assert_ok(dx_memory_map(&rows[i].options, &memory, &error));
            dx_memory_unmap(&memory);
        } else {
            assert_fails(dx_memory_map(&rows[i].options, &memory, &error), DX_EINVAL, error,
                         rows[i].message);
            assert_int_equal(memory.size_bytes, 0);
        }
    }
}

static void the_largest_region_is_tried(void **state)
{
    (void)state;
    fake.normal = ENOMEM;
    fake.huge_2m = ENOMEM;
    dx_memory_t memory;
    dx_error_t error = {0};
    assert_fails(
        dx_memory_map(&(dx_memory_options_t){.size_bytes = DX_MEMORY_BYTES_MAX}, &memory, &error),
        DX_ENOMEM, error, "cannot map 1099511627776 bytes with normal pages");
    assert_int_equal(error.os_errno, ENOMEM);
}

/* Which pages come out of which wish on which machine. */
static void the_kind_of_pages_falls_from_best_to_normal(void **state)
{
    (void)state;
    static const struct {
        dx_pages_t asked;
        size_t bytes;
        bool best_effort;
        int huge_1g, huge_2m;
        int code;
        dx_pages_t got;
        size_t got_bytes;
    } rows[] = {
        {DX_PAGES_AUTO, 3 * MIB, false, 0, 0, DX_OK, DX_PAGES_HUGE_2M, 4 * MIB},
        {DX_PAGES_AUTO, 3 * MIB, false, 0, ENOMEM, DX_OK, DX_PAGES_TRANSPARENT, 4 * MIB},
        {DX_PAGES_AUTO, 2 * MIB - 1, false, 0, 0, DX_OK, DX_PAGES_NORMAL, 2 * MIB},
        {DX_PAGES_AUTO, 5000, false, 0, 0, DX_OK, DX_PAGES_NORMAL, 8192},
        {DX_PAGES_NORMAL, 5 * MIB, true, 0, 0, DX_OK, DX_PAGES_NORMAL, 5 * MIB},
        {DX_PAGES_TRANSPARENT, 1, false, 0, 0, DX_OK, DX_PAGES_TRANSPARENT, 2 * MIB},
        {DX_PAGES_HUGE_2M, 1, false, 0, 0, DX_OK, DX_PAGES_HUGE_2M, 2 * MIB},
        {DX_PAGES_HUGE_2M, 1, false, 0, ENOMEM, DX_ENOMEM, DX_PAGES_AUTO, 0},
        {DX_PAGES_HUGE_2M, 1, false, 0, EINVAL, DX_ENOTSUP, DX_PAGES_AUTO, 0},
        {DX_PAGES_HUGE_2M, 1, true, 0, ENOMEM, DX_OK, DX_PAGES_NORMAL, 4096},
        {DX_PAGES_HUGE_1G, 1, false, 0, 0, DX_OK, DX_PAGES_HUGE_1G, GIB},
        {DX_PAGES_HUGE_1G, 3 * MIB, false, ENOMEM, 0, DX_ENOMEM, DX_PAGES_AUTO, 0},
        {DX_PAGES_HUGE_1G, 3 * MIB, true, ENOMEM, 0, DX_OK, DX_PAGES_HUGE_2M, 4 * MIB},
        {DX_PAGES_HUGE_1G, 3 * MIB, true, ENOMEM, ENOMEM, DX_OK, DX_PAGES_TRANSPARENT, 4 * MIB},
    };
    if (sysconf(_SC_PAGESIZE) != 4096) {
        SKIP_BECAUSE("pages have another size than 4096 here");
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fake.huge_1g = rows[i].huge_1g;
        fake.huge_2m = rows[i].huge_2m;
        const dx_memory_options_t options = {.size_bytes = rows[i].bytes,
                                             .pages = rows[i].asked,
                                             .best_effort = rows[i].best_effort};
        dx_memory_t memory;
        dx_error_t error = {0};
        assert_int_equal(dx_memory_map(&options, &memory, &error), rows[i].code);
        assert_int_equal(memory.pages, rows[i].got);
        assert_int_equal(memory.size_bytes, rows[i].got_bytes);
        if (rows[i].code != DX_OK) {
            assert_contains(error.message, "(the pools are in /sys/kernel/mm/hugepages)");
        }
        dx_memory_unmap(&memory);
    }
}

static void normal_pages_are_kept_normal_and_transparent_ones_asked_for(void **state)
{
    (void)state;
    dx_memory_t memory;
    assert_ok(dx_memory_map(&(dx_memory_options_t){.size_bytes = 4 * MIB, .pages = DX_PAGES_NORMAL},
                            &memory, NULL));
    assert_int_equal(fake.advice, MADV_NOHUGEPAGE);
    dx_memory_unmap(&memory);
    assert_ok(dx_memory_map(&(dx_memory_options_t){.size_bytes = 1, .pages = DX_PAGES_TRANSPARENT},
                            &memory, NULL));
    assert_int_equal(fake.advice, MADV_HUGEPAGE);
    assert_int_equal((uintptr_t)memory.address % (2 * MIB), 0);
    dx_memory_unmap(&memory);
}

static void a_kernel_that_never_joins_pages_has_no_transparent_ones(void **state)
{
    (void)state;
    fake.huge_2m = ENOMEM;
    fake_tree_write(&tree, "kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    dx_memory_t memory;
    dx_error_t error = {0};
    assert_fails(
        dx_memory_map(&(dx_memory_options_t){.size_bytes = 1, .pages = DX_PAGES_TRANSPARENT},
                      &memory, &error),
        DX_ENOTSUP, error, "pages is transparent, but this system makes no such pages");
    assert_ok(dx_memory_map(&(dx_memory_options_t){.size_bytes = 4 * MIB}, &memory, &error));
    assert_int_equal(memory.pages, DX_PAGES_NORMAL);
    dx_memory_unmap(&memory);
}

static void an_odd_size_of_transparent_pages_is_not_believed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t page_bytes;
    } rows[] = {{"4194304\n", 4 * MIB}, {"0\n", 2 * MIB},  {"3000000\n", 2 * MIB},
                {"nonsense", 2 * MIB},  {"4096", 2 * MIB}, {"", 2 * MIB}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fake_tree_write(&tree, "kernel/mm/transparent_hugepage/hpage_pmd_size", rows[i].text);
        dx_memory_t memory;
        assert_ok(dx_memory_map(
            &(dx_memory_options_t){.size_bytes = 1, .pages = DX_PAGES_TRANSPARENT}, &memory, NULL));
        assert_int_equal(memory.page_bytes, rows[i].page_bytes);
        dx_memory_unmap(&memory);
    }
}

static void alignment_above_the_page_is_kept(void **state)
{
    (void)state;
    for (size_t alignment = 4096; alignment <= 64 * MIB; alignment *= 2) {
        for (int pages = DX_PAGES_NORMAL; pages <= DX_PAGES_HUGE_2M; pages++) {
            dx_memory_t memory;
            assert_ok(dx_memory_map(&(dx_memory_options_t){.size_bytes = 5000,
                                                           .alignment_bytes = alignment,
                                                           .pages = (dx_pages_t)pages},
                                    &memory, NULL));
            assert_int_equal((uintptr_t)memory.address % alignment, 0);
            assert_int_equal(fake.mapped, memory.size_bytes); /* both ends were given back */
            dx_memory_unmap(&memory);
        }
    }
}

static void a_demanded_node_is_bound_and_verified(void **state)
{
    (void)state;
    static const struct {
        dx_pages_t pages;
        bool prefault, best_effort;
        int bind, node_errno;
        int32_t node; /* where the first page turns out to be */
        int code;
        int mode;
        int32_t got;
    } rows[] = {
        {DX_PAGES_NORMAL, false, false, 0, 0, 9, DX_OK, MPOL_BIND, 3},
        {DX_PAGES_NORMAL, true, false, 0, 0, 3, DX_OK, MPOL_BIND, 3},
        {DX_PAGES_NORMAL, true, false, 0, 0, 1, DX_ENOMEM, MPOL_BIND, 0},
        {DX_PAGES_NORMAL, true, true, 0, 0, 1, DX_OK, MPOL_PREFERRED, 1},
        {DX_PAGES_NORMAL, true, false, 0, EPERM, 1, DX_OK, MPOL_BIND, 3},
        {DX_PAGES_HUGE_2M, true, false, 0, 0, 3, DX_OK, MPOL_PREFERRED, 3},
        {DX_PAGES_NORMAL, false, false, EINVAL, 0, 0, DX_ENOTSUP, MPOL_BIND, 0},
        {DX_PAGES_NORMAL, false, false, EPERM, 0, 0, DX_EPERM, MPOL_BIND, 0},
        {DX_PAGES_NORMAL, false, true, EPERM, 0, 0, DX_OK, MPOL_PREFERRED, -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fake.bind = rows[i].bind;
        fake.node = rows[i].node;
        fake.node_errno = rows[i].node_errno;
        const dx_memory_options_t options = {.size_bytes = 4096,
                                             .pages = rows[i].pages,
                                             .numa_node_plus_1 = 4,
                                             .prefault = rows[i].prefault,
                                             .best_effort = rows[i].best_effort};
        dx_memory_t memory;
        dx_error_t error = {0};
        assert_int_equal(dx_memory_map(&options, &memory, &error), rows[i].code);
        assert_int_equal(fake.bind_node, 3);
        assert_int_equal(fake.bind_mode, rows[i].mode);
        assert_int_equal(memory.numa_node, rows[i].got);
        if (rows[i].code != DX_OK) {
            assert_contains(error.message, "numa_node_plus_1 is 4, but ");
        }
        dx_memory_unmap(&memory);
    }
}

static void prefaulting_works_on_old_kernels_and_reports_failure(void **state)
{
    (void)state;
    dx_memory_options_t options = {.size_bytes = 100000, .prefault = true};
    dx_memory_t memory;
    dx_error_t error = {0};
    fake.populate = EINVAL; /* a kernel before 5.14 */
    assert_ok(dx_memory_map(&options, &memory, &error));
    assert_true(memory.prefaulted);
    dx_memory_unmap(&memory);
    fake.populate = EFAULT; /* no page is left */
    assert_fails(dx_memory_map(&options, &memory, &error), DX_ENOMEM, error, "cannot prefault ");
    options.best_effort = true;
    assert_ok(dx_memory_map(&options, &memory, &error));
    assert_false(memory.prefaulted);
    dx_memory_unmap(&memory);
}

static void a_refused_lock_says_what_to_raise(void **state)
{
    (void)state;
    static const struct {
        int lock;
        int code;
    } rows[] = {{EPERM, DX_EPERM}, {EAGAIN, DX_ELIMIT}};
    dx_memory_options_t options = {.size_bytes = 4096, .lock = true};
    dx_memory_t memory;
    dx_error_t error = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        fake.lock = rows[i].lock;
        assert_fails(dx_memory_map(&options, &memory, &error), rows[i].code, error,
                     "cannot lock 4096 bytes: raise RLIMIT_MEMLOCK, which is ");
        assert_int_equal(error.os_errno, rows[i].lock);
    }
    fake.lock = ENOMEM; /* the limit, or memory where there is no limit */
    const int code = dx_memory_map(&options, &memory, &error);
    assert_true(code == DX_ELIMIT || code == DX_ENOMEM);
    assert_contains(error.message, "cannot lock 4096 bytes");
    options.best_effort = true;
    assert_ok(dx_memory_map(&options, &memory, &error));
    assert_false(memory.locked);
    dx_memory_unmap(&memory);
    fake.lock = 0;
    assert_ok(dx_memory_map(&options, &memory, &error));
    assert_true(memory.locked);
    assert_true(memory.prefaulted); /* locking touches */
    dx_memory_unmap(&memory);
}

static void a_region_is_described_in_one_line(void **state)
{
    (void)state;
    static const struct {
        dx_memory_t memory;
        const char *text;
    } rows[] = {
        {{.size_bytes = 4194304,
          .pages = DX_PAGES_HUGE_2M,
          .numa_node = 0,
          .prefaulted = true,
          .locked = true},
         "4194304 bytes, huge 2M pages, node 0, prefaulted, locked"},
        {{.size_bytes = 4096, .pages = DX_PAGES_NORMAL, .numa_node = -1},
         "4096 bytes, normal pages"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[128];
        const size_t length = dx_memory_describe(&rows[i].memory, text, sizeof(text));
        assert_string_equal(text, rows[i].text);
        assert_int_equal(length, strlen(rows[i].text));
        assert_int_equal(dx_memory_describe(&rows[i].memory, text, 5), length);
        assert_int_equal(strlen(text), 4);
    }
    assert_string_equal(dx_pages_name(DX_PAGES_AUTO), "auto");
    assert_string_equal(dx_pages_name(DX_PAGES_TRANSPARENT), "transparent");
    assert_string_equal(dx_pages_name(DX_PAGES_HUGE_1G), "huge 1G");
    assert_string_equal(dx_pages_name((dx_pages_t)77), "unknown");
}

static int map_small(void)
{
    dx_memory_t memory;
    const int code = dx_memory_map(&(dx_memory_options_t){.size_bytes = 1}, &memory, NULL);
    assert_int_equal(memory.address == NULL, code != DX_OK);
    dx_memory_unmap(&memory);
    return code;
}

static int map_large(void)
{
    dx_memory_t memory;
    const int code = dx_memory_map(&(dx_memory_options_t){.size_bytes = 4 * MIB}, &memory, NULL);
    dx_memory_unmap(&memory);
    return code;
}

static void failing_maps_leave_nothing(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(map_small), 1);
    assert_int_equal(fault_sweep(map_large), 1); /* without huge pages it takes the next kind */
}

int main(void)
{
#define ON_A_FAKE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_system_gives_zeroed_memory_of_some_kind),
        cmocka_unit_test(the_real_system_takes_every_wish_with_best_effort),
        cmocka_unit_test(the_real_system_binds_to_its_first_node_or_says_why_not),
        ON_A_FAKE(each_limit_of_the_options_holds_at_its_end),
        ON_A_FAKE(the_largest_region_is_tried),
        ON_A_FAKE(the_kind_of_pages_falls_from_best_to_normal),
        ON_A_FAKE(normal_pages_are_kept_normal_and_transparent_ones_asked_for),
        ON_A_FAKE(a_kernel_that_never_joins_pages_has_no_transparent_ones),
        ON_A_FAKE(an_odd_size_of_transparent_pages_is_not_believed),
        ON_A_FAKE(alignment_above_the_page_is_kept),
        ON_A_FAKE(a_demanded_node_is_bound_and_verified),
        ON_A_FAKE(prefaulting_works_on_old_kernels_and_reports_failure),
        ON_A_FAKE(a_refused_lock_says_what_to_raise),
        ON_A_FAKE(a_region_is_described_in_one_line),
        ON_A_FAKE(failing_maps_leave_nothing),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
