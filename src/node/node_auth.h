/* node/node_auth.h - who may connect: by token, or by a certificate that TLS has verified.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_AUTH_H
#define DXI_NODE_AUTH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "disruptorx/config.h"

#define DXI_TOKEN_BYTES_MAX DX_CONFIG_TEXT_BYTES_MAX

/* A token, filled up with zeros, so that comparing takes the same time whatever is in it. */
typedef struct dxi_token {
    size_t bytes; /* 0: none is wanted */
    unsigned char text[DXI_TOKEN_BYTES_MAX + 1];
} dxi_token_t;

typedef struct dxi_auth {
    pthread_mutex_t mutex;
    dxi_token_t *token; /* what it points to, under it; memory that no core has */
    uint64_t refused;   /* under it */
} dxi_auth_t;

/* Threads: owner. */
DX_NODISCARD int dxi_auth_init(dxi_auth_t *auth, dx_error_t *error);
void dxi_auth_close(dxi_auth_t *auth);

/* The token that a configuration wants: auth.token, or the first line of auth.token_file.
 * Returns DX_OK, DX_ENOTFOUND, DX_EPERM, DX_EIO (the file), DX_EINVAL (no regular file, an empty
 * first line, or one that is too long).
 * Threads: any. */
DX_NODISCARD int dxi_token_read(const dx_config_t *config, dxi_token_t *token_out,
                                dx_error_t *error);

/* Returns whether it is another one than before. Threads: any, here and below. */
bool dxi_auth_set(dxi_auth_t *auth, const dxi_token_t *token);
bool dxi_auth_wanted(dxi_auth_t *auth);
uint64_t dxi_auth_refused(dxi_auth_t *auth);

/* Whether `proof` is the token; true when none is wanted. What is wrong is counted.
 * Threads: any. */
bool dxi_auth_check(dxi_auth_t *auth, const void *proof, size_t proof_bytes);

#endif
