/* cli/top_fetch.h - looks at a node, again and again, in a thread of their own, so that the screen
 * answers keys while the node does not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TOP_FETCH_H
#define DXI_CLI_TOP_FETCH_H

#include <jansson.h>

#include "disruptorx/client.h"

/* One look; the caller's. NULL with a sentence. What the node does not know to answer is empty.
 * Threads: any, no handler. */
json_t *dxi_top_look(dx_client_t *client, dx_error_t *error);

typedef struct dxi_top_fetch dxi_top_fetch_t; /* opaque */

/* For the client's options: what becomes of the connection is told with the next look's trouble. */
int dxi_top_fetch_create(dxi_top_fetch_t **fetch_out, dx_error_t *error);
void dxi_top_fetch_on_state(void *fetch, dx_client_state_t state, int code, const char *sentence);

/* Begins to look. After each look dxi_interrupt_wait() ends in the main thread.
 * Returns DX_OK, and what dx_thread_start() may say. Threads: main, here and below. */
DX_NODISCARD int dxi_top_fetch_start(dxi_top_fetch_t *fetch, dx_client_t *client,
                                     int64_t interval_ns, dx_error_t *error);

/* Looks at once, and from now on so often. */
void dxi_top_fetch_again(dxi_top_fetch_t *fetch, int64_t interval_ns);

/* What the last look brought, once: 1 with the look, the caller's, and when it was taken (a time of
 * dx_clock_ns() and "12:31:07"); 0 when there is nothing new; a negative code with the sentence
 * when it failed. */
typedef struct dxi_top_fetched {
    json_t *look;
    int64_t taken_ns;
    char clock[16];
    char trouble[256];
} dxi_top_fetched_t;
int dxi_top_fetch_take(dxi_top_fetch_t *fetch, dxi_top_fetched_t *fetched_out);

/* Ends the thread, after the question that waits for an answer. Before the client is closed. */
void dxi_top_fetch_stop(dxi_top_fetch_t *fetch);

/* NULL is allowed. After the client is closed. */
void dxi_top_fetch_destroy(dxi_top_fetch_t *fetch);

#endif
