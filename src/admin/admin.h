/* admin/admin.h - an HTTP server for people and their tools: routes, rights, streams.
 *
 *     dxi_admin_create() -> bound -> dxi_admin_start() -> serving -> dxi_admin_stop()
 *     dxi_admin_destroy() from any state; NULL is allowed; stops first
 *
 * It knows no node. What is asked for is a route: a method, a path with {parameters}, a right, and
 * a function that answers. Everything that can be wrong with a request is found before that
 * function is called, answered with a status and {"code", "message", "rule"}, and counted.
 *
 * Few threads of libmicrohttpd serve all connections; routes run in them, several at a time. When
 * nobody is connected no thread wakes up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ADMIN_ADMIN_H
#define DXI_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/log.h"
#include "disruptorx/platform.h"

#define DXI_ADMIN_THREADS_MAX 16
#define DXI_ADMIN_CONNECTIONS_MAX 1024
#define DXI_ADMIN_STREAMS_MAX 256
#define DXI_ADMIN_BODY_BYTES_MIN 1024
#define DXI_ADMIN_BODY_BYTES_MAX 1048576
#define DXI_ADMIN_ROUTES_MAX 64
#define DXI_ADMIN_URI_BYTES_MAX 4096    /* of a request's path and query */
#define DXI_ADMIN_PARAMETERS_MAX 4      /* in a route's path */
#define DXI_ADMIN_QUERY_MAX 16          /* parameters behind the '?' */
#define DXI_ADMIN_ADDRESS_BYTES_MAX 320 /* of an address as text */
#define DXI_ADMIN_USER_BYTES_MAX 63     /* of a name */
#define DXI_ADMIN_TOKEN_BYTES_MAX 1023  /* of a bearer's token */
#define DXI_ADMIN_STREAM_BYTES_MIN 4096
#define DXI_ADMIN_STREAM_BYTES_MAX 16777216

typedef struct dxi_admin dxi_admin_t;                 /* opaque */
typedef struct dxi_admin_request dxi_admin_request_t; /* opaque: until its route has returned */

typedef enum dxi_admin_method {
    DXI_ADMIN_GET = 0, /* and HEAD */
    DXI_ADMIN_POST = 1,
    DXI_ADMIN_PUT = 2,
    DXI_ADMIN_PATCH = 3,
    DXI_ADMIN_DELETE = 4
} dxi_admin_method_t;

typedef enum dxi_admin_right {
    DXI_ADMIN_EVERYBODY = 0, /* nobody is asked who he is */
    DXI_ADMIN_READ = 1,
    DXI_ADMIN_WRITE = 2
} dxi_admin_right_t;

/* Answers a request: calls one of the dxi_admin_answer functions and returns DX_OK, or returns a
 * negative code with a sentence, which becomes the answer: DX_ENOTFOUND is 404, DX_EEXIST and
 * DX_EBUSY are 409, DX_EPERM is 403, DX_ESTATE and DX_ECLOSED are 503, DX_ETIMEDOUT is 504,
 * DX_EINVAL, DX_EPARSE and DX_ELIMIT are 400, the others 500.
 * Threads: one of the server's; several at a time. */
typedef int (*dxi_admin_answer_fn)(void *context, dxi_admin_request_t *request, dx_error_t *error);

typedef struct dxi_admin_route {
    dxi_admin_method_t method;
    dxi_admin_right_t right;
    bool body;         /* it must have one, of application/json */
    const char *path;  /* as "/api/v1/topics/{name}"; a parameter is one whole part */
    const char *query; /* the parameters it knows, with blanks between; NULL: none */
    dxi_admin_answer_fn answer;
} dxi_admin_route_t;

/* Who asks, as far as HTTP and TLS know. */
typedef struct dxi_admin_asker {
    const char *token; /* of "Authorization: Bearer", not ended by NUL; NULL: none */
    size_t token_bytes;
    const char *names; /* of a certificate that was verified: its subject, then its alternative
                        * names as "DNS:host", each with its NUL, an empty one last; NULL: none */
    const char *peer;  /* the address */
    const char *method, *path; /* for an audit */
    /* Filled in by authorize(). */
    char user[DXI_ADMIN_USER_BYTES_MAX + 1]; /* "": no name */
    bool anybody; /* it was allowed because nobody has to show anything: then the server makes sure
                   * that it was asked under a name of this host (DNS rebinding) */
} dxi_admin_asker_t;

/* What has become of a request, for an audit. */
typedef struct dxi_admin_outcome {
    dxi_admin_right_t right;             /* that its route wants */
    const char *event, *action, *object; /* as dxi_admin_note() has them; NULL: nothing was noted */
    int code;                            /* DX_OK, or that of the answer */
    const char *reason;                  /* its sentence; NULL: DX_OK */
} dxi_admin_outcome_t;

typedef struct dxi_admin_options {
    const char *address; /* http://host:port or https://host:port; port 0 is any free one */
    const char *certificate_file, *key_file; /* of https, PEM */
    const char *authority_file; /* clients' certificates that are believed; NULL: none */
    bool verify_peer;           /* who shows no certificate is refused */
    uint32_t threads;           /* 0 = 2 */
    uint32_t connections_max;   /* 0 = 64 */
    uint32_t streams_max;       /* of the connections; 0 = 16 */
    uint32_t body_bytes_max;    /* of a request; 0 = 64 KiB */
    int64_t request_timeout_ns; /* for a whole request to come, and for an answer to be taken;
                                 * 0 = 10 s */
    uint32_t stream_bytes;      /* what may wait for a slow reader of a stream; 0 = 256 KiB */
    const dxi_admin_route_t *routes;
    size_t route_count;
    void *context; /* of routes and functions */
    /* Whether somebody has a right. Returns DX_OK; DX_EAGAIN: nobody, or a wrong token (401);
     * DX_EPERM: somebody without the right (403). NULL: everybody, as `anybody`.
     * Threads: as routes. */
    int (*authorize)(void *context, dxi_admin_asker_t *asker, dxi_admin_right_t right,
                     dx_error_t *error);
    /* An answer is on its way to who was asked for a right, whether it was given or not: behind the
     * route, where it came to that. May be NULL. Threads: as routes. */
    void (*answered)(void *context, const dxi_admin_asker_t *asker,
                     const dxi_admin_outcome_t *outcome);
    /* Once a second while a stream is open: calls dxi_admin_publish(). May be NULL.
     * Threads: the server's own; one at a time. */
    void (*tick)(void *context);
    dx_log_t *log;
} dxi_admin_options_t;

/* Binds the address and reads the files. The texts and routes of `options` are copied or, routes,
 * must live as long as the server.
 * Returns DX_OK, DX_EINVAL, DX_ELIMIT, DX_EBUSY (the address is in use), DX_EPERM, DX_ENOTFOUND (a
 * file), DX_ENOMEM, DX_EIO.
 * Threads: owner, here and below where nothing else is said. */
DX_NODISCARD int dxi_admin_create(const dxi_admin_options_t *options, dxi_admin_t **admin_out,
                                  dx_error_t *error);

/* Serves. Returns DX_OK, DX_ESTATE, DX_ENOMEM, DX_EIO. */
DX_NODISCARD int dxi_admin_start(dxi_admin_t *admin, dx_error_t *error);

/* Ends streams, closes connections, ends threads. What is being answered is waited for. Twice, or
 * before the start, is allowed. */
void dxi_admin_stop(dxi_admin_t *admin);

void dxi_admin_destroy(dxi_admin_t *admin);

/* "http://127.0.0.1:7401", with the port it got. Threads: any. */
const char *dxi_admin_address(const dxi_admin_t *admin);

/* Reads an address. Returns DX_OK, DX_EINVAL. Threads: any. */
typedef struct dxi_admin_place {
    bool tls;
    bool loopback; /* only programs of this host reach it */
    uint16_t port;
    char host[256]; /* "": every address of the host */
} dxi_admin_place_t;
DX_NODISCARD int dxi_admin_place_parse(const char *text, dxi_admin_place_t *place_out,
                                       dx_error_t *error);

/* Whether dxi_admin_create() will get what it reads: with https, certificate, key and authority.
 * Returns DX_OK, DX_EINVAL, DX_ENOTFOUND, DX_EPERM, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_admin_files_check(const dxi_admin_options_t *options, dx_error_t *error);

/* Another certificate in two steps, for a reload that is all or nothing. prepare() reads the files,
 * finds what is wrong with them, and makes what serves with them: new connections may get the new
 * certificate from then on. Then commit(), after which all new ones get it; connections that are
 * there keep what they began with, and streams end, because whom the authority believes may have
 * changed. Or drop(): what was prepared accepts nothing any more. Without https, or when the files
 * say what they said before, nothing is made.
 * prepare() returns DX_OK, DX_EINVAL, DX_ENOTFOUND, DX_EPERM, DX_ENOMEM, DX_EBUSY (too many earlier
 * certificates are in use), DX_EIO (no threads).
 * Threads: any, one at a time. */
DX_NODISCARD int dxi_admin_tls_prepare(dxi_admin_t *admin, dx_error_t *error);
void dxi_admin_tls_commit(dxi_admin_t *admin);
void dxi_admin_tls_drop(dxi_admin_t *admin);

/* ----------------------------------------------------------------------------------- a request */

/* A parameter of the route's path, decoded. Threads: the route's, here and below. */
const char *dxi_admin_parameter(const dxi_admin_request_t *request, const char *name);

/* A parameter behind the '?', decoded; NULL: it was not given. */
const char *dxi_admin_query(const dxi_admin_request_t *request, const char *name);

/* The same as a number in bounds, `otherwise` when it was not given. Returns DX_OK, DX_EINVAL. */
DX_NODISCARD int dxi_admin_query_number(const dxi_admin_request_t *request, const char *name,
                                        int64_t otherwise, int64_t low, int64_t high,
                                        int64_t *number_out, dx_error_t *error);

/* The same as one of a few words (NULL behind the last), as its index. Returns DX_OK, DX_EINVAL. */
DX_NODISCARD int dxi_admin_query_word(const dxi_admin_request_t *request, const char *name,
                                      int otherwise, const char *const *words, int *index_out,
                                      dx_error_t *error);

/* The body, ended by a NUL that `bytes_out` does not count. */
const char *dxi_admin_body(const dxi_admin_request_t *request, size_t *bytes_out);

/* A header, or NULL. */
const char *dxi_admin_header(const dxi_admin_request_t *request, const char *name);

/* Who asked, as authorize() said. */
const dxi_admin_asker_t *dxi_admin_asker(const dxi_admin_request_t *request);

/* What the request is about, in the words of an audit: kept for `answered`, the newest counts.
 * `event` and `action` must live as long as the server; `object` is copied, cut at 255 bytes, and
 * may be NULL. */
void dxi_admin_note(dxi_admin_request_t *request, const char *event, const char *action,
                    const char *object);

/* Answers with a text of malloc(), which is given away (NULL: no memory, answered as such). */
void dxi_admin_answer(dxi_admin_request_t *request, int status, const char *type, char *text,
                      size_t bytes);
/* With one that lives as long as the server. `policy`, `tag`: Content-Security-Policy and ETag, or
 * NULL; who has this tag already gets 304. */
void dxi_admin_answer_page(dxi_admin_request_t *request, const char *type, const void *text,
                           size_t bytes, const char *policy, const char *tag);
/* 204. */
void dxi_admin_answer_nothing(dxi_admin_request_t *request);
/* With the stream of events. */
void dxi_admin_answer_stream(dxi_admin_request_t *request);

/* ------------------------------------------------------------------------------------- streams */

/* Gives an event to every reader; who has no room loses it, and is told how many with the event
 * `lost` as soon as there is room. `id` 0: none. `data` is one line. Threads: any. */
void dxi_admin_publish(dxi_admin_t *admin, const char *event, uint64_t id, const char *data,
                       size_t bytes);

/* Gives an event to the reader whose request this is, behind
 * dxi_admin_answer_stream(). Threads: the route's. */
void dxi_admin_publish_to(dxi_admin_request_t *request, const char *event, uint64_t id,
                          const char *data, size_t bytes);

/* Ends every stream: what decides who may read has changed, so who reads must ask again. Streams of
 * requests that were authorized before the call end as well. Threads: any. */
void dxi_admin_readers_end(dxi_admin_t *admin);

/* How many read. Threads: any. */
uint32_t dxi_admin_readers(const dxi_admin_t *admin);

/* ------------------------------------------------------------------------------------- figures */

/* Why a request was not answered as it wished. */
typedef enum dxi_admin_refusal {
    DXI_ADMIN_REFUSED_MALFORMED = 0, /* no HTTP, or a path that can't be read */
    DXI_ADMIN_REFUSED_ROUTE = 1,     /* 404: no such path */
    DXI_ADMIN_REFUSED_METHOD = 2,    /* 405 */
    DXI_ADMIN_REFUSED_PARAMETER = 3, /* 400: what a route found wrong, or an unknown parameter */
    DXI_ADMIN_REFUSED_BODY = 4,      /* 413, 415 */
    DXI_ADMIN_REFUSED_TOKEN = 5,     /* 401 */
    DXI_ADMIN_REFUSED_RIGHT = 6,     /* 403 */
    DXI_ADMIN_REFUSED_HOST = 7,      /* 403: asked under another name */
    DXI_ADMIN_REFUSED_HEADER = 8,    /* 403: no X-Requested-By */
    DXI_ADMIN_REFUSED_LIMIT = 9,     /* 503: connections or streams */
    DXI_ADMIN_REFUSED_TIMEOUT = 10,  /* it took too long to ask, or to take the answer */
    DXI_ADMIN_REFUSED_TLS = 11,      /* a handshake failed, or nothing was asked behind it */
    DXI_ADMIN_REFUSALS = 12          /* how many there are; as one: it is not counted */
} dxi_admin_refusal_t;

/* A word for it, as in "unknown_route". Threads: any. */
const char *dxi_admin_refusal_name(int refusal);

typedef struct dxi_admin_stat {
    uint64_t requests;  /* that were answered by a route, or refused with an answer */
    uint64_t status[6]; /* answers by the first digit of their status */
    uint64_t refused[DXI_ADMIN_REFUSALS];
    uint64_t connections, connections_open;
    uint64_t streams_open, events_lost;
    uint64_t bytes_out; /* of answers' texts and streams */
} dxi_admin_stat_t;
/* Threads: any. */
void dxi_admin_stat(const dxi_admin_t *admin, dxi_admin_stat_t *stat_out);

#endif
