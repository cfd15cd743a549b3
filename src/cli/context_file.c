/* context_file.c - reading, writing and changing the saved contexts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "cli/context.h"
#include "cli/json.h"

#define FILE_BYTES_MAX 1048576

/* The texts of a context: key in the file, place in the struct. */
static const struct {
    const char *key;
    size_t offset;
} TEXTS[] = {
    {"address", offsetof(dxi_context_t, address)},
    {"token", offsetof(dxi_context_t, token)},
    {"tls_authority_file", offsetof(dxi_context_t, tls_authority_file)},
    {"tls_certificate_file", offsetof(dxi_context_t, tls_certificate_file)},
    {"tls_key_file", offsetof(dxi_context_t, tls_key_file)},
    {"tls_server_name", offsetof(dxi_context_t, tls_server_name)},
};

#define TEXT_COUNT (sizeof TEXTS / sizeof TEXTS[0])

int dxi_contexts_path(char *path_out, size_t path_bytes, dx_error_t *error)
{
    const char *const config = getenv("XDG_CONFIG_HOME");
    const char *const home = getenv("HOME");
    int bytes = 0;
    if (config != NULL && config[0] == '/') {
        bytes = snprintf(path_out, path_bytes, "%s/disruptorx/contexts.json", config);
    } else if (home != NULL && home[0] == '/') {
        bytes = snprintf(path_out, path_bytes, "%s/.config/disruptorx/contexts.json", home);
    } else {
        return dxi_fail(error, DX_ENOTFOUND,
                        "neither XDG_CONFIG_HOME nor HOME names a folder for the contexts");
    }
    if (bytes < 0 || (size_t)bytes >= path_bytes) {
        return dxi_fail(error, DX_ELIMIT, "the path of the contexts is longer than %zu bytes",
                        path_bytes - 1);
    }
    return DX_OK;
}

/* ------------------------------------------------------------------------------------ in memory */

const dxi_context_t *dxi_context_find(const dxi_contexts_t *contexts, const char *name)
{
    for (int32_t i = 0; i < contexts->count; i++) {
        if (strcmp(contexts->items[i].name, name) == 0) {
            return &contexts->items[i];
        }
    }
    return NULL;
}

static bool name_is_good(const char *name)
{
    const size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-_.");
    return good >= 1 && good <= DXI_CONTEXT_NAME_MAX && name[good] == '\0';
}

int dxi_context_put(dxi_contexts_t *contexts, const dxi_context_t *context, dx_error_t *error)
{
    if (!name_is_good(context->name)) {
        return dxi_fail(error, DX_EINVAL,
                        "the name is \"%.40s\", must be 1 to %d letters, digits, '-', '_' and '.'",
                        context->name, DXI_CONTEXT_NAME_MAX);
    }
    int32_t at = 0;
    while (at < contexts->count && strcmp(contexts->items[at].name, context->name) < 0) {
        at++;
    }
    if (at == contexts->count || strcmp(contexts->items[at].name, context->name) != 0) {
        if (contexts->count == DXI_CONTEXTS_MAX) {
            return dxi_fail(error, DX_ELIMIT,
                            "there are %d contexts already, the most there may be",
                            DXI_CONTEXTS_MAX);
        }
        memmove(&contexts->items[at + 1], &contexts->items[at],
                (size_t)(contexts->count - at) * sizeof contexts->items[0]);
        contexts->count++;
    }
    contexts->items[at] = *context;
    return DX_OK;
}

int dxi_context_remove(dxi_contexts_t *contexts, const char *name, dx_error_t *error)
{
    const dxi_context_t *const found = dxi_context_find(contexts, name);
    if (found == NULL) {
        return dxi_fail(error, DX_ENOTFOUND, "there is no context \"%.60s\"", name);
    }
    const int32_t at = (int32_t)(found - contexts->items);
    if (strcmp(contexts->selected, name) == 0) {
        contexts->selected[0] = '\0';
    }
    memmove(&contexts->items[at], &contexts->items[at + 1],
            (size_t)(contexts->count - at - 1) * sizeof contexts->items[0]);
    contexts->count--;
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- reading */

static int text_read(const char *path, const json_t *value, const char *key, char *room,
                     size_t bytes, dx_error_t *error)
{
    const char *const text = json_string_value(value);
    if (text == NULL || strlen(text) >= bytes) {
        return dxi_fail(error, DX_EPARSE, "%.100s: %.60s must be a text of at most %zu bytes", path,
                        key, bytes - 1);
    }
    memcpy(room, text, strlen(text) + 1);
    return DX_OK;
}

static int member_read(const char *path, const char *key, const json_t *value,
                       dxi_context_t *context, dx_error_t *error)
{
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        if (strcmp(TEXTS[i].key, key) == 0) {
            return text_read(path, value, key, (char *)context + TEXTS[i].offset,
                             DXI_CONTEXT_TEXT_MAX + 1, error);
        }
    }
    if (strcmp(key, "tls_insecure") == 0 && json_is_boolean(value)) {
        context->tls_insecure = json_is_true(value);
        return DX_OK;
    }
    return dxi_fail(error, DX_EPARSE, "%.100s: the context %s has an unknown or wrong %.60s", path,
                    context->name, key);
}

static int context_read(const char *path, const char *name, json_t *object,
                        dxi_contexts_t *contexts, dx_error_t *error)
{
    dxi_context_t context = {0};
    const char *key = NULL;
    json_t *value = NULL;
    if (strlen(name) > DXI_CONTEXT_NAME_MAX || !json_is_object(object)) {
        return dxi_fail(error, DX_EPARSE,
                        "%.100s: the context %.60s is no object, or too long a "
                        "name",
                        path, name);
    }
    snprintf(context.name, sizeof context.name, "%s", name);
    json_object_foreach(object, key, value)
    {
        const int result = member_read(path, key, value, &context, error);
        if (result != DX_OK) {
            return result;
        }
    }
    return dxi_context_put(contexts, &context, error);
}

static int root_read(const char *path, json_t *root, dxi_contexts_t *contexts, dx_error_t *error)
{
    const char *name = NULL;
    json_t *object = NULL;
    if (!json_is_object(root)) {
        return dxi_fail(error, DX_EPARSE, "%.100s holds no JSON object", path);
    }
    json_t *const selected = json_object_get(root, "selected");
    json_t *const list = json_object_get(root, "contexts");
    /* What is not read is lost when the file is written. */
    if (list != NULL && !json_is_object(list)) {
        return dxi_fail(error, DX_EPARSE, "%.100s: contexts is no JSON object", path);
    }
    if (json_object_size(root) != (size_t)(list != NULL) + (size_t)(selected != NULL)) {
        return dxi_fail(error, DX_EPARSE, "%.100s has a member besides contexts and selected",
                        path);
    }
    json_object_foreach(list, name, object)
    {
        const int result = context_read(path, name, object, contexts, error);
        if (result != DX_OK) {
            return result;
        }
    }
    if (selected == NULL || json_is_null(selected)) {
        return DX_OK;
    }
    return text_read(path, selected, "selected", contexts->selected, sizeof contexts->selected,
                     error);
}

static int file_check(const char *path, FILE *file, dx_error_t *error)
{
    struct stat status;
    if (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode)) {
        return dxi_fail(error, DX_EIO, "%.150s is no file", path);
    }
    if ((status.st_mode & 077) != 0) {
        return dxi_fail(error, DX_EPERM,
                        "%.120s holds tokens and others may read it; next: chmod 600 %.60s", path,
                        path);
    }
    if (status.st_size > FILE_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "%.120s has more than %d bytes", path, FILE_BYTES_MAX);
    }
    return DX_OK;
}

int dxi_contexts_load(const char *path, dxi_contexts_t *contexts_out, dx_error_t *error)
{
    memset(contexts_out, 0, sizeof *contexts_out);
    FILE *const file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT || errno == ENOTDIR
                   ? DX_OK
                   : dxi_fail_os(error, dxi_code_of_errno(errno), errno, "%.150s", path);
    }
    int result = file_check(path, file, error);
    if (result == DX_OK) {
        json_error_t problem;
        json_t *const root = json_loadf(file, JSON_REJECT_DUPLICATES, &problem);
        result = root == NULL ? dxi_fail(error, DX_EPARSE, "%.100s:%d: %.80s", path, problem.line,
                                         problem.text)
                              : root_read(path, root, contexts_out, error);
        json_decref(root);
    }
    (void)fclose(file);
    return result;
}

/* -------------------------------------------------------------------------------------- writing */

/* Makes the folders above a path, for the owner only. */
static void folders_make(const char *path)
{
    char folder[DXI_CONTEXT_PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(folder, 0700); /* one that is there already is fine; opening says the rest */
        *slash = '/';
    }
}

static void context_write(dxi_json_t *json, const dxi_context_t *context)
{
    dxi_json_object_begin(json, context->name);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        const char *const text = (const char *)context + TEXTS[i].offset;
        if (text[0] != '\0') {
            dxi_json_text(json, TEXTS[i].key, text);
        }
    }
    if (context->tls_insecure) {
        dxi_json_boolean(json, "tls_insecure", true);
    }
    dxi_json_object_end(json);
}

static int contexts_write(const dxi_contexts_t *contexts, FILE *file)
{
    dxi_json_t json;
    dxi_json_begin(&json, file);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "selected", contexts->selected[0] != '\0' ? contexts->selected : NULL);
    dxi_json_object_begin(&json, "contexts");
    for (int32_t i = 0; i < contexts->count; i++) {
        context_write(&json, &contexts->items[i]);
    }
    dxi_json_object_end(&json);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json);
}

int dxi_contexts_save(const char *path, const dxi_contexts_t *contexts, dx_error_t *error)
{
    char temporary[DXI_CONTEXT_PATH_BYTES + 32];
    snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
    folders_make(path);
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *const file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        const int cause = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return dxi_fail_os(error, dxi_code_of_errno(cause), cause, "%.150s", temporary);
    }
    const bool written = contexts_write(contexts, file) == DX_OK && fflush(file) == 0;
    const bool closed = fclose(file) == 0;
    if (!written || !closed || rename(temporary, path) != 0) {
        const int cause = errno;
        (void)unlink(temporary);
        return dxi_fail_os(error, DX_EIO, cause, "%.150s can't be written", path);
    }
    return DX_OK;
}
