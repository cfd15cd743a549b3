/* disruptorx/config.h - the configuration of a node: one table, and everything that is made of it.
 *
 * Each option is one row of a table: name ("limits.connections_max"), type, unit in the name,
 * default, bounds, whether it can change while the node runs, help. The file, the environment, the
 * command line, `dx config`, docs/configuration.md and the tests of the bounds all come from it.
 *
 *     defaults  <  file (YAML)  <  environment (DX_LIMITS_CONNECTIONS_MAX)  <  dx_config_set()
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_CONFIG_H
#define DISRUPTORX_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

#define DX_CONFIG_FILE_BYTES_MAX 1048576
#define DX_CONFIG_NAME_BYTES_MAX 63
#define DX_CONFIG_TEXT_BYTES_MAX 1023 /* of a value */
#define DX_CONFIG_LIST_MAX 64

typedef enum dx_config_type {
    DX_CONFIG_BOOL = 1,     /* true or false, yes or no, on or off */
    DX_CONFIG_INTEGER = 2,  /* 50000, 50k, 64Ki */
    DX_CONFIG_BYTES = 3,    /* the same; the name says _bytes */
    DX_CONFIG_DURATION = 4, /* 250us, 5s; the name ends in _ms, _us or _s, and a bare number has
                             * that unit; kept in ns */
    DX_CONFIG_TEXT = 5,     /* UTF-8 without control characters */
    DX_CONFIG_LIST = 6,     /* of texts; in one text they are separated by commas */
    DX_CONFIG_CHOICE = 7    /* one of a few words; dx_config_integer() is its index */
} dx_config_type_t;

/* One row. */
typedef struct dx_config_option {
    const char *name; /* section and name, as in "limits.connections_max" */
    dx_config_type_t type;
    bool live;         /* takes effect while the node runs; else at its next start */
    bool reload_only;  /* live, by a reload of the file only: nobody sets it from elsewhere */
    bool secret;       /* its value is never printed */
    bool power_of_two; /* INTEGER, BYTES */
    const char *default_text;
    int64_t low, high; /* numbers, in the unit kept (bytes, ns); TEXT: how many bytes; LIST: how
                        * many items */
    const char *const *choices; /* CHOICE: ends with NULL */
    const char *help;           /* one sentence, or a few */
} dx_config_option_t;

/* The table. `*count_out` rows, in the order of the sample file.
 * Threads: any. */
DX_API const dx_config_option_t *dx_config_options(size_t *count_out);

typedef struct dx_config dx_config_t; /* opaque: a value for each row */

/* A configuration of defaults and the environment.
 * Returns DX_OK, DX_EINVAL (a variable DX_<SECTION>_... that is no option, or has a bad value),
 * DX_ENOMEM. Threads: any. */
DX_API DX_NODISCARD int dx_config_create(dx_config_t **config_out, dx_error_t *error);
DX_API void dx_config_destroy(dx_config_t *config);

/* Reads a YAML file over the defaults, then the environment over that; what was set stays. It
 * remembers the path for dx_node_reload(). All or nothing. Unknown keys are refused with the
 * nearest name, and a sentence about the file begins with file:line.
 * Returns DX_OK, DX_ENOTFOUND and DX_EPERM (the file), DX_EIO, DX_EPARSE, DX_EINVAL, DX_ELIMIT,
 * DX_ENOMEM.
 * Threads: owner, here and below; reading, `const`, by any while nobody changes it. */
DX_API DX_NODISCARD int dx_config_load(dx_config_t *config, const char *path, dx_error_t *error);

/* The same with a text; `name` stands for the path in sentences. No path is remembered. */
DX_API DX_NODISCARD int dx_config_parse(dx_config_t *config, const char *text, size_t bytes,
                                        const char *name, dx_error_t *error);

/* One option by name, as text, as in the file.
 * Returns DX_OK, DX_ENOTFOUND (with the nearest name), DX_EINVAL. */
DX_API DX_NODISCARD int dx_config_set(dx_config_t *config, const char *name, const char *text,
                                      dx_error_t *error);

/* Its value as text, "(secret)" for a secret one, and where it comes from: "default", "file",
 * "environment", "set".
 * Returns DX_OK, DX_ENOTFOUND, DX_ELIMIT when the room is too small. */
DX_API DX_NODISCARD int dx_config_get(const dx_config_t *config, const char *name, char *text_out,
                                      size_t text_bytes, const char **origin_out);

/* Values in C; 0, false, NULL for a name that is none (asserted). */
DX_API int64_t dx_config_integer(const dx_config_t *config, const char *name);
DX_API bool dx_config_bool(const dx_config_t *config, const char *name);
DX_API const char *dx_config_text(const dx_config_t *config, const char *name);
/* Item `index` of a list, NULL behind the last. */
DX_API const char *dx_config_list(const dx_config_t *config, const char *name, size_t index);

/* The file that it was loaded from, or NULL. */
DX_API const char *dx_config_path(const dx_config_t *config);

/* A difference between two configurations. */
typedef struct dx_config_change {
    const dx_config_option_t *option;
    char from[DX_CONFIG_TEXT_BYTES_MAX + 1];
    char to[DX_CONFIG_TEXT_BYTES_MAX + 1];
} dx_config_change_t;
typedef void (*dx_config_change_fn)(void *context, const dx_config_change_t *change);

/* Calls `visit` for each option whose values differ; returns how many. */
DX_API int dx_config_diff(const dx_config_t *from, const dx_config_t *to, dx_config_change_fn visit,
                          void *context);

/* Rules between options (a TLS key needs a certificate). dx_config_load() checks them as well. */
DX_API DX_NODISCARD int dx_config_check(const dx_config_t *config, dx_error_t *error);

/* A copy of all values, and of the path. */
DX_API DX_NODISCARD int dx_config_copy(const dx_config_t *config, dx_config_t **copy_out,
                                       dx_error_t *error);

DX_EXTERN_C_END

#endif
