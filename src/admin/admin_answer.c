/* admin_answer.c - answers: their headers, and errors as {"code", "message", "rule"}.
 *
 * Every answer carries the headers that keep a browser from doing more with it than was meant: no
 * type is guessed, nothing is framed, kept or sent on, and without a policy of its own nothing in
 * it is run. There is no header of CORS anywhere, so pages of other origins can't read answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_internal.h"
#include "base/fail.h"
#include "base/log_line.h"

#define RULE_BYTES 160

static const char NO_MEMORY[] =
    "{\"code\":\"DX_ENOMEM\",\"message\":\"no memory for the answer\",\"rule\":\"ask again\"}\n";

/* ------------------------------------------------------------------------------------- headers */

static void headers_add(struct MHD_Response *response, const char *type, const char *policy)
{
    const char *const headers[][2] = {
        {"Content-Type", type},
        {"Content-Security-Policy",
         policy != NULL ? policy : "default-src 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cache-Control", policy != NULL ? "no-cache" : "no-store"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (headers[i][1] != NULL) {
            (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
        }
    }
}

void dxi_admin_queue(dxi_admin_request_t *request, int status, struct MHD_Response *response,
                     const char *type, const char *policy)
{
    dxi_admin_t *const admin = request->admin;
    request->answered = true;
    if (response == NULL) { /* no memory: libmicrohttpd closes the connection */
        request->queue_failed = true;
        return;
    }
    headers_add(response, type, policy);
    request->queue_failed =
        MHD_queue_response(request->connection, (unsigned)status, response) != MHD_YES;
    MHD_destroy_response(response);
    (void)dx_fetch_add_relaxed(&admin->requests, 1);
    (void)dx_fetch_add_relaxed(&admin->status[status / 100], 1);
}

void dxi_admin_answer(dxi_admin_request_t *request, int status, const char *type, char *text,
                      size_t bytes)
{
    if (text == NULL) {
        dxi_admin_queue(request, MHD_HTTP_INTERNAL_SERVER_ERROR,
                        MHD_create_response_from_buffer(sizeof NO_MEMORY - 1,
                                                        (void *)(uintptr_t)NO_MEMORY,
                                                        MHD_RESPMEM_PERSISTENT),
                        "application/json", NULL);
        return;
    }
    struct MHD_Response *const response =
        MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
    }
    (void)dx_fetch_add_relaxed(&request->admin->bytes_out, (int64_t)bytes);
    dxi_admin_queue(request, status, response, type, NULL);
}

void dxi_admin_answer_page(dxi_admin_request_t *request, const char *type, const void *text,
                           size_t bytes, const char *policy, const char *tag)
{
    const char *const known = dxi_admin_header(request, "If-None-Match");
    const bool same = tag != NULL && known != NULL && strcmp(known, tag) == 0;
    struct MHD_Response *const response = MHD_create_response_from_buffer(
        same ? 0 : bytes, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    if (response != NULL && tag != NULL) {
        (void)MHD_add_response_header(response, "ETag", tag);
    }
    (void)dx_fetch_add_relaxed(&request->admin->bytes_out, same ? 0 : (int64_t)bytes);
    dxi_admin_queue(request, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response, type, policy);
}

void dxi_admin_answer_nothing(dxi_admin_request_t *request)
{
    dxi_admin_queue(
        request, MHD_HTTP_NO_CONTENT,
        MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT), NULL,
        NULL);
}

/* -------------------------------------------------------------------------------------- errors */

/* Writes a text as a JSON string. What is no UTF-8 becomes "?". Returns the end. */
static char *json_text(char *at, const char *text)
{
    const size_t bytes = strlen(text);
    *at++ = '"';
    for (size_t i = 0; i < bytes;) {
        const unsigned char c = (unsigned char)text[i];
        const size_t length = dxi_utf8_length(text + i, bytes - i);
        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            at += sprintf(at, "\\u%04x", c);
        } else if (length == 0) {
            *at++ = '?';
        } else {
            memcpy(at, text + i, length);
            at += length;
        }
        i += length != 0 ? length : 1;
    }
    *at++ = '"';
    *at = '\0';
    return at;
}

void dxi_admin_refuse(dxi_admin_request_t *request, int status, dxi_admin_refusal_t refusal,
                      int code, const char *message, const char *rule, const char *header,
                      const char *value)
{
    /* Six bytes for each that is escaped, the keys, the quotation marks. */
    const size_t room = 6 * (strlen(message) + strlen(rule)) + 128;
    char *const text = malloc(room);
    (void)dxi_fail(&request->refused, code, "%s", message);
    if (refusal < DXI_ADMIN_REFUSALS) {
        dxi_admin_count(request->admin, refusal);
    }
    if (text == NULL) {
        dxi_admin_answer(request, status, NULL, NULL, 0);
        return;
    }
    char *at = text + sprintf(text, "{\"code\":\"%s\",\"message\":", dx_error_name(code));
    at = json_text(at, message);
    at += sprintf(at, ",\"rule\":");
    at = json_text(at, rule);
    at += sprintf(at, "}\n");
    struct MHD_Response *const response =
        MHD_create_response_from_buffer((size_t)(at - text), text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
    } else if (header != NULL) {
        (void)MHD_add_response_header(response, header, value);
    }
    (void)dx_fetch_add_relaxed(&request->admin->bytes_out, (int64_t)(at - text));
    dxi_admin_queue(request, status, response, "application/json", NULL);
}

static int status_of(int code)
{
    switch (code) {
    case DX_EINVAL:
    case DX_EPARSE:
    case DX_ELIMIT:
        return MHD_HTTP_BAD_REQUEST;
    case DX_EPERM:
        return MHD_HTTP_FORBIDDEN;
    case DX_ENOTFOUND:
        return MHD_HTTP_NOT_FOUND;
    case DX_EEXIST:
    case DX_EBUSY:
        return MHD_HTTP_CONFLICT;
    case DX_ESTATE:
    case DX_ECLOSED:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    case DX_ETIMEDOUT:
        return MHD_HTTP_GATEWAY_TIMEOUT;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

/* The part of a sentence that says what would be right: behind ", must", "; " or a question. */
static void rule_of(int code, const char *sentence, char rule_out[RULE_BYTES])
{
    static const char *const SIGNS[] = {", must ", "must be ", "; ", ": "};
    const char *rule = NULL;
    for (size_t i = 0; rule == NULL && i < sizeof SIGNS / sizeof SIGNS[0]; i++) {
        const char *const at = strstr(sentence, SIGNS[i]);
        rule = at == NULL ? NULL : at + (SIGNS[i][0] == 'm' ? 0 : 2);
    }
    (void)snprintf(rule_out, RULE_BYTES, "%s", rule != NULL ? rule : dx_error_text(code));
}

void dxi_admin_refuse_error(dxi_admin_request_t *request, int code, const dx_error_t *error)
{
    const char *const sentence = error->message[0] != '\0' ? error->message : dx_error_text(code);
    const int status = status_of(code);
    char rule[RULE_BYTES];
    rule_of(code, sentence, rule);
    dxi_admin_refuse(request, status,
                     status == MHD_HTTP_BAD_REQUEST ? DXI_ADMIN_REFUSED_PARAMETER
                                                    : DXI_ADMIN_REFUSALS,
                     code, sentence, rule, NULL, NULL);
}
