/* cli/context.h - saved nodes: an address under a name, with its token and TLS files.
 *
 * They stand in one JSON file, $XDG_CONFIG_HOME/disruptorx/contexts.json (else below ~/.config),
 * which only its owner may read, because tokens stand in it: a file that others may read is
 * refused. It is replaced as a whole, so that no reader meets half of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_CONTEXT_H
#define DXI_CLI_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_CONTEXTS_MAX 64
#define DXI_CONTEXT_NAME_MAX 63
#define DXI_CONTEXT_TEXT_MAX 1023 /* of an address, a token, a file */
#define DXI_CONTEXT_PATH_BYTES 4096

typedef struct dxi_context {
    char name[DXI_CONTEXT_NAME_MAX + 1];
    char address[DXI_CONTEXT_TEXT_MAX + 1];
    char token[DXI_CONTEXT_TEXT_MAX + 1];
    char tls_authority_file[DXI_CONTEXT_TEXT_MAX + 1];
    char tls_certificate_file[DXI_CONTEXT_TEXT_MAX + 1];
    char tls_key_file[DXI_CONTEXT_TEXT_MAX + 1];
    char tls_server_name[DXI_CONTEXT_TEXT_MAX + 1];
    bool tls_insecure;
} dxi_context_t;

typedef struct dxi_contexts {
    int32_t count;
    char selected[DXI_CONTEXT_NAME_MAX + 1]; /* empty: none */
    dxi_context_t items[DXI_CONTEXTS_MAX];   /* in the order of their names */
} dxi_contexts_t;

/* Where they are saved.
 * Returns DX_OK, DX_ENOTFOUND without XDG_CONFIG_HOME and HOME, DX_ELIMIT.
 * Threads: main. */
DX_NODISCARD int dxi_contexts_path(char *path_out, size_t path_bytes, dx_error_t *error);

/* Reads them; a file that is not there is none.
 * Returns DX_OK; DX_EPERM when others may read the file, or we may not; DX_EPARSE; DX_ELIMIT;
 * DX_EIO. Threads: any. */
DX_NODISCARD int dxi_contexts_load(const char *path, dxi_contexts_t *contexts_out,
                                   dx_error_t *error);

/* Replaces the file, and makes its folder.
 * Returns DX_OK, DX_EPERM, DX_EIO.
 * Threads: one at a time. */
DX_NODISCARD int dxi_contexts_save(const char *path, const dxi_contexts_t *contexts,
                                   dx_error_t *error);

/* NULL when there is none. Threads: any. */
const dxi_context_t *dxi_context_find(const dxi_contexts_t *contexts, const char *name);

/* Adds or replaces one.
 * Returns DX_OK, DX_EINVAL for a name that is not 1 to DXI_CONTEXT_NAME_MAX letters, digits, '-',
 * '_' and '.', DX_ELIMIT.
 * Threads: owner. */
DX_NODISCARD int dxi_context_put(dxi_contexts_t *contexts, const dxi_context_t *context,
                                 dx_error_t *error);

/* Removes one; it is no longer selected then. Returns DX_OK, DX_ENOTFOUND.
 * Threads: owner. */
DX_NODISCARD int dxi_context_remove(dxi_contexts_t *contexts, const char *name, dx_error_t *error);

#endif
