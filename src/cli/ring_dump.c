/* ring_dump.c - `dx ring dump`: the events of a shared ring, as hex or by a layout.
 *
 * The events are copied out in lots, each before any of it is printed: a slow terminal then does
 * not make the copies older than they have to be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/ring_file.h"
#include "cli/slot_layout.h"
#include "cli/slot_look.h"

#define COMMAND "dx ring dump"
#define COUNT_DEFAULT 16
#define BYTES_DEFAULT 256
#define LOT 256 /* events */
#define LOT_BYTES (1u << 22)
#define HEX_COLUMNS 16
#define STATE_COLUMNS 11
#define FROM_DEFAULT INT64_MIN

enum { SPANS_AUTO = 0, SPANS_NO = 1 };

typedef struct settings {
    const char *folder;
    int64_t from;
    int64_t count;
    int64_t bytes;
    dxi_slot_layout_t layout; /* count 0: as hex */
    int32_t spans;
    bool any_owner;
} settings_t;

static int layout_parse(const char *text, void *member_out, dx_error_t *error)
{
    return dxi_slot_layout_parse(text, member_out, error);
}

static const char *const SPANS[] = {"auto", "no", NULL};

static const dxi_option_t OPTIONS[] = {
    {.name = "from",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "SEQUENCE",
     .offset = offsetof(settings_t, from),
     .low = 0,
     .high = INT64_MAX / 2,
     .help = "the first event; default: so that the last one shown is the newest"},
    {.name = "count",
     .letter = 'n',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, count),
     .low = 1,
     .high = DX_RING_SLOT_COUNT_MAX,
     .help = "how many events; default 16"},
    {.name = "layout",
     .letter = 'l',
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "FIELDS",
     .offset = offsetof(settings_t, layout),
     .parse = layout_parse,
     .help = "the fields of an event instead of hex: 'i64 price, u32 qty, pad 4, char[8] symbol'. "
             "Types: i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char[N]; pad N skips N bytes. Fields "
             "follow each other without gaps"},
    {.name = "bytes",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, bytes),
     .low = 1,
     .high = LOT_BYTES,
     .help = "at most so many bytes of an event as hex; default 256"},
    {.name = "spans",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "WHEN",
     .choices = SPANS,
     .offset = offsetof(settings_t, spans),
     .help = "auto (default): a ring with spans shows spans, with their size and tag; no: it shows "
             "its slots of 64 bytes"},
    DXI_FOLDER_OPTION(settings_t, folder),
    DXI_ANY_OWNER_OPTION(settings_t, any_owner),
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .operands = "NAME|FILE",
    .description =
        "Prints events of a shared ring while it is in use, and disturbs nobody. Each\n"
        "event is copied, and looked at again after the copy:\n"
        "\n"
        "  published    readable, and not finished by all: the bytes are its own\n"
        "  released     finished by all consumers; its slot is filled again in its turn\n"
        "  skipped      a consumer hid it from those behind it\n"
        "  void         given up by its producer, or for a dead one: nobody sees it\n"
        "  unpublished  claimed and not published yet\n"
        "  overwritten  its slot belongs to a later event, at the latest since the copy\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx ring dump orders\n"
                "  dx ring dump orders --from 120000 -n 100\n"
                "  dx ring dump orders --layout 'i64 price, u32 qty, pad 4, char[8] symbol'\n"
                "  dx ring dump orders -o json | jq '.events[].hex'\n",
    .operands_max = 1,
    .question = "which ring? dx ring ls lists what there is",
};

/* One run of the command. */
typedef struct dump {
    const settings_t *settings;
    const dx_ring_t *ring;
    dx_ring_stat_t stat;
    bool spans;
    size_t bytes_max; /* copied of one event */
    int64_t next;
    int64_t left;
    int64_t last;     /* no event beyond */
    bool uncertain;   /* one was seen that nobody can vouch for */
    dxi_json_t *json; /* NULL: text */
    size_t lot_count;
    dxi_slot_look_t lot[LOT];
    char *bytes; /* bytes_max for each of the lot, as far as LOT_BYTES go */
} dump_t;

/* ---------------------------------------------------------------------------------------- text */

static void hex_line(const unsigned char *bytes, uint64_t at, uint64_t count)
{
    printf("  %04" PRIx64 " ", at);
    for (uint64_t i = 0; i < HEX_COLUMNS; i++) {
        fputs(i == HEX_COLUMNS / 2 ? "  " : " ", stdout);
        if (i < count) {
            printf("%02x", bytes[at + i]);
        } else {
            fputs("  ", stdout);
        }
    }
    fputs("  |", stdout);
    for (uint64_t i = 0; i < count; i++) {
        const unsigned char c = bytes[at + i];
        fputc(c >= 0x20 && c < 0x7f ? c : '.', stdout);
    }
    fputs("|\n", stdout);
}

/* As hexdump: lines that repeat the one before become one "*". */
static void hex_print(const unsigned char *bytes, uint64_t count)
{
    bool starred = false;
    for (uint64_t at = 0; at < count; at += HEX_COLUMNS) {
        const uint64_t line = count - at < HEX_COLUMNS ? count - at : HEX_COLUMNS;
        const bool repeats = at > 0 && at + HEX_COLUMNS < count &&
                             memcmp(bytes + at, bytes + at - HEX_COLUMNS, HEX_COLUMNS) == 0;
        if (!repeats) {
            hex_line(bytes, at, line);
        } else if (!starred) {
            puts("  *");
        }
        starred = repeats;
    }
}

static void fields_print(const dxi_slot_layout_t *layout, const dxi_slot_look_t *look,
                         const char *bytes)
{
    char text[DXI_FIELD_TEXT_BYTES];
    for (uint32_t i = 0; i < layout->count; i++) {
        const dxi_field_t *const field = &layout->fields[i];
        const bool is_there = (uint64_t)field->offset + field->bytes <= look->copied;
        printf("  %s=%s", field->name, is_there ? dxi_field_format(field, bytes, text) : "-");
    }
}

static dxi_style_t state_style(dxi_slot_state_t state)
{
    switch (state) {
    case DXI_SLOT_PUBLISHED:
        return DXI_STYLE_GOOD;
    case DXI_SLOT_RELEASED:
        return DXI_STYLE_QUIET;
    case DXI_SLOT_BROKEN:
        return DXI_STYLE_ERROR;
    case DXI_SLOT_SKIPPED:
    case DXI_SLOT_VOID:
    case DXI_SLOT_UNPUBLISHED:
    case DXI_SLOT_OVERWRITTEN:
    default:
        return DXI_STYLE_WARNING;
    }
}

/* Who has to do with it: " by audit", " by feed (process 4711)". */
static void print_who(const dump_t *dump, const dxi_slot_look_t *look)
{
    const char *between = "  by ";
    for (uint64_t rest = look->skippers; rest != 0; rest &= rest - 1) {
        dx_consumer_stat_t stat;
        if (dx_ring_consumer_stat(dump->ring, __builtin_ctzll(rest), &stat) == DX_OK) {
            printf("%s%s", between, dxi_format_name(&(dxi_text_t){0}, stat.name));
            between = ", ";
        }
    }
    dx_producer_stat_t producer;
    if (look->holder >= 0 && dx_ring_producer_stat(dump->ring, look->holder, &producer) == DX_OK) {
        printf("  perhaps held by %s (process %d)",
               dxi_format_name(&(dxi_text_t){0}, producer.name), producer.process_id);
    }
}

static void look_print(const dump_t *dump, const dxi_slot_look_t *look, const char *bytes)
{
    const bool by_layout = dump->settings->layout.count > 0;
    const bool has_more =
        (look->has_bytes && (dump->spans || by_layout)) || look->skippers != 0 || look->holder >= 0;
    printf("%s%12" PRId64 "%s  %s%-*s%s", dxi_style(stdout, DXI_STYLE_HEADING), look->sequence,
           dxi_style(stdout, DXI_STYLE_PLAIN), dxi_style(stdout, state_style(look->state)),
           has_more ? STATE_COLUMNS : 0, dxi_slot_state_name(look->state),
           dxi_style(stdout, DXI_STYLE_PLAIN));
    if (look->has_bytes && dump->spans) {
        printf("  tag %" PRIu32 ", %s bytes in %" PRId64 " slot%s", look->tag,
               dxi_format_count(&(dxi_text_t){0}, (int64_t)look->bytes), look->slots,
               look->slots == 1 ? "" : "s");
    }
    if (!look->has_bytes && look->slots > 1) {
        printf("  %" PRId64 " slots", look->slots);
    }
    if (look->has_bytes && by_layout) {
        fields_print(&dump->settings->layout, look, bytes);
    }
    print_who(dump, look);
    fputc('\n', stdout);
    if (look->has_bytes && !by_layout) {
        hex_print((const unsigned char *)bytes, look->copied);
        if (look->copied < look->bytes) {
            printf("  ... and %s more bytes\n",
                   dxi_format_count(&(dxi_text_t){0}, (int64_t)(look->bytes - look->copied)));
        }
    }
}

static void head_print(const dump_t *dump)
{
    const dx_ring_stat_t *const stat = &dump->stat;
    printf("%s%s%s  %s, %s slots of %" PRIu32 " bytes%s; published to %" PRId64
           ", claimed to %" PRId64 ", consumed to %" PRId64 "\n",
           dxi_style(stdout, DXI_STYLE_HEADING), dxi_format_name(&(dxi_text_t){0}, stat->name),
           dxi_style(stdout, DXI_STYLE_PLAIN),
           stat->mode == DX_RING_MULTI ? "multi-producer" : "single-producer",
           dxi_format_count(&(dxi_text_t){0}, (int64_t)stat->slot_count), stat->slot_bytes,
           stat->spans ? " with spans" : "", stat->published, stat->claimed, stat->consumed);
}

/* ---------------------------------------------------------------------------------------- json */

static void hex_json(dxi_json_t *json, const char *bytes, uint64_t count)
{
    static const char digits[] = "0123456789abcdef";
    char *const text = dxi_alloc_zeroed(1, (size_t)count * 2 + 1);
    for (uint64_t i = 0; text != NULL && i < count; i++) {
        text[2 * i] = digits[(unsigned char)bytes[i] >> 4];
        text[2 * i + 1] = digits[(unsigned char)bytes[i] & 15];
    }
    dxi_json_text(json, "hex", text);
    dxi_free(text);
}

static void fields_json(dxi_json_t *json, const dxi_slot_layout_t *layout,
                        const dxi_slot_look_t *look, const char *bytes)
{
    dxi_json_object_begin(json, "fields");
    for (uint32_t i = 0; i < layout->count; i++) {
        const dxi_field_t *const field = &layout->fields[i];
        if ((uint64_t)field->offset + field->bytes <= look->copied) {
            dxi_field_json(field, bytes, json);
        } else {
            dxi_json_null(json, field->name);
        }
    }
    dxi_json_object_end(json);
}

static void look_json(const dump_t *dump, const dxi_slot_look_t *look, const char *bytes)
{
    dxi_json_t *const json = dump->json;
    dxi_json_object_begin(json, NULL);
    dxi_json_integer(json, "sequence", look->sequence);
    dxi_json_text(json, "state", dxi_slot_state_name(look->state));
    dxi_json_boolean(json, "certain", look->certain);
    dx_producer_stat_t producer;
    if (look->holder >= 0 && dx_ring_producer_stat(dump->ring, look->holder, &producer) == DX_OK) {
        dxi_json_text(json, "perhaps_held_by", producer.name);
        dxi_json_integer(json, "perhaps_held_by_process", producer.process_id);
    }
    if (look->has_bytes) {
        dxi_json_integer(json, "bytes", (int64_t)look->bytes);
        if (dump->spans) {
            dxi_json_integer(json, "tag", look->tag);
            dxi_json_integer(json, "slots", look->slots);
        }
        if (dump->settings->layout.count > 0) {
            fields_json(json, &dump->settings->layout, look, bytes);
        } else {
            hex_json(json, bytes, look->copied);
        }
    }
    dxi_json_object_end(json);
}

static void head_json(const dump_t *dump)
{
    const dx_ring_stat_t *const stat = &dump->stat;
    dxi_json_object_begin(dump->json, NULL);
    dxi_json_text(dump->json, "ring", stat->name);
    dxi_json_text(dump->json, "mode", stat->mode == DX_RING_MULTI ? "multi" : "single");
    dxi_json_integer(dump->json, "slots", stat->slot_count);
    dxi_json_integer(dump->json, "slot_bytes", stat->slot_bytes);
    dxi_json_boolean(dump->json, "spans", dump->spans);
    dxi_json_integer(dump->json, "published", stat->published);
    dxi_json_integer(dump->json, "claimed", stat->claimed);
    dxi_json_integer(dump->json, "consumed", stat->consumed);
    dxi_json_array_begin(dump->json, "events");
}

/* ----------------------------------------------------------------------------------------- run */

/* Copies the next lot. */
static void lot_take(dump_t *dump)
{
    const size_t fit = LOT_BYTES / dump->bytes_max;
    const size_t most = fit < LOT ? (fit > 0 ? fit : 1) : LOT;
    dump->lot_count = 0;
    while (dump->lot_count < most && dump->left > 0 && dump->next <= dump->last) {
        dxi_slot_look_t *const look = &dump->lot[dump->lot_count];
        dxi_slot_look(dump->ring, dump->next, dump->spans,
                      dump->bytes + dump->lot_count * dump->bytes_max, dump->bytes_max, look);
        dump->uncertain = dump->uncertain || !look->certain;
        dump->next += look->slots;
        dump->left--;
        dump->lot_count++;
        if (dump->spans &&
            (look->state == DXI_SLOT_OVERWRITTEN || look->state == DXI_SLOT_BROKEN)) {
            /* Where the next one begins was in the bytes that are lost. */
            const int64_t next = dxi_slot_span_next(dump->ring, look->sequence);
            dump->next = next >= 0 ? next : dump->last + 1;
        }
    }
}

static void lots_print(dump_t *dump)
{
    for (lot_take(dump); dump->lot_count > 0; lot_take(dump)) {
        for (size_t i = 0; i < dump->lot_count; i++) {
            const char *const bytes = dump->bytes + i * dump->bytes_max;
            if (dump->json != NULL) {
                look_json(dump, &dump->lot[i], bytes);
            } else {
                look_print(dump, &dump->lot[i], bytes);
            }
        }
    }
}

static int print_json(dump_t *dump)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dump->json = &json;
    head_json(dump);
    lots_print(dump);
    dump->json = NULL;
    dxi_json_array_end(&json);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int print_text(dump_t *dump)
{
    head_print(dump);
    if (dump->next > dump->last) {
        puts("Nothing is published yet.");
    }
    lots_print(dump);
    if (dump->uncertain) {
        dxi_print_wrapped(stdout,
                          "The slots of released events may be filled again at this moment: a "
                          "single producer's claims can't be seen from outside.",
                          0, 0, dxi_output_width(stdout));
    }
    return DXI_EXIT_OK;
}

/* How many slots the span at `sequence` takes. */
static int64_t span_slots(const dump_t *dump, int64_t sequence)
{
    dxi_slot_look_t look;
    dxi_slot_look(dump->ring, sequence, true, dump->bytes, 0, &look);
    return look.slots;
}

/* Where a walk over the newest `count` spans begins: from the place of the slowest consumer, as far
 * forward as it takes. */
static int64_t newest_spans(const dump_t *dump)
{
    int64_t begin = dxi_slot_span_begin(dump->ring, dump->stat.consumed + 1);
    if (begin < 0 || dump->stat.mode == DX_RING_MULTI) {
        begin = dxi_slot_span_next(dump->ring, -1);
    }
    int64_t spans = 0;
    for (int64_t s = begin; s >= 0 && s <= dump->last; spans++) {
        s += span_slots(dump, s);
    }
    for (; spans > dump->left; spans--) {
        begin += span_slots(dump, begin);
    }
    return begin >= 0 ? begin : dump->last + 1;
}

/* Checks that a span begins at --from, as far as that can be known. */
static int from_check(const dump_t *dump, int64_t from, dx_error_t *error)
{
    int64_t begin = dxi_slot_span_begin(dump->ring, from);
    if (begin < 0) {
        return dxi_fail(error, DX_EINVAL,
                        "--from is %" PRId64 ", and where spans begin there is not known any more; "
                        "--spans no shows slots",
                        from);
    }
    int64_t next = begin;
    while (next < from) {
        begin = next;
        next += span_slots(dump, begin);
    }
    if (next != from) {
        return dxi_fail(error, DX_EINVAL,
                        "--from is %" PRId64 ", in the middle of a span that begins at %" PRId64
                        "; --spans no shows slots",
                        from, begin);
    }
    return DX_OK;
}

/* Finds the first event to show. */
static int begin_find(dump_t *dump, dx_error_t *error)
{
    const dxi_slot_range_t range = dxi_slot_range(dump->ring);
    const int64_t from = dump->settings->from;
    dump->last = range.last;
    if (from == FROM_DEFAULT && dump->spans) {
        dump->next = newest_spans(dump);
        return DX_OK;
    }
    if (from == FROM_DEFAULT) {
        const int64_t begin = range.last - dump->left + 1;
        dump->next = begin > range.first ? begin : range.first;
        return DX_OK;
    }
    if (from > range.last) {
        return dxi_fail(error, DX_ENOTFOUND,
                        "--from is %" PRId64 ", and %s%" PRId64 " is the last sequence so far",
                        from, range.last < 0 ? "nothing is published: " : "", range.last);
    }
    dump->next = from;
    return dump->spans && from >= range.first ? from_check(dump, from, error) : DX_OK;
}

static int dump_run(dump_t *dump)
{
    dx_error_t error = {0};
    const dxi_slot_layout_t *const layout = &dump->settings->layout;
    if (layout->count > 0 && !dump->spans && layout->bytes > dump->stat.slot_bytes) {
        dxi_complain(COMMAND, "--layout has %" PRIu32 " bytes, more than the %" PRIu32 " of a slot",
                     layout->bytes, dump->stat.slot_bytes);
        return DXI_EXIT_USAGE;
    }
    const uint64_t slot = dump->spans ? LOT_BYTES : dump->stat.slot_bytes;
    const uint64_t wanted = layout->count > 0 ? layout->bytes : (uint64_t)dump->settings->bytes;
    dump->bytes_max = (size_t)(wanted < slot ? wanted : slot);
    dump->bytes = dxi_alloc_zeroed(1, LOT_BYTES);
    if (dump->bytes == NULL) {
        dxi_complain(COMMAND, "no memory for %u bytes", LOT_BYTES);
        return DXI_EXIT_FAILED;
    }
    int exit_code = DXI_EXIT_FAILED;
    dx_ring_stat(dump->ring, &dump->stat); /* as late as can be */
    if (begin_find(dump, &error) != DX_OK) {
        dxi_complain(COMMAND, "%s", error.message);
        exit_code = error.code == DX_EINVAL ? DXI_EXIT_USAGE : DXI_EXIT_FAILED;
    } else {
        exit_code = dxi_output_is_json() ? print_json(dump) : print_text(dump);
    }
    dxi_free(dump->bytes);
    return exit_code;
}

int dxi_ring_dump(int argc, char **argv)
{
    settings_t settings = {.from = FROM_DEFAULT, .count = COUNT_DEFAULT, .bytes = BYTES_DEFAULT};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    dxi_ring_place_t place;
    if (dxi_ring_place_parse(operands.texts[0], settings.folder, &place, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    dxi_ring_view_t view;
    if (dxi_ring_view_open(&place, settings.any_owner, &view, &error) != DX_OK) {
        return dxi_ring_complain(COMMAND, &place, &error);
    }
    static dump_t dump;
    dump = (dump_t){.settings = &settings, .ring = view.ring, .left = settings.count};
    dx_ring_stat(view.ring, &dump.stat);
    dump.spans = dump.stat.spans && settings.spans == SPANS_AUTO;
    const int exit_code = dump_run(&dump);
    dxi_ring_view_close(&view);
    return exit_code;
}
