/* cli/receive.h - subscribes, prints what comes, and knows when it is over: `dx sub`, `dx topic
 * tail`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_RECEIVE_H
#define DXI_CLI_RECEIVE_H

#include "cli/event_text.h"
#include "disruptorx/client.h"

typedef struct dxi_receive {
    const char *speaker;
    dx_subscription_options_t subscription; /* but its handlers and context */
    dxi_event_form_t form;
    int64_t count;      /* events after which it ends; 0: none */
    int64_t skip;       /* events that are passed over first */
    uint64_t until;     /* ends with this sequence; 0: does not matter */
    int64_t timeout_ns; /* ends after this; 0: never */
    int64_t idle_ns;    /* ends when nothing came for this long; 0: never */
} dxi_receive_t;

/* Runs until count, until, timeout, idleness, an interrupt, or the end of the subscription. What is
 * missed (gaps, a broken connection) is said on standard error.
 * Returns an exit code: DXI_EXIT_OK; DXI_EXIT_FAILED when the time was over before `count`.
 * Threads: main; the client must have been connected with dxi_receive_on_state. */
int dxi_receive_run(dx_client_t *client, const dxi_receive_t *receive);

/* For dx_client_options_t: says when the connection breaks and is there again. `context` is the
 * speaker. */
void dxi_receive_on_state(void *context, dx_client_state_t state, int code, const char *sentence);

/* Reads "latest", "earliest", a sequence ("42"), a time ("2026-01-31T09:30:00Z") or an age ("-5m",
 * "5m ago" is "5m").
 * Returns DX_OK, DX_EINVAL. Threads: any. */
DX_NODISCARD int dxi_start_parse(const char *text, int64_t now_unix_ns, dx_start_from_t *from_out,
                                 uint64_t *value_out, dx_error_t *error);

#endif
