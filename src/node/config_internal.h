/* node/config_internal.h - what the files of the configuration share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_CONFIG_INTERNAL_H
#define DXI_NODE_CONFIG_INTERNAL_H

#include <stdio.h>

#include "disruptorx/config.h"

#define DXI_CONFIG_ROWS_MAX 128
#define DXI_CONFIG_PATH_BYTES 4096

/* Room for a list as it is kept: items with their NUL, and an empty one behind the last. */
#define DXI_CONFIG_VALUE_BYTES (DX_CONFIG_TEXT_BYTES_MAX + 3)

/* What a frame is more than its payload, at most: header and parts. */
#define DXI_CONFIG_FRAME_OVERHEAD 65536

typedef enum dxi_config_origin {
    DXI_CONFIG_DEFAULT = 0,
    DXI_CONFIG_FILE = 1,
    DXI_CONFIG_ENVIRONMENT = 2,
    DXI_CONFIG_SET = 3
} dxi_config_origin_t;

typedef struct dxi_config_value {
    int64_t integer;                   /* BOOL, numbers; CHOICE: the index; LIST: how many items */
    char text[DXI_CONFIG_VALUE_BYTES]; /* TEXT; LIST: items with their NUL one behind the other */
    dxi_config_origin_t origin;
} dxi_config_value_t;

struct dx_config {
    char path[DXI_CONFIG_PATH_BYTES]; /* "": none */
    dxi_config_value_t values[DXI_CONFIG_ROWS_MAX];
};

/* The defaults alone, without the environment; dx_config_create() is with it.
 * Returns DX_OK, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_config_defaults(dx_config_t **config_out, dx_error_t *error);

/* A section of the file. */
typedef struct dxi_config_section {
    const char *name;
    const char *help; /* a paragraph for the sample and the manual */
} dxi_config_section_t;

/* All of these: Threads: any. */
const dxi_config_section_t *dxi_config_sections(size_t *count_out);

/* The row of a name, or -1. */
int dxi_config_find(const char *name);

/* The row of a name, or DX_ENOTFOUND with a sentence that has the nearest name. */
int dxi_config_index(const char *name, dx_error_t *error);

/* One value from a text (config_value.c). `name` begins the sentence.
 * Return DX_OK, DX_EINVAL. */
DX_NODISCARD int dxi_config_value_read(const dx_config_option_t *option, const char *name,
                                       const char *text, dxi_config_value_t *value_out,
                                       dx_error_t *error);
/* Adds an item to a LIST; dxi_config_list_end() when there is no more. */
DX_NODISCARD int dxi_config_list_add(const dx_config_option_t *option, const char *name,
                                     const char *item, dxi_config_value_t *value,
                                     dx_error_t *error);
DX_NODISCARD int dxi_config_list_end(const dx_config_option_t *option, const char *name,
                                     const dxi_config_value_t *value, dx_error_t *error);

/* The value as it is written in a file: "4Mi", "250ms", "a, b". Secrets as they are. */
void dxi_config_value_write(const dx_config_option_t *option, const dxi_config_value_t *value,
                            char text_out[DX_CONFIG_TEXT_BYTES_MAX + 1]);
bool dxi_config_value_equal(const dx_config_option_t *option, const dxi_config_value_t *a,
                            const dxi_config_value_t *b);

/* Reads "0600" as permissions. Returns DX_OK, DX_EINVAL. */
DX_NODISCARD int dxi_config_mode_read(const char *text, uint32_t *mode_out, dx_error_t *error);

/* A YAML text over `config` (config_yaml.c). After a failure `config` holds a part of it.
 * Returns DX_OK, DX_EPARSE, DX_EINVAL, DX_ELIMIT, DX_ENOMEM. */
DX_NODISCARD int dxi_config_yaml_read(dx_config_t *config, const char *text, size_t bytes,
                                      const char *name, dx_error_t *error);

/* The environment over `config` (config_env.c); `environment` as environ(7). */
DX_NODISCARD int dxi_config_environment_read(dx_config_t *config, char *const *environment,
                                             dx_error_t *error);

/* The variable of an option: "DX_LIMITS_CONNECTIONS_MAX". */
void dxi_config_variable(const char *name, char text_out[DX_CONFIG_NAME_BYTES_MAX + 4]);

/* What is allowed and may surprise: addresses that others reach without having to prove who they
 * are, or by what can be read on its way. One sentence each, of at most 255 bytes.
 * Threads: any; `visit` runs in it. */
typedef void (*dxi_config_warning_fn)(void *context, const char *sentence);
void dxi_config_warnings(const dx_config_t *config, dxi_config_warning_fn visit, void *context);

/* Whether dx_node_create() will get all files: token, users, certificates, the log, the audit
 * (node_files.c). Makes none. Returns DX_OK, or what is wrong with one of them. */
DX_NODISCARD int dxi_config_files_check(const dx_config_t *config, dx_error_t *error);

/* deploy/node.yaml and docs/configuration.md (config_text.c). */
void dxi_config_sample_write(FILE *stream);
void dxi_config_manual_write(FILE *stream);

/* When a change of an option takes effect: "live", "reload" (live, by a reload only), "restart". */
const char *dxi_config_effect(const dx_config_option_t *option);

/* What an option may be, "bytes, a power of two, 64Ki to 1Gi", and its default as YAML. */
void dxi_config_rule_write(FILE *stream, const dx_config_option_t *option);
void dxi_config_default_write(FILE *stream, const dx_config_option_t *option);

#endif
