/* api_log.c - the log: its newest lines, its level.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/api_log.h"
#include "base/fail.h"
#include "node/api.h"

json_t *dxi_api_line(const dxi_line_t *line)
{
    return json_pack("{s:I, s:I, s:s, s:o, s:o}", "sequence", (json_int_t)line->sequence, "unix_ns",
                     (json_int_t)line->unix_ns, "level", dx_log_level_name(line->level),
                     "component", dxi_api_text(line->component), "message",
                     dxi_api_text(line->message));
}

json_t *dxi_api_lines(dxi_lines_t *lines, uint64_t after, dx_log_level_t level, size_t limit,
                      uint64_t *lost)
{
    json_t *array = json_array();
    dxi_line_t line;
    while (array != NULL && dxi_lines_next(lines, after, level, &line, lost)) {
        after = line.sequence;
        if (json_array_size(array) == limit) {
            (void)json_array_remove(array, 0);
        }
        if (json_array_append_new(array, dxi_api_line(&line)) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

DXI_API_ROUTE(dxi_api_log)
{
    static const char *const LEVELS[] = {"info", "warn", "error", NULL};
    dx_node_t *const node = context;
    int level = 0;
    int64_t after = 0, limit = 0;
    uint64_t lost = 0;
    int code = dxi_admin_query_word(request, "level", 0, LEVELS, &level, error);
    if (code == DX_OK) {
        code = dxi_admin_query_number(request, "after", 0, 0, INT64_MAX, &after, error);
    }
    if (code == DX_OK) {
        code = dxi_admin_query_number(request, "limit", 100, 1, DXI_LINES_MAX, &limit, error);
    }
    if (code != DX_OK) {
        return code;
    }
    const uint64_t newest = dxi_lines_newest(&node->lines);
    json_t *const array =
        dxi_api_lines(&node->lines, (uint64_t)after, (dx_log_level_t)(DX_LOG_LEVEL_INFO + level),
                      (size_t)limit, &lost);
    json_t *object = dxi_api_put(json_object(), "lines", array);
    object = dxi_api_put(object, "newest", json_integer((json_int_t)newest));
    object = dxi_api_put(object, "lost", json_integer((json_int_t)lost));
    return dxi_api_answer(request, 200, object);
}

DXI_API_ROUTE(dxi_api_log_level)
{
    dx_node_t *const node = context;
    (void)error;
    (void)pthread_mutex_lock(&node->mutex);
    json_t *const object = json_pack("{s:s}", "level", dx_config_text(node->config, "log.level"));
    (void)pthread_mutex_unlock(&node->mutex);
    return dxi_api_answer(request, 200, object);
}

DXI_API_ROUTE(dxi_api_log_level_set)
{
    static const char *const KEYS[] = {"level", NULL};
    dx_node_t *const node = context;
    json_t *body = NULL;
    const char *level = NULL;
    dxi_admin_note(request, "admin", "log.level", NULL);
    int code = dxi_api_body(request, KEYS, &body, error);
    if (code == DX_OK) {
        code = dxi_api_body_text(body, "level", &level, error);
    }
    if (code == DX_OK) {
        dxi_admin_note(request, "admin", "log.level", level);
        code = dxi_node_set(node, "log.level", level, NULL, NULL, error);
    }
    json_decref(body);
    return code < 0 ? code : dxi_api_log_level(context, request, error);
}
