/* errors.c - `dx errors`: the codes of disruptorx/error.h, what each means and what to do.
 *
 * EXPLANATIONS has one row per code of DX_ERROR_LIST; a unit test refuses a missing one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/errors.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "disruptorx/error.h"

typedef struct explanation {
    int code;
    const char *means;
    const char *action;
} explanation_t;

static const explanation_t EXPLANATIONS[] = {
    {DX_OK, "Nothing went wrong.", "Nothing."},
    {DX_EINVAL,
     "An option or an argument breaks a rule. The message names it, its value and the "
     "rule.",
     "Correct the value that the message names."},
    {DX_ENOMEM, "The system gave no memory, or no huge pages of the kind that was demanded.",
     "Ask for less (a smaller capacity), free some, reserve huge pages, or set best_effort."},
    {DX_EAGAIN,
     "The ring is full for a producer that does not wait, or there is nothing yet for a "
     "consumer that does not wait.",
     "Try again later, or wait: DX_FULL_WAIT for producers, dx_consumer_wait() for consumers. If "
     "it happens all the time, a consumer is too slow: look at its lag."},
    {DX_ETIMEDOUT, "What was waited for did not happen in the time allowed.",
     "Wait again, allow more time, or find out who does not make progress: dx_ring_stat() shows "
     "the slowest consumer."},
    {DX_ECLOSED,
     "The ring was closed by dx_ring_close(), a shutdown or a halt; producers are sent "
     "away.",
     "Stop producing. dx_ring_reopen() or a new start opens it again."},
    {DX_ESTATE,
     "The call is not allowed in this state, as a second start or a reset while "
     "handlers run.",
     "Follow the lifecycle at the head of the header."},
    {DX_ECANCELLED,
     "Another thread ended this wait with dx_producer_cancel() or "
     "dx_consumer_cancel().",
     "Nothing is wrong: do what the cancel was for."},
    {DX_EDROPPED,
     "The ring was full and the producer's policy is DX_FULL_DROP: the events are "
     "gone and counted.",
     "Make the ring larger or the consumers faster, or use "
     "DX_FULL_WAIT where no event may be lost."},
    {DX_ECONSUMER, "A consumer that holds the ring has failed, so waiting for it would never end.",
     "dx_disruptor_failure() names the consumer, the event and the reason. Correct it, then start "
     "again: the event is delivered again."},
    {DX_ELIMIT, "A fixed limit is reached: consumers, producers, threads, locked memory.",
     "Raise the limit where it is an option (consumers_max, ulimit), or use fewer."},
    {DX_ENOTFOUND, "There is nothing of that name or number.",
     "Check the spelling; the message "
     "lists what there is, if it can."},
    {DX_EEXIST, "Something of that name exists already.", "Choose another name, or remove it."},
    {DX_EPERM, "The system does not permit it: real-time scheduling, locked memory, a file.",
     "Run with the permission that the message names (CAP_SYS_NICE, a memlock limit), or do "
     "without it."},
    {DX_EIO, "A file, the terminal or a system call failed.",
     "The message carries the system's "
     "reason: correct that."},
    {DX_EVERSION, "Data or a program of another version, which this one can't read.",
     "Use the same version on both sides."},
    {DX_ECORRUPT, "Data is not what was written: a checksum or a structure is wrong.",
     "Do not go on with it. Restore from a copy, and check memory and disk of the machine."},
    {DX_ENOTSUP, "This kernel, processor or build can't do it.",
     "Use another setting; the message "
     "says what is missing."},
    {DX_EFATAL, "A handler returned it to end its consumer for good.",
     "Look at the handler's own log for its reason."},
    {DX_EDEADLOCK,
     "A handler asked for something that waits for the handler itself, such as a "
     "shutdown from its own thread.",
     "Do it from another thread, or return DX_HANDLER_STOP."},
    {DX_EPARSE, "A text has not the form that was expected.",
     "The message shows the place; correct "
     "the text."},
    {DX_EBUSY, "It is in use, as a single-producer ring that has its producer already.",
     "Close the other one first, or use DX_RING_MULTI."},
    {DX_EALERTED, "A wait ended because its consumer was halted.",
     "Nothing is wrong: leave the loop. A disruptor's own handlers never see it."},
    {DX_EEVICTED,
     "A consumer of a shared ring was evicted: its process did not run for longer than the ring's "
     "detect_ns, and producers no longer waited for it.",
     "Close it and open it again with `resume`; dx_consumer_missed() says what it missed."},
};

#define EXPLANATION_COUNT (sizeof EXPLANATIONS / sizeof EXPLANATIONS[0])

static const explanation_t *explanation_find(int code)
{
    for (size_t i = 0; i < EXPLANATION_COUNT; i++) {
        if (EXPLANATIONS[i].code == code) {
            return &EXPLANATIONS[i];
        }
    }
    return NULL;
}

const char *dxi_error_meaning(int code)
{
    const explanation_t *const found = explanation_find(code);
    return found != NULL ? found->means : NULL;
}

const char *dxi_error_action(int code)
{
    const explanation_t *const found = explanation_find(code);
    return found != NULL ? found->action : NULL;
}

/* "DX_EAGAIN", "EAGAIN", "again", in upper or lower case. */
static bool name_matches(const char *name, const char *text)
{
    return strcasecmp(name, text) == 0 || strcasecmp(name + strlen("DX_"), text) == 0 ||
           (name[3] == 'E' && strcasecmp(name + strlen("DX_E"), text) == 0);
}

int dxi_error_lookup(const char *text, int *code_out)
{
    char *end = NULL;
    const long number = strtol(text, &end, 10);
    const bool is_number = end != text && *end == '\0';
    for (size_t i = 0; i < EXPLANATION_COUNT; i++) {
        const int code = EXPLANATIONS[i].code;
        if (is_number ? number == code || number == -(long)code
                      : name_matches(dx_error_name(code), text)) {
            *code_out = code;
            return DX_OK;
        }
    }
    return DX_ENOTFOUND;
}

static int list_json(void)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_array_begin(&json, NULL);
    for (size_t i = 0; i < EXPLANATION_COUNT; i++) {
        dxi_json_object_begin(&json, NULL);
        dxi_json_integer(&json, "code", EXPLANATIONS[i].code);
        dxi_json_text(&json, "name", dx_error_name(EXPLANATIONS[i].code));
        dxi_json_text(&json, "text", dx_error_text(EXPLANATIONS[i].code));
        dxi_json_object_end(&json);
    }
    dxi_json_array_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int list_table(void)
{
    static const dxi_column_t columns[] = {
        {"code", DXI_ALIGN_RIGHT, 0}, {"name", DXI_ALIGN_LEFT, 0}, {"text", DXI_ALIGN_LEFT, 0}};
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    if (dxi_table_create(columns, 3, &table, &error) != DX_OK) {
        dxi_complain_error("dx errors", &error);
        return DXI_EXIT_FAILED;
    }
    for (size_t i = 0; i < EXPLANATION_COUNT; i++) {
        dxi_table_cell(table, "%d", EXPLANATIONS[i].code);
        dxi_table_cell(table, "%s", dx_error_name(EXPLANATIONS[i].code));
        dxi_table_cell(table, "%s", dx_error_text(EXPLANATIONS[i].code));
    }
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    return DXI_EXIT_OK;
}

static int explain_json(int code)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_integer(&json, "code", code);
    dxi_json_text(&json, "name", dx_error_name(code));
    dxi_json_text(&json, "text", dx_error_text(code));
    dxi_json_text(&json, "meaning", dxi_error_meaning(code));
    dxi_json_text(&json, "action", dxi_error_action(code));
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int explain_text(int code)
{
    const int32_t width = dxi_output_width(stdout);
    printf("%s%s%s (%d): %s\n\n", dxi_style(stdout, DXI_STYLE_HEADING), dx_error_name(code),
           dxi_style(stdout, DXI_STYLE_PLAIN), code, dx_error_text(code));
    fputs("What it means  ", stdout);
    dxi_print_wrapped(stdout, dxi_error_meaning(code), 15, 15, width > 0 ? width : 80);
    fputs("What to do     ", stdout);
    dxi_print_wrapped(stdout, dxi_error_action(code), 15, 15, width > 0 ? width : 80);
    return DXI_EXIT_OK;
}

static int unknown_code(const char *text)
{
    char word[DXI_NEAREST_BYTES_MAX + 1] = "";
    for (size_t i = 0; i < sizeof word - 1 && text[i] != '\0'; i++) {
        word[i] = (char)toupper((unsigned char)text[i]);
    }
    dxi_nearest_t nearest = {.word = word};
    for (size_t i = 0; i < EXPLANATION_COUNT; i++) {
        const char *const name = dx_error_name(EXPLANATIONS[i].code);
        dxi_nearest_offer(&nearest, name);
        dxi_nearest_offer(&nearest, name + strlen("DX_"));
    }
    if (nearest.best != NULL) {
        dxi_complain("dx errors", "\"%.60s\" is no error code; did you mean %s?", text,
                     nearest.best);
    } else {
        dxi_complain("dx errors", "\"%.60s\" is no error code; dx errors lists them", text);
    }
    return DXI_EXIT_USAGE;
}

int dxi_cli_errors(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx errors",
        .operands = "[CODE|NAME]",
        .description =
            "Lists the error codes of the library, or explains one: what it means and what\n"
            "to do. The numbers never change. The sign, DX_ and E may be left out.\n",
        .examples = "  dx errors\n  dx errors -9\n  dx errors DX_ECONSUMER\n  dx errors again\n",
        .operands_max = 1,
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (operands.count == 0) {
        return dxi_output_is_json() ? list_json() : list_table();
    }
    int code = 0;
    if (dxi_error_lookup(operands.texts[0], &code) != DX_OK) {
        return unknown_code(operands.texts[0]);
    }
    return dxi_output_is_json() ? explain_json(code) : explain_text(code);
}
