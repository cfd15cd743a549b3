/* test_thread_topology.c - machines of many shapes, written as trees of small files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"

#include "base/sysfs.h"
#include "disruptorx/thread.h"
#include "fake_tree.h"

static fake_tree_t tree;

static int setup(void **state)
{
    (void)state;
    fake_tree_create(&tree);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_tree_destroy(&tree);
    return 0;
}

/* Writes devices/system/cpu/cpuN/<file>. */
static void write_cpu(unsigned cpu, const char *file, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "devices/system/cpu/cpu%u/%s", cpu, file);
    fake_tree_write(&tree, path, text);
}

/* Two packages of two cores with two hardware threads each; siblings are 4 apart; the kernel calls
 * the packages 0 and 3. */
static void write_two_packages(void)
{
    fake_tree_write(&tree, "devices/system/cpu/online", "0-7\n");
    for (unsigned cpu = 0; cpu < 8; cpu++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%u,%u\n", cpu % 4, cpu % 4 + 4);
        write_cpu(cpu, "topology/thread_siblings_list", text);
        const bool second = cpu % 4 >= 2;
        write_cpu(cpu, "topology/physical_package_id", second ? "3\n" : "0\n");
        write_cpu(cpu, "cache/index0/level", "1\n");
        write_cpu(cpu, "cache/index0/shared_cpu_list", text);
        write_cpu(cpu, "cache/index3/level", "3\n");
        write_cpu(cpu, "cache/index3/shared_cpu_list", second ? "2-3,6-7\n" : "0-1,4-5\n");
    }
    fake_tree_write(&tree, "devices/system/node/online", "0,2\n");
    fake_tree_write(&tree, "devices/system/node/node0/cpulist", "0-1,4-5\n");
    fake_tree_write(&tree, "devices/system/node/node2/cpulist", "2-3,6-7\n");
}

static void a_machine_of_two_packages_is_understood(void **state)
{
    (void)state;
    write_two_packages();
    const dx_topology_t *t = NULL;
    assert_ok(dx_topology_create(tree.root, &t, NULL));
    assert_int_equal(t->cpu_count, 8);
    assert_int_equal(t->core_count, 4);
    assert_int_equal(t->package_count, 2);
    assert_int_equal(t->node_count, 2);
    assert_int_equal(t->l3_count, 2);
    assert_int_equal(t->quota_millicpus, 0);
    static const dx_cpu_info_t expected[] = {
        /* package, core, smt_index, node, l3 */
        {0, 0, 0, 0, 0}, {0, 1, 0, 0, 0}, {1, 2, 0, 2, 1}, {1, 3, 0, 2, 1},      {0, 0, 1, 0, 0},
        {0, 1, 1, 0, 0}, {1, 2, 1, 2, 1}, {1, 3, 1, 2, 1}, {-1, -1, -1, -1, -1},
    };
    for (size_t cpu = 0; cpu < COUNT_OF(expected); cpu++) {
        const dx_cpu_info_t *const found = &t->cpus[cpu];
        assert_int_equal(found->package, expected[cpu].package);
        assert_int_equal(found->core, expected[cpu].core);
        assert_int_equal(found->smt_index, expected[cpu].smt_index);
        assert_int_equal(found->numa_node, expected[cpu].numa_node);
        assert_int_equal(found->l3, expected[cpu].l3);
    }
    dx_topology_destroy(t);
    dx_topology_destroy(NULL);
}

static void assert_set(const dx_cpu_set_t *set, const char *expected)
{
    char text[DX_CPU_SET_TEXT_BYTES];
    (void)dx_cpu_set_format(set, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void nodes_and_siblings_can_be_listed(void **state)
{
    (void)state;
    write_two_packages();
    const dx_topology_t *t = NULL;
    assert_ok(dx_topology_create(tree.root, &t, NULL));
    dx_cpu_set_t set;
    dx_topology_node_cpus(t, 2, &set);
    assert_set(&set, "2-3,6-7");
    dx_topology_node_cpus(t, 1, &set);
    assert_set(&set, "");
    dx_topology_node_cpus(t, -1, &set);
    assert_set(&set, "");
    dx_topology_siblings(t, 6, &set);
    assert_set(&set, "2,6");
    dx_topology_siblings(t, 8, &set);
    assert_set(&set, "");
    dx_topology_siblings(t, DX_CPU_MAX, &set);
    assert_set(&set, "");
    dx_topology_destroy(t);
}

static void an_offline_cpu_belongs_to_nothing(void **state)
{
    (void)state;
    write_two_packages();
    fake_tree_write(&tree, "devices/system/cpu/online", "1-7\n");
    const dx_topology_t *t = NULL;
    assert_ok(dx_topology_create(tree.root, &t, NULL));
    assert_int_equal(t->cpu_count, 7);
    assert_int_equal(t->core_count, 4);
    assert_int_equal(t->cpus[0].core, -1);
    assert_int_equal(t->cpus[0].numa_node, -1);
    assert_int_equal(t->cpus[4].smt_index, 0); /* alone on its core now */
    dx_topology_destroy(t);
}

static void a_bare_tree_gives_one_core_per_cpu(void **state)
{
    (void)state;
    fake_tree_write(&tree, "devices/system/cpu/online", "0-2\n");
    const dx_topology_t *t = NULL;
    assert_ok(dx_topology_create(tree.root, &t, NULL));
    assert_int_equal(t->cpu_count, 3);
    assert_int_equal(t->core_count, 3);
    assert_int_equal(t->package_count, 0);
    assert_int_equal(t->l3_count, 0);
    assert_int_equal(t->node_count, 1);
    assert_int_equal(t->cpus[2].core, 2);
    assert_int_equal(t->cpus[2].package, -1);
    assert_int_equal(t->cpus[2].l3, -1);
    assert_int_equal(t->cpus[2].numa_node, 0);
    dx_topology_destroy(t);
}

static void a_hidden_sysfs_falls_back_to_the_allowed_cpus(void **state)
{
    (void)state;
    const dx_topology_t *t = NULL;
    assert_ok(dx_topology_create(tree.root, &t, NULL));
    dx_cpu_set_t allowed;
    assert_ok(dx_cpu_allowed(&allowed, NULL));
    assert_true(dx_cpu_set_equal(&t->online, &allowed));
    assert_int_equal(t->core_count, dx_cpu_set_count(&allowed));
    dx_topology_destroy(t);
}

static void a_list_that_makes_no_sense_is_refused_with_its_file(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *text;
        int code;
    } rows[] = {
        {"devices/system/cpu/online", "zero", DX_EPARSE},
        {"devices/system/cpu/online", "0-4000", DX_ELIMIT},
        {"devices/system/cpu/cpu1/topology/thread_siblings_list", "1,", DX_EPARSE},
        {"devices/system/cpu/cpu1/cache/index3/shared_cpu_list", "?", DX_EPARSE},
        {"devices/system/node/online", "9-8", DX_EPARSE},
        {"devices/system/node/node2/cpulist", "-", DX_EPARSE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        write_two_packages();
        fake_tree_write(&tree, rows[i].path, rows[i].text);
        const dx_topology_t *t = NULL;
        dx_error_t error = {0};
        assert_fails(dx_topology_create(tree.root, &t, &error), rows[i].code, error, rows[i].path);
        assert_null(t);
    }
}

static void a_list_above_the_limit_is_not_cut(void **state)
{
    (void)state;
    char text[DX_CPU_SET_TEXT_BYTES + 1];
    memset(text, ' ', sizeof(text));
    text[0] = '0';
    text[DX_CPU_SET_TEXT_BYTES - 2] = '\0'; /* what fits */
    fake_tree_write(&tree, "devices/system/cpu/online", text);
    const dx_topology_t *t = NULL;
    assert_ok(dx_topology_create(tree.root, &t, NULL));
    dx_topology_destroy(t);
    text[DX_CPU_SET_TEXT_BYTES - 2] = ' ';
    text[DX_CPU_SET_TEXT_BYTES - 1] = '\0'; /* one more */
    fake_tree_write(&tree, "devices/system/cpu/online", text);
    dx_error_t error = {0};
    assert_fails(dx_topology_create(tree.root, &t, &error), DX_ELIMIT, error,
                 "devices/system/cpu/online has more than 4094 bytes");
}

static void the_real_machine_is_consistent(void **state)
{
    (void)state;
    const dx_topology_t *t = NULL;
    assert_ok(dx_topology_create(NULL, &t, NULL));
    assert_in_range(t->cpu_count, 1, DX_CPU_MAX);
    assert_in_range(t->core_count, 1, t->cpu_count);
    assert_true(t->node_count >= 1);
    for (uint32_t cpu = 0; cpu < DX_CPU_MAX; cpu++) {
        const bool online = dx_cpu_set_has(&t->online, cpu);
        assert_int_equal(t->cpus[cpu].core >= 0, online); /* I1 */
        assert_int_equal(t->cpus[cpu].smt_index >= 0, online);
        assert_true(t->cpus[cpu].core < (int32_t)t->core_count); /* I2 */
        assert_true(t->cpus[cpu].package < (int32_t)t->package_count);
        assert_true(t->cpus[cpu].l3 < (int32_t)t->l3_count);
    }
    dx_topology_destroy(t);
}

static void the_cgroup_limit_is_the_smallest_on_the_path(void **state)
{
    (void)state;
    fake_tree_write(&tree, "fs/cgroup/a/cpu.max", "150000 100000\n");
    fake_tree_write(&tree, "fs/cgroup/a/b/cpu.max", "max 100000\n");
    fake_tree_write(&tree, "fs/cgroup/c/cpu.max", "50000 100000\n");
    fake_tree_write(&tree, "fs/cgroup/c/d/cpu.max", "400000 100000\n");
    fake_tree_write(&tree, "fs/cgroup/tiny/cpu.max", "1 100000\n");
    fake_tree_write(&tree, "fs/cgroup/odd/cpu.max", "what\n");
    fake_tree_write(&tree, "fs/cgroup/zero/cpu.max", "5 0\n");
    fake_tree_write(&tree, "fs/cgroup/huge/cpu.max", "2147483647 1\n");
    fake_tree_write(&tree, "fs/cgroup/over/cpu.max", "99999999999999999999 100000\n");
    static const struct {
        const char *path;
        uint32_t millicpus;
    } rows[] = {{"", 0},      {"/a", 1500}, {"/a/b", 1500}, {"/c/d", 500}, {"/c/d/gone", 500},
                {"/tiny", 1}, {"/odd", 0},  {"/zero", 0},   {"/huge", 0},  {"/over", 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(dxi_cgroup_quota_millicpus(tree.root, rows[i].path), rows[i].millicpus);
    }
    fake_tree_write(&tree, "fs/cgroup/cpu.max", "25000 100000\n");
    const dx_topology_t *t = NULL;
    assert_ok(dx_topology_create(tree.root, &t, NULL));
    assert_int_equal(t->quota_millicpus, 250);
    dx_topology_destroy(t);
}

static void the_limit_of_cgroup_version_1_is_read(void **state)
{
    (void)state;
    fake_tree_write(&tree, "fs/cgroup/cpu/x/cpu.cfs_quota_us", "200000\n");
    fake_tree_write(&tree, "fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    fake_tree_write(&tree, "fs/cgroup/cpu/none/cpu.cfs_quota_us", "-1\n");
    fake_tree_write(&tree, "fs/cgroup/cpu/none/cpu.cfs_period_us", "100000\n");
    fake_tree_write(&tree, "fs/cgroup/cpu/half/cpu.cfs_quota_us", "100\n");
    assert_int_equal(dxi_cgroup_quota_millicpus(tree.root, "/x"), 2000);
    assert_int_equal(dxi_cgroup_quota_millicpus(tree.root, "/none"), 0);
    assert_int_equal(dxi_cgroup_quota_millicpus(tree.root, "/half"), 0); /* no period */
}

static void the_own_cgroup_is_found_in_proc(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *path;
    } rows[] = {
        {"0::/user.slice/x\n", "/user.slice/x"},
        {"0::/\n", ""},
        {"0::/no-newline", "/no-newline"},
        {"12:cpuset:/s\n4:cpu,cpuacct:/docker/1\n0::/u\n", "/docker/1"},
        {"3:cpu:/only\n", "/only"},
        {"3:memory:/m\n", ""},
        {"0::/u\n3:memory:/m\n", "/u"},
        {"nothing here\n\n:\n", ""},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char path[64] = "before";
        dxi_cgroup_path(rows[i].text, path, sizeof(path));
        assert_string_equal(path, rows[i].path);
    }
    char path[8]; /* "/sixsix" has 7 bytes: one fits, one more does not */
    dxi_cgroup_path("0::/sixsix\n", path, sizeof(path));
    assert_string_equal(path, "/sixsix");
    dxi_cgroup_path("0::/sevense\n", path, sizeof(path));
    assert_string_equal(path, "");
}

static void small_files_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    char text[8];
    fake_tree_write(&tree, "six", "123456\n"); /* 7 bytes and the NUL */
    fake_tree_write(&tree, "five", "12345\n");
    assert_int_equal(dxi_sysfs_read(tree.root, text, sizeof(text), "six"), DX_ELIMIT);
    assert_int_equal(dxi_sysfs_read(tree.root, text, sizeof(text), "fi%s", "ve"), DX_OK);
    assert_string_equal(text, "12345");
    assert_int_equal(dxi_sysfs_read(tree.root, text, sizeof(text), "absent"), DX_ENOTFOUND);
    assert_string_equal(text, "");
    assert_int_equal(dxi_sysfs_read(tree.root, text, sizeof(text), "."), DX_ENOTFOUND);
    char name[PATH_MAX + 1];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(dxi_sysfs_read(tree.root, text, sizeof(text), "%s", name), DX_ENOTFOUND);
    assert_int_equal(dxi_sysfs_read(name, text, sizeof(text), "x"), DX_ENOTFOUND);
    assert_int_equal(dxi_cgroup_quota_millicpus(tree.root, name), 0);
    assert_int_equal(dxi_sysfs_number("17 x", -1), 17);
    assert_int_equal(dxi_sysfs_number("2147483647", -1), INT32_MAX);
    assert_int_equal(dxi_sysfs_number("2147483648", -1), -1);
    assert_int_equal(dxi_sysfs_number("-1", 5), 5);
}

static int create_and_destroy(void)
{
    const dx_topology_t *t = NULL;
    dx_error_t error = {0};
    const int code = dx_topology_create(NULL, &t, &error);
    if (code != DX_OK) {
        assert_contains(error.message, "no memory for a topology");
    }
    dx_topology_destroy(t);
    return code;
}

static void no_memory_is_reported(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(create_and_destroy), 1);
}

int main(void)
{
#define IN_A_TREE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_A_TREE(a_machine_of_two_packages_is_understood),
        IN_A_TREE(nodes_and_siblings_can_be_listed),
        IN_A_TREE(an_offline_cpu_belongs_to_nothing),
        IN_A_TREE(a_bare_tree_gives_one_core_per_cpu),
        IN_A_TREE(a_hidden_sysfs_falls_back_to_the_allowed_cpus),
        IN_A_TREE(a_list_that_makes_no_sense_is_refused_with_its_file),
        IN_A_TREE(a_list_above_the_limit_is_not_cut),
        cmocka_unit_test(the_real_machine_is_consistent),
        IN_A_TREE(the_cgroup_limit_is_the_smallest_on_the_path),
        IN_A_TREE(the_limit_of_cgroup_version_1_is_read),
        cmocka_unit_test(the_own_cgroup_is_found_in_proc),
        IN_A_TREE(small_files_are_read_whole_or_not_at_all),
        cmocka_unit_test(no_memory_is_reported),
    };
    return cmocka_run_group_tests_name("thread_topology", tests, NULL, NULL);
}
