/* target.c - which node, and the connection to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/trace.h"

static const char *or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static int text_take(char *room, size_t bytes, const char *text, const char *what,
                     dx_error_t *error)
{
    const size_t length = strlen(text);
    if (length >= bytes) {
        return dxi_fail(error, DX_ELIMIT, "%s has %zu bytes, must have at most %zu", what, length,
                        bytes - 1);
    }
    memcpy(room, text, length + 1);
    return DX_OK;
}

/* Reads the token of "@FILE": the first line, without its end. */
static int token_read(const char *path, char *room, size_t bytes, dx_error_t *error)
{
    FILE *const file = fopen(path, "re");
    if (file == NULL) {
        return dxi_fail_os(error, dxi_code_of_errno(errno), errno, "the token file %.100s", path);
    }
    const bool got = fgets(room, (int)bytes, file) != NULL;
    const size_t length = got ? strcspn(room, "\r\n") : 0;
    const bool whole = got && (room[length] != '\0' || feof(file));
    (void)fclose(file);
    if (length == 0 || !whole) {
        room[0] = '\0';
        return dxi_fail(error, DX_EINVAL,
                        "the token file %.100s must begin with a line of 1 to %zu bytes", path,
                        bytes - 2);
    }
    room[length] = '\0';
    return DX_OK;
}

static int token_take(dxi_target_t *target, const char *token, const char *what, dx_error_t *error)
{
    if (token[0] == '@') {
        return token_read(token + 1, target->place.token, sizeof target->place.token, error);
    }
    return text_take(target->place.token, sizeof target->place.token, token, what, error);
}

static int context_use(dxi_target_t *target, const dxi_contexts_t *contexts, const char *name,
                       dx_error_t *error)
{
    const dxi_context_t *const context = contexts == NULL ? NULL : dxi_context_find(contexts, name);
    if (context != NULL) {
        target->place = *context;
        snprintf(target->origin, sizeof target->origin, "context %s", context->name);
        return context->token[0] == '@' ? token_take(target, context->token, "the token", error)
                                        : DX_OK;
    }
    dxi_nearest_t nearest = {.word = name};
    for (int32_t i = 0; contexts != NULL && i < contexts->count; i++) {
        dxi_nearest_offer(&nearest, contexts->items[i].name);
    }
    if (nearest.best != NULL) {
        return dxi_fail(error, DX_ENOTFOUND, "there is no context \"%.60s\"; did you mean %s?",
                        name, nearest.best);
    }
    return dxi_fail(error, DX_ENOTFOUND, "there is no context \"%.60s\"; dx context ls lists them",
                    name);
}

static int address_choose(const dxi_target_words_t *words, const dxi_contexts_t *contexts,
                          const char *from_environment, dxi_target_t *target, dx_error_t *error)
{
    const char *text = words->address;
    const char *origin = "--address";
    if (text == NULL && words->context != NULL) {
        return context_use(target, contexts, words->context, error);
    }
    if (text == NULL) {
        text = from_environment;
        origin = "DX_ADDRESS";
    }
    if (text == NULL && contexts != NULL && contexts->selected[0] != '\0') {
        return context_use(target, contexts, contexts->selected, error);
    }
    if (text == NULL) {
        text = DXI_ADDRESS_DEFAULT;
        origin = "the default";
    }
    snprintf(target->origin, sizeof target->origin, "%s", origin);
    return text_take(target->place.address, sizeof target->place.address, text, "the address",
                     error);
}

int dxi_target_choose(const dxi_target_words_t *words, const dxi_contexts_t *contexts,
                      const char *(*environment)(const char *name), dxi_target_t *target_out,
                      dx_error_t *error)
{
    memset(target_out, 0, sizeof *target_out);
    int result = DX_OK;
    if (words->context != NULL && words->address != NULL) {
        return dxi_fail(error, DX_EINVAL, "--context and --address exclude each other");
    }
    result = address_choose(words, contexts, or_null(environment("DX_ADDRESS")), target_out, error);
    if (result != DX_OK) {
        return result;
    }
    const char *const from_environment = or_null(environment("DX_TOKEN"));
    if (words->token != NULL) {
        return token_take(target_out, words->token, "--token", error);
    }
    if (target_out->place.token[0] == '\0' && from_environment != NULL &&
        target_out->place.name[0] == '\0') {
        return token_take(target_out, from_environment, "DX_TOKEN", error);
    }
    return DX_OK;
}

static const char *environment_read(const char *name)
{
    return getenv(name);
}

int dxi_target_read(dxi_target_t *target_out, dx_error_t *error)
{
    dxi_contexts_t *const contexts = dxi_alloc_zeroed(1, sizeof *contexts);
    char path[DXI_CONTEXT_PATH_BYTES];
    if (contexts == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the contexts");
    }
    int result = DX_OK;
    /* Without a home there are no contexts; with --address they don't matter, and with DX_ADDRESS
     * only the one that --context names. */
    const dxi_target_words_t *const words = dxi_target_words();
    const bool needed = words->address == NULL &&
                        (words->context != NULL || or_null(environment_read("DX_ADDRESS")) == NULL);
    if (needed && dxi_contexts_path(path, sizeof path, NULL) == DX_OK) {
        result = dxi_contexts_load(path, contexts, error);
    }
    if (result == DX_OK) {
        result = dxi_target_choose(words, contexts, environment_read, target_out, error);
    }
    dxi_free(contexts);
    return result;
}

int dxi_target_exit_code(int code)
{
    switch (code) {
    case DX_ETIMEDOUT:
    case DX_ECLOSED:
        return DXI_EXIT_UNREACHABLE;
    case DX_OK:
        return DXI_EXIT_OK;
    default:
        return DXI_EXIT_FAILED;
    }
}

/* What to do next. */
static void hint_print(const dxi_target_t *target, const dx_error_t *error)
{
    switch (error->code) {
    case DX_EPERM:
        if (error->os_errno == EACCES) {
            fputs("Next: ask as the user of the node, or open its socket to others: its folder, "
                  "and listen.unix_mode where the node is configured\n",
                  stderr);
            break;
        }
        fputs("Next: give the token with --token or DX_TOKEN, or save it: dx context add --help\n",
              stderr);
        break;
    case DX_ENOTSUP:
        fputs("Next: connect as unix:// instead of shm://, or set local.enabled=true where the "
              "node is configured\n",
              stderr);
        break;
    case DX_EVERSION:
        fputs("Next: compare dx version with the version of the node\n", stderr);
        break;
    case DX_EINVAL:
        fputs("Next: dx help pub shows how an address is written\n", stderr);
        break;
    default:
        fprintf(stderr,
                "The address is from %s. Next: start a node with dx server --dev, or name another "
                "with --address\n",
                target->origin);
        break;
    }
}

/* What a client is made with, out of the target; `wishes` may be NULL. */
static int options_fill(const char *speaker, const dx_client_options_t *wishes,
                        const dxi_target_t *target, dx_client_options_t *options_out,
                        dx_error_t *error)
{
    dx_client_options_t options = wishes != NULL ? *wishes : (dx_client_options_t){0};
    const dxi_context_t *const place = &target->place;
    options.address = place->address;
    options.token = or_null(place->token);
    options.tls_authority_file = or_null(place->tls_authority_file);
    options.tls_certificate_file = or_null(place->tls_certificate_file);
    options.tls_key_file = or_null(place->tls_key_file);
    options.tls_server_name = or_null(place->tls_server_name);
    options.tls_insecure = place->tls_insecure;
    options.compression = (dx_compression_t)dxi_target_words()->compression;
    if (options.name == NULL) {
        options.name = speaker;
    }
    *options_out = options;
    return dxi_trace_of_process(speaker, &options_out->tracer, error);
}

int dxi_target_open(const char *speaker, const dx_client_options_t *wishes,
                    dxi_target_t *target_out, dx_client_t **client_out, dx_error_t *error)
{
    dx_client_options_t options;
    *client_out = NULL;
    memset(target_out, 0, sizeof *target_out);
    int result = dxi_target_read(target_out, error);
    if (result == DX_OK) {
        result = options_fill(speaker, wishes, target_out, &options, error);
    }
    return result == DX_OK ? dx_client_connect(&options, client_out, error) : result;
}

int dxi_target_connect(const char *speaker, const dx_client_options_t *wishes,
                       dx_client_t **client_out)
{
    dxi_target_t target = {0};
    dx_client_options_t options;
    dx_error_t error = {0};
    *client_out = NULL;
    int result = dxi_target_read(&target, &error);
    if (result != DX_OK) {
        dxi_complain_error(speaker, &error);
        return result == DX_EPERM || result == DX_EIO ? DXI_EXIT_FAILED : DXI_EXIT_USAGE;
    }
    if (options_fill(speaker, wishes, &target, &options, &error) != DX_OK) {
        dxi_complain_error(speaker, &error);
        return DXI_EXIT_USAGE;
    }
    result = dx_client_connect(&options, client_out, &error);
    if (result == DX_OK) {
        return DXI_CONNECTED;
    }
    dxi_complain(speaker, "no connection to %.200s: %s (%s)", target.place.address, error.message,
                 dx_error_name(result));
    hint_print(&target, &error);
    switch (result) {
    case DX_EINVAL:
        return DXI_EXIT_USAGE;
    case DX_EIO:
    case DX_ENOTFOUND:
    case DX_ETIMEDOUT:
    case DX_ECLOSED:
        return DXI_EXIT_UNREACHABLE;
    default:
        return DXI_EXIT_FAILED;
    }
}
