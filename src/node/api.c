/* api.c - objects out of tables, pages of lists, bodies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/api.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/nearest.h"

#define JSON_TYPE "application/json"

/* ------------------------------------------------------------------------------------- objects */

json_t *dxi_api_text(const char *text)
{
    json_t *const value = json_string(text);
    return value != NULL ? value : json_string("?");
}

/* The number of a field, as far as it is one. */
static double number_of(const dxi_api_field_t *field, const void *item)
{
    const char *const at = (const char *)item + field->offset;
    switch (field->kind) {
    case DXI_API_U16:
        return *(const uint16_t *)(const void *)at;
    case DXI_API_U32:
        return *(const uint32_t *)(const void *)at;
    case DXI_API_U64:
        return (double)*(const uint64_t *)(const void *)at;
    case DXI_API_I64:
        return (double)*(const int64_t *)(const void *)at;
    case DXI_API_BOOL:
        return *(const bool *)(const void *)at ? 1 : 0;
    case DXI_API_DOUBLE:
        return *(const double *)(const void *)at;
    default:
        return 0;
    }
}

static const char *text_of(const dxi_api_field_t *field, const void *item)
{
    const char *const at = (const char *)item + field->offset;
    return field->kind == DXI_API_CHARS ? at : *(const char *const *)(const void *)at;
}

static bool is_text(const dxi_api_field_t *field)
{
    return field->kind == DXI_API_CHARS || field->kind == DXI_API_TEXT;
}

static json_t *field_value(const dxi_api_field_t *field, const void *item)
{
    const char *const at = (const char *)item + field->offset;
    if (is_text(field)) {
        return dxi_api_text(text_of(field, item));
    }
    if (field->kind == DXI_API_BOOL) {
        return json_boolean(*(const bool *)(const void *)at);
    }
    if (field->kind == DXI_API_DOUBLE) {
        return json_real(*(const double *)(const void *)at);
    }
    if (field->kind == DXI_API_U64 || field->kind == DXI_API_I64) {
        const int64_t value = *(const int64_t *)(const void *)at;
        return json_integer(value > 0 ? value : 0);
    }
    return json_integer((json_int_t)number_of(field, item));
}

json_t *dxi_api_put(json_t *object, const char *key, json_t *value)
{
    if (object == NULL || json_object_set_new(object, key, value) != 0) {
        if (object == NULL) {
            json_decref(value);
        }
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *dxi_api_fields(json_t *object, const dxi_api_field_t *fields, size_t count,
                       const void *item)
{
    for (size_t i = 0; i < count && object != NULL; i++) {
        object = dxi_api_put(object, fields[i].name, field_value(&fields[i], item));
    }
    return object;
}

int dxi_api_answer(dxi_admin_request_t *request, int status, json_t *object)
{
    char *const text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    dxi_admin_answer(request, status, JSON_TYPE, text, text != NULL ? strlen(text) : 0);
    return DX_OK;
}

int dxi_api_made(json_t *object, json_t **object_out, dx_error_t *error)
{
    *object_out = object;
    return object != NULL ? DX_OK : dxi_fail(error, DX_ENOMEM, "no memory for the answer");
}

int dxi_api_answer_made(dxi_admin_request_t *request, dx_node_t *node, dxi_api_object_fn make,
                        const char *argument, dx_error_t *error)
{
    json_t *object = NULL;
    const int code = make(node, argument, &object, error);
    return code == DX_OK ? dxi_api_answer(request, 200, object) : code;
}

/* --------------------------------------------------------------------------------------- lists */

void dxi_api_list_add(dxi_api_list_t *list, const void *item)
{
    if (list->failed) {
        return;
    }
    if (list->count == list->room) {
        const size_t room = list->room == 0 ? 64 : list->room * 2;
        char *const grown = dxi_alloc_zeroed(room, list->item_bytes);
        if (grown == NULL) {
            list->failed = true;
            return;
        }
        if (list->count != 0) {
            memcpy(grown, list->items, list->count * list->item_bytes);
        }
        dxi_free(list->items);
        list->items = grown;
        list->room = room;
    }
    memcpy(list->items + list->count++ * list->item_bytes, item, list->item_bytes);
}

void dxi_api_list_free(dxi_api_list_t *list)
{
    dxi_free(list->items);
    list->items = NULL;
    list->count = list->room = 0;
}

int dxi_api_page_read(const dxi_admin_request_t *request, const char *const *sorts, bool descending,
                      const dxi_api_field_t *fields, size_t count, dxi_api_page_t *page_out,
                      dx_error_t *error)
{
    static const char *const ORDERS[] = {"asc", "desc", NULL};
    int sort = 0;
    int order = descending;
    int code = dxi_admin_query_word(request, "sort", 0, sorts, &sort, error);
    if (code == DX_OK) {
        code = dxi_admin_query_word(request, "order", descending, ORDERS, &order, error);
    }
    if (code == DX_OK) {
        code = dxi_admin_query_number(request, "limit", 100, 1, DXI_API_PAGE_MAX, &page_out->limit,
                                      error);
    }
    if (code == DX_OK) {
        code = dxi_admin_query_number(request, "offset", 0, 0, DXI_API_OFFSET_MAX,
                                      &page_out->offset, error);
    }
    page_out->descending = order == 1;
    page_out->sort = &fields[0];
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, sorts[sort]) == 0) {
            page_out->sort = &fields[i];
        }
    }
    return code;
}

static int item_compare(const void *a, const void *b, void *context)
{
    const char *const *const one = a;
    const char *const *const other = b;
    const dxi_api_page_t *const page = context;
    int order = 0;
    if (is_text(page->sort)) {
        order = strcmp(text_of(page->sort, *one), text_of(page->sort, *other));
    } else {
        const double left = number_of(page->sort, *one);
        const double right = number_of(page->sort, *other);
        order = (left > right) - (left < right);
    }
    order = page->descending ? -order : order;
    return order != 0 ? order : (*one > *other) - (*one < *other); /* else as they came */
}

static json_t *page_make(const dxi_api_list_t *list, const dxi_api_page_t *page,
                         json_t *(*make)(const void *item))
{
    json_t *const array = json_array();
    const char **const order = dxi_alloc_zeroed(list->count + 1, sizeof *order);
    bool failed = array == NULL || order == NULL;
    if (!failed) {
        for (size_t i = 0; i < list->count; i++) {
            order[i] = list->items + i * list->item_bytes;
        }
        if (page->sort != NULL) {
            qsort_r(order, list->count, sizeof *order, item_compare, (void *)(uintptr_t)page);
        }
        const size_t first = (size_t)page->offset;
        for (size_t i = first; i < list->count && i - first < (size_t)page->limit && !failed; i++) {
            failed = json_array_append_new(array, make(order[i])) != 0;
        }
    }
    dxi_free(order);
    if (failed) {
        json_decref(array);
        return NULL;
    }
    return array;
}

int dxi_api_page_made(dxi_api_list_t *list, const dxi_api_page_t *page, const char *key,
                      uint64_t total, json_t *(*make)(const void *item), json_t **object_out,
                      dx_error_t *error)
{
    static const dxi_api_page_t ALL = {.limit = INT64_MAX};
    json_t *const array = list->failed ? NULL : page_make(list, page != NULL ? page : &ALL, make);
    const size_t matched = list->count;
    dxi_api_list_free(list);
    json_t *object = dxi_api_put(json_object(), key, array);
    object = dxi_api_put(object, "matched", json_integer((json_int_t)matched));
    object = dxi_api_put(object, "total", json_integer((json_int_t)total));
    return dxi_api_made(object, object_out, error);
}

int dxi_api_page_answer(dxi_admin_request_t *request, dxi_api_list_t *list,
                        const dxi_api_page_t *page, const char *key, uint64_t total,
                        json_t *(*make)(const void *item), dx_error_t *error)
{
    json_t *object = NULL;
    const int code = dxi_api_page_made(list, page, key, total, make, &object, error);
    return code == DX_OK ? dxi_api_answer(request, 200, object) : code;
}

/* -------------------------------------------------------------------------------------- bodies */

static int keys_check(json_t *object, const char *const *keys, dx_error_t *error)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        dxi_nearest_t nearest = {.word = key};
        bool known = false;
        for (size_t i = 0; keys[i] != NULL && !known; i++) {
            known = strcmp(keys[i], key) == 0;
            dxi_nearest_offer(&nearest, keys[i]);
        }
        if (!known) {
            return dxi_fail(error, DX_EINVAL, "the key \"%.60s\" is not known%s%s%s", key,
                            nearest.best != NULL ? "; did you mean " : "",
                            nearest.best != NULL ? nearest.best : "",
                            nearest.best != NULL ? "?" : "");
        }
    }
    return DX_OK;
}

int dxi_api_body(const dxi_admin_request_t *request, const char *const *keys, json_t **object_out,
                 dx_error_t *error)
{
    size_t bytes = 0;
    json_error_t why;
    const char *const text = dxi_admin_body(request, &bytes);
    *object_out = NULL;
    json_t *const value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (value == NULL) {
        char *const near = strstr(why.text, " near "); /* what is there may be a secret */
        if (near != NULL) {
            *near = '\0';
        }
        return dxi_fail(error, DX_EPARSE, "the body is no JSON, in line %d, column %d: %.100s",
                        why.line, why.column, why.text);
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return dxi_fail(error, DX_EPARSE, "the body is no JSON object, must be one");
    }
    const int code = keys_check(value, keys, error);
    if (code != DX_OK) {
        json_decref(value);
        return code;
    }
    *object_out = value;
    return DX_OK;
}

int dxi_api_body_text(const json_t *object, const char *key, const char **text_out,
                      dx_error_t *error)
{
    const json_t *const value = json_object_get(object, key);
    if (!json_is_string(value)) {
        return dxi_fail(error, DX_EINVAL, "\"%s\" is %s, must be a text", key,
                        value == NULL ? "not there" : "no text");
    }
    *text_out = json_string_value(value);
    return DX_OK;
}
