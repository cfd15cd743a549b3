/* api_log.c - the log: its newest lines, its level.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/api_log.h"
#include "base/fail.h"
#include "base/values.h"
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

static int lines_made(dx_node_t *node, uint64_t after, dx_log_level_t level, size_t limit,
                      json_t **object_out, dx_error_t *error)
{
    uint64_t lost = 0;
    const uint64_t newest = dxi_lines_newest(&node->lines);
    json_t *const array = dxi_api_lines(&node->lines, after, level, limit, &lost);
    json_t *object = dxi_api_put(json_object(), "lines", array);
    object = dxi_api_put(object, "newest", json_integer((json_int_t)newest));
    object = dxi_api_put(object, "lost", json_integer((json_int_t)lost));
    return dxi_api_made(object, object_out, error);
}

DXI_API_OBJECT(dxi_api_log_object)
{
    int64_t count = DXI_LINES_MAX;
    if (argument[0] != '\0' && dxi_integer_parse("the count of lines", argument, 1, DXI_LINES_MAX,
                                                 &count, error) != DX_OK) {
        return DX_EINVAL;
    }
    return lines_made(node, 0, DX_LOG_LEVEL_INFO, (size_t)count, object_out, error);
}

DXI_API_ROUTE(dxi_api_log)
{
    static const char *const LEVELS[] = {"info", "warn", "error", NULL};
    dx_node_t *const node = context;
    int level = 0;
    int64_t after = 0, limit = 0;
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
    json_t *object = NULL;
    code = lines_made(node, (uint64_t)after, (dx_log_level_t)(DX_LOG_LEVEL_INFO + level),
                      (size_t)limit, &object, error);
    return code == DX_OK ? dxi_api_answer(request, 200, object) : code;
}

DXI_API_OBJECT(dxi_api_log_level_object)
{
    const int code =
        argument[0] != '\0' ? dxi_node_set(node, "log.level", argument, NULL, NULL, error) : DX_OK;
    if (code < 0) {
        return code;
    }
    (void)pthread_mutex_lock(&node->mutex);
    json_t *const object = json_pack("{s:s}", "level", dx_config_text(node->config, "log.level"));
    (void)pthread_mutex_unlock(&node->mutex);
    return dxi_api_made(object, object_out, error);
}

DXI_API_ROUTE(dxi_api_log_level)
{
    return dxi_api_answer_made(request, context, dxi_api_log_level_object, "", error);
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
