/* session_commands.c - commands on topics, and questions to the node.
 *
 * A command is copied out of its frame, run in the commands' thread, which may wait for all loops,
 * and comes back with its answer, whole frames, as a task of the session's loop.
 *
 * Who asks for the ring of a direct topic to publish there is told that everything it has published
 * is in it. So that question waits while events of the session stand aside (session_aside.c), and
 * the frames behind it are read: they may be what those events wait for.
 *
 * A list of many topics may be longer than all that is kept for a client that does not read. It is
 * kept in its command and said piece by piece, as the client reads; later commands of the session
 * wait until it is said. So there is one list at a time, and answers keep their order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "bus/direct.h"
#include "bus/session_access.h"
#include "bus/texts.h"

#define ASK_BYTES_MAX 4096

typedef struct topic_command {
    dxi_command_t command; /* first */
    dxi_task_t task;
    dx_bus_t *bus;
    dxi_bus_loop_t *home;
    const dxi_session_policy_t *policy;
    uint64_t origin;
    uint64_t correlation;
    uint32_t frame_bytes_max;
    bool correlated;
    bool after_events; /* it waits until none of the session's stands aside */
    uint8_t type;
    const dxi_access_user_t *user; /* whose list it is, held; NULL: everything is listed */
    const char *writes;            /* it changes something: what, for the audit; NULL: nothing */
    char user_name[DXI_ACCESS_NAME_BYTES_MAX + 1];
    char address[128]; /* as dxi_connection_info_t has it */
    int code;
    dx_error_t error;
    dx_topic_options_t options;
    char topic[DX_TOPIC_BYTES_MAX + 1];
    char text[ASK_BYTES_MAX + 2]; /* question, NUL, argument, NUL */
    /* The answer: frames one after the other. */
    char *frames;
    size_t bytes, room;
    size_t last; /* the last of them */
    size_t said; /* so far */
} topic_command_t;

static topic_command_t *command_of(dxi_command_t *command)
{
    return (topic_command_t *)(void *)command;
}

/* -------------------------------------------------------------------------------------- answers */

static char *frames_room(topic_command_t *it, size_t bytes)
{
    if (it->bytes + bytes > it->room) {
        size_t room = it->room == 0 ? 4096 : it->room * 2;
        while (room < it->bytes + bytes) {
            room *= 2;
        }
        char *grown = dxi_alloc_zeroed(1, room);
        if (grown == NULL) {
            return NULL;
        }
        if (it->bytes != 0) {
            memcpy(grown, it->frames, it->bytes);
        }
        dxi_free(it->frames);
        it->frames = grown;
        it->room = room;
    }
    return it->frames + it->bytes;
}

static int frames_add(topic_command_t *it, uint8_t type, const char *text, size_t text_bytes,
                      bool more)
{
    const dx_frame_part_t part =
        dx_frame_part_of(DX_PART_CORRELATION, &it->correlation, sizeof it->correlation);
    const dx_frame_draft_t draft = {.type = type,
                                    .flags = more ? DX_FRAME_MORE : 0,
                                    .parts = &part,
                                    .part_count = it->correlated,
                                    .payload_bytes = (uint32_t)text_bytes};
    const int64_t bytes =
        text_bytes > DX_FRAME_BYTES_MAX ? DX_ELIMIT : dx_frame_bytes(&draft, NULL);
    if (bytes < 0 || bytes > it->frame_bytes_max) {
        return dxi_fail(&it->error, DX_ELIMIT,
                        "the answer has %zu bytes, the client takes frames "
                        "of %u",
                        text_bytes, it->frame_bytes_max);
    }
    char *room = frames_room(it, (size_t)bytes);
    if (room == NULL) {
        return dxi_fail(&it->error, DX_ENOMEM, "no memory for the answer");
    }
    const int64_t written = dx_frame_encode(room, (size_t)bytes, &draft, text, &it->error);
    if (written < 0) {
        return (int)written;
    }
    it->last = it->bytes;
    it->bytes += (size_t)written;
    return DX_OK;
}

/* What it changed, for the audit. The value of an option is left out: it may be a secret. */
static void write_down(const topic_command_t *it)
{
    if (it->writes == NULL || it->policy->access == NULL) {
        return;
    }
    const bool asks = it->type == DX_FRAME_ASK;
    const char *const object = asks ? it->text + strlen(it->text) + 1 : it->topic;
    char name[DX_TOPIC_BYTES_MAX + 1];
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(object, asks ? "=" : ""), object);
    const dxi_access_event_t event = {.event = asks ? "admin" : "topic",
                                      .user = it->user_name[0] != '\0' ? it->user_name : NULL,
                                      .address = it->address,
                                      .action = it->writes,
                                      .object = name[0] != '\0' ? name : NULL,
                                      .code = it->code,
                                      .reason = it->code != DX_OK ? it->error.message : NULL};
    dxi_access_audit(it->policy->access, &event);
}

static void user_release(topic_command_t *it)
{
    if (it->user != NULL) {
        dxi_access_user_release(it->policy->access, it->user);
        it->user = NULL;
    }
}

static void command_free(topic_command_t *it)
{
    user_release(it);
    explicit_bzero(it->text, sizeof it->text); /* the value of an option may be a secret */
    dxi_free(it->frames);
    dxi_free(it);
}

/* Says what is left of the answer: of a list as much as may wait. Returns whether all is said. */
static bool answer_say(dxi_session_t *session, topic_command_t *it)
{
    if (it->code != DX_OK || it->bytes == 0) {
        dxi_session_say_result(session, it->correlated, it->correlation, it->code,
                               it->error.message);
        return true;
    }
    while (it->said < it->bytes &&
           (it->type != DX_FRAME_TOPIC_LIST || !dxi_session_outbox_full(session))) {
        const dx_frame_header_t *frame = (const void *)(it->frames + it->said);
        const uint32_t bytes = dx_frame_header_frame_bytes(frame);
        dxi_session_say_frame(session, frame, bytes);
        it->said += bytes;
    }
    return it->said == it->bytes;
}

static void answer_end(dxi_session_t *session, topic_command_t *it)
{
    session->commands--;
    session->listing = session->listing && it->type != DX_FRAME_TOPIC_LIST;
    command_free(it);
}

static void command_back(void *context)
{
    topic_command_t *it = context;
    dxi_session_t *session = dxi_session_find(it->home, it->origin);
    write_down(it);
    if (session == NULL || session->connection == NULL) {
        command_free(it);
    } else if (answer_say(session, it)) {
        answer_end(session, it);
        dxi_session_commands_run(session);
    } else {
        assert(session->answer == NULL);
        session->answer = &it->command; /* the outbox is not empty: on_writable() follows */
    }
}

/* -------------------------------------------------------------------------------------- running */

static int stats_run(topic_command_t *it)
{
    dx_topic_stats_t stats;
    char text[DXI_TEXT_BYTES_MAX];
    const int code = dx_bus_topic_stats(it->bus, it->topic, &stats, &it->error);
    if (code != DX_OK) {
        return code;
    }
    const int64_t bytes = dxi_topic_stats_write(&stats, text, sizeof text);
    return bytes < 0 ? (int)bytes : frames_add(it, DX_FRAME_TOPIC_INFO, text, (size_t)bytes, false);
}

static void list_one(void *context, const dx_topic_stats_t *stats)
{
    topic_command_t *it = context;
    char text[DXI_TEXT_BYTES_MAX];
    if (it->user != NULL && !dxi_access_sees(it->user, stats->name, strlen(stats->name))) {
        return;
    }
    const int64_t bytes = dxi_topic_stats_write(stats, text, sizeof text);
    if (it->code == DX_OK) {
        it->code =
            bytes < 0 ? (int)bytes : frames_add(it, DX_FRAME_TOPIC_INFO, text, (size_t)bytes, true);
    }
}

static int list_run(topic_command_t *it)
{
    it->code = DX_OK;
    const int count = dx_bus_topic_list(it->bus, it->topic[0] != '\0' ? it->topic : NULL, list_one,
                                        it, &it->error);
    if (count < 0 || it->code != DX_OK) {
        return count < 0 ? count : it->code;
    }
    if (it->bytes == 0) { /* none, or none that the user may know of */
        return frames_add(it, DX_FRAME_TOPIC_INFO, NULL, 0, false);
    }
    dx_frame_header_t *last = (void *)(it->frames + it->last);
    last->flags &= (uint16_t)~DX_FRAME_MORE;
    dx_frame_seal(last);
    return DX_OK;
}

static bool direct_name_seen(void *context, const char *name)
{
    const topic_command_t *const it = context;
    return it->user == NULL || dxi_access_sees(it->user, name, strlen(name));
}

static int ask_run(topic_command_t *it)
{
    const dxi_session_policy_t *policy = it->policy;
    char *text = NULL;
    const char *argument = it->text + strlen(it->text) + 1;
    int code = DX_OK;
    if (strcmp(it->text, DXI_DIRECT_QUESTION) == 0) {
        code = dxi_direct_ask_text(it->bus, argument, direct_name_seen, it, &text, &it->error);
    } else if (policy->ask != NULL) {
        code = policy->ask(policy->context, it->text, argument, &text, &it->error);
    } else {
        code = dxi_fail(&it->error, DX_ENOTFOUND, "the node answers no questions");
    }
    if (code == DX_OK) {
        code = frames_add(it, DX_FRAME_ANSWER, text, text == NULL ? 0 : strlen(text), false);
    }
    free(text);
    return code;
}

static void command_run(dxi_command_t *command)
{
    topic_command_t *it = command_of(command);
    switch (it->type) {
    case DX_FRAME_TOPIC_CREATE:
        it->code = dx_bus_topic_create(it->bus, it->topic, &it->options, &it->error);
        break;
    case DX_FRAME_TOPIC_CHANGE:
        it->code = dx_bus_topic_change(it->bus, it->topic, &it->options, &it->error);
        break;
    case DX_FRAME_TOPIC_DELETE:
        it->code = dx_bus_topic_delete(it->bus, it->topic, &it->error);
        break;
    case DX_FRAME_TOPIC_STATS:
        it->code = stats_run(it);
        break;
    case DX_FRAME_TOPIC_LIST:
        it->code = list_run(it);
        break;
    default:
        it->code = ask_run(it);
        break;
    }
    user_release(it);
    if (it->code != DX_OK && it->error.message[0] == '\0') {
        (void)dxi_fail(&it->error, it->code, "%s", dx_error_text(it->code));
    }
    it->task = (dxi_task_t){.run = command_back, .context = it};
    dxi_loop_post(it->home->loop, &it->task);
}

/* -------------------------------------------------------------------------------------- reading */

static int topic_read(topic_command_t *it, const dx_frame_view_t *frame)
{
    uint32_t bytes = 0;
    const char *topic = dx_frame_part(frame, DX_PART_TOPIC, &bytes);
    if (topic == NULL && it->type != DX_FRAME_TOPIC_LIST) {
        return dxi_fail(&it->error, DX_ENOTSUP, "%s needs TOPIC: topics have no numbers here",
                        dx_frame_type_name(it->type));
    }
    if (bytes != 0) {
        memcpy(it->topic, topic, bytes);
    }
    if (strlen(it->topic) != bytes) {
        return dxi_fail(&it->error, DX_EINVAL, "the topic has a NUL inside");
    }
    if ((it->type == DX_FRAME_TOPIC_CREATE || it->type == DX_FRAME_TOPIC_CHANGE) &&
        frame->payload_bytes != 0) {
        return dxi_topic_options_read(frame->payload, frame->payload_bytes, &it->options,
                                      &it->error);
    }
    return DX_OK;
}

static int ask_read(topic_command_t *it, const dx_frame_view_t *frame)
{
    if (frame->payload_bytes > ASK_BYTES_MAX) {
        return dxi_fail(&it->error, DX_ELIMIT, "the question has %u bytes, must be at most %d",
                        frame->payload_bytes, ASK_BYTES_MAX);
    }
    if (frame->payload_bytes != 0) {
        memcpy(it->text, frame->payload, frame->payload_bytes);
        explicit_bzero((void *)(uintptr_t)frame->payload, frame->payload_bytes); /* and here */
    }
    return DX_OK;
}

/* From now on the command's answer lists what its user sees. */
static void user_keep(const dxi_session_t *session, topic_command_t *it)
{
    if (session->access != NULL) {
        it->user = session->access->login.user;
        dxi_access_user_hold(session->policy->access, it->user);
    }
}

/* Who asks for the ring of a direct topic must be allowed to do there what it is for. */
static int direct_allowed(dxi_session_t *session, topic_command_t *it, const char *argument)
{
    bool publish = false;
    const char *const topic = dxi_direct_topic_of(argument, &publish);
    if (topic == NULL) { /* the names of all, or nothing that is understood */
        user_keep(session, it);
        return DX_OK;
    }
    it->after_events = publish;
    if (publish && session->access != NULL && session->access->limited) {
        return dxi_fail(&it->error, DX_EPERM,
                        "user %s has a rate of publishing, which a ring of its own would pass by: "
                        "\"%.120s\" is for others",
                        dxi_access_user_name(session->access->login.user), topic);
    }
    return dxi_session_allows(session, publish ? DXI_ACCESS_PUBLISH : DXI_ACCESS_SUBSCRIBE, topic,
                              strlen(topic), &it->error);
}

/* What it needs, and what is remembered for its end. */
static int command_allowed(dxi_session_t *session, topic_command_t *it)
{
    const dxi_session_policy_t *policy = session->policy;
    const size_t topic_bytes = strlen(it->topic);
    const char *argument = it->text + strlen(it->text) + 1;
    switch (it->type) {
    case DX_FRAME_TOPIC_CREATE:
    case DX_FRAME_TOPIC_CHANGE:
    case DX_FRAME_TOPIC_DELETE:
        it->writes = it->type == DX_FRAME_TOPIC_CREATE   ? "create"
                     : it->type == DX_FRAME_TOPIC_CHANGE ? "change"
                                                         : "delete";
        return dxi_session_allows(session, DXI_ACCESS_MANAGE, it->topic, topic_bytes, &it->error);
    case DX_FRAME_TOPIC_STATS:
        return dxi_session_may_see(session, it->topic, &it->error);
    case DX_FRAME_TOPIC_LIST:
        user_keep(session, it);
        return DX_OK;
    default:
        if (strcmp(it->text, DXI_DIRECT_QUESTION) == 0) {
            return direct_allowed(session, it, argument);
        }
        if (policy->ask_writes != NULL && policy->ask_writes(it->text, argument)) {
            it->writes = it->text;
        }
        return dxi_session_allows(
            session, it->writes != NULL ? DXI_ACCESS_ADMIN_WRITE : DXI_ACCESS_ADMIN_READ, it->text,
            strlen(it->text), &it->error);
    }
}

/* Who asks, for the audit. */
static void asker_keep(const dxi_session_t *session, topic_command_t *it)
{
    dxi_connection_info_t info;
    if (it->writes == NULL) {
        return;
    }
    dxi_connection_info(session->connection, &info);
    (void)snprintf(it->address, sizeof it->address, "%s", info.peer_address);
    (void)snprintf(it->user_name, sizeof it->user_name, "%s",
                   session->access != NULL ? dxi_access_user_name(session->access->login.user)
                                           : "");
}

int dxi_session_command(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error)
{
    topic_command_t *it = dxi_alloc_zeroed(1, sizeof *it);
    if (it == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a command");
    }
    it->bus = session->bus;
    it->home = session->home;
    it->policy = session->policy;
    it->origin = session->origin;
    it->frame_bytes_max = session->frame_bytes_max;
    it->type = frame->header->type;
    it->correlated = dx_frame_has(frame, DX_PART_CORRELATION);
    it->correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0);
    it->command.run = command_run;
    int code = it->type == DX_FRAME_ASK ? ask_read(it, frame) : topic_read(it, frame);
    code = code != DX_OK ? code : command_allowed(session, it);
    if (code != DX_OK) {
        dxi_session_say_result(session, it->correlated, it->correlation, code, it->error.message);
        command_free(it);
        return DX_OK;
    }
    asker_keep(session, it);
    session->commands++;
    dxi_command_t **last = &session->behind;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    it->command.next = NULL;
    *last = &it->command;
    dxi_session_commands_run(session);
    return DX_OK;
}

/* Posts those that may run now. */
static void behind_run(dxi_session_t *session)
{
    for (dxi_command_t **at = &session->behind; *at != NULL && !session->listing;) {
        topic_command_t *const it = command_of(*at);
        if (it->after_events && !dxi_aside_empty(&session->aside)) {
            at = &it->command.next;
            continue;
        }
        *at = it->command.next;
        session->listing = it->type == DX_FRAME_TOPIC_LIST;
        dxi_command_post(session->bus, &it->command);
    }
}

void dxi_session_commands_run(dxi_session_t *session)
{
    if (session->answer != NULL) {
        topic_command_t *const it = command_of(session->answer);
        if (!answer_say(session, it)) {
            return;
        }
        session->answer = NULL;
        answer_end(session, it);
    }
    behind_run(session);
}

void dxi_session_commands_drop(dxi_session_t *session)
{
    while (session->behind != NULL) {
        topic_command_t *const it = command_of(session->behind);
        session->behind = it->command.next;
        command_free(it);
    }
    if (session->answer != NULL) {
        command_free(command_of(session->answer));
        session->answer = NULL;
    }
}
