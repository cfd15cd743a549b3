/* admin/admin_internal.h - what the files of the admin server share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ADMIN_INTERNAL_H
#define DXI_ADMIN_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>

#include "admin/admin.h"
#include "disruptorx/atomic.h"
#include "disruptorx/thread.h"

#define DXI_ADMIN_RETIRED_MAX 8   /* daemons with connections of an earlier certificate */
#define DXI_ADMIN_REFUSING_MAX 16 /* connections above the limit that are told so */

/* libmicrohttpd changed the type of its answers in 0.9.71. */
typedef enum MHD_Result dxi_mhd_t;

/* ------------------------------------------------------------------------------------- URIs */

/* A request's path and query, taken apart and decoded, in one buffer. */
typedef struct dxi_admin_uri {
    char text[DXI_ADMIN_URI_BYTES_MAX + 1]; /* as it came; then decoded in place */
    char path[DXI_ADMIN_URI_BYTES_MAX + 1]; /* as it came, without the query */
    char *parts[16];                        /* of the path, decoded; "" for the root */
    size_t part_count;
    struct {
        char *name, *value;
    } query[DXI_ADMIN_QUERY_MAX];
    size_t query_count;
} dxi_admin_uri_t;

/* Returns DX_OK, DX_EINVAL (bad escapes, control characters, no UTF-8, twice the same parameter),
 * DX_ELIMIT. Threads: any. */
DX_NODISCARD int dxi_admin_uri_parse(const char *text, dxi_admin_uri_t *uri_out, dx_error_t *error);

/* ------------------------------------------------------------------------------------- routes */

/* What was found for a path. */
typedef struct dxi_admin_match {
    const dxi_admin_route_t *route; /* NULL: none for this method */
    bool path_known;
    bool allowed[DXI_ADMIN_DELETE + 1]; /* methods of the path */
    struct {
        const char *name; /* not ended by NUL */
        size_t name_bytes;
        const char *value;
    } parameters[DXI_ADMIN_PARAMETERS_MAX];
    size_t parameter_count;
    const char *nearest; /* a path of ours, when this one is unknown; or NULL */
} dxi_admin_match_t;

/* Threads: any, here and below. */
void dxi_admin_route_find(const dxi_admin_route_t *routes, size_t count, dxi_admin_method_t method,
                          const dxi_admin_uri_t *uri, dxi_admin_match_t *match_out);
/* Whether the list of routes is sound: paths, parameters. Returns DX_OK, DX_EINVAL, DX_ELIMIT. */
DX_NODISCARD int dxi_admin_routes_check(const dxi_admin_route_t *routes, size_t count,
                                        dx_error_t *error);
/* Whether the route knows a parameter of the query. */
bool dxi_admin_route_takes(const dxi_admin_route_t *route, const char *name);
const char *dxi_admin_method_name(dxi_admin_method_t method);

/* ------------------------------------------------------------------------------------- TLS */

/* Files as they were read. */
typedef struct dxi_admin_tls {
    char *certificate, *key, *authority; /* authority NULL: none */
} dxi_admin_tls_t;

DX_NODISCARD int dxi_admin_tls_load(const dxi_admin_options_t *options, dxi_admin_tls_t *tls_out,
                                    dx_error_t *error);
void dxi_admin_tls_free(dxi_admin_tls_t *tls);

/* The names of the peer's certificate, when one was shown and the authority has signed it: DX_OK.
 * DX_ENOTFOUND: none was shown; DX_EPERM: it is not believed. `session` is a gnutls_session_t. */
DX_NODISCARD int dxi_admin_tls_names(void *session, char *names_out, size_t names_bytes,
                                     dx_error_t *error);

/* ------------------------------------------------------------------------------------- server */

/* A connection, as the server knows it beside libmicrohttpd. */
typedef enum dxi_admin_phase {
    DXI_ADMIN_ASKING = 0,    /* since its begin, or the first line of another request */
    DXI_ADMIN_ANSWERING = 1, /* a route runs, or its answer is being sent */
    DXI_ADMIN_STREAMING = 2,
    DXI_ADMIN_IDLE = 3 /* between two requests */
} dxi_admin_phase_t;

typedef struct dxi_admin_link dxi_admin_link_t;
struct dxi_admin_link {
    dxi_admin_link_t *next, *previous; /* under the mutex, with all that follows */
    int fd;                            /* its socket, open as long as the link is there */
    dxi_admin_phase_t phase;
    int64_t since_ns;
    bool cut;           /* its time is over: the socket was shut down */
    bool secure, spoke; /* a handshake is needed; a request has come */
};

/* A daemon that accepts nothing any more. */
typedef struct dxi_admin_retired {
    struct MHD_Daemon *daemon; /* NULL: a free place */
    int fd;                    /* its copy of the socket, to be closed when it has been stopped */
} dxi_admin_retired_t;

/* One reader of the stream. Belongs to the response, which frees it. */
typedef struct dxi_admin_reader dxi_admin_reader_t;

struct dxi_admin {
    dxi_admin_options_t options; /* texts in `texts` */
    char *texts;
    dxi_admin_place_t place;
    char address[DXI_ADMIN_ADDRESS_BYTES_MAX + 1];
    int listener; /* the socket; -1: none */
    bool stopping;

    pthread_mutex_t daemon_mutex; /* held while daemons change: prepare(), commit(), drop(), and
                                   * the end's beginning; taken before `mutex` */
    bool ending;                  /* under it, with what follows */
    dxi_admin_tls_t tls, next_tls;
    struct MHD_Daemon *next; /* serves with next_tls already, or NULL */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    struct MHD_Daemon *daemon;
    dxi_admin_retired_t retired[DXI_ADMIN_RETIRED_MAX];
    dxi_admin_link_t *links;
    uint32_t link_count;
    bool clock_ends;
    dx_thread_t *clock;

    pthread_mutex_t stream_mutex; /* guards readers; taken inside of nothing */
    dxi_admin_reader_t *readers;
    dx_atomic64_t reader_count;
    bool streams_end;
    uint64_t epoch; /* counts what may have changed who is allowed to read */

    dx_atomic64_t requests, connections, events_lost, bytes_out;
    dx_atomic64_t status[6];
    dx_atomic64_t refused[DXI_ADMIN_REFUSALS];
};

struct dxi_admin_request {
    dxi_admin_t *admin;
    struct MHD_Connection *connection;
    dxi_admin_uri_t uri;
    dxi_admin_match_t match;
    dx_error_t uri_error; /* code 0: it was read */
    bool begun;           /* its head was looked at */
    bool answered;        /* an answer is queued */
    bool queue_failed;
    char *body;
    size_t body_bytes;
    bool body_too_long;
    uint64_t epoch;             /* of the streams, before it was authorized */
    bool asked, told;           /* authorize() was asked; `answered` was called */
    const char *event, *action; /* as noted */
    char object[256];
    bool object_noted;
    dx_error_t refused; /* what the answer says; code 0: it was answered as it wished */
    dxi_admin_asker_t asker;
    char peer[64];
    char names[2048];
    dxi_admin_reader_t *reader;
};

/* admin_request.c: callbacks of libmicrohttpd. */
void *dxi_admin_on_uri(void *admin, const char *uri, struct MHD_Connection *connection);
dxi_mhd_t dxi_admin_on_request(void *admin, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_bytes, void **request);
void dxi_admin_on_completed(void *admin, struct MHD_Connection *connection, void **request,
                            enum MHD_RequestTerminationCode how);

/* admin.c */
void dxi_admin_count(dxi_admin_t *admin, dxi_admin_refusal_t refusal);
void dxi_admin_phase_set(dxi_admin_t *admin, struct MHD_Connection *connection,
                         dxi_admin_phase_t phase);

/* admin_answer.c: refuses a request, with {"code", "message", "rule"}. `header` and `value` may be
 * NULL. */
void dxi_admin_refuse(dxi_admin_request_t *request, int status, dxi_admin_refusal_t refusal,
                      int code, const char *message, const char *rule, const char *header,
                      const char *value);
/* What a route has said. */
void dxi_admin_refuse_error(dxi_admin_request_t *request, int code, const dx_error_t *error);
/* Takes the response's only reference. Private. */
void dxi_admin_queue(dxi_admin_request_t *request, int status, struct MHD_Response *response,
                     const char *type, const char *policy);

/* admin_stream.c */
/* Tells all readers that it is over, now and for who comes later: their connections end. */
void dxi_admin_streams_end(dxi_admin_t *admin);
/* What a request notes before it is authorized. */
uint64_t dxi_admin_epoch(dxi_admin_t *admin);

#endif
