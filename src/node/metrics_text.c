/* metrics_text.c - the text format of Prometheus, version 0.0.4.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/rates.h"
#include "node/metrics.h"

#define ROOM_FIRST 65536
#define PREFIX "disruptorx_"
#define NUMBER_BYTES 40
#define EXACT_MAX 9007199254740992.0 /* 2^53: whole numbers below are exact */

/* Bounds of buckets in ns: 1, 2 and 5 of each decade from 1 us to 10 s. */
static const int64_t BOUNDS[] = {
    1000,      2000,      5000,       10000,      20000,      50000,      100000,   200000,
    500000,    1000000,   2000000,    5000000,    10000000,   20000000,   50000000, 100000000,
    200000000, 500000000, 1000000000, 2000000000, 5000000000, 10000000000};
#define BOUND_COUNT (sizeof BOUNDS / sizeof BOUNDS[0])

static void put(dxi_metrics_text_t *text, const char *from, size_t bytes)
{
    if (text->used + bytes + 1 > text->room && !text->failed) {
        size_t room = text->room != 0 ? text->room : ROOM_FIRST;
        while (room < text->used + bytes + 1) {
            room *= 2;
        }
        char *const grown = realloc(text->bytes, room);
        text->failed = grown == NULL;
        text->bytes = grown != NULL ? grown : text->bytes;
        text->room = grown != NULL ? room : text->room;
    }
    if (!text->failed) {
        memcpy(text->bytes + text->used, from, bytes);
        text->used += bytes;
        text->bytes[text->used] = '\0';
    }
}

static void put_text(dxi_metrics_text_t *text, const char *from)
{
    put(text, from, strlen(from));
}

static void put_name(dxi_metrics_text_t *text, const char *name)
{
    if (strncmp(name, "process_", 8) != 0) {
        put_text(text, PREFIX);
    }
    put_text(text, name);
}

/* A label's value, or help: backslash, line feed and, in labels, quotation marks are escaped. */
static void put_escaped(dxi_metrics_text_t *text, const char *from, bool label)
{
    for (; *from != '\0'; from++) {
        if (*from == '\n') {
            put_text(text, "\\n");
        } else if (*from == '\\' || (label && *from == '"')) {
            put(text, "\\", 1);
            put(text, from, 1);
        } else {
            put(text, from, 1);
        }
    }
}

static void put_number(dxi_metrics_text_t *text, double value)
{
    char number[NUMBER_BYTES];
    if (value >= 0 && value < EXACT_MAX && value == (double)(uint64_t)value) {
        (void)snprintf(number, sizeof number, "%" PRIu64, (uint64_t)value);
    } else {
        (void)snprintf(number, sizeof number, "%.15g", value);
    }
    put_text(text, number);
}

void dxi_metrics_head(dxi_metrics_text_t *text, const char *name, const char *type,
                      const char *help)
{
    put_text(text, "# HELP ");
    put_name(text, name);
    put(text, " ", 1);
    put_escaped(text, help, false);
    put_text(text, "\n# TYPE ");
    put_name(text, name);
    put(text, " ", 1);
    put_text(text, type);
    put(text, "\n", 1);
}

void dxi_metrics_sample(dxi_metrics_text_t *text, const char *name, const char *const *labels,
                        double value)
{
    put_name(text, name);
    for (size_t i = 0; labels[i] != NULL; i += 2) {
        put(text, i == 0 ? "{" : ",", 1);
        put_text(text, labels[i]);
        put_text(text, "=\"");
        put_escaped(text, labels[i + 1], true);
        put(text, "\"", 1);
    }
    put_text(text, labels[0] != NULL ? "} " : " ");
    put_number(text, value);
    put(text, "\n", 1);
}

void dxi_metrics_one(dxi_metrics_text_t *text, const char *name, const char *type, const char *help,
                     double value)
{
    static const char *const NONE[] = {NULL};
    dxi_metrics_head(text, name, type, help);
    dxi_metrics_sample(text, name, NONE, value);
}

void dxi_metrics_histogram(dxi_metrics_text_t *text, const char *name, const char *help,
                           const char *label, const char *value, const uint64_t *counts)
{
    char bucket[96], sum_name[96], count_name[96], bound[NUMBER_BYTES];
    const char *const plain[] = {label, value, NULL};
    const size_t le_at = label != NULL ? 2 : 0;
    const char *labels[5] = {label, value, NULL, NULL, NULL};
    uint64_t count = 0;
    double sum = 0;
    uint32_t at = 0;
    (void)snprintf(bucket, sizeof bucket, "%.80s_bucket", name);
    (void)snprintf(sum_name, sizeof sum_name, "%.80s_sum", name);
    (void)snprintf(count_name, sizeof count_name, "%.80s_count", name);
    dxi_metrics_head(text, name, "histogram", help);
    labels[le_at] = "le";
    labels[le_at + 1] = bound;
    for (size_t i = 0; i <= BOUND_COUNT; i++) {
        const bool last = i == BOUND_COUNT;
        for (; at < DXI_LATENCY_CLASSES && (last || dxi_latency_class_end(at) <= BOUNDS[i]); at++) {
            const int64_t begin_ns = at == 0 ? 0 : dxi_latency_class_end(at - 1) + 1;
            const double middle_ns = (double)(begin_ns + dxi_latency_class_end(at)) / 2;
            count += counts[at];
            sum += (double)counts[at] * middle_ns / 1e9;
        }
        (void)snprintf(bound, sizeof bound, "%g", last ? 0 : (double)BOUNDS[i] / 1e9);
        labels[le_at + 1] = last ? "+Inf" : bound;
        dxi_metrics_sample(text, bucket, labels, (double)count);
    }
    dxi_metrics_sample(text, sum_name, plain, sum);
    dxi_metrics_sample(text, count_name, plain, (double)count);
}
