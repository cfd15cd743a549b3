/* admin_request.c - a request, from its first line to its route.
 *
 * DESIGN. libmicrohttpd calls back three times:
 *
 *     on_uri()        the first line is there: the request is made, its URI read as it came
 *     on_request()    1. the head is there: everything that can be checked without the body is
 *                     2. parts of the body, which are kept up to a bound and then only counted
 *                     3. the body is there: the route answers
 *     on_completed()  the answer was sent, or the connection is gone
 *
 * The order of the checks in 1 is: HTTP and URI, path (404), method (405), too many connections
 * (503), who asks (401, 403), under which name (403), X-Requested-By of writes (403), the query
 * (400), the body's type and length (415, 413). So a stranger learns no more than which paths there
 * are, and those are published.
 *
 * A page of another origin can make a browser send requests here, and a name server can make a
 * browser believe that a page comes from here. Against the first: what changes something must have
 * a header that such a page can't send, and answers have no header of CORS. Against the second:
 * where nobody has to show a token, the name that the browser asked for must be one of this host.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/admin_internal.h"
#include "base/alloc.h"
#include "base/fail.h"

/* ------------------------------------------------------------------------------- making, ending */

void *dxi_admin_on_uri(void *admin, const char *uri, struct MHD_Connection *connection)
{
    dxi_admin_request_t *const request = dxi_alloc_zeroed(1, sizeof *request);
    if (request == NULL) {
        return NULL; /* on_request() closes the connection */
    }
    request->admin = admin;
    request->connection = connection;
    dxi_admin_phase_set(admin, connection, DXI_ADMIN_ASKING);
    (void)!dxi_admin_uri_parse(uri, &request->uri, &request->uri_error);
    return request;
}

void dxi_admin_on_completed(void *admin, struct MHD_Connection *connection, void **request,
                            enum MHD_RequestTerminationCode how)
{
    dxi_admin_request_t *const done = *request;
    (void)how;
    dxi_admin_phase_set(admin, connection, DXI_ADMIN_IDLE);
    if (done != NULL) {
        if (done->body != NULL) {
            explicit_bzero(done->body,
                           done->body_bytes); /* the value of an option may be a secret */
        }
        free(done->body);
        dxi_free(done);
        *request = NULL;
    }
}

/* ----------------------------------------------------------------------------------- who asks */

static void peer_write(dxi_admin_request_t *request)
{
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "?";
    uint16_t port = 0;
    if (info != NULL && info->client_addr->sa_family == AF_INET) {
        const struct sockaddr_in *const in4 =
            (const struct sockaddr_in *)(const void *)info->client_addr;
        (void)inet_ntop(AF_INET, &in4->sin_addr, text, sizeof text);
        port = ntohs(in4->sin_port);
    } else if (info != NULL && info->client_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *const in6 =
            (const struct sockaddr_in6 *)(const void *)info->client_addr;
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        port = ntohs(in6->sin6_port);
    }
    (void)snprintf(request->peer, sizeof request->peer,
                   strchr(text, ':') != NULL ? "[%s]:%u" : "%s:%u", text, (unsigned)port);
}

/* The token of "Authorization: Bearer TOKEN". */
static void token_find(dxi_admin_request_t *request)
{
    const char *const header = dxi_admin_header(request, "Authorization");
    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0) {
        return;
    }
    request->asker.token = header + 7 + strspn(header + 7, " ");
    request->asker.token_bytes = strlen(request->asker.token);
}

static void asker_fill(dxi_admin_request_t *request, const char *method)
{
    const dxi_admin_t *const admin = request->admin;
    peer_write(request);
    request->asker.peer = request->peer;
    request->asker.method = method;
    request->asker.path = request->uri.path;
    token_find(request);
    if (admin->place.tls && admin->options.authority_file != NULL) {
        const union MHD_ConnectionInfo *const info =
            MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        if (info != NULL && dxi_admin_tls_names(info->tls_session, request->names,
                                                sizeof request->names, NULL) == DX_OK) {
            request->asker.names = request->names;
        }
    }
}

/* Whether a Host header names this host. */
static bool host_is_local(const char *host)
{
    char name[256];
    if (host == NULL) {
        return true; /* HTTP/1.0: no browser */
    }
    const char *const end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    const size_t bytes = end != NULL ? (size_t)(end - host) + (host[0] == '[') : strlen(host);
    if (bytes >= sizeof name) {
        return false;
    }
    memcpy(name, host, bytes);
    name[bytes] = '\0';
    unsigned char address[sizeof(struct in_addr)];
    const bool number = inet_pton(AF_INET, name, address) == 1 && address[0] == 127;
    return number || strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0;
}

/* Returns whether the request may go on; otherwise it is answered. */
static bool authorized(dxi_admin_request_t *request)
{
    dxi_admin_t *const admin = request->admin;
    const dxi_admin_right_t right = request->match.route->right;
    dx_error_t error = {.code = 0};
    int code = DX_OK;
    if (right == DXI_ADMIN_EVERYBODY) {
        return true;
    }
    request->asked = true;
    request->epoch = dxi_admin_epoch(admin);
    if (admin->options.verify_peer && request->asker.names == NULL) {
        code = dxi_fail(&error, DX_EAGAIN,
                        "a certificate of the authority is wanted, and none "
                        "was shown that it has signed");
    } else if (admin->options.authorize != NULL) {
        code = admin->options.authorize(admin->options.context, &request->asker, right, &error);
    } else {
        request->asker.anybody = true;
    }
    if (code == DX_EAGAIN) {
        dxi_admin_refuse(request, MHD_HTTP_UNAUTHORIZED, DXI_ADMIN_REFUSED_TOKEN, DX_EPERM,
                         error.message,
                         admin->options.verify_peer ? "show a certificate of the authority"
                                                    : "send Authorization: Bearer TOKEN",
                         MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"disruptorx\"");
        return false;
    }
    if (code != DX_OK) {
        dxi_admin_refuse(request, MHD_HTTP_FORBIDDEN, DXI_ADMIN_REFUSED_RIGHT, DX_EPERM,
                         error.message,
                         right == DXI_ADMIN_READ ? "the user needs the permission admin read"
                                                 : "the user needs the permission admin write",
                         NULL, NULL);
        return false;
    }
    const char *const host = dxi_admin_header(request, "Host");
    if (request->asker.anybody && admin->place.loopback && !host_is_local(host)) {
        char message[320];
        (void)snprintf(message, sizeof message,
                       "it was asked for as \"%.200s\", and no token protects it", host);
        dxi_admin_refuse(request, MHD_HTTP_FORBIDDEN, DXI_ADMIN_REFUSED_HOST, DX_EPERM, message,
                         "the Host must be localhost, an address in 127.0.0.0/8, or [::1]", NULL,
                         NULL);
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------------------------ the head */

static bool method_read(const char *text, dxi_admin_method_t *method_out)
{
    for (int i = DXI_ADMIN_GET; i <= DXI_ADMIN_DELETE; i++) {
        if (strcmp(text, dxi_admin_method_name((dxi_admin_method_t)i)) == 0) {
            *method_out = (dxi_admin_method_t)i;
            return true;
        }
    }
    *method_out = DXI_ADMIN_GET;
    return strcmp(text, "HEAD") == 0;
}

static void refuse_path(dxi_admin_request_t *request)
{
    char message[320], rule[256];
    (void)snprintf(message, sizeof message, "there is no path \"%.200s\"%s%s%s", request->uri.path,
                   request->match.nearest != NULL ? "; did you mean " : "",
                   request->match.nearest != NULL ? request->match.nearest : "",
                   request->match.nearest != NULL ? "?" : "");
    (void)snprintf(rule, sizeof rule, "the paths are those of /api/v1/openapi.json");
    dxi_admin_refuse(request, MHD_HTTP_NOT_FOUND, DXI_ADMIN_REFUSED_ROUTE, DX_ENOTFOUND, message,
                     rule, NULL, NULL);
}

static void refuse_method(dxi_admin_request_t *request, const char *method)
{
    char allow[64] = "", message[320], rule[96];
    for (int i = DXI_ADMIN_GET; i <= DXI_ADMIN_DELETE; i++) {
        if (request->match.allowed[i]) {
            const size_t used = strlen(allow);
            (void)snprintf(allow + used, sizeof allow - used, "%s%s%s", used != 0 ? ", " : "",
                           dxi_admin_method_name((dxi_admin_method_t)i),
                           i == DXI_ADMIN_GET ? ", HEAD" : "");
        }
    }
    (void)snprintf(message, sizeof message, "%.20s is no method of %.200s", method,
                   request->uri.path);
    (void)snprintf(rule, sizeof rule, "must be one of %s", allow);
    dxi_admin_refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, DXI_ADMIN_REFUSED_METHOD, DX_ENOTSUP,
                     message, rule, MHD_HTTP_HEADER_ALLOW, allow);
}

static bool query_known(dxi_admin_request_t *request)
{
    const dxi_admin_route_t *const route = request->match.route;
    for (size_t i = 0; i < request->uri.query_count; i++) {
        if (!dxi_admin_route_takes(route, request->uri.query[i].name)) {
            char message[320], rule[320];
            (void)snprintf(message, sizeof message, "%.100s has no parameter \"%.100s\"",
                           route->path, request->uri.query[i].name);
            (void)snprintf(rule, sizeof rule, "its parameters are: %s",
                           route->query != NULL ? route->query : "none");
            dxi_admin_refuse(request, MHD_HTTP_BAD_REQUEST, DXI_ADMIN_REFUSED_PARAMETER, DX_EINVAL,
                             message, rule, NULL, NULL);
            return false;
        }
    }
    return true;
}

static void refuse_length(dxi_admin_request_t *request)
{
    char rule[96];
    (void)snprintf(rule, sizeof rule, "a body must have at most %u bytes",
                   request->admin->options.body_bytes_max);
    dxi_admin_refuse(request, 413, DXI_ADMIN_REFUSED_BODY, DX_ELIMIT, "the body is too long", rule,
                     NULL, NULL);
}

/* What can be said of a body before it is there. */
static bool body_welcome(dxi_admin_request_t *request)
{
    const char *const length = dxi_admin_header(request, "Content-Length");
    const char *const type = dxi_admin_header(request, "Content-Type");
    if (length != NULL && (strlen(length) > 18 ||
                           strtoull(length, NULL, 10) > request->admin->options.body_bytes_max)) {
        refuse_length(request);
        return false;
    }
    if (!request->match.route->body) {
        return true;
    }
    if (type == NULL || strncasecmp(type, "application/json", 16) != 0 ||
        (type[16] != '\0' && type[16] != ';' && type[16] != ' ')) {
        char message[160];
        (void)snprintf(message, sizeof message, "the body is of type \"%.80s\"",
                       type != NULL ? type : "");
        dxi_admin_refuse(request, 415, DXI_ADMIN_REFUSED_BODY, DX_EINVAL, message,
                         "Content-Type must be application/json", NULL, NULL);
        return false;
    }
    return true;
}

static bool header_there(dxi_admin_request_t *request)
{
    const char *const by = dxi_admin_header(request, "X-Requested-By");
    if (request->match.route->right != DXI_ADMIN_WRITE || (by != NULL && by[0] != '\0')) {
        return true;
    }
    dxi_admin_refuse(request, MHD_HTTP_FORBIDDEN, DXI_ADMIN_REFUSED_HEADER, DX_EPERM,
                     "the request changes something and has no header X-Requested-By",
                     "send X-Requested-By with any text; pages of other origins can't", NULL, NULL);
    return false;
}

static bool room_there(dxi_admin_request_t *request)
{
    dxi_admin_t *const admin = request->admin;
    (void)pthread_mutex_lock(&admin->mutex);
    const uint32_t open = admin->link_count;
    (void)pthread_mutex_unlock(&admin->mutex);
    if (open <= admin->options.connections_max) {
        return true;
    }
    char message[96];
    (void)snprintf(message, sizeof message, "%u connections are open", open - 1);
    dxi_admin_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, DXI_ADMIN_REFUSED_LIMIT, DX_ELIMIT,
                     message, "admin.connections_max is the most; close some and ask again",
                     "Connection", "close");
    return false;
}

/* Everything that can be found wrong before the body is there. False: it is answered. */
static bool head_check(dxi_admin_request_t *request, const char *method_text)
{
    dxi_admin_t *const admin = request->admin;
    dxi_admin_method_t method = DXI_ADMIN_GET;
    const bool method_known = method_read(method_text, &method);
    if (request->uri_error.code != 0) {
        dxi_admin_refuse(request, MHD_HTTP_BAD_REQUEST, DXI_ADMIN_REFUSED_MALFORMED,
                         request->uri_error.code, request->uri_error.message,
                         "a path and a query as in RFC 3986", NULL, NULL);
        return false;
    }
    dxi_admin_route_find(admin->options.routes, admin->options.route_count, method, &request->uri,
                         &request->match);
    if (!request->match.path_known) {
        refuse_path(request);
        return false;
    }
    if (request->match.route == NULL || !method_known) {
        refuse_method(request, method_text);
        return false;
    }
    asker_fill(request, dxi_admin_method_name(method));
    return room_there(request) && authorized(request) && header_there(request) &&
           query_known(request) && body_welcome(request);
}

/* ------------------------------------------------------------------------------------ the body */

static void body_add(dxi_admin_request_t *request, const char *bytes, size_t count)
{
    const size_t most = request->admin->options.body_bytes_max;
    if (request->body_too_long || count > most - request->body_bytes) {
        request->body_too_long = true;
        return;
    }
    char *const grown = realloc(request->body, request->body_bytes + count + 1);
    if (grown == NULL) {
        request->body_too_long = true;
        return;
    }
    memcpy(grown + request->body_bytes, bytes, count);
    request->body = grown;
    request->body_bytes += count;
    grown[request->body_bytes] = '\0';
}

static void route_run(dxi_admin_request_t *request)
{
    dxi_admin_t *const admin = request->admin;
    dx_error_t error = {.code = 0};
    if (request->body_too_long) {
        refuse_length(request);
        return;
    }
    if (request->match.route->body && request->body_bytes == 0) {
        dxi_admin_refuse(request, MHD_HTTP_BAD_REQUEST, DXI_ADMIN_REFUSED_PARAMETER, DX_EINVAL,
                         "the body is empty", "must be a JSON object", NULL, NULL);
        return;
    }
    dxi_admin_phase_set(admin, request->connection, DXI_ADMIN_ANSWERING);
    const int code = request->match.route->answer(admin->options.context, request, &error);
    if (!request->answered) {
        dxi_admin_refuse_error(request, code < 0 ? code : DX_EFATAL, &error);
    }
}

/* Once for each request whose asker was asked about: in one place, behind everything that may be
 * found wrong with it, so that what is told of it is what has become of it. */
static void outcome_tell(dxi_admin_request_t *request)
{
    const dxi_admin_options_t *const options = &request->admin->options;
    if (!request->asked || !request->answered || request->told || options->answered == NULL) {
        return;
    }
    request->told = true;
    const bool good = request->refused.code == DX_OK;
    const dxi_admin_outcome_t outcome = {.right = request->match.route->right,
                                         .event = request->event,
                                         .action = request->action,
                                         .object = request->object_noted ? request->object : NULL,
                                         .code = request->refused.code,
                                         .reason = good ? NULL : request->refused.message};
    options->answered(options->context, &request->asker, &outcome);
}

dxi_mhd_t dxi_admin_on_request(void *admin, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_bytes, void **request_at)
{
    dxi_admin_request_t *const request = *request_at;
    (void)admin;
    (void)connection;
    (void)url;
    (void)version;
    if (request == NULL) {
        return MHD_NO;
    }
    if (!request->begun) {
        request->begun = true;
        (void)head_check(request, method);
        outcome_tell(request);
        return request->queue_failed ? MHD_NO : MHD_YES;
    }
    if (*upload_bytes != 0) {
        if (!request->answered) {
            body_add(request, upload, *upload_bytes);
        }
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (!request->answered) {
        route_run(request);
        outcome_tell(request);
    }
    return request->queue_failed ? MHD_NO : MHD_YES;
}

/* ------------------------------------------------------------------------- what routes may ask */

const char *dxi_admin_parameter(const dxi_admin_request_t *request, const char *name)
{
    const size_t bytes = strlen(name);
    for (size_t i = 0; i < request->match.parameter_count; i++) {
        if (request->match.parameters[i].name_bytes == bytes &&
            memcmp(request->match.parameters[i].name, name, bytes) == 0) {
            return request->match.parameters[i].value;
        }
    }
    return "";
}

const char *dxi_admin_query(const dxi_admin_request_t *request, const char *name)
{
    for (size_t i = 0; i < request->uri.query_count; i++) {
        if (strcmp(request->uri.query[i].name, name) == 0) {
            return request->uri.query[i].value;
        }
    }
    return NULL;
}

int dxi_admin_query_number(const dxi_admin_request_t *request, const char *name, int64_t otherwise,
                           int64_t low, int64_t high, int64_t *number_out, dx_error_t *error)
{
    const char *const text = dxi_admin_query(request, name);
    *number_out = otherwise;
    if (text == NULL) {
        return DX_OK;
    }
    char *end = NULL;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    const bool digits = text[0] != '\0' && strspn(text + (text[0] == '-'), "0123456789") ==
                                               strlen(text + (text[0] == '-'));
    if (!digits || *end != '\0' || errno != 0 || number < low || number > high) {
        return dxi_fail(error, DX_EINVAL, "%s is \"%.40s\", must be a number from %lld to %lld",
                        name, text, (long long)low, (long long)high);
    }
    *number_out = number;
    return DX_OK;
}

int dxi_admin_query_word(const dxi_admin_request_t *request, const char *name, int otherwise,
                         const char *const *words, int *index_out, dx_error_t *error)
{
    const char *const text = dxi_admin_query(request, name);
    char list[160] = "";
    *index_out = otherwise;
    for (int i = 0; text != NULL && words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *index_out = i;
            return DX_OK;
        }
        const size_t used = strlen(list);
        (void)snprintf(list + used, sizeof list - used, "%s%s", used != 0 ? ", " : "", words[i]);
    }
    return text == NULL
               ? DX_OK
               : dxi_fail(error, DX_EINVAL, "%s is \"%.40s\", must be one of %s", name, text, list);
}

const char *dxi_admin_body(const dxi_admin_request_t *request, size_t *bytes_out)
{
    *bytes_out = request->body_bytes;
    return request->body != NULL ? request->body : "";
}

const char *dxi_admin_header(const dxi_admin_request_t *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

void dxi_admin_note(dxi_admin_request_t *request, const char *event, const char *action,
                    const char *object)
{
    request->event = event;
    request->action = action;
    request->object_noted = object != NULL;
    (void)snprintf(request->object, sizeof request->object, "%s", object != NULL ? object : "");
}

const dxi_admin_asker_t *dxi_admin_asker(const dxi_admin_request_t *request)
{
    return &request->asker;
}
