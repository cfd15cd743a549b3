/* table.c - users with their rules, out of a users file's entries; finding them, and deciding.
 *
 * Each user gets its own rules and those of its roles in one array for each action, with its name
 * in the place of {user}. Then what proves who somebody is is put in order: certificates sorted by
 * name; tokens stay where they are, because all of them are looked at each time.
 *
 * INVARIANTS
 *
 *   U1  a name, a token and a certificate stand for one user
 *   U4  finding a token takes the same time whatever the token is: every hash of the table is
 *       compared whole, and no branch depends on the outcome
 *   U5  what no rule allows is refused, and a deny rule wins over every allow rule
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "access/account.h"
#include "access/users_file.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "base/nearest.h"
#include "wire/topic_name.h"

/* --------------------------------------------------------------------------------------- memory */

void *dxi_arena_take(dxi_arena_t **arena, size_t bytes)
{
    static const size_t FIRST = 16384, MOST = 262144;
    bytes = (bytes + 15) & ~(size_t)15;
    if (*arena == NULL || (*arena)->room - (*arena)->used < bytes) {
        size_t room = *arena == NULL ? FIRST : (*arena)->room * 2;
        room = room > MOST ? MOST : room;
        room = room < bytes ? bytes : room;
        dxi_arena_t *const fresh = dxi_alloc_zeroed(1, sizeof *fresh + room);
        if (fresh == NULL) {
            return NULL;
        }
        *fresh = (dxi_arena_t){.next = *arena, .room = room};
        *arena = fresh;
    }
    void *const taken = (*arena)->bytes + (*arena)->used;
    (*arena)->used += bytes;
    return taken;
}

int dxi_users_no_memory(const dxi_users_reader_t *reader)
{
    return dxi_fail(reader->yaml.error, DX_ENOMEM, "no memory for %s", reader->yaml.name);
}

char *dxi_users_keep(dxi_users_reader_t *reader, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *const kept = dxi_arena_take(&reader->table->arena, bytes);
    if (kept != NULL) {
        memcpy(kept, text, bytes);
    }
    return kept;
}

size_t dxi_users_pattern_fill(const char *pattern, const char *user,
                              char text_out[DX_FRAME_TOPIC_BYTES_MAX + 1])
{
    size_t used = 0;
    for (const char *at = pattern; *at != '\0';) {
        const bool word = strncmp(at, DXI_USERS_WORD, strlen(DXI_USERS_WORD)) == 0;
        const char *const from = word ? user : at;
        const size_t bytes = word ? strlen(user) : 1;
        if (used + bytes > DX_FRAME_TOPIC_BYTES_MAX) {
            return 0;
        }
        memcpy(text_out + used, from, bytes);
        used += bytes;
        at += word ? strlen(DXI_USERS_WORD) : 1;
    }
    text_out[used] = '\0';
    return used;
}

/* ------------------------------------------------------------------------------ users and roles */

static int entry_compare(const void *a, const void *b)
{
    return strcmp((*(dxi_users_entry_t *const *)a)->name, (*(dxi_users_entry_t *const *)b)->name);
}

static int twice(const dxi_users_reader_t *reader, const char *what, int first, int second,
                 const char *name)
{
    return dxi_fail(reader->yaml.error, DX_EINVAL,
                    "%s:%d: %s %s is there for the second time, "
                    "after line %d",
                    reader->yaml.name, first > second ? first : second, what, name,
                    first > second ? second : first);
}

/* Sorted by name, each once. NULL with the error. */
static dxi_users_entry_t **entries_sort(dxi_users_reader_t *reader, dxi_users_entry_t *first,
                                        uint32_t count, const char *what)
{
    dxi_users_entry_t **const sorted =
        dxi_arena_take(&reader->table->arena, (count + 1) * sizeof(dxi_users_entry_t *));
    if (sorted == NULL) {
        (void)dxi_users_no_memory(reader);
        return NULL;
    }
    uint32_t used = 0;
    for (dxi_users_entry_t *it = first; it != NULL; it = it->next) {
        sorted[used++] = it;
    }
    if (count > 1) {
        qsort(sorted, count, sizeof(dxi_users_entry_t *), entry_compare);
    }
    for (uint32_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
            (void)twice(reader, what, sorted[i - 1]->line, sorted[i]->line, sorted[i]->name);
            return NULL;
        }
    }
    return sorted;
}

static const dxi_users_entry_t *role_find(const dxi_users_reader_t *reader, const char *name,
                                          int line)
{
    const dxi_users_entry_t wanted = {.name = name};
    const dxi_users_entry_t *const key = &wanted;
    dxi_users_entry_t *const *const found =
        reader->role_count == 0 ? NULL
                                : bsearch(&key, reader->roles_by_name, reader->role_count,
                                          sizeof(dxi_users_entry_t *), entry_compare);
    if (found != NULL) {
        return *found;
    }
    dxi_nearest_t nearest = {.word = name};
    for (const dxi_users_entry_t *it = reader->roles; it != NULL; it = it->next) {
        dxi_nearest_offer(&nearest, it->name);
    }
    (void)dxi_fail(reader->yaml.error, DX_EINVAL, "%s:%d: there is no role %s%s%s%s",
                   reader->yaml.name, line, name, nearest.best != NULL ? "; did you mean " : "",
                   nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
    return NULL;
}

/* One rule of a user, with its name in it. */
static int rule_fill(dxi_users_reader_t *reader, const char *user, const dxi_users_entry_t *from,
                     const dxi_users_rule_t *node, dxi_access_rule_t *rule)
{
    char text[DX_FRAME_TOPIC_BYTES_MAX + 1];
    rule->role = from->is_role ? from->name : NULL;
    rule->pattern = node->pattern;
    if (strstr(node->pattern, DXI_USERS_WORD) != NULL) {
        const size_t bytes = dxi_users_pattern_fill(node->pattern, user, text);
        if (bytes == 0) {
            return dxi_fail(reader->yaml.error, DX_EINVAL,
                            "%s:%d: the pattern has more than %d bytes for user %s",
                            reader->yaml.name, node->line, DX_FRAME_TOPIC_BYTES_MAX, user);
        }
        rule->pattern = dxi_users_keep(reader, text);
        if (rule->pattern == NULL) {
            return dxi_users_no_memory(reader);
        }
    }
    rule->bytes = (uint32_t)strlen(rule->pattern);
    return DX_OK;
}

/* The rules of one list: the user's own, then those of its roles. */
static int rules_gather(dxi_users_reader_t *reader, const dxi_users_entry_t *const *sources,
                        uint32_t source_count, int action, int deny,
                        const dxi_access_rule_t **rules_out, uint32_t *count_out)
{
    uint32_t count = 0;
    const dxi_users_entry_t *const user = sources[0];
    for (uint32_t i = 0; i < source_count; i++) {
        count += sources[i]->rule_counts[action][deny];
    }
    if (count > DXI_ACCESS_PATTERNS_MAX || reader->rule_count + count > DXI_ACCESS_RULES_MAX) {
        return dxi_fail(reader->yaml.error, DX_ELIMIT,
                        "%s:%d: user %s has %u rules to %s with those of its roles, must be at "
                        "most %d, and %d of all users",
                        reader->yaml.name, user->line, user->name, count,
                        dxi_access_action_name((dxi_access_action_t)action),
                        DXI_ACCESS_PATTERNS_MAX, DXI_ACCESS_RULES_MAX);
    }
    reader->rule_count += count;
    dxi_access_rule_t *const rules =
        dxi_arena_take(&reader->table->arena, (count + 1) * sizeof *rules);
    if (rules == NULL) {
        return dxi_users_no_memory(reader);
    }
    int code = DX_OK;
    uint32_t used = 0;
    for (uint32_t i = 0; i < source_count; i++) {
        const dxi_users_rule_t *node = sources[i]->rules[action][deny];
        for (; node != NULL && code == DX_OK; node = node->next) {
            code = rule_fill(reader, user->name, sources[i], node, &rules[used++]);
        }
    }
    *rules_out = rules;
    *count_out = count;
    return code;
}

/* What the user says counts; else the most of its roles' admin, the least of their limits. */
static void levels_gather(const dxi_users_entry_t *const *sources, uint32_t source_count,
                          dxi_access_user_t *user)
{
    int admin = sources[0]->admin;
    int64_t limits[DXI_USERS_LIMITS];
    memcpy(limits, sources[0]->limits, sizeof limits);
    for (uint32_t i = 1; i < source_count; i++) {
        if (sources[0]->admin < 0 && sources[i]->admin > admin) {
            admin = sources[i]->admin;
        }
        for (int limit = 0; limit < DXI_USERS_LIMITS; limit++) {
            const int64_t theirs = sources[i]->limits[limit];
            if (sources[0]->limits[limit] == 0 && theirs != 0 &&
                (limits[limit] == 0 || theirs < limits[limit])) {
                limits[limit] = theirs;
            }
        }
    }
    user->admin = admin < 0 ? 0 : admin;
    user->limits = (dxi_access_limits_t){
        .connections_max = (uint64_t)limits[DXI_USERS_CONNECTIONS],
        .subscriptions_max = (uint64_t)limits[DXI_USERS_SUBSCRIPTIONS],
        .publish_events_per_s = (uint64_t)limits[DXI_USERS_EVENTS],
        .publish_bytes_per_s = (uint64_t)limits[DXI_USERS_BYTES],
    };
}

static int user_fill(dxi_users_reader_t *reader, const dxi_users_entry_t *entry,
                     dxi_access_user_t *user)
{
    const dxi_users_entry_t *sources[1 + DXI_ACCESS_ROLES_OF_USER_MAX] = {entry};
    user->table = reader->table;
    user->name = entry->name;
    user->line = entry->line;
    for (uint32_t i = 0; i < entry->role_count; i++) {
        sources[1 + i] = role_find(reader, entry->roles[i], entry->role_lines[i]);
        if (sources[1 + i] == NULL) {
            return DX_EINVAL;
        }
    }
    const uint32_t source_count = 1 + entry->role_count;
    int code = DX_OK;
    for (int action = 0; action < DXI_ACCESS_LIST_ACTIONS && code == DX_OK; action++) {
        dxi_access_list_t *const list = &user->lists[action];
        code = rules_gather(reader, sources, source_count, action, DXI_USERS_ALLOW, &list->allow,
                            &list->allow_count);
        if (code == DX_OK) {
            code = rules_gather(reader, sources, source_count, action, DXI_USERS_DENY, &list->deny,
                                &list->deny_count);
        }
    }
    levels_gather(sources, source_count, user);
    memcpy(user->tokens, entry->tokens, sizeof user->tokens);
    user->token_count = entry->token_count;
    memcpy(user->certificates, entry->certificates, sizeof user->certificates);
    user->certificate_count = entry->certificate_count;
    user->account = dxi_account_create(entry->name); /* for dxi_access_set(), which can't fail */
    if (code == DX_OK && user->account == NULL) {
        code = dxi_users_no_memory(reader);
    }
    reader->table->token_count += entry->token_count;
    reader->table->certificate_count += entry->certificate_count;
    return code;
}

/* ------------------------------------------------------------------------------ whose is it: U1 */

static int certificate_compare(const void *a, const void *b)
{
    return strcmp(((const dxi_access_certificate_t *)a)->name,
                  ((const dxi_access_certificate_t *)b)->name);
}

static int certificates_index(dxi_users_reader_t *reader)
{
    dxi_access_table_t *const table = reader->table;
    table->certificates =
        dxi_arena_take(&table->arena, (table->certificate_count + 1) * sizeof *table->certificates);
    if (table->certificates == NULL) {
        return dxi_users_no_memory(reader);
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < table->user_count; i++) {
        for (uint32_t j = 0; j < table->users[i].certificate_count; j++) {
            table->certificates[used++] =
                (dxi_access_certificate_t){table->users[i].certificates[j], &table->users[i]};
        }
    }
    if (used > 1) {
        qsort(table->certificates, used, sizeof *table->certificates, certificate_compare);
    }
    for (uint32_t i = 1; i < used; i++) {
        const dxi_access_certificate_t *const one = &table->certificates[i - 1], *other = one + 1;
        if (strcmp(one->name, other->name) == 0) {
            return dxi_fail(reader->yaml.error, DX_EINVAL,
                            "%s:%d: the certificate \"%.80s\" of user %s is there for the second "
                            "time, of user %s in line %d",
                            reader->yaml.name, other->user->line, one->name, other->user->name,
                            one->user->name, one->user->line);
        }
    }
    return DX_OK;
}

/* A token, and whose: only to find those that are there twice. */
typedef struct owned {
    const uint8_t *hash;
    const dxi_access_user_t *user;
} owned_t;

static int owned_compare(const void *a, const void *b)
{
    return memcmp(((const owned_t *)a)->hash, ((const owned_t *)b)->hash, DXI_ACCESS_HASH_BYTES);
}

static int tokens_check(dxi_users_reader_t *reader)
{
    const dxi_access_table_t *const table = reader->table;
    owned_t *const all =
        dxi_arena_take(&reader->table->arena, (table->token_count + 1) * sizeof *all);
    if (all == NULL) {
        return dxi_users_no_memory(reader);
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < table->user_count; i++) {
        for (uint32_t j = 0; j < table->users[i].token_count; j++) {
            all[used++] = (owned_t){table->users[i].tokens[j], &table->users[i]};
        }
    }
    if (used > 1) {
        qsort(all, used, sizeof *all, owned_compare);
    }
    for (uint32_t i = 1; i < used; i++) {
        if (owned_compare(&all[i - 1], &all[i]) == 0) {
            return dxi_fail(reader->yaml.error, DX_EINVAL,
                            "%s:%d: user %s has the same token as user %s in line %d",
                            reader->yaml.name, all[i].user->line, all[i].user->name,
                            all[i - 1].user->name, all[i - 1].user->line);
        }
    }
    return DX_OK;
}

static int user_compare(const void *a, const void *b)
{
    return strcmp((*(dxi_access_user_t *const *)a)->name, (*(dxi_access_user_t *const *)b)->name);
}

static int users_fill(dxi_users_reader_t *reader)
{
    dxi_access_table_t *const table = reader->table;
    const size_t count = reader->user_count;
    table->users = dxi_arena_take(&table->arena, (count + 1) * sizeof *table->users);
    table->by_name = dxi_arena_take(&table->arena, (count + 1) * sizeof(dxi_access_user_t *));
    if (table->users == NULL || table->by_name == NULL) {
        return dxi_users_no_memory(reader);
    }
    for (const dxi_users_entry_t *it = reader->users; it != NULL; it = it->next) {
        dxi_access_user_t *const user = &table->users[table->user_count];
        table->by_name[table->user_count++] = user;
        const int code = user_fill(reader, it, user);
        if (code != DX_OK) {
            return code;
        }
    }
    if (count > 1) {
        qsort(table->by_name, count, sizeof(dxi_access_user_t *), user_compare);
    }
    return DX_OK;
}

int dxi_users_table_make(dxi_users_reader_t *reader)
{
    reader->roles_by_name = entries_sort(reader, reader->roles, reader->role_count, "the role");
    if (reader->roles_by_name == NULL ||
        entries_sort(reader, reader->users, reader->user_count, "the user") == NULL) {
        return reader->yaml.error->code;
    }
    int code = users_fill(reader);
    code = code != DX_OK ? code : certificates_index(reader);
    return code != DX_OK ? code : tokens_check(reader);
}

/* -------------------------------------------------------------------------------------- finding */

const dxi_access_user_t *dxi_access_table_user(const dxi_access_table_t *table, size_t index)
{
    return index < table->user_count ? &table->users[index] : NULL;
}

const dxi_access_user_t *dxi_access_table_find(const dxi_access_table_t *table, const char *name)
{
    const dxi_access_user_t wanted = {.name = name};
    const dxi_access_user_t *const key = &wanted;
    dxi_access_user_t *const *const found =
        table->user_count == 0 ? NULL
                               : bsearch(&key, table->by_name, table->user_count,
                                         sizeof(dxi_access_user_t *), user_compare);
    return found != NULL ? *found : NULL;
}

const char *dxi_access_user_name(const dxi_access_user_t *user)
{
    return user->name;
}

const dxi_access_limits_t *dxi_access_user_limits(const dxi_access_user_t *user)
{
    return &user->limits;
}

const dxi_access_user_t *dxi_access_table_by_token(const dxi_access_table_t *table,
                                                   const uint8_t hash[DXI_ACCESS_HASH_BYTES])
{
    uintptr_t found = 0; /* U4: by masks, without a branch */
    for (uint32_t i = 0; i < table->user_count; i++) {
        const dxi_access_user_t *const user = &table->users[i];
        for (uint32_t j = 0; j < user->token_count; j++) {
            const uintptr_t differs =
                (uintptr_t)(CRYPTO_memcmp(user->tokens[j], hash, DXI_ACCESS_HASH_BYTES) != 0);
            found |= (uintptr_t)user & (differs - 1);
        }
    }
    return (const dxi_access_user_t *)found;
}

bool dxi_access_user_has_token(const dxi_access_user_t *user,
                               const uint8_t hash[DXI_ACCESS_HASH_BYTES])
{
    bool found = false;
    for (uint32_t i = 0; i < user->token_count; i++) {
        found |= CRYPTO_memcmp(user->tokens[i], hash, DXI_ACCESS_HASH_BYTES) == 0;
    }
    return found;
}

const dxi_access_user_t *dxi_access_table_by_certificate(const dxi_access_table_t *table,
                                                         const char *name)
{
    const dxi_access_certificate_t key = {.name = name};
    const dxi_access_certificate_t *const found =
        table->certificate_count == 0 ? NULL
                                      : bsearch(&key, table->certificates, table->certificate_count,
                                                sizeof key, certificate_compare);
    return found != NULL ? found->user : NULL;
}

bool dxi_access_user_has_certificate(const dxi_access_user_t *user, const char *name)
{
    for (uint32_t i = 0; i < user->certificate_count; i++) {
        if (strcmp(user->certificates[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------------- deciding */

const char *dxi_access_action_name(dxi_access_action_t action)
{
    static const char *const NAMES[] = {"publish", "subscribe",  "request",
                                        "manage",  "admin read", "admin write"};
    return (unsigned)action < sizeof NAMES / sizeof NAMES[0] ? NAMES[action] : "?";
}

static int admin_allows(const dxi_access_user_t *user, dxi_access_action_t action,
                        dx_error_t *error)
{
    if (user->admin >= (int)action) {
        return DX_OK;
    }
    return dxi_fail(error, DX_EPERM, "user %s may not administer: admin is %s, must be %s",
                    user->name, user->admin == 0 ? "none" : "read",
                    action == DXI_ACCESS_ADMIN_READ ? "read or write" : "write");
}

/* "publish to", for a sentence. */
static const char *action_phrase(dxi_access_action_t action)
{
    static const char *const PHRASES[] = {"publish to", "subscribe to", "send requests to",
                                          "create, change or delete"};
    return PHRASES[action];
}

int dxi_access_allows(const dxi_access_user_t *user, dxi_access_action_t action, const char *object,
                      size_t object_bytes, dx_error_t *error)
{
    if (action >= DXI_ACCESS_LIST_ACTIONS) {
        return admin_allows(user, action, error);
    }
    const dxi_access_list_t *const list = &user->lists[action];
    const int bytes = (int)object_bytes;
    if (object_bytes == 0 || object_bytes > DX_FRAME_TOPIC_BYTES_MAX) {
        return dxi_fail(error, DX_EPERM, "user %s may not %s a name of %zu bytes", user->name,
                        action_phrase(action), object_bytes);
    }
    for (uint32_t i = 0; i < list->deny_count; i++) { /* U5 */
        const dxi_access_rule_t *const rule = &list->deny[i];
        if (dxi_patterns_meet(rule->pattern, rule->bytes, object, object_bytes)) {
            return dxi_fail(error, DX_EPERM, "user %s may not %s \"%.*s\": %s_deny \"%s\"%s%s",
                            user->name, action_phrase(action), bytes < 80 ? bytes : 80, object,
                            dxi_access_action_name(action), rule->pattern,
                            rule->role != NULL ? " of role " : "",
                            rule->role != NULL ? rule->role : "");
        }
    }
    if (dxi_patterns_cover(list->allow, list->allow_count, object, object_bytes)) {
        return DX_OK;
    }
    return dxi_fail(error, DX_EPERM, "user %s may not %s \"%.*s\": no rule allows %s", user->name,
                    action_phrase(action), bytes < 120 ? bytes : 120, object,
                    action == DXI_ACCESS_SUBSCRIBE ? "all of it" : "it");
}

bool dxi_access_sees(const dxi_access_user_t *user, const char *topic, size_t bytes)
{
    bool sees = user->admin != 0;
    for (int action = 0; action < DXI_ACCESS_LIST_ACTIONS && !sees; action++) {
        sees = dxi_access_allows(user, (dxi_access_action_t)action, topic, bytes, NULL) == DX_OK;
    }
    return sees;
}
