/* access/users_edit.h - changes a users file: one user at a time, and the rest stays as it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_USERS_EDIT_H
#define DXI_ACCESS_USERS_EDIT_H

#include "access/access.h"

/* Values of a key. */
typedef struct dxi_users_value {
    const char *key; /* "publish" */
    const char *const *texts;
    size_t count; /* 0: the key is left out */
} dxi_users_value_t;

/* Each of these reads the file, changes its text, reads the result as a node does, and only when it
 * says what it should takes the old one's place at once (rename). Who owns the file and its mode
 * stay; a new file is for its owner alone. Others that change it meanwhile wait (flock).
 * Return DX_OK; DX_EEXIST, DX_ENOTFOUND (the user); DX_ENOTSUP: the file is written in a way that
 * only a person can change; what is wrong with the values or the file, as
 * dxi_access_table_load().
 * Threads: any. */
DX_NODISCARD int dxi_users_add(const char *path, const char *name, const dxi_users_value_t *values,
                               size_t count, dx_error_t *error);
DX_NODISCARD int dxi_users_remove(const char *path, const char *name, dx_error_t *error);
/* Another token; `keep`: beside those that are there. */
DX_NODISCARD int dxi_users_set_token(const char *path, const char *name,
                                     const uint8_t hash[DXI_ACCESS_HASH_BYTES], bool keep,
                                     dx_error_t *error);

#endif
