/* direct_texts.c - the question for the ring of a direct topic, and its answers, as texts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/fail.h"
#include "bus/direct.h"

#define PUBLISH "publish "
#define SUBSCRIBE "subscribe "

typedef struct names {
    json_t *array;
    dxi_direct_sees_fn sees;
    void *context;
} names_t;

static void name_append(void *context, const dx_topic_stats_t *stats)
{
    const names_t *const names = context;
    if (stats->options.direct_bytes != 0 && names->sees(names->context, stats->name)) {
        (void)json_array_append_new(names->array, json_string(stats->name));
    }
}

/* The text of an object, which is given up. */
static int dump(json_t *object, char **text_out, dx_error_t *error)
{
    *text_out = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return *text_out != NULL ? DX_OK : dxi_fail(error, DX_ENOMEM, "no memory for an answer");
}

static int names_write(dx_bus_t *bus, names_t *names, char **text_out, dx_error_t *error)
{
    names->array = json_array();
    if (names->array == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for an answer");
    }
    const int count = dx_bus_topic_list(bus, NULL, name_append, names, error);
    if (count < 0) {
        json_decref(names->array);
        return count;
    }
    return dump(json_pack("{s:o}", "topics", names->array), text_out, error);
}

const char *dxi_direct_topic_of(const char *argument, bool *publish_out)
{
    *publish_out = strncmp(argument, PUBLISH, sizeof PUBLISH - 1) == 0;
    if (*publish_out) {
        return argument + sizeof PUBLISH - 1;
    }
    const bool subscribe = strncmp(argument, SUBSCRIBE, sizeof SUBSCRIBE - 1) == 0;
    return subscribe ? argument + sizeof SUBSCRIBE - 1 : NULL;
}

int dxi_direct_ask_text(dx_bus_t *bus, const char *argument, dxi_direct_sees_fn sees, void *context,
                        char **text_out, dx_error_t *error)
{
    *text_out = NULL;
    if (argument[0] == '\0') {
        return names_write(bus, &(names_t){.sees = sees, .context = context}, text_out, error);
    }
    bool publish = false;
    const char *const topic = dxi_direct_topic_of(argument, &publish);
    if (topic == NULL) {
        return dxi_fail(error, DX_EINVAL,
                        "the argument of \"" DXI_DIRECT_QUESTION
                        "\" is \"%.40s\", must be \"publish TOPIC\" or \"subscribe TOPIC\"",
                        argument);
    }
    int code = dxi_topic_check(topic, strnlen(topic, DX_TOPIC_BYTES_MAX + 1), error);
    if (code == DX_OK && publish && topic[0] == '$') {
        code = dxi_fail(error, DX_EPERM, "clients do not publish to %s: a first $ is the bus's own",
                        topic);
    }
    dxi_direct_answer_t answer;
    if (code == DX_OK) {
        code = dxi_direct_ask(bus, topic, publish, &answer, error);
    }
    if (code != DX_OK) {
        return code;
    }
    return dump(answer.direct ? json_pack("{s:b,s:i,s:s,s:s}", "direct", 1, "shard", answer.shard,
                                          "ring", answer.ring, "folder", answer.folder)
                              : json_pack("{s:b}", "direct", 0),
                text_out, error);
}

/* -------------------------------------------------------------------------------------- reading */

/* The text of a key, into `to`. False: it is not there, or too long. */
static bool text_read(const json_t *object, const char *key, char *to, size_t room)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL || text[0] == '\0' || strlen(text) >= room) {
        return false;
    }
    memcpy(to, text, strlen(text) + 1);
    return true;
}

int dxi_direct_answer_read(const char *text, dxi_direct_answer_t *answer_out, dx_error_t *error)
{
    *answer_out = (dxi_direct_answer_t){.direct = false};
    json_t *object = json_loads(text, 0, NULL);
    const json_t *direct = json_object_get(object, "direct");
    bool good = json_is_boolean(direct);
    if (good && json_is_true(direct)) {
        const json_t *shard = json_object_get(object, "shard");
        const json_int_t number = json_integer_value(shard);
        good = json_is_integer(shard) && number >= 0 && number <= UINT16_MAX &&
               text_read(object, "ring", answer_out->ring, sizeof answer_out->ring) &&
               text_read(object, "folder", answer_out->folder, sizeof answer_out->folder);
        answer_out->shard = (uint16_t)number;
        answer_out->direct = good;
    }
    json_decref(object);
    return good
               ? DX_OK
               : dxi_fail(error, DX_ECORRUPT, "what the node says of a direct topic can't be read");
}

int dxi_direct_names_read(const char *text, dxi_direct_name_fn visit, void *context,
                          dx_error_t *error)
{
    json_t *object = json_loads(text, 0, NULL);
    const json_t *names = json_object_get(object, "topics");
    const bool good = json_is_array(names);
    for (size_t i = 0; good && i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name != NULL) {
            visit(context, name);
        }
    }
    json_decref(object);
    return good ? DX_OK : dxi_fail(error, DX_ECORRUPT, "the list of direct topics can't be read");
}
