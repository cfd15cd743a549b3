/* net_certificates.h - keys and certificates that a test makes for itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_CERTIFICATES_H
#define NET_CERTIFICATES_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base_test.h"

typedef struct identity {
    EVP_PKEY *key;
    X509 *certificate;
} identity_t;

static inline void extension_add(X509 *certificate, X509 *issuer, int number, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *const extension = X509V3_EXT_conf_nid(NULL, &context, number, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A certificate of `name`, signed by `issuer`, or by itself (an authority) when that is NULL.
 * `names` as in "DNS:localhost,IP:127.0.0.1", or NULL. Valid from an hour ago, for `seconds` from
 * now. */
static inline identity_t identity_make(const char *name, const char *names,
                                       const identity_t *issuer, long seconds)
{
    static long serial = 1;
    identity_t made = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
    X509 *const certificate = made.certificate;
    assert_non_null(made.key);
    assert_int_equal(X509_set_version(certificate, 2), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), seconds);
    X509_set_pubkey(certificate, made.key);
    X509_NAME *const subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509 *const signer = issuer != NULL ? issuer->certificate : certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(signer));
    extension_add(certificate, signer, NID_basic_constraints,
                  issuer == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (names != NULL) {
        extension_add(certificate, signer, NID_subject_alt_name, names);
    }
    assert_true(X509_sign(certificate, issuer != NULL ? issuer->key : made.key, EVP_sha256()) > 0);
    return made;
}

static inline void identity_free(identity_t *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
}

static inline void certificate_write(const identity_t *identity, const char *path)
{
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, identity->certificate), 1);
    assert_int_equal(fclose(file), 0);
}

static inline void key_write(const identity_t *identity, const char *path)
{
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
}

#endif
