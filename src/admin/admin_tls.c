/* admin_tls.c - files of certificates, and who a client's certificate says it is.
 *
 * libmicrohttpd takes texts in PEM and asks clients for a certificate where there is an authority,
 * but does not look at what they show: that is done here, at each request. A file is checked before
 * it is used: that it is PEM, and that the key is the certificate's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <assert.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

#include "admin/admin_internal.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/secret.h"

#define TEXT_BYTES (1048576 + 1) /* of a file, with a NUL behind it */
#define ALTERNATIVES_MAX 64

/* --------------------------------------------------------------------------------------- files */

static void text_wipe(char **text)
{
    dxi_secret_free(*text, TEXT_BYTES);
    *text = NULL;
}

void dxi_admin_tls_free(dxi_admin_tls_t *tls)
{
    text_wipe(&tls->certificate);
    text_wipe(&tls->key);
    text_wipe(&tls->authority);
}

static int file_read(const char *what, const char *path, char **text_out, dx_error_t *error)
{
    char *const text = dxi_secret_alloc(TEXT_BYTES);
    if (text == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for admin.%s", what);
    }
    /* One byte more than may be, which stays the NUL behind the text when it is not there. */
    const int64_t bytes = dxi_file_read(path, text, TEXT_BYTES, error);
    if (bytes < 0 || bytes == TEXT_BYTES) {
        dxi_secret_free(text, TEXT_BYTES);
        if (bytes < 0) {
            (void)dxi_fail_context(error, "admin.%s", what);
            return (int)bytes;
        }
        return dxi_fail(error, DX_EINVAL, "admin.%s '%s' must be a file of at most %d bytes", what,
                        path, TEXT_BYTES - 1);
    }
    *text_out = text;
    return DX_OK;
}

static gnutls_datum_t datum_of(const char *text)
{
    assert(text != NULL);
    return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)text,
                            .size = (unsigned)strlen(text)};
}

/* Whether the texts fit together. */
static int texts_check(const dxi_admin_options_t *options, const dxi_admin_tls_t *tls,
                       dx_error_t *error)
{
    gnutls_certificate_credentials_t credentials = NULL;
    if (gnutls_certificate_allocate_credentials(&credentials) != GNUTLS_E_SUCCESS) {
        return dxi_fail(error, DX_ENOMEM, "no memory for certificates");
    }
    const gnutls_datum_t certificate = datum_of(tls->certificate);
    const gnutls_datum_t key = datum_of(tls->key);
    int code = DX_OK;
    int rc =
        gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
    if (rc < 0) {
        code = dxi_fail(error, DX_EINVAL,
                        "the key '%.80s' is no key of the certificate '%.80s', or one of them is "
                        "no PEM: %s",
                        options->key_file, options->certificate_file, gnutls_strerror(rc));
    } else if (tls->authority != NULL) {
        const gnutls_datum_t authority = datum_of(tls->authority);
        rc = gnutls_certificate_set_x509_trust_mem(credentials, &authority, GNUTLS_X509_FMT_PEM);
        if (rc <= 0) {
            code = dxi_fail(error, DX_EINVAL, "the authority '%.150s' has no certificate in PEM",
                            options->authority_file);
        }
    }
    gnutls_certificate_free_credentials(credentials);
    return code;
}

int dxi_admin_tls_load(const dxi_admin_options_t *options, dxi_admin_tls_t *tls_out,
                       dx_error_t *error)
{
    *tls_out = (dxi_admin_tls_t){.certificate = NULL};
    if (options->certificate_file == NULL || options->key_file == NULL) {
        return dxi_fail(error, DX_EINVAL,
                        "the admin address is https://, and there is no certificate_file or no "
                        "key_file");
    }
    int code =
        file_read("certificate_file", options->certificate_file, &tls_out->certificate, error);
    if (code == DX_OK) {
        code = file_read("key_file", options->key_file, &tls_out->key, error);
    }
    if (code == DX_OK && options->authority_file != NULL) {
        code = file_read("authority_file", options->authority_file, &tls_out->authority, error);
    }
    if (code == DX_OK) {
        code = texts_check(options, tls_out, error);
    }
    if (code != DX_OK) {
        dxi_admin_tls_free(tls_out);
    }
    return code;
}

/* --------------------------------------------------------------------------------------- names */

/* A list of texts with their NULs, an empty one last. */
typedef struct names {
    char *text;
    size_t room, used;
} names_t;

/* Keeps the text when it fits, with two bytes left. One with a NUL inside is nobody's name. */
static void name_add(names_t *names, const char *kind, const char *text, size_t bytes)
{
    const size_t kind_bytes = strlen(kind);
    if (bytes == 0 || memchr(text, '\0', bytes) != NULL ||
        names->used + kind_bytes + bytes + 2 > names->room) {
        return;
    }
    memcpy(names->text + names->used, kind, kind_bytes);
    memcpy(names->text + names->used + kind_bytes, text, bytes);
    names->used += kind_bytes + bytes;
    names->text[names->used++] = '\0';
}

static void alternative_add(names_t *names, int type, const char *value, size_t bytes)
{
    char text[INET6_ADDRSTRLEN];
    switch (type) {
    case GNUTLS_SAN_DNSNAME:
        name_add(names, "DNS:", value, bytes);
        break;
    case GNUTLS_SAN_URI:
        name_add(names, "URI:", value, bytes);
        break;
    case GNUTLS_SAN_RFC822NAME:
        name_add(names, "EMAIL:", value, bytes);
        break;
    case GNUTLS_SAN_IPADDRESS:
        if ((bytes == 4 || bytes == 16) &&
            inet_ntop(bytes == 4 ? AF_INET : AF_INET6, value, text, sizeof text) != NULL) {
            name_add(names, "IP:", text, strlen(text));
        }
        break;
    default:
        break;
    }
}

static void names_write(gnutls_x509_crt_t certificate, names_t *names)
{
    gnutls_datum_t subject = {.data = NULL};
    if (gnutls_x509_crt_get_dn3(certificate, &subject, 0) == GNUTLS_E_SUCCESS) {
        name_add(names, "", (const char *)subject.data, subject.size);
        gnutls_free(subject.data);
    }
    for (unsigned i = 0; i < ALTERNATIVES_MAX; i++) {
        char value[256];
        size_t bytes = sizeof value;
        const int type = gnutls_x509_crt_get_subject_alt_name(certificate, i, value, &bytes, NULL);
        if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            break;
        }
        if (type >= 0) {
            alternative_add(names, type, value, bytes);
        }
    }
    names->text[names->used] = '\0';
}

int dxi_admin_tls_names(void *session, char *names_out, size_t names_bytes, dx_error_t *error)
{
    unsigned count = 0, status = 0;
    names_out[0] = '\0';
    const gnutls_datum_t *const chain = gnutls_certificate_get_peers(session, &count);
    if (chain == NULL || count == 0) {
        return dxi_fail(error, DX_ENOTFOUND, "no certificate was shown");
    }
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) != GNUTLS_E_SUCCESS ||
        status != 0) {
        return dxi_fail(error, DX_EPERM,
                        "the certificate is not one of the authority, or not of "
                        "now");
    }
    gnutls_x509_crt_t certificate = NULL;
    if (gnutls_x509_crt_init(&certificate) != GNUTLS_E_SUCCESS) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a certificate");
    }
    int code = DX_OK;
    names_t names = {.text = names_out, .room = names_bytes};
    if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS) {
        names_write(certificate, &names);
    }
    if (names.used == 0) {
        code = dxi_fail(error, DX_EPERM, "the certificate has no name");
    }
    gnutls_x509_crt_deinit(certificate);
    return code;
}
