/* tls_session.c - TLS over one socket.
 *
 * DESIGN
 *
 * OpenSSL reads and writes through a BIO of ours, which is recv(2) and send(2) with MSG_NOSIGNAL:
 * its own would raise SIGPIPE. It reads ahead, up to four records a call, so it may hold bytes of
 * which the socket knows nothing: dxi_tls_session_read() goes on until there are none or there is
 * no room, and dxi_tls_session_has_more() says which it was.
 *
 * A record has at most 16 KiB, and OpenSSL hands each to the BIO by itself. So a write gathers
 * records of up to GATHER_BYTES in memory of the thread, and one send(2) takes them. What the
 * socket does not take stays here (`left`), and goes before anything else:
 * dxi_tls_session_is_stuck().
 *
 * With TLS 1.3 a client has finished its handshake before the server has looked at its certificate.
 * So "your certificate is refused" may come as an alert to the first read: it is told apart from a
 * lost connection by dxi_tls_session_why().
 *
 * INVARIANTS
 *
 *   V1  an error is final: OpenSSL is not called again, and every later call returns it
 *   V2  bytes go to the socket in the order in which OpenSSL made them: while something is left
 *       over, nothing else is sent, and no new record is made
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "net/tls_internal.h"

#define SUBJECT_BYTES 256
#define RECORD_BYTES 16384                           /* of a record, before encryption */
#define RECORD_ROOM ((size_t)(RECORD_BYTES + 256))   /* and what it takes at most, encrypted */
#define GATHER_BYTES (DXI_TLS_RECORDS * RECORD_ROOM) /* of one send */

struct dxi_tls_session {
    SSL *ssl;
    int fd;
    int os_errno; /* of the last failed call on the socket */
    bool failed;  /* V1 */
    bool more;    /* the last read ended for lack of room, or with an end not yet told */
    bool at_end;
    bool gathering; /* the BIO writes into gather_at */
    size_t gathered;
    char *left; /* GATHER_BYTES, made when first needed: what the socket did not take */
    size_t left_begin, left_end;
    dx_error_t why;
    char subject[SUBJECT_BYTES];
    char *names; /* of the peer's certificate; NULL: it showed none */
};

/* ------------------------------------------------------------------------------------------ BIO */

static _Thread_local char gather_at[GATHER_BYTES];

/* One send(2). Returns bytes, 0 when the socket takes none, or a negative errno. */
static int64_t socket_send(dxi_tls_session_t *session, const char *from, size_t bytes)
{
    for (;;) {
        const ssize_t sent = send(session->fd, from, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            return sent;
        }
        if (errno != EINTR) {
            session->os_errno = errno;
            return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
        }
    }
}

/* Sends what is left over. Returns 0, or a negative errno. */
static int64_t left_send(dxi_tls_session_t *session)
{
    while (session->left_begin < session->left_end) {
        const int64_t sent = socket_send(session, session->left + session->left_begin,
                                         session->left_end - session->left_begin);
        if (sent <= 0) {
            return sent;
        }
        session->left_begin += (size_t)sent;
    }
    return 0;
}

static int bio_write(BIO *bio, const char *from, int bytes)
{
    dxi_tls_session_t *const session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->gathering && (size_t)bytes <= GATHER_BYTES - session->gathered) {
        memcpy(gather_at + session->gathered, from, (size_t)bytes);
        session->gathered += (size_t)bytes;
        return bytes;
    }
    int64_t sent = session->gathering ? 0 : left_send(session); /* V2 */
    if (sent == 0 && !session->gathering && !dxi_tls_session_is_stuck(session)) {
        sent = socket_send(session, from, (size_t)bytes);
    }
    if (sent == 0) {
        BIO_set_retry_write(bio);
    }
    return sent > 0 ? (int)sent : -1;
}

static int bio_read(BIO *bio, char *to, int room)
{
    dxi_tls_session_t *const session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    const ssize_t got = recv(session->fd, to, (size_t)room, MSG_DONTWAIT);
    if (got < 0) {
        session->os_errno = errno;
        if (errno == EAGAIN || errno == EINTR) {
            BIO_set_retry_read(bio);
        }
        return -1;
    }
    session->at_end = got == 0;
    return (int)got;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    const dxi_tls_session_t *const session = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF) {
        return session->at_end;
    }
    return command == BIO_CTRL_FLUSH;
}

static pthread_once_t bio_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *bio_method;

static void bio_method_make(void)
{
    BIO_METHOD *const method =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "disruptorx socket");
    if (method != NULL) {
        (void)BIO_meth_set_write(method, bio_write);
        (void)BIO_meth_set_read(method, bio_read);
        (void)BIO_meth_set_ctrl(method, bio_control);
    }
    bio_method = method;
}

static bool bio_attach(dxi_tls_session_t *session)
{
    (void)pthread_once(&bio_once, bio_method_make);
    BIO *const bio = bio_method != NULL ? BIO_new(bio_method) : NULL;
    if (bio == NULL) {
        return false;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    return true;
}

/* ----------------------------------------------------------------------------------------- life */

/* What the server's certificate has to say (T2). */
static bool expect_name(SSL *ssl, const dxi_tls_options_t *options, const char *host)
{
    const char *const name = options->server_name != NULL ? options->server_name : host;
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1) {
        return options->insecure || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    return SSL_set_tlsext_host_name(ssl, name) == 1 &&
           (options->insecure || SSL_set1_host(ssl, name) == 1);
}

int dxi_tls_session_create(dxi_tls_t *tls, int fd, const char *host,
                           dxi_tls_session_t **session_out, dx_error_t *error)
{
    const dxi_tls_options_t *const options = dxi_tls_options(tls);
    *session_out = NULL;
    dxi_tls_session_t *const session = dxi_alloc_zeroed(1, sizeof *session);
    if (session == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a session of TLS");
    }
    session->fd = fd;
    session->ssl = dxi_tls_ssl(tls);
    if (session->ssl == NULL || !bio_attach(session) ||
        (!options->server && !expect_name(session->ssl, options, host))) {
        dxi_tls_session_destroy(session);
        return dxi_tls_fail(error, DX_ENOMEM, "cannot make a session of TLS");
    }
    if (options->server) {
        SSL_set_accept_state(session->ssl);
    } else {
        SSL_set_connect_state(session->ssl);
    }
    *session_out = session;
    return DX_OK;
}

void dxi_tls_session_destroy(dxi_tls_session_t *session)
{
    if (session != NULL) {
        SSL_free(session->ssl);
        dxi_free(session->left);
        dxi_free(session->names);
        dxi_free(session);
    }
}

/* --------------------------------------------------------------------------------------- errors */

/* True for the alerts with which a peer refuses our certificate, or that we have none. */
static bool is_about_certificates(unsigned long number)
{
    switch (ERR_GET_REASON(number)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return true;
    default:
        return false;
    }
}

/* Keeps why it failed (V1). Returns the negative errno for it. */
static int64_t failed(dxi_tls_session_t *session, int reason)
{
    const unsigned long number = ERR_peek_last_error();
    const long verdict = SSL_get_verify_result(session->ssl);
    session->failed = true;
    if (reason == SSL_ERROR_SYSCALL || number == 0) {
        const int last = session->os_errno;
        const int os = last != 0 && last != EAGAIN && last != EINTR ? last : ECONNRESET;
        (void)dxi_fail_os(&session->why, DX_EIO, os, "TLS has lost its socket");
        ERR_clear_error();
        return -os;
    }
    const int code = is_about_certificates(number) ? DX_EPERM : DX_EIO;
    if (verdict != X509_V_OK && ERR_GET_REASON(number) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        (void)dxi_fail(&session->why, code, "the peer's certificate is refused: %s",
                       X509_verify_cert_error_string(verdict));
        ERR_clear_error();
    } else {
        (void)dxi_tls_fail(&session->why, code, "TLS failed");
    }
    return -EPROTO;
}

int dxi_tls_session_why(const dxi_tls_session_t *session, dx_error_t *error)
{
    if (session->failed && error != NULL) {
        *error = session->why;
    }
    return session->failed ? session->why.code : DX_OK;
}

/* ------------------------------------------------------------------------------------ handshake */

/* A certificate whose names find no memory has none, which lets nobody in. */
static void subject_read(dxi_tls_session_t *session)
{
    X509 *const certificate = SSL_get0_peer_certificate(session->ssl);
    BIO *const text = certificate != NULL ? BIO_new(BIO_s_mem()) : NULL;
    if (text == NULL) {
        return;
    }
    (void)X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    const int bytes = BIO_read(text, session->subject, SUBJECT_BYTES - 1);
    session->subject[bytes > 0 ? bytes : 0] = '\0';
    (void)BIO_free(text);
    const bool verified = (SSL_get_verify_mode(session->ssl) & SSL_VERIFY_PEER) != 0 &&
                          SSL_get_verify_result(session->ssl) == X509_V_OK;
    session->names = verified ? dxi_alloc_zeroed(1, DXI_TLS_NAMES_BYTES) : NULL;
    if (session->names != NULL) {
        dxi_tls_names_read(certificate, session->names, DXI_TLS_NAMES_BYTES);
    }
}

int dxi_tls_session_handshake(dxi_tls_session_t *session, bool *write_out, dx_error_t *error)
{
    *write_out = false;
    if (session->failed) {
        return dxi_tls_session_why(session, error);
    }
    ERR_clear_error();
    const int rc = SSL_do_handshake(session->ssl);
    if (rc == 1) {
        subject_read(session);
        return DX_OK;
    }
    const int reason = SSL_get_error(session->ssl, rc);
    if (reason == SSL_ERROR_WANT_READ && !session->at_end) {
        return DX_EAGAIN;
    }
    if (reason == SSL_ERROR_WANT_WRITE) {
        *write_out = true;
        return DX_EAGAIN;
    }
    if (session->at_end && ERR_peek_error() == 0) {
        session->failed = true;
        (void)dxi_fail(&session->why, DX_EIO, "the peer has closed during the handshake");
    } else {
        (void)failed(session, reason);
    }
    return dxi_tls_session_why(session, error);
}

/* ---------------------------------------------------------------------------------------- bytes */

int64_t dxi_tls_session_read(dxi_tls_session_t *session, void *to, size_t room)
{
    size_t total = 0;
    int64_t end = -EAGAIN;
    if (session->failed) {
        return -EPROTO;
    }
    session->more = true;
    while (total < room) {
        size_t got = 0;
        ERR_clear_error();
        const int rc = SSL_read_ex(session->ssl, (char *)to + total, room - total, &got);
        if (rc == 1) {
            total += got;
            continue;
        }
        const int reason = SSL_get_error(session->ssl, rc);
        if (reason == SSL_ERROR_ZERO_RETURN) {
            end = 0;
        } else if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
            session->more = false;
        } else {
            end = failed(session, reason);
        }
        break;
    }
    return total != 0 ? (int64_t)total : end;
}

bool dxi_tls_session_has_more(const dxi_tls_session_t *session)
{
    return session->more;
}

bool dxi_tls_session_is_stuck(const dxi_tls_session_t *session)
{
    return session->left_begin < session->left_end;
}

int64_t dxi_tls_session_flush(dxi_tls_session_t *session)
{
    const int64_t code = session->failed ? -EPROTO : left_send(session);
    return code < 0 && !session->failed ? failed(session, SSL_ERROR_SYSCALL) : code;
}

/* Makes records of what there is, as many as one send takes. Returns how many bytes are in them, or
 * a negative errno. */
static int64_t gather(dxi_tls_session_t *session, const char *from, size_t bytes)
{
    size_t total = 0;
    int reason = SSL_ERROR_NONE;
    session->gathering = true;
    session->gathered = 0;
    while (total < bytes && session->gathered + RECORD_ROOM <= GATHER_BYTES) {
        const size_t most = bytes - total < RECORD_BYTES ? bytes - total : RECORD_BYTES;
        size_t taken = 0;
        ERR_clear_error();
        const int rc = SSL_write_ex(session->ssl, from + total, most, &taken);
        if (rc != 1) {
            reason = SSL_get_error(session->ssl, rc);
            break;
        }
        total += taken;
    }
    session->gathering = false;
    const bool later = reason == SSL_ERROR_WANT_WRITE || reason == SSL_ERROR_WANT_READ;
    return reason == SSL_ERROR_NONE || later || total != 0 ? (int64_t)total
                                                           : failed(session, reason);
}

/* Keeps what the socket did not take. */
static int64_t left_keep(dxi_tls_session_t *session, size_t sent)
{
    if (session->left == NULL) {
        session->left = dxi_alloc_zeroed(1, GATHER_BYTES);
    }
    if (session->left == NULL) { /* V1: without them the rest can't be read */
        session->failed = true;
        (void)dxi_fail(&session->why, DX_ENOMEM, "no memory for what waits to be sent over TLS");
        return -EPROTO;
    }
    memcpy(session->left, gather_at + sent, session->gathered - sent);
    session->left_begin = 0;
    session->left_end = session->gathered - sent;
    return 0;
}

int64_t dxi_tls_session_write(dxi_tls_session_t *session, const void *from, size_t bytes)
{
    int64_t code = dxi_tls_session_flush(session);
    if (code < 0 || dxi_tls_session_is_stuck(session)) {
        return code;
    }
    const int64_t total = gather(session, from, bytes);
    if (total < 0 || session->gathered == 0) {
        return total;
    }
    const int64_t sent = socket_send(session, gather_at, session->gathered);
    if (sent < 0) {
        return failed(session, SSL_ERROR_SYSCALL);
    }
    if ((size_t)sent < session->gathered) {
        code = left_keep(session, (size_t)sent);
    }
    return code < 0 ? code : total;
}

void dxi_tls_session_shutdown(dxi_tls_session_t *session)
{
    if (!session->failed) {
        ERR_clear_error();
        (void)SSL_shutdown(session->ssl);
    }
}

const char *dxi_tls_session_subject(const dxi_tls_session_t *session)
{
    return session->subject;
}

const char *dxi_tls_session_names(const dxi_tls_session_t *session)
{
    return session->names != NULL ? session->names : "";
}
