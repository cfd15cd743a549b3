/* cpu_set.c - sets of CPUs and their text, "0,2-5".
 *
 * INVARIANT: parse(format(s)) == s for every set; what parse() refuses leaves the set empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"

enum { WORDS = DX_CPU_MAX / 64 };

uint32_t dx_cpu_set_count(const dx_cpu_set_t *set)
{
    int count = 0;
    for (int i = 0; i < WORDS; i++) {
        count += __builtin_popcountll(set->words[i]);
    }
    return (uint32_t)count;
}

int32_t dx_cpu_set_next(const dx_cpu_set_t *set, uint32_t from)
{
    for (uint32_t cpu = from; cpu < DX_CPU_MAX; cpu = (cpu / 64 + 1) * 64) {
        const uint64_t rest = set->words[cpu / 64] >> (cpu % 64);
        if (rest != 0) {
            return (int32_t)cpu + __builtin_ctzll(rest);
        }
    }
    return -1;
}

bool dx_cpu_set_equal(const dx_cpu_set_t *a, const dx_cpu_set_t *b)
{
    return memcmp(a->words, b->words, sizeof(a->words)) == 0;
}

/* The text being read. */
typedef struct list {
    const char *text; /* as a whole, for messages */
    const char *at;
} list_t;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static void skip_spaces(list_t *list)
{
    while (is_space(*list->at)) {
        list->at++;
    }
}

/* Reads one CPU number. */
static int parse_cpu(list_t *list, uint32_t *cpu_out, dx_error_t *error)
{
    skip_spaces(list);
    if (*list->at < '0' || *list->at > '9') {
        return dxi_fail(
            error, DX_EPARSE,
            "CPU list is \"%.80s\", must have a CPU number at byte %zu, as in \"0,2-5\"",
            list->text, (size_t)(list->at - list->text));
    }
    uint64_t cpu = 0;
    for (; *list->at >= '0' && *list->at <= '9'; list->at++) {
        cpu = cpu * 10 + (uint64_t)(*list->at - '0');
        if (cpu >= DX_CPU_MAX) {
            return dxi_fail(error, DX_ELIMIT,
                            "CPU list is \"%.80s\", must not go beyond CPU %d (see byte %zu)",
                            list->text, DX_CPU_MAX - 1, (size_t)(list->at - list->text));
        }
    }
    skip_spaces(list);
    *cpu_out = (uint32_t)cpu;
    return DX_OK;
}

/* Reads "3" or "2-5" into the set. */
static int parse_range(list_t *list, dx_cpu_set_t *set, dx_error_t *error)
{
    uint32_t first = 0;
    int rc = parse_cpu(list, &first, error);
    if (rc != DX_OK) {
        return rc;
    }
    uint32_t last = first;
    if (*list->at == '-') {
        list->at++;
        rc = parse_cpu(list, &last, error);
        if (rc != DX_OK) {
            return rc;
        }
    }
    if (last < first) {
        return dxi_fail(error, DX_EPARSE,
                        "CPU list is \"%.80s\", must have the lower CPU first in %" PRIu32
                        "-%" PRIu32,
                        list->text, first, last);
    }
    for (uint32_t cpu = first; cpu <= last; cpu++) {
        dx_cpu_set_add(set, cpu);
    }
    return DX_OK;
}

int dx_cpu_set_parse(const char *text, dx_cpu_set_t *set_out, dx_error_t *error)
{
    *set_out = (dx_cpu_set_t){0};
    if (text == NULL) {
        return dxi_fail(error, DX_EPARSE, "CPU list is NULL, must be a text such as \"0,2-5\"");
    }
    list_t list = {.text = text, .at = text};
    dx_cpu_set_t set = {0};
    skip_spaces(&list);
    while (*list.at != '\0') {
        const int rc = parse_range(&list, &set, error);
        if (rc != DX_OK) {
            return rc;
        }
        if (*list.at == '\0') {
            break;
        }
        if (*list.at != ',') {
            return dxi_fail(error, DX_EPARSE,
                            "CPU list is \"%.80s\", must have \",\" or \"-\" at byte %zu", text,
                            (size_t)(list.at - text));
        }
        list.at++;
        skip_spaces(&list);
        if (*list.at == '\0') {
            return dxi_fail(error, DX_EPARSE, "CPU list is \"%.80s\", must not end in \",\"", text);
        }
    }
    *set_out = set;
    return DX_OK;
}

size_t dx_cpu_set_format(const dx_cpu_set_t *set, char *text_out, size_t text_bytes)
{
    size_t length = 0;
    if (text_bytes > 0) {
        text_out[0] = '\0';
    }
    int32_t first = dx_cpu_set_next(set, 0);
    while (first >= 0) {
        int32_t last = first;
        while (dx_cpu_set_has(set, (uint32_t)last + 1)) {
            last++;
        }
        char range[32];
        const char *const comma = length == 0 ? "" : ",";
        const int bytes = last == first ? snprintf(range, sizeof(range), "%s%" PRId32, comma, first)
                                        : snprintf(range, sizeof(range), "%s%" PRId32 "-%" PRId32,
                                                   comma, first, last);
        for (int i = 0; i < bytes; i++) {
            if (length + 1 < text_bytes) {
                text_out[length] = range[i];
                text_out[length + 1] = '\0';
            }
            length++;
        }
        first = dx_cpu_set_next(set, (uint32_t)last + 1);
    }
    return length;
}
