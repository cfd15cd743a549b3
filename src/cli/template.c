/* template.c - texts with places to fill in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/template.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fail.h"
#include "base/nearest.h"
#include "base/values.h"
#include "disruptorx/clock.h"

static const struct {
    const char *name;
    dxi_place_kind_t kind;
} PLACES[] = {
    {"Count", DXI_PLACE_COUNT},
    {"Time", DXI_PLACE_TIME},
    {"UnixNano", DXI_PLACE_UNIX_NANO},
    {"Random", DXI_PLACE_RANDOM},
};

#define PLACE_COUNT (sizeof PLACES / sizeof PLACES[0])
#define WORD_MAX 40

/* Reads "Random 8": what stands between {{. and }}. */
static int place_parse(const char *word, dxi_place_kind_t *kind_out, uint32_t *bytes_out,
                       dx_error_t *error)
{
    dxi_nearest_t nearest = {.word = word};
    const size_t name_bytes = strcspn(word, " ");
    const char *const rest = word + name_bytes + strspn(word + name_bytes, " ");
    for (size_t i = 0; i < PLACE_COUNT; i++) {
        dxi_nearest_offer(&nearest, PLACES[i].name);
        if (strlen(PLACES[i].name) != name_bytes || memcmp(PLACES[i].name, word, name_bytes) != 0) {
            continue;
        }
        *kind_out = PLACES[i].kind;
        if (PLACES[i].kind != DXI_PLACE_RANDOM) {
            return rest[0] == '\0' ? DX_OK
                                   : dxi_fail(error, DX_EINVAL, "{{.%s}} takes nothing behind %s",
                                              word, PLACES[i].name);
        }
        int64_t count = 0;
        const int result =
            dxi_integer_parse("{{.Random N}}: N", rest, 1, DXI_TEMPLATE_RANDOM_MAX, &count, error);
        *bytes_out = (uint32_t)count;
        return result;
    }
    return dxi_fail(error, DX_EINVAL,
                    "{{.%s}} is unknown%s%s%s; there are Count, Time, UnixNano "
                    "and Random N",
                    word, nearest.best != NULL ? "; did you mean {{." : "",
                    nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "}}?" : "");
}

int dxi_template_parse(const char *text, dxi_template_t *template_out, dx_error_t *error)
{
    memset(template_out, 0, sizeof *template_out);
    template_out->text = text;
    template_out->bytes = strlen(text);
    const char *begin = strstr(text, "{{.");
    while (begin != NULL) {
        const char *const end = strstr(begin, "}}");
        char word[WORD_MAX + 1];
        if (end == NULL || end - begin - 3 > WORD_MAX) {
            return dxi_fail(error, DX_EINVAL, "\"%.20s\" has no }} behind its {{.", begin);
        }
        if (template_out->place_count == DXI_TEMPLATE_PLACES_MAX) {
            return dxi_fail(error, DX_ELIMIT, "the text has more than %d places to fill in",
                            DXI_TEMPLATE_PLACES_MAX);
        }
        snprintf(word, sizeof word, "%.*s", (int)(end - begin - 3), begin + 3);
        const int32_t at = template_out->place_count++;
        template_out->places[at].begin = (size_t)(begin - text);
        template_out->places[at].end = (size_t)(end + 2 - text);
        const int result = place_parse(word, &template_out->places[at].kind,
                                       &template_out->places[at].random_bytes, error);
        if (result != DX_OK) {
            return result;
        }
        begin = strstr(end + 2, "{{.");
    }
    return DX_OK;
}

int dxi_room_add(dxi_room_t *room, const void *bytes, size_t count)
{
    if (room->used + count + 1 > room->capacity) {
        size_t capacity = room->capacity == 0 ? 256 : room->capacity;
        while (capacity < room->used + count + 1) {
            capacity *= 2;
        }
        char *const larger = realloc(room->bytes, capacity);
        if (larger == NULL) {
            return DX_ENOMEM;
        }
        room->bytes = larger;
        room->capacity = capacity;
    }
    if (count > 0) {
        memcpy(room->bytes + room->used, bytes, count);
    }
    room->used += count;
    room->bytes[room->used] = '\0';
    return DX_OK;
}

void dxi_room_free(dxi_room_t *room)
{
    free(room->bytes);
    memset(room, 0, sizeof *room);
}

const char *dxi_format_time(char text_out[DXI_TIME_TEXT_BYTES], int64_t unix_ns)
{
    const time_t seconds = (time_t)(unix_ns / DX_NS_PER_S);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL) {
        memset(&parts, 0, sizeof parts);
    }
    const size_t used = strftime(text_out, DXI_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text_out + used, DXI_TIME_TEXT_BYTES - used, ".%06" PRId64 "Z",
             unix_ns % DX_NS_PER_S / 1000);
    return text_out;
}

/* xorshift64*: what is random here need not be secret. */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static int random_add(dxi_room_t *room, uint32_t count, uint64_t *state)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    int result = DX_OK;
    for (uint32_t i = 0; i < count && result == DX_OK; i++) {
        const size_t at = (size_t)(random_next(state) >> 33) % (sizeof letters - 1);
        result = dxi_room_add(room, &letters[at], 1);
    }
    return result;
}

static int place_fill(const dxi_template_t *template, int32_t at, dxi_template_values_t *values,
                      dxi_room_t *room)
{
    char text[DXI_TIME_TEXT_BYTES];
    switch (template->places[at].kind) {
    case DXI_PLACE_COUNT:
        snprintf(text, sizeof text, "%" PRId64, values->count);
        break;
    case DXI_PLACE_TIME:
        (void)dxi_format_time(text, values->time_ns);
        break;
    case DXI_PLACE_UNIX_NANO:
        snprintf(text, sizeof text, "%" PRId64, values->time_ns);
        break;
    case DXI_PLACE_RANDOM:
    default:
        return random_add(room, template->places[at].random_bytes, &values->random_state);
    }
    return dxi_room_add(room, text, strlen(text));
}

int dxi_template_fill(const dxi_template_t *template, dxi_template_values_t *values,
                      dxi_room_t *room)
{
    size_t from = 0;
    room->used = 0;
    for (int32_t i = 0; i < template->place_count; i++) {
        int result = dxi_room_add(room, template->text + from, template->places[i].begin - from);
        if (result == DX_OK) {
            result = place_fill(template, i, values, room);
        }
        if (result != DX_OK) {
            return result;
        }
        from = template->places[i].end;
    }
    return dxi_room_add(room, template->text + from, template->bytes - from);
}
