/* node/api.h - what the files of the admin API share: objects of tables, pages of lists, bodies.
 *
 * What is shown of a thing is a table of fields, in which a list is sorted as well:
 *
 *     static const dxi_api_field_t FIELDS[] = {{"name", DXI_API_CHARS, offsetof(thing_t, name)}};
 *
 * docs/openapi.json says the same to programs; tests/cli/test_admin.py compares the two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_API_H
#define DXI_NODE_API_H

#include <jansson.h>

#include "admin/admin.h"
#include "node/node_internal.h"

#define DXI_API_PAGE_MAX 1000
#define DXI_API_OFFSET_MAX 1048576

typedef enum dxi_api_kind {
    DXI_API_CHARS = 1, /* an array of char */
    DXI_API_TEXT = 2,  /* a const char * */
    DXI_API_U16 = 3,
    DXI_API_U32 = 4,
    DXI_API_U64 = 5,
    DXI_API_I64 = 6, /* not shown below 0 */
    DXI_API_BOOL = 7,
    DXI_API_DOUBLE = 8
} dxi_api_kind_t;

typedef struct dxi_api_field {
    const char *name;
    dxi_api_kind_t kind;
    size_t offset;
} dxi_api_field_t;

#define DXI_API_COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

/* All here: Threads: any.
 * A text; "?" for what is no UTF-8, which names of peers may be. NULL: no memory. */
json_t *dxi_api_text(const char *text);

/* Puts fields of `item` into an object. Returns `object`, or NULL, and gives it up, when there is
 * no memory. NULL is allowed. */
json_t *dxi_api_fields(json_t *object, const dxi_api_field_t *fields, size_t count,
                       const void *item);
/* Puts one value, which is taken; the same. */
json_t *dxi_api_put(json_t *object, const char *key, json_t *value);

/* Answers with an object, which is taken. Always DX_OK. */
int dxi_api_answer(dxi_admin_request_t *request, int status, json_t *object);

/* What a node says of itself, to whoever asks: routes of the admin server and questions of clients
 * (node_ask.c) answer with the same objects. `argument` is "" where there is none.
 * Return DX_OK and an object, DX_ENOMEM, DX_ESTATE (the node does not run), what else they say.
 * Threads: any that is no loop. */
typedef int (*dxi_api_object_fn)(dx_node_t *node, const char *argument, json_t **object_out,
                                 dx_error_t *error);
#define DXI_API_OBJECT(name)                                                                       \
    int name(dx_node_t *node, const char *argument, json_t **object_out, dx_error_t *error)
DXI_API_OBJECT(dxi_api_node_object);          /* api_node.c */
DXI_API_OBJECT(dxi_api_subscriptions_object); /* api_lists.c: all of them */
DXI_API_OBJECT(dxi_api_connections_object);
DXI_API_OBJECT(dxi_api_rings_object);
DXI_API_OBJECT(dxi_api_config_object);     /* api_config.c: of an option, a section, or all */
DXI_API_OBJECT(dxi_api_config_set_object); /* OPTION=VALUE */
DXI_API_OBJECT(dxi_api_config_reload_object);
DXI_API_OBJECT(dxi_api_log_object);       /* api_log.c: so many lines, or all */
DXI_API_OBJECT(dxi_api_log_level_object); /* sets it to the argument */

/* What such a function ends with: `object`, or the sentence that there is no memory for it. */
int dxi_api_made(json_t *object, json_t **object_out, dx_error_t *error);
/* Answers a request with what one of them makes. Returns DX_OK, or its code. */
int dxi_api_answer_made(dxi_admin_request_t *request, dx_node_t *node, dxi_api_object_fn make,
                        const char *argument, dx_error_t *error);

/* A list under construction, in which only a page is shown. */
typedef struct dxi_api_list {
    size_t item_bytes;
    char *items;
    size_t count, room;
    bool failed;
} dxi_api_list_t;

void dxi_api_list_add(dxi_api_list_t *list, const void *item);
void dxi_api_list_free(dxi_api_list_t *list);

/* What a request wants to see of a list. */
typedef struct dxi_api_page {
    const dxi_api_field_t *sort; /* NULL: as they came */
    bool descending;
    int64_t limit, offset;
} dxi_api_page_t;

/* Reads sort, order, limit and offset. `sorts`: names of fields, NULL behind the last, the first is
 * the default. Returns DX_OK, DX_EINVAL. */
DX_NODISCARD int dxi_api_page_read(const dxi_admin_request_t *request, const char *const *sorts,
                                   bool descending, const dxi_api_field_t *fields, size_t count,
                                   dxi_api_page_t *page_out, dx_error_t *error);

/* An object: the page of the sorted list under `key` (`page` NULL: all of it, as it came), and
 * "matched" and "total". `make` makes an object of an item. Frees the list. As dxi_api_made(). */
int dxi_api_page_made(dxi_api_list_t *list, const dxi_api_page_t *page, const char *key,
                      uint64_t total, json_t *(*make)(const void *item), json_t **object_out,
                      dx_error_t *error);
/* Answers with it. */
int dxi_api_page_answer(dxi_admin_request_t *request, dxi_api_list_t *list,
                        const dxi_api_page_t *page, const char *key, uint64_t total,
                        json_t *(*make)(const void *item), dx_error_t *error);

/* The body as an object with no other keys than these (NULL behind the last).
 * Returns DX_OK, DX_EPARSE, DX_EINVAL with the nearest key, DX_ENOMEM. */
DX_NODISCARD int dxi_api_body(const dxi_admin_request_t *request, const char *const *keys,
                              json_t **object_out, dx_error_t *error);
/* A text of it. Returns DX_OK, DX_EINVAL when it is missing or no text. */
DX_NODISCARD int dxi_api_body_text(const json_t *object, const char *key, const char **text_out,
                                   dx_error_t *error);

/* Routes; the context is the node. */
#define DXI_API_ROUTE(name) int name(void *context, dxi_admin_request_t *request, dx_error_t *error)
DXI_API_ROUTE(dxi_api_page); /* api_node.c */
DXI_API_ROUTE(dxi_api_livez);
DXI_API_ROUTE(dxi_api_readyz);
DXI_API_ROUTE(dxi_api_openapi);
DXI_API_ROUTE(dxi_api_node);
DXI_API_ROUTE(dxi_api_errors);
DXI_API_ROUTE(dxi_api_topics); /* api_topics.c */
DXI_API_ROUTE(dxi_api_topic);
DXI_API_ROUTE(dxi_api_topic_create);
DXI_API_ROUTE(dxi_api_topic_change);
DXI_API_ROUTE(dxi_api_topic_delete);
DXI_API_ROUTE(dxi_api_subscriptions); /* api_lists.c */
DXI_API_ROUTE(dxi_api_connections);
DXI_API_ROUTE(dxi_api_connection);
DXI_API_ROUTE(dxi_api_connection_close);
DXI_API_ROUTE(dxi_api_rings);
DXI_API_ROUTE(dxi_api_config); /* api_config.c */
DXI_API_ROUTE(dxi_api_config_pending);
DXI_API_ROUTE(dxi_api_config_reload);
DXI_API_ROUTE(dxi_api_config_set);
DXI_API_ROUTE(dxi_api_log); /* api_log.c */
DXI_API_ROUTE(dxi_api_log_level);
DXI_API_ROUTE(dxi_api_log_level_set);
DXI_API_ROUTE(dxi_api_events);  /* api_events.c */
DXI_API_ROUTE(dxi_api_metrics); /* metrics.c */

/* Once a second while somebody reads the stream (api_events.c).
 * Threads: the admin server's clock. */
void dxi_api_tick(void *node);

#endif
