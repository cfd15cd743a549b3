/* tls_names.c - the names that a certificate has, as texts that a users file can hold.
 *
 *     CN=pump-7,O=Works          its subject, as RFC 2253 writes it
 *     DNS:pump-7.works.example   its alternative names
 *     URI:spiffe://works/pump-7
 *     EMAIL:pump-7@works.example
 *     IP:192.0.2.7               IPv6 as inet_ntop() writes it
 *
 * A name decides who somebody is, so one that can't be written as it is, is no name: one with a
 * NUL or another control character in it, one that is too long, and of other kinds. The prefixes
 * and the '=' of a subject tell the kinds apart: no name of one kind is a name of another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "net/tls_internal.h"

/* A list of texts, each with its NUL, and an empty one behind the last. */
typedef struct names {
    char *texts;
    size_t used, room;
} names_t;

static void name_add(names_t *names, const char *prefix, const void *text, size_t bytes)
{
    const size_t prefix_bytes = strlen(prefix);
    const unsigned char *const from = text;
    if (bytes == 0 || prefix_bytes + bytes > DXI_TLS_NAME_BYTES_MAX ||
        names->used + prefix_bytes + bytes + 2 > names->room) {
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (from[i] < 0x20 || from[i] == 0x7f) {
            return;
        }
    }
    memcpy(names->texts + names->used, prefix, prefix_bytes);
    memcpy(names->texts + names->used + prefix_bytes, text, bytes);
    names->used += prefix_bytes + bytes + 1;
}

static void subject_add(names_t *names, const X509 *certificate)
{
    char subject[DXI_TLS_NAME_BYTES_MAX + 2];
    BIO *const text = BIO_new(BIO_s_mem());
    if (text == NULL) {
        return;
    }
    (void)X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    const int bytes = BIO_read(text, subject, sizeof subject);
    if (bytes > 0) {
        name_add(names, "", subject, (size_t)bytes); /* one that was cut is too long */
    }
    (void)BIO_free(text);
}

static void text_add(names_t *names, const char *prefix, const ASN1_STRING *text)
{
    name_add(names, prefix, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

static void address_add(names_t *names, const ASN1_OCTET_STRING *bytes)
{
    char text[INET6_ADDRSTRLEN];
    const int length = ASN1_STRING_length(bytes);
    const int family = length == 4 ? AF_INET : AF_INET6;
    if ((length == 4 || length == 16) &&
        inet_ntop(family, ASN1_STRING_get0_data(bytes), text, sizeof text) != NULL) {
        name_add(names, "IP:", text, strlen(text));
    }
}

void dxi_tls_names_read(const X509 *certificate, char *texts_out, size_t room)
{
    names_t names = {.texts = texts_out, .room = room};
    memset(texts_out, 0, room);
    subject_add(&names, certificate);
    GENERAL_NAMES *const all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; all != NULL && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *const one = sk_GENERAL_NAME_value(all, i);
        if (one->type == GEN_DNS) {
            text_add(&names, "DNS:", one->d.dNSName);
        } else if (one->type == GEN_URI) {
            text_add(&names, "URI:", one->d.uniformResourceIdentifier);
        } else if (one->type == GEN_EMAIL) {
            text_add(&names, "EMAIL:", one->d.rfc822Name);
        } else if (one->type == GEN_IPADD) {
            address_add(&names, one->d.iPAddress);
        }
    }
    GENERAL_NAMES_free(all);
}
