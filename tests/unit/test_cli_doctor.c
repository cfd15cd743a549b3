/* test_cli_doctor.c - dx doctor on machines of many kinds, written as trees of small files.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/doctor.h"

#include <stdarg.h>

#include "base_test.h"
#include "fake_tree.h"

#define MIB INT64_C(1048576)
#define MS INT64_C(1000000)

static fake_tree_t tree;
static dxi_doctor_t doctor;
static dxi_finding_t finding;

static int set_up(void **state)
{
    (void)state;
    fake_tree_create(&tree);
    memset(&doctor, 0, sizeof doctor);
    doctor = (dxi_doctor_t){.proc = tree.root,
                            .sys = tree.root,
                            .connections = 10000,
                            .memory_bytes = 400 * MIB,
                            .folder = "/data"};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_tree_destroy(&tree);
    return 0;
}

static void look(const char *name)
{
    size_t count = 0;
    const dxi_doctor_check_t *const checks = dxi_doctor_checks(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(checks[i].name, name) == 0) {
            dxi_doctor_look(&doctor, &checks[i], &finding);
            return;
        }
    }
    fail_msg("there is no check %s", name);
}

/* Looks, and expects a verdict and a part of what was found. Advice has a sentence. */
static void expect(const char *name, dxi_verdict_t verdict, const char *found)
{
    look(name);
    if (finding.verdict != verdict || strstr(finding.found, found) == NULL) {
        fail_msg("%s: %s, \"%s\", not %s with \"%s\"", name, dxi_verdict_name(finding.verdict),
                 finding.found, dxi_verdict_name(verdict), found);
    }
    assert_int_equal(finding.advice[0] != '\0', verdict != DXI_DOCTOR_OK);
}

static void expect_command(const char *part)
{
    if (strstr(finding.command, part) == NULL) {
        fail_msg("the command is \"%s\", has no \"%s\"", finding.command, part);
    }
}

static void an_empty_machine_is_no_reason_to_fail(void **state)
{
    (void)state;
    size_t count = 0;
    const dxi_doctor_check_t *const checks = dxi_doctor_checks(&count);
    for (size_t i = 0; i < count; i++) {
        dxi_doctor_look(&doctor, &checks[i], &finding);
        assert_string_equal(finding.name, checks[i].name);
        assert_true(finding.found[0] != '\0');
        assert_true(finding.verdict != DXI_DOCTOR_BAD);
        assert_true(strlen(checks[i].name) <= 15); /* the column of the table */
    }
}

/* One file, and what is said of it. */
typedef struct one {
    const char *check, *file, *text;
    dxi_verdict_t verdict;
    const char *found, *command;
} one_t;

static void each_file_is_judged(void **state)
{
    (void)state;
    static const char CLOCK[] = "devices/system/clocksource/clocksource0/current_clocksource";
    static const one_t ONES[] = {
        {"kernel", "sys/kernel/osrelease", "6.1.0-18-amd64\n", DXI_DOCTOR_OK, "Linux 6.1.0", ""},
        {"kernel", "sys/kernel/osrelease", "5.10.0\n", DXI_DOCTOR_OK, "5.10", ""},
        {"kernel", "sys/kernel/osrelease", "5.9.1\n", DXI_DOCTOR_ADVICE, "5.9", ""},
        {"kernel", "sys/kernel/osrelease", "4.14.0\n", DXI_DOCTOR_ADVICE, "4.14", ""},
        {"kernel", "sys/kernel/osrelease", "4.13.9\n", DXI_DOCTOR_BAD, "4.13", ""},
        {"kernel", "sys/kernel/osrelease", "?\n", DXI_DOCTOR_OK, "not known", ""},
        {"clock source", CLOCK, "tsc\n", DXI_DOCTOR_OK, "tsc", ""},
        {"clock source", CLOCK, "kvm-clock\n", DXI_DOCTOR_OK, "kvm-clock", ""},
        {"clock source", CLOCK, "hpet\n", DXI_DOCTOR_BAD, "hpet", "echo tsc"},
        {"somaxconn", "sys/net/core/somaxconn", "4096\n", DXI_DOCTOR_OK, "4096", ""},
        {"somaxconn", "sys/net/core/somaxconn", "1024\n", DXI_DOCTOR_OK, "1024", ""},
        {"somaxconn", "sys/net/core/somaxconn", "1023\n", DXI_DOCTOR_ADVICE, "1023",
         "net.core.somaxconn=4096"},
        {"steal", "stat", "cpu  100 0 100 9000 0 0 0 1\ncpu0 ...", DXI_DOCTOR_OK, "0.5 %", ""},
        {"steal", "stat", "cpu  100 0 90 9000 9000 0 0 10\n", DXI_DOCTOR_ADVICE, "5.0 %", ""},
        {"steal", "stat", "cpu  50 0 25 9000 0 0 0 25\n", DXI_DOCTOR_BAD, "25.0 %", ""},
        {"steal", "stat", "cpu  0 0 0 0 0 0 0 0\n", DXI_DOCTOR_OK, "0.0 %", ""},
        {"steal", "stat", "no numbers\n", DXI_DOCTOR_OK, "not known", ""},
        {"isolated cpus", "devices/system/cpu/isolated", "2-3\n", DXI_DOCTOR_OK, "2-3", ""},
        {"transparent", "kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n",
         DXI_DOCTOR_OK, "madvise, defrag not known", ""},
        {"transparent", "kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n",
         DXI_DOCTOR_ADVICE, "never", "madvise | sudo tee"},
        {"transparent", "kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n",
         DXI_DOCTOR_OK, "always", ""},
        {"tsc", "cpuinfo", "processor : 0\nflags\t\t: fpu constant_tsc sse nonstop_tsc\n",
         DXI_DOCTOR_OK, "constant, never stops", ""},
        {"tsc", "cpuinfo", "x\nflags\t: fpu constant_tsc\nbugs: nonstop_tsc \n", DXI_DOCTOR_ADVICE,
         "constant, may stop", ""},
        {"tsc", "cpuinfo", "x\nflags\t: fpu nonstop_tsc_s3 xconstant_tsc\n", DXI_DOCTOR_ADVICE,
         "not constant, may stop", ""},
        {"tsc", "cpuinfo", "Features : fp asimd\n", DXI_DOCTOR_OK, "no x86", ""},
        {"numa", "devices/system/node/online", "0\n", DXI_DOCTOR_OK, "one node", ""},
        {"numa", "devices/system/node/online", "0-1\n", DXI_DOCTOR_OK, "2 nodes", ""},
    };
    for (size_t i = 0; i < sizeof ONES / sizeof ONES[0]; i++) {
        fake_tree_write(&tree, ONES[i].file, ONES[i].text);
        expect(ONES[i].check, ONES[i].verdict, ONES[i].found);
        expect_command(ONES[i].command);
    }
}

static void memory_is_compared_with_what_a_node_needs(void **state)
{
    (void)state;
    static const struct {
        int64_t available_mib;
        dxi_verdict_t verdict;
    } MEMORIES[] = {{400, DXI_DOCTOR_OK},
                    {399, DXI_DOCTOR_ADVICE},
                    {200, DXI_DOCTOR_ADVICE},
                    {199, DXI_DOCTOR_BAD}};
    for (size_t i = 0; i < sizeof MEMORIES / sizeof MEMORIES[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "MemTotal:  1024000 kB\nMemAvailable: %lld kB\n",
                 (long long)MEMORIES[i].available_mib * 1024);
        fake_tree_write(&tree, "meminfo", text);
        expect("memory", MEMORIES[i].verdict, "of 0.98 GiB available");
    }
}

static void swap_and_huge_pages_come_from_the_same_file(void **state)
{
    (void)state;
    fake_tree_write(&tree, "meminfo",
                    "SwapTotal: 1048576 kB\nHugePages_Total:      8\n"
                    "HugePages_Free:       0\nHugepagesize:       2048 kB\n");
    expect("swap", DXI_DOCTOR_ADVICE, "1.00 GiB, swappiness 60");
    expect_command("vm.swappiness=1");
    fake_tree_write(&tree, "sys/vm/swappiness", "10\n");
    expect("swap", DXI_DOCTOR_OK, "swappiness 10");
    expect("huge pages", DXI_DOCTOR_ADVICE, "0 of 8 free, 2.00 MiB each");
    expect_command("vm.nr_hugepages=72");
    fake_tree_write(&tree, "meminfo",
                    "SwapTotal: 0 kB\nHugePages_Total: 8\nHugePages_Free: 3\n"
                    "Hugepagesize: 2048 kB\n");
    expect("swap", DXI_DOCTOR_OK, "none");
    expect("huge pages", DXI_DOCTOR_OK, "3 of 8 free");
}

static void transparent_pages_that_make_threads_wait_are_told(void **state)
{
    (void)state;
    fake_tree_write(&tree, "kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
    fake_tree_write(&tree, "kernel/mm/transparent_hugepage/defrag", "[always] defer never");
    expect("transparent", DXI_DOCTOR_ADVICE, "always, defrag always");
}

static void governors_of_all_processors_are_read(void **state)
{
    (void)state;
    fake_tree_write(&tree, "devices/system/cpu/online", "0-2\n");
    expect("cpu governor", DXI_DOCTOR_OK, "none");
    fake_tree_write(&tree, "devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
    fake_tree_write(&tree, "devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
    fake_tree_write(&tree, "devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave\n");
    expect("cpu governor", DXI_DOCTOR_ADVICE, "powersave on 2 of 3 processors");
    expect_command("cpupower frequency-set -g performance");
    fake_tree_write(&tree, "devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n");
    fake_tree_write(&tree, "devices/system/cpu/cpu2/cpufreq/scaling_governor", "performance\n");
    expect("cpu governor", DXI_DOCTOR_OK, "performance");
}

static void isolation_is_for_machines_that_can_afford_it(void **state)
{
    (void)state;
    fake_tree_write(&tree, "devices/system/cpu/isolated", "\n");
    fake_tree_write(&tree, "devices/system/cpu/online", "0-2\n");
    expect("isolated cpus", DXI_DOCTOR_OK, "none");
    fake_tree_write(&tree, "devices/system/cpu/online", "0-3\n");
    expect("isolated cpus", DXI_DOCTOR_ADVICE, "none");
    expect_command("isolcpus=");
}

static void a_limit_of_a_control_group_is_told(void **state)
{
    (void)state;
    fake_tree_write(&tree, "devices/system/cpu/online", "0-3\n");
    expect("cpus", DXI_DOCTOR_OK, "4, and no limit");
    fake_tree_write(&tree, "self/cgroup", "0::/a\n");
    fake_tree_write(&tree, "fs/cgroup/a/cpu.max", "150000 100000\n");
    expect("cpus", DXI_DOCTOR_ADVICE, "4, of which a control group allows 1.50");
    fake_tree_write(&tree, "fs/cgroup/a/cpu.max", "50000 100000\n");
    expect("cpus", DXI_DOCTOR_BAD, "allows 0.50");
    fake_tree_write(&tree, "fs/cgroup/a/cpu.max", "max 100000\n");
    fake_tree_write(&tree, "devices/system/cpu/online", "0\n");
    expect("cpus", DXI_DOCTOR_ADVICE, "1, and no limit");
}

static void memory_nodes_that_are_balanced_are_told(void **state)
{
    (void)state;
    fake_tree_write(&tree, "devices/system/node/online", "0-3\n");
    fake_tree_write(&tree, "sys/kernel/numa_balancing", "1\n");
    expect("numa", DXI_DOCTOR_ADVICE, "4 nodes (0-3), balancing on");
    expect_command("kernel.numa_balancing=0");
    fake_tree_write(&tree, "sys/kernel/numa_balancing", "0\n");
    expect("numa", DXI_DOCTOR_OK, "balancing off");
}

static void limits_write(const char *files, const char *locked)
{
    char text[1024];
    snprintf(text, sizeof text,
             "Limit                     Soft Limit           Hard Limit           Units     \n"
             "Max open files            %s files     \n"
             "Max locked memory         %s bytes     \n",
             files, locked);
    fake_tree_write(&tree, "self/limits", text);
}

static void limits_are_compared_with_what_a_node_needs(void **state)
{
    (void)state;
    limits_write("1024                 10064               ", "65536  65536");
    expect("descriptors", DXI_DOCTOR_OK, "10,064 (dx server raises 1,024 to that)");
    expect("locked memory", DXI_DOCTOR_ADVICE, "64.0 KiB");
    limits_write("1024                 10063               ", "67108864 67108864");
    expect("descriptors", DXI_DOCTOR_ADVICE, "10,064 needed for 10,000 connections");
    expect_command("--nofile=10064:10064");
    expect("locked memory", DXI_DOCTOR_OK, "64.0 MiB");
    limits_write("1000                 1023                ", "67108863 67108863");
    expect("descriptors", DXI_DOCTOR_BAD, "1,023");
    expect("locked memory", DXI_DOCTOR_ADVICE, "64.0 MiB");
    doctor.is_root = true;
    expect("locked memory", DXI_DOCTOR_OK, "no limit for root");
    doctor.is_root = false;
    limits_write("unlimited            unlimited           ", "unlimited unlimited");
    expect("descriptors", DXI_DOCTOR_OK, "unlimited");
    expect("locked memory", DXI_DOCTOR_OK, "unlimited");
}

static void the_clock_is_synchronised_or_not(void **state)
{
    (void)state;
    expect("clock sync", DXI_DOCTOR_OK, "not known");
    doctor.clock_known = true;
    expect("clock sync", DXI_DOCTOR_ADVICE, "not synchronised");
    expect_command("timedatectl set-ntp true");
    doctor.clock_synced = true;
    doctor.clock_error_us = 1500;
    expect("clock sync", DXI_DOCTOR_OK, "off by at most 1.50 ms");
}

static void buffers_of_sockets_are_read(void **state)
{
    (void)state;
    expect("socket buffers", DXI_DOCTOR_OK, "not known");
    fake_tree_write(&tree, "sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n");
    fake_tree_write(&tree, "sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n");
    fake_tree_write(&tree, "sys/net/core/wmem_default", "212992\n");
    expect("socket buffers", DXI_DOCTOR_OK, "TCP up to 6.00 MiB in and 4.00 MiB out");
    fake_tree_write(&tree, "sys/net/core/wmem_default", "212991\n");
    expect("socket buffers", DXI_DOCTOR_ADVICE, "UNIX sockets 208 KiB");
    expect_command("wmem_default=212992");
    fake_tree_write(&tree, "sys/net/ipv4/tcp_wmem", "4096\t16384\t4194303\n");
    expect("socket buffers", DXI_DOCTOR_ADVICE, "TCP");
    expect_command("tcp_wmem=");
}

static void a_disk_that_is_nearly_full_is_told(void **state)
{
    (void)state;
    static const struct {
        int64_t percent;
        dxi_verdict_t verdict;
    } DISKS[] = {
        {15, DXI_DOCTOR_OK}, {14, DXI_DOCTOR_ADVICE}, {5, DXI_DOCTOR_ADVICE}, {4, DXI_DOCTOR_BAD}};
    doctor.disk_bytes = 102400 * MIB;
    for (size_t i = 0; i < sizeof DISKS / sizeof DISKS[0]; i++) {
        char found[32];
        doctor.disk_free_bytes = DISKS[i].percent * 1024 * MIB;
        snprintf(found, sizeof found, "at /data, %lld %%", (long long)DISKS[i].percent);
        expect("disk free", DISKS[i].verdict, found);
    }
    doctor.disk_bytes = 1000 * MIB; /* small, and mostly free */
    doctor.disk_free_bytes = 255 * MIB;
    expect("disk free", DXI_DOCTOR_BAD, "25 %");
}

static void what_was_measured_is_judged(void **state)
{
    (void)state;
    const struct {
        const char *name;
        dxi_measured_t *measured;
        int64_t p50_ns, p99_ns;
        dxi_verdict_t verdict;
    } TIMES[] = {
        {"disk sync", &doctor.sync, 1, 10 * MS - 1, DXI_DOCTOR_OK},
        {"disk sync", &doctor.sync, 1, 10 * MS, DXI_DOCTOR_ADVICE},
        {"disk sync", &doctor.sync, 1, 50 * MS - 1, DXI_DOCTOR_ADVICE},
        {"disk sync", &doctor.sync, 1, 50 * MS, DXI_DOCTOR_BAD},
        {"futex wake", &doctor.wake, 49999, MS, DXI_DOCTOR_OK},
        {"futex wake", &doctor.wake, 50000, MS, DXI_DOCTOR_ADVICE},
        {"futex wake", &doctor.wake, MS, MS, DXI_DOCTOR_BAD},
        {"tcp loopback", &doctor.loopback, 199999, MS, DXI_DOCTOR_OK},
        {"tcp loopback", &doctor.loopback, 200000, MS, DXI_DOCTOR_ADVICE},
        {"tcp loopback", &doctor.loopback, 5 * MS, 5 * MS, DXI_DOCTOR_BAD},
    };
    for (size_t i = 0; i < sizeof TIMES / sizeof TIMES[0]; i++) {
        *TIMES[i].measured = (dxi_measured_t){
            .count = 200, .p50_ns = TIMES[i].p50_ns, .p99_ns = TIMES[i].p99_ns, .max_ns = 60 * MS};
        expect(TIMES[i].name, TIMES[i].verdict, "max 60.0 ms of 200");
        assert_int_equal(finding.numbers[1].value, TIMES[i].p99_ns);
    }
    doctor.sync = (dxi_measured_t){.code = DX_EIO, .problem = "/data: Permission denied"};
    expect("disk sync", DXI_DOCTOR_ADVICE, "could not be measured: /data: Permission denied");
}

static bool never(int done, int all)
{
    assert_true(done < all);
    return false;
}

static bool at_once(int done, int all)
{
    (void)all;
    return done >= 3;
}

static void it_measures_what_this_machine_does(void **state)
{
    (void)state;
    dxi_measured_t measured;
    dxi_measure_sync(tree.root, never, &measured);
    assert_int_equal(measured.code, DX_OK);
    assert_true(measured.count > 0 && measured.p50_ns > 0);
    assert_true(measured.p50_ns <= measured.p99_ns && measured.p99_ns <= measured.max_ns);
    assert_int_equal(rmdir(tree.root), 0); /* nothing was left there */
    dxi_measure_sync(tree.root, never, &measured);
    assert_int_equal(measured.code, DX_EIO);
    assert_non_null(strstr(measured.problem, tree.root));
    dxi_measure_wake(at_once, &measured);
    assert_int_equal(measured.code, DX_OK);
    assert_int_equal(measured.count, 3);
    assert_true(measured.p50_ns > 0 && measured.p50_ns <= measured.max_ns);
    dxi_measure_loopback(at_once, &measured);
    assert_int_equal(measured.code, DX_OK);
    assert_int_equal(measured.count, 3);
    assert_true(measured.p50_ns > 0 && measured.p50_ns <= measured.max_ns);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_machine_is_no_reason_to_fail),
        TEST(each_file_is_judged),
        TEST(memory_is_compared_with_what_a_node_needs),
        TEST(swap_and_huge_pages_come_from_the_same_file),
        TEST(transparent_pages_that_make_threads_wait_are_told),
        TEST(governors_of_all_processors_are_read),
        TEST(isolation_is_for_machines_that_can_afford_it),
        TEST(a_limit_of_a_control_group_is_told),
        TEST(memory_nodes_that_are_balanced_are_told),
        TEST(limits_are_compared_with_what_a_node_needs),
        TEST(the_clock_is_synchronised_or_not),
        TEST(buffers_of_sockets_are_read),
        TEST(a_disk_that_is_nearly_full_is_told),
        TEST(what_was_measured_is_judged),
        TEST(it_measures_what_this_machine_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
