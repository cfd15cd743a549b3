/* reply.c - `dx reply`: answers requests with a text, with themselves, or with what a command
 * prints.
 *
 * DESIGN. The handler, in the client's thread, copies each request into a queue; the main thread
 * takes them from there and answers, so that a slow command never holds up the connection. The
 * queue holds QUEUE_MAX requests; one more is answered with nothing, counted, and told.
 *
 * INVARIANTS
 *
 *   I1  a request in the queue owns its copy of the frame; whoever takes it out frees it
 *   I2  the child of --command never outlives the answer: it is waited for
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/event_text.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/receive.h"
#include "cli/target.h"
#include "cli/template.h"
#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"

#define COMMAND "dx reply"
#define QUEUE_MAX 1024
#define ANSWER_BYTES_MAX 1048576

extern char **environ;

typedef struct settings {
    const char *group;
    const char *command;
    int64_t count;
    bool echo;
    bool quiet;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "command",
     .letter = 'c',
     .kind = DXI_OPTION_TEXT,
     .value_name = "CMD",
     .offset = offsetof(settings_t, command),
     .help =
         "run by the shell for each request, which is its standard input; what it prints is the "
         "answer, without a last line end. DX_TOPIC and DX_KEY are in its environment"},
    {.name = "echo",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, echo),
     .help = "answer with the request itself"},
    {.name = "group",
     .letter = 'g',
     .kind = DXI_OPTION_TEXT,
     .value_name = "NAME",
     .offset = offsetof(settings_t, group),
     .help = "share the requests with the others of this group"},
    {.name = "count",
     .letter = 'n',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, count),
     .low = 1,
     .high = INT64_MAX,
     .help = "end after N answers"},
    {.name = "quiet",
     .letter = 'q',
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, quiet),
     .help = "don't print the requests"},
};

static int settings_check(const void *target, const dxi_operands_t *operands, dx_error_t *error)
{
    const settings_t *const settings = target;
    const int ways = (operands->count > 1) + (settings->command != NULL) + settings->echo;
    if (ways != 1) {
        return dxi_fail(error, DX_EINVAL,
                        "exactly one of DATA, --command and --echo must be there");
    }
    return DX_OK;
}

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .operands = "TOPIC [DATA]",
    .description =
        "Answers requests until Ctrl-C: with DATA, which may have the places of dx pub,\n"
        "with --echo, or with what --command prints. Requests are printed as dx sub does.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx reply time.now '{{.Time}}'\n"
                "  dx reply math.square --command 'read n; echo $((n * n))'\n"
                "  dx reply work.do --echo --group workers\n",
    .operands_max = 2,
    .uses_node = 1,
    .question = "which topic?",
    .check = settings_check,
};

/* A request with its own copy of the frame (I1). */
typedef struct request {
    struct request *next;
    dx_event_t event;
    dx_frame_view_t frame;
    void *copy;
} request_t;

typedef struct responder {
    const settings_t *settings;
    dx_client_t *client;
    dxi_template_t data;
    dxi_template_values_t values;
    int64_t answered;
    int64_t failed;
    dx_atomic64_t unheard; /* nobody waited any more */
    dx_atomic64_t refused; /* by the node, for another reason */

    pthread_mutex_t mutex; /* of what follows */
    request_t *first;
    request_t **last;
    int32_t queued;
    int64_t overflowed;
    int end_code;
    bool ended;
} responder_t;

/* ---------------------------------------------------------------------------------------- queue */

static void request_free(request_t *request)
{
    free(request->copy);
    free(request);
}

static request_t *request_copy(const dx_event_t *event)
{
    request_t *const request = calloc(1, sizeof *request);
    void *const copy = request == NULL ? NULL : aligned_alloc(8, event->frame->bytes);
    if (copy == NULL) {
        free(request);
        return NULL;
    }
    memcpy(copy, event->frame->header, event->frame->bytes);
    request->copy = copy;
    request->event = *event;
    request->event.frame = &request->frame;
    if (dx_frame_view(copy, event->frame->bytes, &request->frame, NULL) != DX_OK) {
        request_free(request);
        return NULL;
    }
    uint32_t bytes = 0;
    request->event.topic = dx_frame_part(&request->frame, DX_PART_TOPIC, &bytes);
    request->event.key = dx_frame_part(&request->frame, DX_PART_KEY, &bytes);
    request->event.data = request->frame.payload;
    return request;
}

static int on_request(void *context, const dx_event_t *event)
{
    responder_t *const responder = context;
    if (event->frame == NULL || !dx_frame_has(event->frame, DX_PART_REPLY_TO)) {
        return DX_OK; /* an event, no request: nobody waits for an answer */
    }
    (void)pthread_mutex_lock(&responder->mutex);
    request_t *const request = responder->queued < QUEUE_MAX ? request_copy(event) : NULL;
    if (request == NULL) {
        responder->overflowed++;
    } else {
        *responder->last = request;
        responder->last = &request->next;
        responder->queued++;
    }
    (void)pthread_mutex_unlock(&responder->mutex);
    dxi_interrupt_wake();
    return DX_OK;
}

static void on_end(void *context, int code, const char *sentence)
{
    responder_t *const responder = context;
    if (code != DX_OK) {
        dxi_complain(COMMAND, "the subscription has ended: %s (%s)", sentence, dx_error_name(code));
    }
    (void)pthread_mutex_lock(&responder->mutex);
    responder->ended = true;
    responder->end_code = code;
    (void)pthread_mutex_unlock(&responder->mutex);
    dxi_interrupt_wake();
}

/* The oldest request, or NULL. */
static request_t *request_take(responder_t *responder)
{
    (void)pthread_mutex_lock(&responder->mutex);
    request_t *const request = responder->first;
    if (request != NULL) {
        responder->first = request->next;
        responder->queued--;
        if (responder->first == NULL) {
            responder->last = &responder->first;
        }
    }
    (void)pthread_mutex_unlock(&responder->mutex);
    return request;
}

/* -------------------------------------------------------------------------------------- command */

/* Feeds `input` to one descriptor and reads the other to its end, both at once. */
static int talk(int to_child, int from_child, const char *input, size_t input_bytes,
                dxi_room_t *answer)
{
    char piece[4096];
    size_t written = 0;
    (void)fcntl(to_child, F_SETFL, O_NONBLOCK);
    for (;;) {
        struct pollfd ends[2] = {{.fd = to_child, .events = POLLOUT},
                                 {.fd = from_child, .events = POLLIN}};
        if (to_child >= 0 && written == input_bytes) {
            (void)close(to_child);
            to_child = -1;
            ends[0].fd = -1;
        }
        if (poll(ends, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        if (to_child >= 0 && ends[0].revents != 0) {
            const ssize_t bytes = write(to_child, input + written, input_bytes - written);
            written = bytes > 0 ? written + (size_t)bytes
                                : (bytes < 0 && errno == EAGAIN ? written : input_bytes);
        }
        if (ends[1].revents != 0) {
            const ssize_t bytes = read(from_child, piece, sizeof piece);
            if (bytes == 0 || (bytes < 0 && errno != EINTR)) {
                break;
            }
            if (bytes > 0 && answer->used + (size_t)bytes <= ANSWER_BYTES_MAX &&
                dxi_room_add(answer, piece, (size_t)bytes) != DX_OK) {
                break;
            }
        }
    }
    if (to_child >= 0) {
        (void)close(to_child);
    }
    (void)close(from_child);
    return DX_OK;
}

static void environment_set(const dx_event_t *event)
{
    char text[DX_FRAME_KEY_BYTES_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)event->topic_bytes, event->topic);
    (void)setenv("DX_TOPIC", text, 1);
    snprintf(text, sizeof text, "%.*s", (int)event->key_bytes,
             event->key_bytes > 0 ? (const char *)event->key : "");
    (void)setenv("DX_KEY", text, 1);
}

/* Starts the shell with the two pipes. Returns its process, or -1. */
static pid_t shell_start(const char *command, int input, int output)
{
    static char shell[] = "/bin/sh";
    static char option[] = "-c";
    char *const words[] = {shell, option, (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t child = -1;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    (void)posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigaddset(&none, SIGPIPE);
    (void)posix_spawnattr_setsigdefault(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    if (posix_spawn(&child, shell, &actions, &attributes, words, environ) != 0) {
        child = -1;
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return child;
}

/* Runs the command for one request (I2). Returns DX_OK, or DX_EIO when it failed. */
static int command_run(const char *command, const dx_event_t *event, dxi_room_t *answer)
{
    int to[2];
    int from[2];
    int status = 0;
    if (pipe2(to, O_CLOEXEC) != 0) {
        return DX_EIO;
    }
    if (pipe2(from, O_CLOEXEC) != 0) {
        (void)close(to[0]);
        (void)close(to[1]);
        return DX_EIO;
    }
    environment_set(event);
    const pid_t child = shell_start(command, to[0], from[1]);
    (void)close(to[0]);
    (void)close(from[1]);
    if (child < 0) {
        (void)close(to[1]);
        (void)close(from[0]);
        return DX_EIO;
    }
    (void)talk(to[1], from[0], event->data, event->bytes, answer);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (answer->used > 0 && answer->bytes[answer->used - 1] == '\n') {
        answer->used--;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? DX_OK : DX_EIO;
}

/* -------------------------------------------------------------------------------------- answers */

static int answer_make(responder_t *responder, const dx_event_t *event, dxi_room_t *answer)
{
    const settings_t *const settings = responder->settings;
    answer->used = 0;
    if (settings->command != NULL) {
        return command_run(settings->command, event, answer);
    }
    if (settings->echo) {
        return dxi_room_add(answer, event->data, event->bytes);
    }
    responder->values.count++;
    responder->values.time_ns = dx_clock_realtime_ns();
    return dxi_template_fill(&responder->data, &responder->values, answer);
}

/* In the client's thread: what became of an answer. */
static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    responder_t *const responder = context;
    if (receipt->code == DX_ENOTFOUND) {
        (void)dx_fetch_add_relaxed(&responder->unheard, 1);
    } else if (receipt->code != DX_OK) {
        (void)dx_fetch_add_relaxed(&responder->refused, 1);
        fprintf(stderr, "%s: the node refused an answer: %s (%s)\n", COMMAND, receipt->sentence,
                dx_error_name(receipt->code));
    }
}

static void request_answer(responder_t *responder, const request_t *request, dxi_room_t *answer)
{
    const dx_event_t *const event = &request->event;
    dx_error_t error = {0};
    if (!responder->settings->quiet) {
        dxi_event_print(stdout, event, dxi_output_is_json() ? DXI_EVENT_JSON : DXI_EVENT_LINE);
        fflush(stdout);
    }
    const int made = answer_make(responder, event, answer);
    if (made != DX_OK) {
        responder->failed++;
        dxi_complain(COMMAND, "no answer to request %" PRIu64 ": the command failed",
                     event->sequence);
        return; /* who asked finds out by the timeout: an empty answer would be taken for one */
    }
    const int result =
        dx_client_reply_async(responder->client, event, answer->used > 0 ? answer->bytes : NULL,
                              answer->used, on_receipt, responder, &error);
    if (result != DX_OK) {
        responder->failed++;
        dxi_complain_error(COMMAND, &error);
        return;
    }
    responder->answered++;
}

static bool is_over(responder_t *responder)
{
    (void)pthread_mutex_lock(&responder->mutex);
    const bool ended = responder->ended;
    (void)pthread_mutex_unlock(&responder->mutex);
    const int64_t count = responder->settings->count;
    return ended || dxi_interrupted() || (count > 0 && responder->answered >= count);
}

static void answers_run(responder_t *responder)
{
    dxi_room_t answer = {0};
    while (!is_over(responder)) {
        request_t *const request = request_take(responder);
        if (request == NULL) {
            (void)dxi_interrupt_wait(-1);
            continue;
        }
        request_answer(responder, request, &answer);
        request_free(request);
    }
    dxi_room_free(&answer);
}

static int outcome(const responder_t *responder)
{
    if (responder->overflowed > 0) {
        dxi_complain(COMMAND, "%s requests were not answered: more than %d waited",
                     dxi_format_count(&(dxi_text_t){0}, responder->overflowed), QUEUE_MAX);
    }
    if (responder->ended && responder->end_code != DX_OK) {
        return dxi_target_exit_code(responder->end_code);
    }
    return responder->failed > 0 || responder->overflowed > 0 ? DXI_EXIT_FAILED : DXI_EXIT_OK;
}

static int connected(responder_t *responder, const char *topic)
{
    const dx_subscription_options_t options = {.pattern = topic,
                                               .group = responder->settings->group,
                                               .ack = DX_ACK_NONE,
                                               .context = responder,
                                               .on_event = on_request,
                                               .on_end = on_end};
    dx_client_subscription_t *subscription = NULL;
    dx_error_t error = {0};
    const int result = dx_client_subscribe(responder->client, &options, &subscription, &error);
    if (result != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return result == DX_EINVAL ? DXI_EXIT_USAGE : dxi_target_exit_code(result);
    }
    answers_run(responder);
    (void)dx_client_unsubscribe(subscription, 0);
    for (request_t *left = request_take(responder); left != NULL; left = request_take(responder)) {
        request_free(left);
    }
    return outcome(responder);
}

int dxi_cli_reply(int argc, char **argv)
{
    settings_t settings = {0};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    responder_t responder = {.settings = &settings, .mutex = PTHREAD_MUTEX_INITIALIZER};
    responder.last = &responder.first;
    responder.values.random_state = (uint64_t)dx_clock_realtime_ns() | 1;
    if (operands.count > 1 &&
        dxi_template_parse(operands.texts[1], &responder.data, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    static char speaker[] = COMMAND;
    const dx_client_options_t wishes = {.on_state = dxi_receive_on_state,
                                        .context = speaker,
                                        .window_bytes = DXI_WINDOW_BYTES_LARGE};
    dxi_interrupt_catch();
    int exit_code = dxi_target_connect(COMMAND, &wishes, &responder.client);
    if (exit_code == DXI_CONNECTED) {
        exit_code = connected(&responder, operands.texts[0]);
        (void)dx_client_close(responder.client, DX_NS_PER_S);
        const int64_t unheard = dx_load_relaxed(&responder.unheard);
        if (unheard != 0) {
            dxi_complain(COMMAND, "%s answer%s came to nobody: who had asked was gone",
                         dxi_format_count(&(dxi_text_t){0}, unheard), unheard == 1 ? "" : "s");
        }
        if (exit_code == DXI_EXIT_OK && dx_load_relaxed(&responder.refused) != 0) {
            exit_code = DXI_EXIT_FAILED;
        }
    }
    return exit_code;
}
