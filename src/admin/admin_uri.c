/* admin_uri.c - a request's path and query: taken apart, decoded, checked.
 *
 * libmicrohttpd gives paths decoded, in which "%2F" can't be told from "/"; so the server keeps the
 * URI as it came and reads it here. What is decoded must be UTF-8 without control characters: names
 * of topics are.
 *
 *     /api/v1/topics/a%2Fb?limit=5&sort=name
 *      |   |  |      |     |       '- query[1]
 *      |   |  |      |     '- query[0]
 *      parts[0..3], the last one "a/b"
 *
 * INVARIANTS
 *
 *   U1  whatever the text, nothing is read or written beyond it
 *   U2  each part and each parameter ends in NUL and has none inside
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "admin/admin_internal.h"
#include "base/fail.h"
#include "base/log_line.h"

#define PARTS_MAX (sizeof((dxi_admin_uri_t *)0)->parts / sizeof(char *))

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Decodes a text in place. `plus`: '+' is a blank. */
static int decode(char *text, bool plus, dx_error_t *error)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = (char)(plus && *from == '+' ? ' ' : *from);
            continue;
        }
        const int high = hex_value(from[1]);
        const int low = high < 0 ? -1 : hex_value(from[2]);
        if (low < 0) {
            return dxi_fail(error, DX_EINVAL,
                            "the path has a %% at \"%.8s\", must be followed by two hexadecimal "
                            "digits",
                            from);
        }
        *to++ = (char)(high * 16 + low);
        from += 2;
        if (to[-1] == '\0') {
            return dxi_fail(error, DX_EINVAL, "the path has a byte 0 (%%00), must have none");
        }
    }
    *to = '\0';
    for (const char *at = text; at < to;) {
        const size_t length = dxi_utf8_length(at, (size_t)(to - at));
        if (length == 0 || (unsigned char)*at < 0x20 || *at == 0x7f) {
            return dxi_fail(error, DX_EINVAL,
                            "the path has a byte 0x%02x, must be UTF-8 without control characters",
                            (unsigned)(unsigned char)*at);
        }
        at += length;
    }
    return DX_OK;
}

static int path_split(dxi_admin_uri_t *uri, char *path, dx_error_t *error)
{
    char *at = path + 1;
    for (;;) {
        char *const slash = strchr(at, '/');
        if (uri->part_count == PARTS_MAX) {
            return dxi_fail(error, DX_ELIMIT, "the path has more than %d parts, which is the most",
                            (int)PARTS_MAX);
        }
        if (slash != NULL) {
            *slash = '\0';
        }
        const int code = decode(at, false, error);
        if (code != DX_OK) {
            return code;
        }
        uri->parts[uri->part_count++] = at;
        if (slash == NULL) {
            return DX_OK;
        }
        at = slash + 1;
    }
}

static int pair_add(dxi_admin_uri_t *uri, char *pair, dx_error_t *error)
{
    if (uri->query_count == DXI_ADMIN_QUERY_MAX) {
        return dxi_fail(error, DX_ELIMIT, "there are more than %d parameters, which is the most",
                        DXI_ADMIN_QUERY_MAX);
    }
    char *const equals = strchr(pair, '=');
    char *const value = equals != NULL ? equals + 1 : pair + strlen(pair);
    if (equals != NULL) {
        *equals = '\0';
    }
    int code = decode(pair, true, error);
    if (code == DX_OK) {
        code = decode(value, true, error);
    }
    for (size_t i = 0; code == DX_OK && i < uri->query_count; i++) {
        if (strcmp(uri->query[i].name, pair) == 0) {
            code = dxi_fail(error, DX_EINVAL,
                            "the parameter %.60s is there twice, must be there once", pair);
        }
    }
    uri->query[uri->query_count].name = pair;
    uri->query[uri->query_count].value = value;
    uri->query_count += code == DX_OK;
    return code;
}

static int query_split(dxi_admin_uri_t *uri, char *query, dx_error_t *error)
{
    while (query != NULL) {
        char *const next = strchr(query, '&');
        if (next != NULL) {
            *next = '\0';
        }
        const int code = query[0] != '\0' ? pair_add(uri, query, error) : DX_OK;
        if (code != DX_OK) {
            return code;
        }
        query = next != NULL ? next + 1 : NULL;
    }
    return DX_OK;
}

int dxi_admin_uri_parse(const char *text, dxi_admin_uri_t *uri_out, dx_error_t *error)
{
    const size_t bytes = strlen(text);
    uri_out->part_count = 0;
    uri_out->query_count = 0;
    uri_out->text[0] = '\0';
    uri_out->path[0] = '\0';
    if (bytes > DXI_ADMIN_URI_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "the path has %zu bytes, must have at most %d", bytes,
                        DXI_ADMIN_URI_BYTES_MAX);
    }
    memcpy(uri_out->text, text, bytes + 1);
    char *const query = strchr(uri_out->text, '?');
    if (query != NULL) {
        *query = '\0';
    }
    memcpy(uri_out->path, uri_out->text, strlen(uri_out->text) + 1);
    if (uri_out->text[0] != '/') {
        return dxi_fail(error, DX_EINVAL, "the path is \"%.40s\", must begin with /",
                        uri_out->text);
    }
    const int code = path_split(uri_out, uri_out->text, error);
    return code == DX_OK ? query_split(uri_out, query != NULL ? query + 1 : NULL, error) : code;
}
