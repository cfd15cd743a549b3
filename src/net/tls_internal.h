/* net/tls_internal.h - what sessions need of a context.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_TLS_INTERNAL_H
#define DXI_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <stddef.h>

#include "net/tls.h"

/* A new SSL of the context as it is now; NULL when there is no memory. Threads: any. */
SSL *dxi_tls_ssl(dxi_tls_t *tls);

/* The options, as copied. Threads: any. */
const dxi_tls_options_t *dxi_tls_options(const dxi_tls_t *tls);

/* `what`, and why OpenSSL says that it failed. Returns `code`. Threads: any. */
int dxi_tls_fail(dx_error_t *error, int code, const char *what);

#define DXI_TLS_NAME_BYTES_MAX 255 /* of a certificate's name, with its prefix */
#define DXI_TLS_NAMES_BYTES 2048   /* of all that are kept */

/* The names of a certificate, one behind the other with their NULs, an empty one behind the last
 * (tls_names.c). Threads: any. */
void dxi_tls_names_read(const X509 *certificate, char *texts_out, size_t room);

#endif
