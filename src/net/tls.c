/* tls.c - certificates and what is believed: a context of OpenSSL that can be exchanged.
 *
 * DESIGN
 *
 *     dxi_tls_t --- mutex ---> SSL_CTX (counted) <--- each connection that began with it
 *
 * dxi_tls_prepare() makes a whole new context out of the files, and only when that has succeeded
 * dxi_tls_commit() puts it in the place of the old one, which lives as long as its last connection.
 * So a certificate is renewed without a restart, and a half-written file changes nothing.
 *
 * A certificate that is out of its time, a key that is not its own, a file that can't be read: each
 * is found when the context is made, with the file in the sentence.
 *
 * TLS 1.3 only. No tickets: a connection lasts, so resuming one is no gain worth its state.
 *
 * INVARIANTS
 *
 *   T1  a context that connections use is never changed
 *   T2  without `insecure` a client never speaks to a peer whose name is not in its certificate
 *   T3  a key is never used with a certificate that it does not belong to
 *   T4  a key is in memory that no core has: its file's text while it is read (base/secret.h), and
 *       the numbers of it in OpenSSL's secure heap, where that could be had
 *
 * THREADS. The mutex guards the pointer, and is held for no longer than a count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tls.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/options.h"
#include "base/secret.h"
#include "net/tls_internal.h"

#define READ_AHEAD_BYTES 65536  /* of one read from the socket: four records */
#define KEY_BYTES_MAX 65536     /* of a key's file */
#define SECURE_HEAP_BYTES 65536 /* for the numbers of keys; a power of two */

struct dxi_tls {
    pthread_mutex_t mutex;
    SSL_CTX *context; /* guarded by `mutex` */
    SSL_CTX *next;    /* prepared, or NULL; of who reloads */
    dxi_tls_options_t options;
    char *texts; /* of `options` */
};

int dxi_tls_fail(dx_error_t *error, int code, const char *what)
{
    char reason[160] = "no reason given";
    const unsigned long number = ERR_peek_last_error();
    if (number != 0) {
        const char *const text = ERR_reason_error_string(number);
        if (text != NULL) {
            (void)snprintf(reason, sizeof reason, "%s", text);
        } else {
            ERR_error_string_n(number, reason, sizeof reason);
        }
    }
    ERR_clear_error();
    return dxi_fail(error, code, "%s: %s", what, reason);
}

/* A file that can't be read is told as such, before OpenSSL says something less clear, or waits for
 * the other end of a pipe. */
static int file_check(const char *name, const char *path, dx_error_t *error)
{
    const int fd = path != NULL ? dxi_file_open(path, NULL, error) : -1;
    if (path == NULL || fd >= 0) {
        (void)(fd >= 0 && close(fd));
        return DX_OK;
    }
    (void)dxi_fail_context(error, "%s", name);
    return fd;
}

/* A key that is encrypted can't be used: nobody is there to be asked. */
static int no_passphrase(char *to, int room, int writes, void *context)
{
    (void)to;
    (void)room;
    (void)writes;
    (void)context;
    return -1;
}

/* Once in a process, before the first key is read. A program may have its own by then, or may not
 * lock memory: both are as good as can be had (T4). */
static void secure_heap_make(void)
{
    (void)CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, 32);
}

static int files_check(const dxi_tls_options_t *options, dx_error_t *error)
{
    int code = file_check("certificate_file", options->certificate_file, error);
    code = code != DX_OK ? code : file_check("key_file", options->key_file, error);
    return code != DX_OK ? code : file_check("authority_file", options->authority_file, error);
}

static int options_check(const dxi_tls_options_t *options, dx_error_t *error)
{
    if ((options->certificate_file == NULL) != (options->key_file == NULL)) {
        return dxi_fail(error, DX_EINVAL,
                        "certificate_file and key_file go together, only %s is "
                        "there",
                        options->key_file != NULL ? "key_file" : "certificate_file");
    }
    if (options->server && options->certificate_file == NULL) {
        return dxi_fail(error, DX_EINVAL, "certificate_file is NULL, a server must have one");
    }
    if (options->server && options->verify_peer && options->authority_file == NULL) {
        return dxi_fail(error, DX_EINVAL,
                        "verify_peer wants an authority_file that says who is "
                        "trusted");
    }
    if (options->server && (options->insecure || options->server_name != NULL)) {
        return dxi_fail(error, DX_EINVAL, "insecure and server_name are for clients");
    }
    return DX_OK;
}

/* A certificate that nobody would believe now is found here, and not by every client. */
static int times_check(const X509 *certificate, const char *path, dx_error_t *error)
{
    const ASN1_TIME *const from = X509_get0_notBefore(certificate);
    const ASN1_TIME *const until = X509_get0_notAfter(certificate);
    const bool early = X509_cmp_current_time(from) > 0;
    if (!early && X509_cmp_current_time(until) > 0) {
        return DX_OK;
    }
    char date[64] = "(no date)";
    struct tm tm;
    if (ASN1_TIME_to_tm(early ? from : until, &tm) == 1) {
        (void)strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &tm);
    }
    return dxi_fail(error, DX_EINVAL, "certificate_file '%.140s' %s %s, and that is not now", path,
                    early ? "is good from" : "was good until", date);
}

/* Reads the key by way of memory that no core has, and that is wiped: the stream of OpenSSL would
 * leave the file's text behind (T4). */
static EVP_PKEY *key_read(const char *path)
{
    char *const text = dxi_secret_alloc(KEY_BYTES_MAX);
    const int64_t bytes = text != NULL ? dxi_file_read(path, text, KEY_BYTES_MAX, NULL) : -1;
    BIO *const bio = bytes >= 0 && bytes < KEY_BYTES_MAX ? BIO_new_mem_buf(text, (int)bytes) : NULL;
    EVP_PKEY *key = NULL;
    if (bio != NULL) {
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
        (void)BIO_free(bio);
    }
    dxi_secret_free(text, KEY_BYTES_MAX);
    return key;
}

/* OpenSSL's decoders free copies of a key without wiping them. Whoever frees small pieces gets the
 * same ones again: so these are taken once more, wiped, and given back. */
static void freed_memory_wipe(void)
{
    enum { STEP = 16, MOST = 4096, EACH = 24 };
    for (size_t bytes = STEP; bytes <= MOST; bytes += STEP) {
        void *pieces[EACH];
        for (int i = 0; i < EACH; i++) {
            pieces[i] = malloc(bytes);
            if (pieces[i] != NULL) {
                explicit_bzero(pieces[i], bytes);
            }
        }
        for (int i = 0; i < EACH; i++) {
            free(pieces[i]);
        }
    }
}

static int own_key(SSL_CTX *context, const dxi_tls_options_t *options)
{
    EVP_PKEY *const key = key_read(options->key_file);
    const bool good = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 &&
                      SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key); /* the context has its own count of it */
    freed_memory_wipe();
    return good ? DX_OK : DX_EINVAL;
}

static int own_certificate(SSL_CTX *context, const dxi_tls_options_t *options, dx_error_t *error)
{
    char what[512];
    if (options->certificate_file == NULL) {
        return DX_OK;
    }
    (void)snprintf(what, sizeof what, "certificate_file '%.200s' is no chain in PEM",
                   options->certificate_file);
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate_file) != 1) {
        return dxi_tls_fail(error, DX_EINVAL, what);
    }
    const int code =
        times_check(SSL_CTX_get0_certificate(context), options->certificate_file, error);
    if (code != DX_OK) {
        return code;
    }
    if (own_key(context, options) != DX_OK) {
        (void)snprintf(what, sizeof what,
                       "key_file '%.100s' is no key of certificate_file '%.100s'",
                       options->key_file, options->certificate_file);
        return dxi_tls_fail(error, DX_EINVAL, what);
    }
    return DX_OK;
}

/* Who is trusted, and whether a certificate is asked for. */
static int trust(SSL_CTX *context, const dxi_tls_options_t *options, dx_error_t *error)
{
    const bool named = options->authority_file != NULL;
    if (named && SSL_CTX_load_verify_locations(context, options->authority_file, NULL) != 1) {
        char what[256];
        (void)snprintf(what, sizeof what, "authority_file '%.180s' has no certificate in PEM",
                       options->authority_file);
        return dxi_tls_fail(error, DX_EINVAL, what);
    }
    if (options->server) {
        if (named) { /* sent to clients, so that they know which of theirs to show */
            SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options->authority_file));
        }
        const int must = options->verify_peer ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
        SSL_CTX_set_verify(context, named ? SSL_VERIFY_PEER | must : SSL_VERIFY_NONE, NULL);
        return DX_OK;
    }
    if (!named && SSL_CTX_set_default_verify_paths(context) != 1) {
        return dxi_tls_fail(error, DX_EINVAL, "cannot read the system's authorities");
    }
    SSL_CTX_set_verify(context, options->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return DX_OK;
}

static int context_make(const dxi_tls_options_t *options, SSL_CTX **context_out, dx_error_t *error)
{
    *context_out = NULL;
    int code = files_check(options, error);
    if (code != DX_OK) {
        return code;
    }
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, secure_heap_make);
    ERR_clear_error();
    SSL_CTX *const context =
        SSL_CTX_new(options->server ? TLS_server_method() : TLS_client_method());
    if (context == NULL) {
        return dxi_tls_fail(error, DX_ENOMEM, "cannot make a context for TLS");
    }
    (void)SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    (void)SSL_CTX_set_num_tickets(context, 0);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF); /* GOODBYE says the end */
    (void)SSL_CTX_set_mode(context,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_BYTES);
    code = own_certificate(context, options, error);
    code = code != DX_OK ? code : trust(context, options, error);
    if (code != DX_OK) {
        SSL_CTX_free(context);
        return code;
    }
    *context_out = context;
    return DX_OK;
}

static bool options_keep(dxi_tls_t *tls, const dxi_tls_options_t *options)
{
    tls->options = *options;
    tls->texts = dxi_alloc_zeroed(
        1, 1 + dxi_text_bytes(options->certificate_file) + dxi_text_bytes(options->key_file) +
               dxi_text_bytes(options->authority_file) + dxi_text_bytes(options->server_name));
    if (tls->texts == NULL) {
        return false;
    }
    char *at = tls->texts;
    tls->options.certificate_file = dxi_text_keep(&at, options->certificate_file);
    tls->options.key_file = dxi_text_keep(&at, options->key_file);
    tls->options.authority_file = dxi_text_keep(&at, options->authority_file);
    tls->options.server_name = dxi_text_keep(&at, options->server_name);
    return true;
}

int dxi_tls_create(const dxi_tls_options_t *options, dxi_tls_t **tls_out, dx_error_t *error)
{
    SSL_CTX *context = NULL;
    *tls_out = NULL;
    int code = options_check(options, error);
    if (code == DX_OK) {
        code = context_make(options, &context, error);
    }
    if (code != DX_OK) {
        return code;
    }
    dxi_tls_t *const tls = dxi_alloc_zeroed(1, sizeof *tls);
    if (tls == NULL || !options_keep(tls, options)) {
        dxi_free(tls);
        SSL_CTX_free(context);
        return dxi_fail(error, DX_ENOMEM, "no memory for a context of TLS");
    }
    (void)pthread_mutex_init(&tls->mutex, NULL);
    tls->context = context;
    *tls_out = tls;
    return DX_OK;
}

int dxi_tls_prepare(dxi_tls_t *tls, dx_error_t *error)
{
    dxi_tls_drop(tls);
    return context_make(&tls->options, &tls->next, error);
}

void dxi_tls_commit(dxi_tls_t *tls)
{
    if (tls->next == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&tls->mutex);
    SSL_CTX *const old = tls->context;
    tls->context = tls->next;
    (void)pthread_mutex_unlock(&tls->mutex);
    tls->next = NULL;
    SSL_CTX_free(old); /* T1: its connections keep it */
}

void dxi_tls_drop(dxi_tls_t *tls)
{
    SSL_CTX_free(tls->next);
    tls->next = NULL;
}

int dxi_tls_reload(dxi_tls_t *tls, dx_error_t *error)
{
    const int code = dxi_tls_prepare(tls, error);
    dxi_tls_commit(tls);
    return code;
}

void dxi_tls_destroy(dxi_tls_t *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->context);
        SSL_CTX_free(tls->next);
        (void)pthread_mutex_destroy(&tls->mutex);
        dxi_free(tls->texts);
        dxi_free(tls);
    }
}

SSL *dxi_tls_ssl(dxi_tls_t *tls)
{
    (void)pthread_mutex_lock(&tls->mutex);
    SSL *const ssl = dxi_fault("tls session") ? NULL : SSL_new(tls->context);
    (void)pthread_mutex_unlock(&tls->mutex);
    return ssl;
}

const dxi_tls_options_t *dxi_tls_options(const dxi_tls_t *tls)
{
    return &tls->options;
}
