/* cli/target.h - which node a command talks with, and the connection to it.
 *
 * PRECEDENCE, of the address: --address, then the context that --context names, then DX_ADDRESS,
 * then the context that `dx context select` chose, then tcp://127.0.0.1:7400. Of the token:
 * --token, then the token of the context if the address is that of the same context, then
 * DX_TOKEN. So the token of one node is never sent to another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TARGET_H
#define DXI_CLI_TARGET_H

#include "cli/context.h"
#include "disruptorx/client.h"

#define DXI_ADDRESS_DEFAULT "tcp://127.0.0.1:7400"

/* The global options; the option parser fills them. */
typedef struct dxi_target_words {
    const char *context;
    const char *address;
    const char *token;
    int32_t compression; /* a dx_compression_t */
} dxi_target_words_t;

/* Threads: main. */
dxi_target_words_t *dxi_target_words(void);

/* Where to connect to. */
typedef struct dxi_target {
    dxi_context_t place; /* its name is empty where the address comes from elsewhere */
    char origin[96];     /* "--address", "context prod", "DX_ADDRESS", "the default" */
} dxi_target_t;

/* Applies the precedence. `environment` stands for getenv(). `contexts` may be NULL: none are
 * saved. Returns DX_OK; DX_ENOTFOUND when --context names none, with the nearest; DX_ELIMIT for a
 * text that is too long; what reading @FILE says.
 * Threads: any. */
DX_NODISCARD int dxi_target_choose(const dxi_target_words_t *words, const dxi_contexts_t *contexts,
                                   const char *(*environment)(const char *name),
                                   dxi_target_t *target_out, dx_error_t *error);

/* The same with the words, the saved contexts and the environment of this process.
 * Threads: main. */
DX_NODISCARD int dxi_target_read(dxi_target_t *target_out, dx_error_t *error);

/* Window of a client that may have to send one large event: half of it is the largest. */
#define DXI_WINDOW_BYTES_LARGE 4194304

#define DXI_CONNECTED (-1)

/* Connects, with `wishes` (NULL: none) beside address, token and TLS files. `speaker` ("dx pub")
 * says what went wrong, why, and what to do next.
 * Returns DXI_CONNECTED, or the exit code with which the command is over.
 * Threads: main. */
DX_NODISCARD int dxi_target_connect(const char *speaker, const dx_client_options_t *wishes,
                                    dx_client_t **client_out);

/* The same without a word: what went wrong is in `error`. The target is filled in as far as it is
 * known. Returns what dxi_target_read() and dx_client_connect() do.
 * Threads: main. */
DX_NODISCARD int dxi_target_open(const char *speaker, const dx_client_options_t *wishes,
                                 dxi_target_t *target_out, dx_client_t **client_out,
                                 dx_error_t *error);

/* The exit code for a failure of a call to a node: DXI_EXIT_UNREACHABLE when nobody answered.
 * Threads: any. */
int dxi_target_exit_code(int code);

#endif
