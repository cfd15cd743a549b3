/* tls.c - a stand-in until TLS is there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>

#include "base/fail.h"
#include "net/tls_session.h"

int dxi_tls_create(const dxi_tls_options_t *options, dxi_tls_t **tls_out, dx_error_t *error)
{
    (void)options;
    *tls_out = NULL;
    return dxi_fail(error, DX_ENOTSUP, "TLS is not built in yet");
}
int dxi_tls_reload(dxi_tls_t *tls, dx_error_t *error)
{
    (void)tls;
    return dxi_fail(error, DX_ENOTSUP, "TLS is not built in yet");
}
void dxi_tls_destroy(dxi_tls_t *tls)
{
    (void)tls;
}
int dxi_tls_session_create(dxi_tls_t *tls, int fd, const char *host,
                           dxi_tls_session_t **session_out, dx_error_t *error)
{
    (void)tls;
    (void)fd;
    (void)host;
    *session_out = NULL;
    return dxi_fail(error, DX_ENOTSUP, "TLS is not built in yet");
}
void dxi_tls_session_destroy(dxi_tls_session_t *session)
{
    (void)session;
}
int dxi_tls_session_handshake(dxi_tls_session_t *session, bool *write_out, dx_error_t *error)
{
    (void)session;
    *write_out = false;
    return dxi_fail(error, DX_ENOTSUP, "TLS is not built in yet");
}
int64_t dxi_tls_session_read(dxi_tls_session_t *session, void *to, size_t room)
{
    (void)session;
    (void)to;
    (void)room;
    return -ENOSYS;
}
int64_t dxi_tls_session_write(dxi_tls_session_t *session, const void *from, size_t bytes)
{
    (void)session;
    (void)from;
    (void)bytes;
    return -ENOSYS;
}
void dxi_tls_session_shutdown(dxi_tls_session_t *session)
{
    (void)session;
}
void dxi_tls_session_subject(const dxi_tls_session_t *session, char *text_out, size_t text_bytes)
{
    (void)session;
    if (text_bytes != 0) {
        text_out[0] = '\0';
    }
}
