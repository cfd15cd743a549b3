/* config.c - a configuration: a value for each row of the table, and where it comes from.
 *
 * DESIGN
 *
 *     defaults  <  file  <  environment  <  set
 *
 * Loading makes a new set of values beside the old one: defaults, the file, the environment, and
 * what was set before; when all of it is right, and the rules between options hold, it takes the
 * old one's place. So a configuration is never half loaded.
 *
 * Values lie in the struct itself, as text up to their limit: one allocation, copied by assignment.
 * Some are secrets, so it is memory that no core has (base/secret.h), and what held one on its way
 * is wiped.
 *
 * INVARIANTS
 *
 *   C1  each value is within the bounds of its row
 *   C2  a function that fails leaves the configuration as it was
 *
 * Threads: none of its own, no lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/secret.h"
#include "node/config_internal.h"

/* The process's environment, as POSIX names it. */
extern char **environ;

static void defaults_read(dx_config_t *config)
{
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    for (size_t i = 0; i < count; i++) {
        const int code = dxi_config_value_read(&rows[i], rows[i].name, rows[i].default_text,
                                               &config->values[i], NULL);
        assert(code == DX_OK); /* T2 */
        (void)code;
    }
}

static dx_config_t *config_alloc(dx_error_t *error)
{
    dx_config_t *const config = dxi_secret_alloc(sizeof *config);
    if (config == NULL) {
        (void)dxi_fail(error, DX_ENOMEM, "no memory for a configuration (%zu bytes)",
                       sizeof *config);
    }
    return config;
}

int dxi_config_defaults(dx_config_t **config_out, dx_error_t *error)
{
    *config_out = config_alloc(error);
    if (*config_out == NULL) {
        return DX_ENOMEM;
    }
    defaults_read(*config_out);
    return DX_OK;
}

int dx_config_create(dx_config_t **config_out, dx_error_t *error)
{
    int code = dxi_config_defaults(config_out, error);
    if (code == DX_OK) {
        code = dxi_config_environment_read(*config_out, environ, error);
    }
    if (code != DX_OK) {
        dx_config_destroy(*config_out);
        *config_out = NULL;
    }
    return code;
}

void dx_config_destroy(dx_config_t *config)
{
    dxi_secret_free(config, sizeof(dx_config_t));
}

int dx_config_copy(const dx_config_t *config, dx_config_t **copy_out, dx_error_t *error)
{
    *copy_out = config_alloc(error);
    if (*copy_out == NULL) {
        return DX_ENOMEM;
    }
    **copy_out = *config;
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- loading */

/* `fresh` becomes defaults, the text, the environment, and what was set in `config`. */
static int layers_read(const dx_config_t *config, const char *text, size_t bytes, const char *name,
                       dx_config_t *fresh, dx_error_t *error)
{
    defaults_read(fresh);
    int code = dxi_config_yaml_read(fresh, text, bytes, name, error);
    if (code == DX_OK) {
        code = dxi_config_environment_read(fresh, environ, error);
    }
    if (code != DX_OK) {
        return code;
    }
    size_t count = 0;
    (void)dx_config_options(&count);
    for (size_t i = 0; i < count; i++) {
        if (config->values[i].origin == DXI_CONFIG_SET) {
            fresh->values[i] = config->values[i];
        }
    }
    code = dx_config_check(fresh, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "%s", name);
    }
    return code;
}

static int text_load(dx_config_t *config, const char *text, size_t bytes, const char *name,
                     const char *path, dx_error_t *error)
{
    dx_config_t *const fresh = config_alloc(error);
    if (fresh == NULL) {
        return DX_ENOMEM;
    }
    const int code = layers_read(config, text, bytes, name, fresh, error);
    if (code == DX_OK) {
        (void)snprintf(fresh->path, sizeof fresh->path, "%s", path);
        *config = *fresh;
    }
    dxi_secret_free(fresh, sizeof(dx_config_t));
    return code;
}

int dx_config_parse(dx_config_t *config, const char *text, size_t bytes, const char *name,
                    dx_error_t *error)
{
    return text_load(config, text, bytes, name, config->path, error);
}

/* The path as it stays right when the working directory changes. */
static int path_absolute(const char *path, char path_out[DXI_CONFIG_PATH_BYTES], dx_error_t *error)
{
    char folder[DXI_CONFIG_PATH_BYTES] = "";
    if (path[0] != '/' && getcwd(folder, sizeof folder) == NULL) {
        return dxi_fail_os(error, DX_EIO, errno, "the working directory is not known");
    }
    const int bytes = snprintf(path_out, DXI_CONFIG_PATH_BYTES, "%s%s%s", folder,
                               path[0] == '/' ? "" : "/", path);
    if (bytes >= DXI_CONFIG_PATH_BYTES) {
        return dxi_fail(error, DX_ELIMIT, "the path %.60s... is %d bytes long, must be below %d",
                        path, bytes, DXI_CONFIG_PATH_BYTES);
    }
    return DX_OK;
}

int dx_config_load(dx_config_t *config, const char *path, dx_error_t *error)
{
    char absolute[DXI_CONFIG_PATH_BYTES];
    int code = path_absolute(path, absolute, error);
    if (code != DX_OK) {
        return code;
    }
    const size_t room = DX_CONFIG_FILE_BYTES_MAX + 1;
    char *const text = dxi_secret_alloc(room);
    if (text == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %s", path);
    }
    const int64_t bytes = dxi_file_read(path, text, room, error);
    code = bytes < 0 ? (int)bytes : text_load(config, text, (size_t)bytes, path, absolute, error);
    dxi_secret_free(text, room);
    return code;
}

const char *dx_config_path(const dx_config_t *config)
{
    return config->path[0] != '\0' ? config->path : NULL;
}

/* ----------------------------------------------------------------------------------- one option */

int dx_config_set(dx_config_t *config, const char *name, const char *text, dx_error_t *error)
{
    const int row = dxi_config_index(name, error);
    if (row < 0) {
        return row;
    }
    size_t count = 0;
    dxi_config_value_t value;
    const int code =
        dxi_config_value_read(&dx_config_options(&count)[row], name, text, &value, error);
    if (code == DX_OK) {
        value.origin = DXI_CONFIG_SET;
        config->values[row] = value;
    }
    explicit_bzero(&value, sizeof value); /* it may be a secret */
    return code;
}

/* As people may see it. */
static void shown_write(const dx_config_option_t *option, const dxi_config_value_t *value,
                        char text_out[DX_CONFIG_TEXT_BYTES_MAX + 1])
{
    if (option->secret && value->text[0] != '\0') {
        (void)snprintf(text_out, DX_CONFIG_TEXT_BYTES_MAX + 1, "(secret)");
        return;
    }
    dxi_config_value_write(option, value, text_out);
}

int dx_config_get(const dx_config_t *config, const char *name, char *text_out, size_t text_bytes,
                  const char **origin_out)
{
    static const char *const ORIGINS[] = {"default", "file", "environment", "set"};
    const int row = dxi_config_find(name);
    if (row < 0) {
        return DX_ENOTFOUND;
    }
    size_t count = 0;
    char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
    shown_write(&dx_config_options(&count)[row], &config->values[row], text);
    const size_t bytes = strlen(text) + 1;
    if (bytes > text_bytes) {
        return DX_ELIMIT;
    }
    memcpy(text_out, text, bytes);
    if (origin_out != NULL) {
        *origin_out = ORIGINS[config->values[row].origin];
    }
    return DX_OK;
}

/* The value of a name that the caller knows to be there, and its row. */
static const dxi_config_value_t *value_of(const dx_config_t *config, const char *name,
                                          const dx_config_option_t **option_out)
{
    size_t count = 0;
    const int row = dxi_config_find(name);
    assert(row >= 0);
    if (row < 0) {
        return NULL;
    }
    *option_out = &dx_config_options(&count)[row];
    return &config->values[row];
}

int64_t dx_config_integer(const dx_config_t *config, const char *name)
{
    const dx_config_option_t *option = NULL;
    const dxi_config_value_t *const value = value_of(config, name, &option);
    return value != NULL ? value->integer : 0;
}

bool dx_config_bool(const dx_config_t *config, const char *name)
{
    return dx_config_integer(config, name) != 0;
}

const char *dx_config_text(const dx_config_t *config, const char *name)
{
    const dx_config_option_t *option = NULL;
    const dxi_config_value_t *const value = value_of(config, name, &option);
    if (value == NULL) {
        return NULL;
    }
    if (option->type == DX_CONFIG_CHOICE) {
        return option->choices[value->integer];
    }
    return option->type == DX_CONFIG_TEXT ? value->text : NULL;
}

const char *dx_config_list(const dx_config_t *config, const char *name, size_t index)
{
    const dx_config_option_t *option = NULL;
    const dxi_config_value_t *const value = value_of(config, name, &option);
    if (value == NULL || option->type != DX_CONFIG_LIST || index >= (size_t)value->integer) {
        return NULL;
    }
    const char *item = value->text;
    for (size_t i = 0; i < index; i++) {
        item += strlen(item) + 1;
    }
    return item;
}

int dx_config_diff(const dx_config_t *from, const dx_config_t *to, dx_config_change_fn visit,
                   void *context)
{
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    int changes = 0;
    for (size_t i = 0; i < count; i++) {
        if (dxi_config_value_equal(&rows[i], &from->values[i], &to->values[i])) {
            continue;
        }
        changes++;
        if (visit != NULL) {
            dx_config_change_t change = {.option = &rows[i]};
            shown_write(&rows[i], &from->values[i], change.from);
            shown_write(&rows[i], &to->values[i], change.to);
            visit(context, &change);
        }
    }
    return changes;
}
