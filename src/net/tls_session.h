/* net/tls_session.h - TLS over the socket of one connection.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_TLS_SESSION_H
#define DXI_NET_TLS_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "net/tls.h"

typedef struct dxi_tls_session dxi_tls_session_t;

/* Begins with the certificates that `tls` has now. `host` is what a client asked for.
 * Returns DX_OK, DX_ENOMEM. Threads: loop. */
DX_NODISCARD int dxi_tls_session_create(dxi_tls_t *tls, int fd, const char *host,
                                        dxi_tls_session_t **session_out, dx_error_t *error);
void dxi_tls_session_destroy(dxi_tls_session_t *session);

/* Goes on with the handshake. Returns DX_OK when it is done; DX_EAGAIN, and whether it waits to
 * write; DX_EPERM when a certificate is refused; DX_EIO. */
DX_NODISCARD int dxi_tls_session_handshake(dxi_tls_session_t *session, bool *write_out,
                                           dx_error_t *error);

/* Bytes; 0 at the end of the stream, or for a write when the socket takes none; or a negative
 * errno, -EAGAIN when nothing is there. */
int64_t dxi_tls_session_read(dxi_tls_session_t *session, void *to, size_t room);
int64_t dxi_tls_session_write(dxi_tls_session_t *session, const void *from, size_t bytes);

/* Says that nothing more will be sent. */
void dxi_tls_session_shutdown(dxi_tls_session_t *session);

/* The subject of the peer's certificate; "" without one. */
void dxi_tls_session_subject(const dxi_tls_session_t *session, char *text_out, size_t text_bytes);

#endif
