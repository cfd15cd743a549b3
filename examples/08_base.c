/* 08_base.c - what stands below the ring: memory, CPU sets, threads, the machine, clocks.
 *
 * Teaches: asking for pages and seeing what you got; reading and writing lists of CPUs; starting a
 * thread with a name and a place; the topology; time without a system call. What differs between
 * machines goes to standard error, so that the output stays the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/clock.h>
#include <disruptorx/memory.h>
#include <disruptorx/thread.h>

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "08_base: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

static void memory(void)
{
    /* best_effort: huge pages if they are to be had. Without it the call would fail and say why. */
    const dx_memory_options_t options = {
        .size_bytes = 1 << 20, .pages = DX_PAGES_HUGE_2M, .prefault = true, .best_effort = true};
    dx_memory_t region;
    must(dx_memory_map(&options, &region, &error));
    char text[128];
    (void)dx_memory_describe(&region, text, sizeof(text));
    fprintf(stderr, "asked for 1 MiB of %s pages, got %s\n", dx_pages_name(options.pages), text);
    require(region.size_bytes >= options.size_bytes && region.prefaulted, "less than asked for");
    memset(region.address, 1, options.size_bytes);
    dx_memory_unmap(&region);
    require(region.address == NULL, "an unmapped region must not be used by accident");

    require(dx_memory_map(&(dx_memory_options_t){0}, &region, &error) == DX_EINVAL, "0 bytes?");
    printf("memory: %s\n", error.message);
}

static void cpu_sets(void)
{
    dx_cpu_set_t set, other;
    must(dx_cpu_set_parse("0,2-5,8", &set, &error));
    dx_cpu_set_add(&set, 9);
    dx_cpu_set_remove(&set, 4);
    require(dx_cpu_set_has(&set, 9) && !dx_cpu_set_has(&set, 4), "adding or removing failed");
    uint32_t count = 0;
    for (int32_t cpu = dx_cpu_set_next(&set, 0); cpu >= 0;
         cpu = dx_cpu_set_next(&set, (uint32_t)cpu + 1)) {
        count++;
    }
    char text[DX_CPU_SET_TEXT_BYTES];
    (void)dx_cpu_set_format(&set, text, sizeof(text));
    must(dx_cpu_set_parse(text, &other, &error));
    require(count == dx_cpu_set_count(&set) && dx_cpu_set_equal(&set, &other), "sets differ");
    printf("CPUs: %s, %" PRIu32 " in all\n", text, count);
}

typedef struct task {
    int32_t id;
    int32_t cpu;
    int code;
    dx_error_t error;
} task_t;

static void run_task(void *context)
{
    task_t *task = context;
    task->id = dx_thread_self_id();
    task->cpu = dx_cpu_current();
    task->code = dx_thread_name_self("renamed", &task->error); /* as `top -H` shows it */
    if (task->code == DX_OK) {
        task->code = dx_thread_sched_self(DX_SCHED_OTHER, 0, &task->error);
    }
}

/* A thread gets its name, its CPUs and its scheduling before its function runs, or does not run. */
static void threads(void)
{
    dx_cpu_set_t allowed;
    must(dx_cpu_allowed(&allowed, &error));
    const uint32_t cpu = (uint32_t)dx_cpu_set_next(&allowed, 0);
    dx_thread_options_t options = {.name = "task"};
    dx_cpu_set_add(&options.cpus, cpu);

    task_t task = {0};
    dx_thread_t *thread = NULL;
    must(dx_thread_start(&options, run_task, &task, &thread, &error));
    const int32_t id = dx_thread_id(thread);
    require(!dx_thread_is_self(thread), "the new thread is not the one that runs here");
    must(dx_thread_join(thread)); /* frees it */
    require(task.code == DX_OK, task.error.message);
    require(task.id == id && task.cpu == (int32_t)cpu, "the thread ran elsewhere");
    must(dx_thread_pin_self(&allowed, &error)); /* the same for the calling thread */

    const dx_topology_t *topology = NULL;
    must(dx_topology_create(NULL, &topology, &error));
    dx_cpu_set_t siblings, node;
    dx_topology_siblings(topology, cpu, &siblings);
    dx_topology_node_cpus(topology, topology->cpus[cpu].numa_node, &node);
    fprintf(stderr, "%" PRIu32 " CPUs on %" PRIu32 " cores, %" PRIu32 " node(s)\n",
            topology->cpu_count, topology->core_count, topology->node_count);
    require(dx_cpu_set_has(&siblings, cpu), "a CPU is a hardware thread of its own core");
    dx_topology_destroy(topology);

    dx_cpu_features_t features;
    dx_cpu_features_read(&features);
    fprintf(stderr, "a line can%s be watched\n", features.monitor_wait ? "" : " not");
    printf("threads: ran where told\n");
}

static void clocks(void)
{
    const dx_tsc_t *tsc = dx_tsc_default(); /* measured once, by the first call */
    dx_tsc_t mine;
    dx_tsc_calibrate(&mine); /* measured again, for 20 ms */
    const uint64_t begin = dx_tsc_ticks(tsc);
    const int64_t begin_ns = dx_clock_ns();
    const uint64_t raw = dx_tsc_now(); /* what dx_tsc_ticks() reads, where that is safe */
    require(!mine.is_counter || dx_tsc_now_ordered() >= raw, "the counter ran backwards");
    while (dx_clock_ns() - begin_ns < DX_NS_PER_MS) {
        dx_cpu_relax();
    }
    const int64_t ns = dx_tsc_to_ns(tsc, dx_tsc_ticks(tsc)) - dx_tsc_to_ns(tsc, begin);
    require(ns > DX_NS_PER_MS * 9 / 10, "the counter is slower than the clock");
    require(dx_clock_realtime_ns() > INT64_C(1700000000) * DX_NS_PER_S, "it is not 2023 yet");
    printf("clocks: the counter keeps up with the clock\n");
}

int main(void)
{
    memory();
    cpu_sets();
    threads();
    clocks();
    return 0;
}
