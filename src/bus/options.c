/* options.c - the checks of options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/options.h"

#include <string.h>

#include "base/fail.h"
#include "base/log_line.h"
#include "base/options.h"

#define NAME_BYTES_MAX (sizeof((dx_subscription_stats_t *)NULL)->name - 1)

/* Names go into tables, JSON and the labels of metrics, whose readers refuse all of it for one byte
 * that is no UTF-8. */
static int text_check(const char *what, const char *text, size_t least, size_t most,
                      dx_error_t *error)
{
    const size_t bytes = strnlen(text, most + 1);
    if (bytes < least || bytes > most) {
        return dxi_fail(error, DX_EINVAL, "%s has %zu bytes, must have from %zu to %zu", what,
                        bytes > most ? strlen(text) : bytes, least, most);
    }
    for (size_t i = 0; i < bytes;) {
        const unsigned char c = (unsigned char)text[i];
        const size_t length = dxi_utf8_length(text + i, bytes - i);
        if (length == 0 || c < 0x20 || c == 0x7f) {
            return dxi_fail(error, DX_EINVAL,
                            "%s has byte 0x%02x, must be UTF-8 without control characters", what,
                            c);
        }
        i += length;
    }
    return DX_OK;
}

/* A number of the options and its bounds; 0 is the default and always allowed. */
typedef struct option_bound {
    const char *name;
    int64_t value, most;
} option_bound_t;

int dxi_subscription_options_check(const dx_subscription_options_t *options, dx_error_t *error)
{
    const option_bound_t bounds[] = {
        {"from", (int64_t)options->from, DX_FROM_TIME},
        {"ack", (int64_t)options->ack, DX_ACK_EXPLICIT},
        {"slow", (int64_t)options->slow, DX_SLOW_DISCONNECT},
        {"slow_block_ns", options->slow_block_ns, INT64_MAX},
        {"pending_events_max", options->pending_events_max, DX_PENDING_EVENTS_MAX},
        {"attempts_max", options->attempts_max, DX_ATTEMPTS_MAX},
        {"ack_timeout_ns", options->ack_timeout_ns, INT64_MAX},
        {"backoff_ns", options->backoff_ns, INT64_MAX},
        {"backoff_max_ns", options->backoff_max_ns, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (bounds[i].value < 0 || bounds[i].value > bounds[i].most) {
            return dxi_fail(error, DX_EINVAL, "%s is %lld, must be from 0 to %lld", bounds[i].name,
                            (long long)bounds[i].value, (long long)bounds[i].most);
        }
    }
    int code = dxi_options_reserved(error, options->reserved, 4);
    if (code == DX_OK && options->group != NULL) {
        code = text_check("the group's name", options->group, 1, DX_GROUP_BYTES_MAX, error);
    }
    if (code == DX_OK && options->name != NULL) {
        code = text_check("the subscription's name", options->name, 0, NAME_BYTES_MAX, error);
    }
    return code;
}

int dxi_topic_options_check(const dx_topic_options_t *options, dx_error_t *error)
{
    if ((int)options->shard_by < 0 || options->shard_by > DX_SHARD_BY_KEY) {
        return dxi_fail(error, DX_EINVAL, "shard_by is %d, must be 0 (topic) or 1 (key)",
                        (int)options->shard_by);
    }
    if ((int)options->full < 0 || options->full > DX_TOPIC_FULL_FAIL) {
        return dxi_fail(error, DX_EINVAL, "full is %d, must be 0 (wait) or 1 (fail)",
                        (int)options->full);
    }
    if (options->retain_events > DX_RETAIN_EVENTS_MAX && options->retain_events != DX_RETAIN_NONE) {
        return dxi_fail(error, DX_EINVAL, "retain_events is %llu, must be at most %llu",
                        (unsigned long long)options->retain_events,
                        (unsigned long long)DX_RETAIN_EVENTS_MAX);
    }
    if (options->retain_bytes > DX_RETAIN_BYTES_MAX) {
        return dxi_fail(error, DX_EINVAL, "retain_bytes is %llu, must be at most %llu",
                        (unsigned long long)options->retain_bytes,
                        (unsigned long long)DX_RETAIN_BYTES_MAX);
    }
    if (options->retain_age_ns < 0) {
        return dxi_fail(error, DX_EINVAL, "retain_age_ns is %lld, must not be negative",
                        (long long)options->retain_age_ns);
    }
    return dxi_options_reserved(error, options->reserved, 4);
}
