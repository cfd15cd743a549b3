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

/* NULL is allowed. Threads: loop. */
void dxi_tls_session_destroy(dxi_tls_session_t *session);

/* Goes on with the handshake. Returns DX_OK when it is done; DX_EAGAIN, and whether it waits to
 * write; DX_EPERM when a certificate is refused, by us or by the peer; DX_EIO.
 * Threads: loop. */
DX_NODISCARD int dxi_tls_session_handshake(dxi_tls_session_t *session, bool *write_out,
                                           dx_error_t *error);

/* Reads as much as is there. Returns bytes, 0 at the end of the stream, or a negative errno:
 * -EAGAIN when nothing is there, -EPROTO when dxi_tls_session_why() says more.
 * Threads: loop. */
int64_t dxi_tls_session_read(dxi_tls_session_t *session, void *to, size_t room);

/* True when reading again gives something that the socket does not know of. Threads: loop. */
bool dxi_tls_session_has_more(const dxi_tls_session_t *session);

#define DXI_TLS_RECORDS 4 /* of 16 KiB, of one write at most */

/* Writes up to DXI_TLS_RECORDS records, with one send(2).
 * Returns how many bytes were taken, 0 when the socket takes none, or a negative errno as above.
 * Threads: loop. */
int64_t dxi_tls_session_write(dxi_tls_session_t *session, const void *from, size_t bytes);

/* True while something that was taken waits for the socket: dxi_tls_session_flush() when that is
 * writable, or the next write. The first returns 0, or a negative errno. Threads: loop. */
bool dxi_tls_session_is_stuck(const dxi_tls_session_t *session);
int64_t dxi_tls_session_flush(dxi_tls_session_t *session);

/* What went wrong. Returns its code. Threads: loop. */
int dxi_tls_session_why(const dxi_tls_session_t *session, dx_error_t *error);

/* Says that nothing more will be sent. Threads: loop. */
void dxi_tls_session_shutdown(dxi_tls_session_t *session);

/* The subject of the peer's certificate, as in "CN=pump-7,O=Works"; "" without one.
 * Threads: loop. */
const char *dxi_tls_session_subject(const dxi_tls_session_t *session);

/* All its names, subject and alternative ones (tls_names.c), one behind the other with their NULs,
 * an empty one behind the last. Threads: loop. */
const char *dxi_tls_session_names(const dxi_tls_session_t *session);

#endif
