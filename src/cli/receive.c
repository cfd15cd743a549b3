/* receive.c - subscribes and prints.
 *
 * Threads: handlers run in the client's thread and write to standard output there; the main thread
 * waits, and writes only after the subscription has ended. The words between them are atomic.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/receive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/format.h"
#include "base/values.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/target.h"
#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"

typedef struct receiver {
    const dxi_receive_t *receive;
    int64_t left_to_skip;      /* of the client's thread, as all but the atomic words */
    dx_atomic64_t received;    /* printed */
    dx_atomic64_t last_ns;     /* when the last one came */
    dx_atomic32_t done;        /* it has all it wanted */
    dx_atomic32_t end_code;    /* of the subscription's own end; 0: not yet */
    dx_atomic32_t write_error; /* errno of standard output; 0: none */
} receiver_t;

/* RELAXED in all of these: numbers with one writer; the texts that belong to them are written by
 * the same thread, and the pipe of dxi_interrupt_wake() orders the last ones. */
static void finish(receiver_t *receiver)
{
    dx_store32_relaxed(&receiver->done, 1);
    dxi_interrupt_wake();
}

static bool acknowledges(const dxi_receive_t *receive)
{
    const dx_subscription_options_t *const options = &receive->subscription;
    return options->ack == DX_ACK_AUTO ||
           (options->ack == DX_ACK_DEFAULT && options->group != NULL);
}

static int on_event(void *context, const dx_event_t *event)
{
    receiver_t *const receiver = context;
    const dxi_receive_t *const receive = receiver->receive;
    if (dx_load32_relaxed(&receiver->done) != 0) {
        return DX_EAGAIN; /* more than was wanted: not ours, where it is acknowledged */
    }
    dx_store_relaxed(&receiver->last_ns, dx_clock_ns());
    if (receiver->left_to_skip > 0) {
        receiver->left_to_skip--;
        return DX_OK;
    }
    dxi_event_print(stdout, event, receive->form);
    /* What is not written must not be acknowledged; else a batch is written at once. */
    if ((acknowledges(receive) || event->end_of_batch) && (fflush(stdout) != 0 || ferror(stdout))) {
        dx_store32_relaxed(&receiver->write_error, errno != 0 ? errno : EIO);
        finish(receiver);
        return DX_EAGAIN;
    }
    const int64_t received = dx_load_relaxed(&receiver->received) + 1;
    dx_store_relaxed(&receiver->received, received);
    if (received == receive->count || (receive->until != 0 && event->sequence >= receive->until)) {
        finish(receiver);
    }
    return DX_OK;
}

static void on_gap(void *context, const dx_gap_t *gap)
{
    const receiver_t *const receiver = context;
    fflush(stdout);
    fprintf(stderr, "%s: gap in %.*s: %" PRIu64 " to %" PRIu64 " will not come\n",
            receiver->receive->speaker, (int)gap->topic_bytes, gap->topic, gap->first, gap->last);
}

static void on_end(void *context, int code, const char *sentence)
{
    receiver_t *const receiver = context;
    if (code != DX_OK && dx_load32_relaxed(&receiver->done) == 0) {
        dxi_complain(receiver->receive->speaker, "the subscription has ended: %s (%s)", sentence,
                     dx_error_name(code));
        dx_store32_relaxed(&receiver->end_code, code);
    }
    finish(receiver);
}

void dxi_receive_on_state(void *context, dx_client_state_t state, int code, const char *sentence)
{
    static bool was_connected; /* of the client's thread */
    const char *const speaker = context;
    if (state == DX_CLIENT_CONNECTED) {
        if (was_connected) {
            fprintf(stderr, "%s: connected again\n", speaker);
        }
        was_connected = true;
    } else if (state == DX_CLIENT_CONNECTING && was_connected && code != DX_OK) {
        fprintf(stderr, "%s: the connection is broken (%s), trying again\n", speaker, sentence);
    }
}

/* How long to wait at most from now; -1: without a limit; 0: the time is over. */
static int64_t wait_ns(const receiver_t *receiver, int64_t begin_ns)
{
    const dxi_receive_t *const receive = receiver->receive;
    const int64_t now_ns = dx_clock_ns();
    int64_t ns = -1;
    if (receive->timeout_ns > 0) {
        const int64_t left_ns = begin_ns + receive->timeout_ns - now_ns;
        ns = left_ns > 0 ? left_ns : 0;
    }
    if (receive->idle_ns > 0) {
        const int64_t last_ns = dx_load_relaxed(&receiver->last_ns);
        const int64_t left_ns = (last_ns > 0 ? last_ns : begin_ns) + receive->idle_ns - now_ns;
        const int64_t idle_ns = left_ns > 0 ? left_ns : 0;
        ns = ns < 0 || idle_ns < ns ? idle_ns : ns;
    }
    return ns;
}

static int outcome(const receiver_t *receiver)
{
    const dxi_receive_t *const receive = receiver->receive;
    const int64_t received = dx_load_relaxed(&receiver->received);
    int write_error = (int)dx_load32_relaxed(&receiver->write_error);
    if (write_error == 0 && fflush(stdout) != 0) {
        write_error = errno;
    }
    if (write_error != 0) {
        dxi_complain_output(receive->speaker, write_error);
        return DXI_EXIT_FAILED;
    }
    if (dx_load32_relaxed(&receiver->end_code) != 0) {
        return dxi_target_exit_code(dx_load32_relaxed(&receiver->end_code));
    }
    if (receive->count > 0 && received < receive->count && receive->timeout_ns > 0 &&
        !dxi_interrupted()) {
        dxi_complain(receive->speaker, "%s of %s events came in %s",
                     dxi_format_count(&(dxi_text_t){0}, received),
                     dxi_format_count(&(dxi_text_t){0}, receive->count),
                     dxi_format_ns(&(dxi_text_t){0}, receive->timeout_ns));
        return DXI_EXIT_FAILED;
    }
    return DXI_EXIT_OK;
}

int dxi_receive_run(dx_client_t *client, const dxi_receive_t *receive)
{
    receiver_t receiver = {.receive = receive, .left_to_skip = receive->skip};
    dx_subscription_options_t options = receive->subscription;
    dx_client_subscription_t *subscription = NULL;
    dx_error_t error = {0};
    options.context = &receiver;
    options.on_event = on_event;
    options.on_gap = on_gap;
    options.on_end = on_end;
    const int64_t begin_ns = dx_clock_ns();
    const int result = dx_client_subscribe(client, &options, &subscription, &error);
    if (result != DX_OK) {
        dxi_complain_error(receive->speaker, &error);
        return result == DX_EINVAL || result == DX_EPARSE ? DXI_EXIT_USAGE
                                                          : dxi_target_exit_code(result);
    }
    while (dx_load32_relaxed(&receiver.done) == 0) {
        const int64_t ns = wait_ns(&receiver, begin_ns);
        if (ns == 0) {
            break;
        }
        if (dxi_interrupt_wait_output(STDOUT_FILENO, ns) == DXI_WOKEN_INTERRUPT) {
            if (!dxi_interrupted()) { /* the next event may be far away: head(1) has gone */
                dx_store32_relaxed(&receiver.write_error, EPIPE);
            }
            break;
        }
    }
    (void)dx_client_unsubscribe(subscription, 0);
    return outcome(&receiver);
}

/* ---------------------------------------------------------------------------------------- start */

/* Reads "2026-01-31T09:30:00Z" or "2026-01-31". */
static bool date_parse(const char *text, int64_t *unix_ns_out)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S",
                                        "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm parts;
        memset(&parts, 0, sizeof parts);
        const char *const end = strptime(text, forms[i], &parts);
        if (end != NULL && *end == '\0') {
            *unix_ns_out = (int64_t)timegm(&parts) * DX_NS_PER_S;
            return *unix_ns_out >= 0;
        }
    }
    return false;
}

int dxi_start_parse(const char *text, int64_t now_unix_ns, dx_start_from_t *from_out,
                    uint64_t *value_out, dx_error_t *error)
{
    int64_t number = 0;
    *value_out = 0;
    if (strcmp(text, "latest") == 0) {
        *from_out = DX_FROM_LATEST;
        return DX_OK;
    }
    if (strcmp(text, "earliest") == 0) {
        *from_out = DX_FROM_EARLIEST;
        return DX_OK;
    }
    if (text[strspn(text, "0123456789")] == '\0' &&
        dxi_integer_parse("", text, 1, INT64_MAX, &number, NULL) == DX_OK) {
        *from_out = DX_FROM_SEQUENCE;
        *value_out = (uint64_t)number;
        return DX_OK;
    }
    *from_out = DX_FROM_TIME;
    if (date_parse(text, &number)) {
        *value_out = (uint64_t)number;
        return DX_OK;
    }
    if (dxi_duration_parse("", text + (text[0] == '-'), 1, now_unix_ns, &number, NULL) == DX_OK) {
        *value_out = (uint64_t)(now_unix_ns - number);
        return DX_OK;
    }
    return dxi_fail(error, DX_EINVAL,
                    "the start is %.40s, must be latest, earliest, a sequence such as 42, a time "
                    "such as 2026-01-31T09:30:00Z, or an age such as 5m",
                    text);
}
