/* admin_test.h - what the tests of the admin server share: a few routes that know no node, and a
 * client that speaks HTTP by hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ADMIN_TEST_H
#define ADMIN_TEST_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/fail.h"
#include "disruptorx/clock.h"

#include "base_test.h"

/* What the routes' context is: which right is given to whom. */
typedef struct world {
    dxi_admin_t *admin;
    int code;                 /* what /fail returns */
    const char *sentence;     /* and says */
    const char *token;        /* NULL: nobody has to show one */
    dxi_admin_right_t rights; /* of who shows it */
    char names[256];          /* of the certificate of the last asker */
    uint32_t greetings;       /* events given to a new reader */
    bool rights_change;       /* while who asks is being authorized */
    char outcomes[512];       /* what was told of requests, a line each */
} world_t;

static inline char *text_new(const char *text)
{
    char *const copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

/* Its answer is the parameter, and the query's "x". */
static inline int route_echo(void *context, dxi_admin_request_t *request, dx_error_t *error)
{
    char text[512];
    const char *const x = dxi_admin_query(request, "x");
    int64_t n = 0;
    (void)context;
    const int code = dxi_admin_query_number(request, "n", 5, -2, 10, &n, error);
    if (code != DX_OK) {
        return code;
    }
    (void)snprintf(text, sizeof text, "%s|%s|%d", dxi_admin_parameter(request, "name"),
                   x != NULL ? x : "(none)", (int)n);
    dxi_admin_answer(request, 200, "text/plain", text_new(text), strlen(text));
    return DX_OK;
}

static inline int route_body(void *context, dxi_admin_request_t *request, dx_error_t *error)
{
    size_t bytes = 0;
    const char *const body = dxi_admin_body(request, &bytes);
    (void)context;
    (void)error;
    dxi_admin_answer(request, 201, "text/plain", text_new(body), bytes);
    return DX_OK;
}

static inline int route_fail(void *context, dxi_admin_request_t *request, dx_error_t *error)
{
    const world_t *const world = context;
    dxi_admin_note(request, "trial", "fail", "it");
    return dxi_fail(error, world->code, "%s", world->sentence);
}

static inline int route_nothing(void *context, dxi_admin_request_t *request, dx_error_t *error)
{
    (void)context;
    (void)error;
    dxi_admin_answer_nothing(request);
    return DX_OK;
}

static inline int route_stream(void *context, dxi_admin_request_t *request, dx_error_t *error)
{
    const world_t *const world = context;
    (void)error;
    dxi_admin_answer_stream(request);
    for (uint32_t i = 0; i < world->greetings; i++) {
        dxi_admin_publish_to(request, "greeting", i + 1, "{}", 2);
    }
    return DX_OK;
}

static inline int world_authorize(void *context, dxi_admin_asker_t *asker, dxi_admin_right_t right,
                                  dx_error_t *error)
{
    world_t *const world = context;
    world->names[0] = '\0';
    if (world->rights_change) {
        dxi_admin_readers_end(world->admin);
    }
    if (asker->names != NULL) { /* one behind the other, with commas between */
        size_t used = 0;
        for (const char *at = asker->names; *at != '\0'; at += strlen(at) + 1) {
            used += (size_t)snprintf(world->names + used, sizeof world->names - used, "%s%s",
                                     used != 0 ? "," : "", at);
        }
        return DX_OK;
    }
    if (world->token == NULL) {
        asker->anybody = true;
        return DX_OK;
    }
    if (asker->token == NULL || asker->token_bytes != strlen(world->token) ||
        memcmp(asker->token, world->token, asker->token_bytes) != 0) {
        return dxi_fail(error, DX_EAGAIN, "the token is wrong");
    }
    return right <= world->rights ? DX_OK : dxi_fail(error, DX_EPERM, "user x may not write");
}

static inline void world_answered(void *context, const dxi_admin_asker_t *asker,
                                  const dxi_admin_outcome_t *outcome)
{
    world_t *const world = context;
    const size_t used = strlen(world->outcomes);
    (void)snprintf(world->outcomes + used, sizeof world->outcomes - used,
                   "%s %s %d %s %s %s %s %s\n", asker->method, asker->path, (int)outcome->right,
                   outcome->event != NULL ? outcome->event : "-",
                   outcome->action != NULL ? outcome->action : "-",
                   outcome->object != NULL ? outcome->object : "-", dx_error_name(outcome->code),
                   outcome->reason != NULL ? outcome->reason : "-");
}

static const dxi_admin_route_t world_routes[] = {
    {DXI_ADMIN_GET, DXI_ADMIN_EVERYBODY, false, "/", NULL, route_nothing},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/things/{name}", "x n", route_echo},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/things/all", NULL, route_nothing},
    {DXI_ADMIN_DELETE, DXI_ADMIN_WRITE, false, "/things/{name}", NULL, route_nothing},
    {DXI_ADMIN_POST, DXI_ADMIN_WRITE, true, "/things", NULL, route_body},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/fail", NULL, route_fail},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/events", NULL, route_stream},
};

static inline dxi_admin_options_t world_options(world_t *world)
{
    return (dxi_admin_options_t){.address = "http://127.0.0.1:0",
                                 .routes = world_routes,
                                 .route_count = COUNT_OF(world_routes),
                                 .context = world,
                                 .authorize = world_authorize,
                                 .answered = world_answered};
}

static inline void world_start(world_t *world, const dxi_admin_options_t *options)
{
    dx_error_t error = {0};
    if (dxi_admin_create(options, &world->admin, &error) != DX_OK ||
        dxi_admin_start(world->admin, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
}

/* ---------------------------------------------------------------------------------- the client */

static inline int peer_connect(const dxi_admin_t *admin)
{
    dxi_admin_place_t place;
    assert_ok(dxi_admin_place_parse(dxi_admin_address(admin), &place, NULL));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(place.port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void peer_send(int fd, const char *text)
{
    const size_t bytes = strlen(text);
    assert_int_equal(send(fd, text, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
}

/* Reads until `end` is there, or the other side has closed; in a buffer of the test's. */
static inline const char *peer_read(int fd, const char *end)
{
    static char text[1 << 20];
    size_t used = 0;
    text[0] = '\0';
    while (used + 1 < sizeof text && (end == NULL || strstr(text, end) == NULL)) {
        struct pollfd look = {.fd = fd, .events = POLLIN};
        if (poll(&look, 1, 30000) != 1) {
            fail_msg("waited in vain for \"%s\" after \"%.300s\"", end != NULL ? end : "the end",
                     text);
        }
        const ssize_t got = recv(fd, text + used, sizeof text - 1 - used, 0);
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
        text[used] = '\0';
    }
    return text;
}

/* One request on a connection of its own; the whole answer. `head`: lines with their ends. */
static inline const char *ask(const dxi_admin_t *admin, const char *line, const char *head,
                              const char *body)
{
    char text[8192];
    char length[64] = "";
    const int fd = peer_connect(admin);
    if (body[0] != '\0') {
        (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    }
    (void)snprintf(text, sizeof text,
                   "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s\r\n%s", line, head,
                   length, body);
    peer_send(fd, text);
    const char *const answer = peer_read(fd, NULL);
    (void)close(fd);
    return answer;
}

#define JSON_WRITE "X-Requested-By: test\r\nContent-Type: application/json\r\n"

#endif
