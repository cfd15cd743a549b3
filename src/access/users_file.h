/* access/users_file.h - a users file as it is written, before it is a table.
 *
 *     users_file.c   reads keys into entries
 *     table.c        makes users of entries: roles, {user}, what may be there once only
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_USERS_FILE_H
#define DXI_ACCESS_USERS_FILE_H

#include "access/table.h"
#include "disruptorx/frame.h"
#include "yaml/yaml_reader.h"

#define DXI_USERS_WORD "{user}" /* in a pattern: the user's name */
#define DXI_USERS_KEYS_MAX 16

enum { DXI_USERS_ALLOW = 0, DXI_USERS_DENY = 1 };
enum dxi_users_limit {
    DXI_USERS_CONNECTIONS,
    DXI_USERS_SUBSCRIPTIONS,
    DXI_USERS_EVENTS,
    DXI_USERS_BYTES,
    DXI_USERS_LIMITS
};

typedef struct dxi_users_key dxi_users_key_t;

typedef struct dxi_users_rule {
    struct dxi_users_rule *next;
    const char *pattern;
    int line;
} dxi_users_rule_t;

/* A user or a role, as it is written. */
typedef struct dxi_users_entry {
    struct dxi_users_entry *next;
    const char *name;
    int line;
    bool is_role;
    dxi_users_rule_t *rules[DXI_ACCESS_LIST_ACTIONS][2];
    dxi_users_rule_t **rules_end[DXI_ACCESS_LIST_ACTIONS][2];
    uint32_t rule_counts[DXI_ACCESS_LIST_ACTIONS][2];
    const char *roles[DXI_ACCESS_ROLES_OF_USER_MAX];
    int role_lines[DXI_ACCESS_ROLES_OF_USER_MAX];
    uint32_t role_count;
    const char *certificates[DXI_ACCESS_CERTIFICATES_MAX];
    uint32_t certificate_count;
    uint8_t tokens[DXI_ACCESS_TOKENS_MAX][DXI_ACCESS_HASH_BYTES];
    uint32_t token_count;
    int admin; /* -1: not said */
    int64_t limits[DXI_USERS_LIMITS];
    int key_lines[DXI_USERS_KEYS_MAX];
} dxi_users_entry_t;

typedef struct dxi_users_reader {
    dxi_yaml_reader_t yaml;
    dxi_access_table_t *table;
    bool in_roles;
    int section_lines[2];
    dxi_users_entry_t *users, **users_end, *roles, **roles_end;
    uint32_t user_count, role_count;
    dxi_users_entry_t *entry; /* that is read now */
    const dxi_users_key_t *key;
    dxi_users_entry_t **roles_by_name;
    uint32_t rule_count;
} dxi_users_reader_t;

/* Makes the table of the reader's entries. Returns DX_OK, DX_EINVAL, DX_ELIMIT, DX_ENOMEM.
 * Threads: owner. */
DX_NODISCARD int dxi_users_table_make(dxi_users_reader_t *reader);

/* Says that there is no memory. Threads: owner. */
int dxi_users_no_memory(const dxi_users_reader_t *reader);
/* A copy of a text in the table's memory; NULL when there is none. Threads: owner. */
char *dxi_users_keep(dxi_users_reader_t *reader, const char *text);
/* Writes a pattern with a name in the place of {user}. Returns its length, or 0: too long.
 * Threads: any. */
size_t dxi_users_pattern_fill(const char *pattern, const char *user,
                              char text_out[DX_FRAME_TOPIC_BYTES_MAX + 1]);

#endif
