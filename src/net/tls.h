/* net/tls.h - TLS 1.3 for connections: a context that can be changed while it is used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_TLS_H
#define DXI_NET_TLS_H

#include <stdbool.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

typedef struct dxi_tls
    dxi_tls_t; /* shared by loops; connections that run keep the certificates with
                                   * which they began */

typedef struct dxi_tls_options {
    bool server;
    const char *certificate_file; /* PEM, the chain; a server needs it, a client for mTLS */
    const char *key_file;         /* PEM */
    const char *authority_file;   /* PEM: who is trusted; NULL: a client uses the system's, a server
                                   * asks for no certificate */
    bool verify_peer;             /* a server: clients must show a certificate (mTLS) */
    bool insecure;                /* a client: believes any certificate; said in the log */
    const char *server_name;      /* a client: what the certificate must say; NULL: the host */
} dxi_tls_options_t;

/* Reads the files. Returns DX_OK, DX_EINVAL (they don't fit together, or no PEM), DX_ENOTFOUND,
 * DX_EPERM, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_tls_create(const dxi_tls_options_t *options, dxi_tls_t **tls_out,
                                dx_error_t *error);

/* Another certificate in two steps, for a reload that is all or nothing. prepare() reads the files
 * and finds what is wrong with them; then commit(), after which new connections use what they say,
 * or drop(). Where nothing was prepared both do nothing. prepare() returns as dxi_tls_create().
 * Threads: any, one at a time. */
DX_NODISCARD int dxi_tls_prepare(dxi_tls_t *tls, dx_error_t *error);
void dxi_tls_commit(dxi_tls_t *tls);
void dxi_tls_drop(dxi_tls_t *tls);

/* Both. On failure nothing changes. Threads: any, one at a time. */
DX_NODISCARD int dxi_tls_reload(dxi_tls_t *tls, dx_error_t *error);

/* NULL is allowed. Threads: any, when no connection uses it any more. */
void dxi_tls_destroy(dxi_tls_t *tls);

#endif
