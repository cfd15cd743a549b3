/* stat_print.c - `dx stat` of one ring, for eyes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/stat_print.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "cli/output.h"
#include "cli/table.h"
#include "disruptorx/wait.h"

#define BAR_COLUMNS 42 /* at most, */
#define BAR_COLUMNS_MIN 12
#define DEPTH_COLUMNS 52 /* and what stands around it */
#define NEARLY_FULL 80   /* per cent */

const char *dxi_fill_bar(char *text_out, size_t text_bytes, int64_t part, int64_t whole,
                         int32_t width)
{
    const int32_t cells = width - 2;
    int64_t filled = whole > 0 ? (part * cells + whole / 2) / whole : 0;
    filled = filled < 0 ? 0 : filled > cells ? cells : filled;
    if (part > 0 && filled == 0) {
        filled = 1; /* something is not nothing */
    }
    if (part < whole && filled == cells) {
        filled = cells - 1; /* and nearly all not all */
    }
    size_t used = 0;
    for (int32_t i = -1; i <= cells && used + 1 < text_bytes; i++) {
        text_out[used++] = i < 0 ? '[' : i == cells ? ']' : i < filled ? '#' : '-';
    }
    text_out[used] = '\0';
    return text_out;
}

const char *dxi_format_rate(dxi_text_t *text, double per_second)
{
    if (per_second < 0 || !isfinite(per_second)) {
        return strcpy(text->bytes, "-");
    }
    return dxi_format_count(text, (int64_t)(per_second + 0.5));
}

static const char *rate_with_unit(dxi_text_t *text, double per_second)
{
    (void)dxi_format_rate(text, per_second);
    if (text->bytes[0] != '-') {
        const size_t used = strlen(text->bytes);
        snprintf(text->bytes + used, sizeof text->bytes - used, " /s");
    }
    return text->bytes;
}

/* ---------------------------------------------------------------------------------------- head */

static void print_head(FILE *stream, const dxi_ring_place_t *place, const dxi_stat_look_t *now,
                       bool is_gone)
{
    const dx_ring_stat_t *const ring = &now->ring;
    fprintf(stream, "%s%s%s  %s, %s slots of %" PRIu32 " bytes%s, %s",
            dxi_style(stream, DXI_STYLE_HEADING), dxi_format_name(&(dxi_text_t){0}, ring->name),
            dxi_style(stream, DXI_STYLE_PLAIN),
            ring->mode == DX_RING_MULTI ? "multi-producer" : "single-producer",
            dxi_format_count(&(dxi_text_t){0}, (int64_t)ring->slot_count), ring->slot_bytes,
            ring->spans ? " with spans" : "",
            dxi_format_bytes(&(dxi_text_t){0}, ring->block_bytes));
    if (ring->closed) {
        fprintf(stream, ", %sclosed%s", dxi_style(stream, DXI_STYLE_WARNING),
                dxi_style(stream, DXI_STYLE_PLAIN));
    }
    fprintf(stream, "\n%s%s%s", dxi_style(stream, DXI_STYLE_QUIET), place->path,
            dxi_style(stream, DXI_STYLE_PLAIN));
    if (is_gone) {
        fprintf(stream, "  %sremoved: nobody can attach any more%s",
                dxi_style(stream, DXI_STYLE_WARNING), dxi_style(stream, DXI_STYLE_PLAIN));
    }
    fputs("\n\n", stream);
}

static void print_progress(FILE *stream, const dxi_stat_look_t *before, const dxi_stat_look_t *now)
{
    const dx_ring_stat_t *const ring = &now->ring;
    fprintf(stream, "Published  %18s  %16s", dxi_format_count(&(dxi_text_t){0}, ring->published),
            rate_with_unit(&(dxi_text_t){0}, dxi_stat_published_rate(before, now)));
    if (ring->claimed > ring->published) {
        fprintf(stream, "   %s claimed ahead",
                dxi_format_count(&(dxi_text_t){0}, ring->claimed - ring->published));
    }
    fprintf(stream, "\nConsumed   %18s  %16s", dxi_format_count(&(dxi_text_t){0}, ring->consumed),
            rate_with_unit(&(dxi_text_t){0}, dxi_stat_consumed_rate(before, now)));
    if (now->slowest >= 0 && now->consumer[now->slowest].lag > 0) {
        fprintf(stream, "   slowest: %s",
                dxi_format_name(&(dxi_text_t){0}, now->consumer[now->slowest].name));
    } else if (now->slowest < 0) {
        fputs("   no consumer: nobody is waited for", stream);
    }
    char bar[BAR_COLUMNS + 1];
    const int32_t width = dxi_output_width(stream);
    const int32_t room = width == 0 ? BAR_COLUMNS : width - DEPTH_COLUMNS;
    const int32_t columns = room > BAR_COLUMNS       ? BAR_COLUMNS
                            : room < BAR_COLUMNS_MIN ? BAR_COLUMNS_MIN
                                                     : room;
    const int64_t slots = (int64_t)ring->slot_count;
    const int64_t per_cent = ring->depth * 100 / slots;
    const dxi_style_t style = per_cent >= NEARLY_FULL ? DXI_STYLE_WARNING : DXI_STYLE_GOOD;
    fprintf(stream, "\nDepth      %18s  %s%s%s  %s%s\n",
            dxi_format_count(&(dxi_text_t){0}, ring->depth), dxi_style(stream, style),
            dxi_fill_bar(bar, sizeof bar, ring->depth, slots, columns),
            dxi_style(stream, DXI_STYLE_PLAIN),
            dxi_format_share(&(dxi_text_t){0}, ring->depth, slots),
            ring->depth >= slots      ? " full"
            : per_cent >= NEARLY_FULL ? " nearly full"
                                      : "");
}

static void print_counter(FILE *stream, const char *between, const char *name, int64_t value)
{
    const bool marked = value > 0;
    fprintf(stream, "%s%s%s %s%s", between, marked ? dxi_style(stream, DXI_STYLE_WARNING) : "",
            name, dxi_format_count(&(dxi_text_t){0}, value),
            marked ? dxi_style(stream, DXI_STYLE_PLAIN) : "");
}

static void print_recovery(FILE *stream, const dx_ring_stat_t *ring)
{
    print_counter(stream, "Recovery   ", "deaths", ring->deaths);
    print_counter(stream, ", ", "stalls", ring->stalls);
    print_counter(stream, ", ", "kills", ring->kills);
    print_counter(stream, ", ", "voided", ring->voided);
    print_counter(stream, ", ", "evictions", ring->evictions);
    fputc('\n', stream);
}

/* -------------------------------------------------------------------------------------- tables */

/* Makes a table, or says in the stream that there is none. */
static dxi_table_t *table_begin(FILE *stream, const dxi_column_t *columns, size_t count)
{
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    if (dxi_table_create(columns, count, &table, &error) != DX_OK) {
        fprintf(stream, "%s\n", error.message);
    }
    return table;
}

static void table_end(FILE *stream, dxi_table_t *table)
{
    fputc('\n', stream);
    dxi_table_print(table, stream, 0, dxi_output_width(stream));
    dxi_table_destroy(table);
}

/* "4711", "4711 dead", "-" in a private ring. */
static const char *process_cell(dxi_text_t *text, const dxi_stat_look_t *look, int32_t index,
                                int32_t process_id)
{
    const dxi_process_look_t *const process = dxi_stat_process(look, index);
    if (process == NULL || process->stat.process_id != process_id) {
        snprintf(text->bytes, sizeof text->bytes, "%" PRId32 " gone", process_id);
    } else if (process->mark == DXI_PROCESS_RUNNING) {
        snprintf(text->bytes, sizeof text->bytes, "%" PRId32, process_id);
    } else {
        snprintf(text->bytes, sizeof text->bytes, "%" PRId32 " %s", process_id,
                 dxi_process_mark_name(process->mark));
    }
    return text->bytes;
}

static bool process_ails(const dxi_stat_look_t *look, int32_t index)
{
    const dxi_process_look_t *const process = dxi_stat_process(look, index);
    return process == NULL || process->mark != DXI_PROCESS_RUNNING;
}

static const char *kind_name(dx_consumer_kind_t kind)
{
    static const char *const names[] = {"handler", "poller", "pool", "worker"};
    return (unsigned)kind < 4 ? names[kind] : "?";
}

static const char *state_name(const dx_consumer_stat_t *consumer)
{
    switch (consumer->state) {
    case DX_CONSUMER_ADDED:
        if (consumer->kind != DX_CONSUMER_POLLER) {
            return "added";
        }
        return consumer->asleep ? "asleep" : "open";
    case DX_CONSUMER_RUNNING:
        return consumer->asleep ? "asleep" : "running";
    case DX_CONSUMER_STOPPED:
        return "stopped";
    case DX_CONSUMER_FAILED:
        return "failed";
    case DX_CONSUMER_DEAD:
        return "dead";
    case DX_CONSUMER_EVICTED:
        return "evicted";
    case DX_CONSUMER_LEFT:
        return "left";
    case DX_CONSUMER_FREE:
    default:
        return "free";
    }
}

static dxi_style_t consumer_style(const dxi_stat_look_t *look, const dx_consumer_stat_t *consumer)
{
    switch (consumer->state) {
    case DX_CONSUMER_FAILED:
    case DX_CONSUMER_DEAD:
    case DX_CONSUMER_EVICTED:
        return DXI_STYLE_ERROR;
    case DX_CONSUMER_FREE:
    case DX_CONSUMER_ADDED:
    case DX_CONSUMER_RUNNING:
    case DX_CONSUMER_STOPPED:
    case DX_CONSUMER_LEFT:
    default:
        return process_ails(look, consumer->process) ? DXI_STYLE_WARNING : DXI_STYLE_PLAIN;
    }
}

/* "ledger+audit", "publication". */
static const char *follows_cell(const dxi_stat_look_t *look, const dx_consumer_stat_t *consumer,
                                char *text_out, size_t bytes)
{
    size_t used = 0;
    snprintf(text_out, bytes, "publication");
    for (int32_t i = 0; i < look->consumers; i++) {
        const dx_consumer_stat_t *const other = &look->consumer[i];
        if ((consumer->upstream >> other->index & 1) != 0 && used < bytes) {
            used += (size_t)snprintf(text_out + used, bytes - used, "%s%s", used > 0 ? "+" : "",
                                     dxi_format_name(&(dxi_text_t){0}, other->name));
        }
    }
    return text_out;
}

static void add_consumer(dxi_table_t *table, const dxi_stat_look_t *before,
                         const dxi_stat_look_t *now, const dx_consumer_stat_t *consumer)
{
    char follows[DXI_TABLE_CELL_BYTES];
    dxi_table_style(table, consumer_style(now, consumer));
    dxi_table_cell(table, "%s", dxi_format_name(&(dxi_text_t){0}, consumer->name));
    dxi_table_cell(table, "%s", kind_name(consumer->kind));
    dxi_table_cell(table, "%s", state_name(consumer));
    dxi_table_cell(table, "%s",
                   process_cell(&(dxi_text_t){0}, now, consumer->process, consumer->process_id));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, consumer->lag));
    dxi_table_cell(
        table, "%s",
        dxi_format_rate(&(dxi_text_t){0}, dxi_stat_consumer_rate(before, now, consumer)));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, consumer->batches));
    dxi_table_cell(table, "%s",
                   consumer->batches > 0
                       ? dxi_format_decimal(&(dxi_text_t){0},
                                            (double)consumer->events / (double)consumer->batches)
                       : "-");
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, consumer->sleeps));
    dxi_table_cell(table, "%s", dx_wait_kind_name(consumer->wait_kind));
    dxi_table_cell(table, "%s", consumer->gating ? "yes" : "no");
    dxi_table_cell(table, "%s", consumer->on_death == DX_ON_DEATH_BLOCK ? "block" : "evict");
    dxi_table_cell(table, "%s", follows_cell(now, consumer, follows, sizeof follows));
}

static void print_consumers(FILE *stream, const dxi_stat_look_t *before, const dxi_stat_look_t *now)
{
    static const dxi_column_t columns[] = {
        {"consumer", DXI_ALIGN_LEFT, 0}, {"kind", DXI_ALIGN_LEFT, 5},
        {"state", DXI_ALIGN_LEFT, 0},    {"process", DXI_ALIGN_LEFT, 0},
        {"lag", DXI_ALIGN_RIGHT, 0},     {"events/s", DXI_ALIGN_RIGHT, 0},
        {"batches", DXI_ALIGN_RIGHT, 9}, {"mean batch", DXI_ALIGN_RIGHT, 6},
        {"sleeps", DXI_ALIGN_RIGHT, 8},  {"waits by", DXI_ALIGN_LEFT, 4},
        {"gates", DXI_ALIGN_LEFT, 2},    {"on death", DXI_ALIGN_LEFT, 7},
        {"follows", DXI_ALIGN_LEFT, 1},
    };
    dxi_table_t *const table = table_begin(stream, columns, sizeof columns / sizeof columns[0]);
    for (int32_t i = 0; table != NULL && i < now->consumers; i++) {
        add_consumer(table, before, now, &now->consumer[i]);
    }
    if (table != NULL) {
        table_end(stream, table);
    }
}

static void add_producer(dxi_table_t *table, const dxi_stat_look_t *before,
                         const dxi_stat_look_t *now, const dx_producer_stat_t *producer)
{
    const double share = dxi_stat_wait_share(before, now, producer);
    int64_t first = 0;
    int64_t last = 0;
    const bool holds = dxi_stat_held(now, producer, &first, &last);
    dxi_table_style(table,
                    process_ails(now, producer->process) ? DXI_STYLE_WARNING : DXI_STYLE_PLAIN);
    dxi_table_cell(table, "%s", dxi_format_name(&(dxi_text_t){0}, producer->name));
    dxi_table_cell(table, "%s",
                   process_cell(&(dxi_text_t){0}, now, producer->process, producer->process_id));
    if (now->ring.mode == DX_RING_SINGLE) {
        dxi_table_cell(table, "not told"); /* a single producer keeps its claims to itself */
    } else if (!holds) {
        dxi_table_cell(table, "-");
    } else if (first == last) {
        dxi_table_cell(table, "%" PRId64, first);
    } else {
        dxi_table_cell(table, "%" PRId64 "..%" PRId64, first, last);
    }
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, producer->waits));
    dxi_table_cell(table, "%s",
                   share < 0 ? "-"
                             : dxi_format_share(&(dxi_text_t){0}, (int64_t)(share * 1000), 1000));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, producer->drops));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, producer->refusals));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, producer->aborts));
}

static void print_producers(FILE *stream, const dxi_stat_look_t *before, const dxi_stat_look_t *now)
{
    static const dxi_column_t columns[] = {
        {"producer", DXI_ALIGN_LEFT, 0},  {"process", DXI_ALIGN_LEFT, 0},
        {"holds", DXI_ALIGN_LEFT, 1},     {"waits", DXI_ALIGN_RIGHT, 2},
        {"waiting", DXI_ALIGN_RIGHT, 0},  {"drops", DXI_ALIGN_RIGHT, 3},
        {"refusals", DXI_ALIGN_RIGHT, 4}, {"aborts", DXI_ALIGN_RIGHT, 5},
    };
    dxi_table_t *const table = table_begin(stream, columns, sizeof columns / sizeof columns[0]);
    for (int32_t i = 0; table != NULL && i < now->producers; i++) {
        add_producer(table, before, now, &now->producer[i]);
    }
    if (table != NULL) {
        table_end(stream, table);
    }
}

static void print_processes(FILE *stream, const dxi_stat_look_t *now)
{
    static const dxi_column_t columns[] = {
        {"process", DXI_ALIGN_LEFT, 0}, {"program", DXI_ALIGN_LEFT, 0},
        {"state", DXI_ALIGN_LEFT, 0},   {"last beat", DXI_ALIGN_RIGHT, 1},
        {"user", DXI_ALIGN_LEFT, 2},
    };
    dxi_table_t *const table = table_begin(stream, columns, sizeof columns / sizeof columns[0]);
    for (int32_t i = 0; table != NULL && i < now->processes; i++) {
        const dxi_process_look_t *const process = &now->process[i];
        const int64_t age_ns = process->stat.beat_age_ns;
        dxi_table_style(table, process->mark == DXI_PROCESS_RUNNING ? DXI_STYLE_PLAIN
                               : process->mark == DXI_PROCESS_DEAD  ? DXI_STYLE_ERROR
                                                                    : DXI_STYLE_WARNING);
        dxi_table_cell(table, "%" PRId32, process->stat.process_id);
        dxi_table_cell(table, "%s", dxi_format_name(&(dxi_text_t){0}, process->stat.name));
        dxi_table_cell(table, "%s", dxi_process_mark_name(process->mark));
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, age_ns > 0 ? age_ns : 0));
        dxi_table_cell(table, "%s", dxi_user_name(process->stat.user_id));
    }
    if (table != NULL) {
        table_end(stream, table);
    }
}

void dxi_stat_print(FILE *stream, const dxi_ring_place_t *place, const dxi_stat_look_t *before,
                    const dxi_stat_look_t *now, bool is_gone)
{
    print_head(stream, place, now, is_gone);
    print_progress(stream, before, now);
    print_recovery(stream, &now->ring);
    if (now->consumers > 0) {
        print_consumers(stream, before, now);
    }
    if (now->producers > 0) {
        print_producers(stream, before, now);
    }
    if (now->processes > 0) {
        print_processes(stream, now);
    } else {
        fprintf(stream, "\n%sNobody is attached: dx ring rm %s removes it.%s\n",
                dxi_style(stream, DXI_STYLE_WARNING), place->name,
                dxi_style(stream, DXI_STYLE_PLAIN));
    }
}
