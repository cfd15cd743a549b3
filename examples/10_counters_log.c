/* 10_counters_log.c - numbers that others can watch, and lines that can't flood a disk.
 *
 * Teaches: a block of named counters, in the process or in memory that it shares with others; one
 * writer or several; walking a block as a tool does; a log with levels, a sink of your own, and a
 * limit per call site whose suppressed lines are counted and told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/counters.h>
#include <disruptorx/log.h>
#include <disruptorx/memory.h>
#include <disruptorx/thread.h>

#define STEPS 10000

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "10_counters_log: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

static void count_steps(void *context)
{
    dx_counter_t *steps = context;
    for (int i = 0; i < STEPS; i++) {
        dx_counter_add_shared(steps, 1); /* two threads write it: an atomic add */
    }
}

static dx_counter_t *make_counter(dx_counters_t *counters, const char *label, int32_t *id_out)
{
    must(dx_counter_allocate(counters, 0, label, id_out, &error));
    return dx_counter_at(counters, *id_out); /* never moves: keep the pointer */
}

static void count(void)
{
    dx_counters_t *counters = NULL;
    int32_t steps_id = -1, level_id = -1;
    must(dx_counters_create(16, &counters, &error));
    dx_counter_t *steps = make_counter(counters, "steps of both threads", &steps_id);
    dx_counter_t *level = make_counter(counters, "water level", &level_id);
    require(dx_counters_capacity(counters) == 16 && dx_counters_count(counters) == 2, "count?");

    dx_thread_t *threads[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        must(dx_thread_start(NULL, count_steps, steps, &threads[i], &error));
    }
    dx_counter_set(level, 5);
    dx_counter_add(level, -2); /* this thread alone writes it: a plain add */
    require(dx_counter_get(level) == 3, "the level is wrong");
    for (int i = 0; i < 2; i++) {
        must(dx_thread_join(threads[i]));
    }

    dx_counter_info_t info;
    for (int32_t id = 0; (id = dx_counters_next(counters, id, &info)) >= 0; id++) {
        printf("%" PRId64 " %s\n", info.value, info.label);
    }
    must(dx_counter_read(counters, steps_id, &info));
    require(info.value == 2 * STEPS, "a step was lost");
    must(dx_counter_free(counters, level_id));
    require(dx_counter_read(counters, level_id, &info) == DX_ENOTFOUND, "it was given back");
    dx_counters_destroy(counters);
}

/* A block has no pointers: any memory will do, a mapped file for one, and others may look at it. */
static void count_in_shared_memory(void)
{
    const size_t bytes = dx_counters_bytes(4);
    const dx_memory_options_t options = {.size_bytes = bytes, .pages = DX_PAGES_NORMAL};
    dx_memory_t memory;
    must(dx_memory_map(&options, &memory, &error));
    dx_counters_t *writer = NULL, *reader = NULL;
    int32_t id = -1;
    must(dx_counters_init(memory.address, memory.size_bytes, 4, &writer, &error));
    dx_counter_set(make_counter(writer, "orders", &id), 42);

    must(dx_counters_attach(memory.address, memory.size_bytes, &reader, &error));
    dx_counter_info_t info;
    must(dx_counter_read(reader, id, &info));
    require(info.value == 42 && strcmp(info.label, "orders") == 0, "the reader sees another value");
    dx_memory_unmap(&memory);
}

static void count_line(void *context, dx_log_level_t level, const char *line, size_t line_bytes)
{
    int *lines = context;
    (void)level, (void)line, (void)line_bytes;
    (*lines)++; /* one thread at a time calls a sink */
}

static void log_lines(void)
{
    int lines = 0;
    dx_log_t *log = NULL;
    dx_log_level_t level = DX_LOG_LEVEL_OFF;
    must(dx_log_level_parse("warn", &level, &error)); /* as in a configuration */
    const dx_log_options_t options = {
        .level = level, .burst = 3, .sink = count_line, .sink_context = &lines};
    must(dx_log_create(&options, &log, &error));
    DX_LOG_INFO(log, "example", "below %s, so not written", dx_log_level_name(level));
    require(lines == 0 && !dx_log_enabled(log, DX_LOG_LEVEL_INFO), "a line below the level");
    for (int i = 0; i < 100; i++) {
        DX_LOG_WARN(log, "example", "line %d of a call site in a loop", i);
    }
    dx_log_flush(log); /* tells what was suppressed and had no line since */
    const int64_t suppressed = dx_log_suppressed_count(log);
    require(suppressed > 0 && lines > 3, "the flood was not limited, or not told");
    require(dx_log_lost_count(log) == 0, "a line was lost");

    must(dx_log_set_level(log, DX_LOG_LEVEL_DEBUG)); /* while in use */
    require(dx_log_enabled(log, DX_LOG_LEVEL_DEBUG), "the level did not change");
    static const dx_log_site_t site = {__FILE__, __LINE__, DX_LOG_LEVEL_DEBUG, "example"};
    const int before = lines;
    dx_log_write(log, &site, "what the macros call; a log of NULL is allowed and silent");
    require(lines == before + 1, "the line was not written");
    dx_log_destroy(log);
    printf("100 lines of one call site in a second: most suppressed, all told\n");
}

int main(void)
{
    count();
    count_in_shared_memory();
    log_lines();
    return 0;
}
