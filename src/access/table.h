/* access/table.h - what a users file says: users with their proofs, rules and limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_TABLE_H
#define DXI_ACCESS_TABLE_H

#include "access/access.h"
#include "access/patterns.h"

#define DXI_ACCESS_RULES_MAX 262144 /* of all users, with those of their roles */

/* Memory that is given back at once, with the table. */
typedef struct dxi_arena dxi_arena_t;
struct dxi_arena {
    dxi_arena_t *next;
    size_t used, room;
    _Alignas(16) char bytes[];
};

/* Rules for an action: deny wins. */
typedef struct dxi_access_list {
    const dxi_access_rule_t *allow, *deny;
    uint32_t allow_count, deny_count;
} dxi_access_list_t;

struct dxi_access_user {
    dxi_access_table_t *table;
    dxi_access_account_t *account; /* after dxi_access_set() */
    const char *name;
    int line; /* where it begins in its file */
    dxi_access_list_t lists[DXI_ACCESS_LIST_ACTIONS];
    int admin; /* 0, or DXI_ACCESS_ADMIN_READ or _WRITE */
    dxi_access_limits_t limits;
    const char *certificates[DXI_ACCESS_CERTIFICATES_MAX];
    uint32_t certificate_count;
    uint8_t tokens[DXI_ACCESS_TOKENS_MAX][DXI_ACCESS_HASH_BYTES];
    uint32_t token_count;
};

/* A name of a certificate, and whose. */
typedef struct dxi_access_certificate {
    const char *name;
    const dxi_access_user_t *user;
} dxi_access_certificate_t;

struct dxi_access_table {
    dxi_arena_t *arena;
    dxi_access_user_t *users; /* in the order of the file */
    uint32_t user_count;
    dxi_access_user_t **by_name;            /* sorted */
    dxi_access_certificate_t *certificates; /* sorted */
    uint32_t certificate_count;
    uint32_t token_count;
    uint64_t references; /* under the mutex of the dxi_access_t that has it */
};

/* Zeroed memory of a table, as long as it; NULL when there is none. Threads: owner. */
void *dxi_arena_take(dxi_arena_t **arena, size_t bytes);

/* A user by a token's hash. Looks at every hash of the table, and takes no branch on what it finds.
 * Threads: any. */
const dxi_access_user_t *dxi_access_table_by_token(const dxi_access_table_t *table,
                                                   const uint8_t hash[DXI_ACCESS_HASH_BYTES]);
/* By the exact name of a certificate. Threads: any. */
const dxi_access_user_t *dxi_access_table_by_certificate(const dxi_access_table_t *table,
                                                         const char *name);
bool dxi_access_user_has_token(const dxi_access_user_t *user,
                               const uint8_t hash[DXI_ACCESS_HASH_BYTES]);
bool dxi_access_user_has_certificate(const dxi_access_user_t *user, const char *name);

/* Whether a text may be a user's or a role's name: letters, digits, '-', '_'. Threads: any. */
bool dxi_access_name_ok(const char *name);

#endif
