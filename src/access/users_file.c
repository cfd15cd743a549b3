/* users_file.c - reads a users file into a table.
 *
 * DESIGN
 *
 *     roles:                          users:
 *       device:                         pump-7:
 *         publish: [plant.{user}.>]       roles: device
 *         subscribe: [orders.{user}]      token_sha256: 3f0a...
 *                                         certificates: [CN=pump-7, DNS:pump-7.works.example]
 *
 * Both sections are mappings of names to the same keys, but that a role has no proofs and no roles.
 * KEYS has a row for each key. Reading makes a list of entries, in the arena of the table; when all
 * are there, each user gets its own rules and those of its roles, with its name in the place of
 * {user}.
 *
 * Nothing is allowed that is not written: a user without rules may connect and do nothing.
 *
 * INVARIANTS (Y1, Y2: yaml_reader.c)
 *
 *   U1  a name, a token and a certificate stand for one user
 *   U2  each pattern of a table passes dxi_pattern_check(), and none is of inboxes
 *   U3  what a table takes is bounded by the limits of access.h, whatever the text
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/users_file.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/values.h"
#include "wire/topic_name.h"

#define RATE_MAX INT64_C(1000000000000)
#define CONNECTIONS_MAX 1000000
#define SUBSCRIPTIONS_MAX 1048576

/* ------------------------------------------------------------------------------------- the keys */

enum kind { KIND_TOKENS, KIND_CERTIFICATES, KIND_ROLES, KIND_RULES, KIND_ADMIN, KIND_LIMIT };

struct dxi_users_key {
    const char *name;
    enum kind kind;
    int index;     /* of an action, of a limit */
    int deny;      /* KIND_RULES */
    bool of_users; /* a role has no such key */
    int64_t high;  /* KIND_LIMIT */
};

static const dxi_users_key_t KEYS[] = {
    {"token_sha256", KIND_TOKENS, 0, 0, true, 0},
    {"certificates", KIND_CERTIFICATES, 0, 0, true, 0},
    {"roles", KIND_ROLES, 0, 0, true, 0},
    {"publish", KIND_RULES, DXI_ACCESS_PUBLISH, DXI_USERS_ALLOW, false, 0},
    {"publish_deny", KIND_RULES, DXI_ACCESS_PUBLISH, DXI_USERS_DENY, false, 0},
    {"subscribe", KIND_RULES, DXI_ACCESS_SUBSCRIBE, DXI_USERS_ALLOW, false, 0},
    {"subscribe_deny", KIND_RULES, DXI_ACCESS_SUBSCRIBE, DXI_USERS_DENY, false, 0},
    {"request", KIND_RULES, DXI_ACCESS_REQUEST, DXI_USERS_ALLOW, false, 0},
    {"request_deny", KIND_RULES, DXI_ACCESS_REQUEST, DXI_USERS_DENY, false, 0},
    {"manage", KIND_RULES, DXI_ACCESS_MANAGE, DXI_USERS_ALLOW, false, 0},
    {"manage_deny", KIND_RULES, DXI_ACCESS_MANAGE, DXI_USERS_DENY, false, 0},
    {"admin", KIND_ADMIN, 0, 0, false, 0},
    {"connections_max", KIND_LIMIT, DXI_USERS_CONNECTIONS, 0, false, CONNECTIONS_MAX},
    {"subscriptions_max", KIND_LIMIT, DXI_USERS_SUBSCRIPTIONS, 0, false, SUBSCRIPTIONS_MAX},
    {"publish_events_per_s", KIND_LIMIT, DXI_USERS_EVENTS, 0, false, RATE_MAX},
    {"publish_bytes_per_s", KIND_LIMIT, DXI_USERS_BYTES, 0, false, RATE_MAX},
};
#define KEY_COUNT (sizeof KEYS / sizeof KEYS[0])
_Static_assert(KEY_COUNT <= DXI_USERS_KEYS_MAX, "raise DXI_USERS_KEYS_MAX");

/* --------------------------------------------------------------------------------------- values */

/* What one item of a key says. The sentence gets its place from the caller. */
typedef int (*item_fn)(dxi_users_reader_t *reader, const char *text, int line);

static int full(const dxi_users_reader_t *reader, int most)
{
    return dxi_fail(reader->yaml.error, DX_ELIMIT, "%s of %s has more than %d items",
                    reader->key->name, reader->entry->name, most);
}

bool dxi_access_name_ok(const char *name)
{
    static const char GOOD[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const size_t bytes = strlen(name);
    return bytes > 0 && bytes <= DXI_ACCESS_NAME_BYTES_MAX && strspn(name, GOOD) == bytes;
}

static int name_check(const dxi_users_reader_t *reader, const char *what, const char *name)
{
    if (dxi_access_name_ok(name)) {
        return DX_OK;
    }
    return dxi_fail(reader->yaml.error, DX_EINVAL,
                    "%s \"%.70s\" must be 1 to %d letters, digits, '-' or '_'", what, name,
                    DXI_ACCESS_NAME_BYTES_MAX);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The sentence leaves the text out: somebody may have written the token itself there. */
static int token_read(dxi_users_reader_t *reader, const char *text, int line)
{
    dxi_users_entry_t *const entry = reader->entry;
    (void)line;
    if (entry->token_count == DXI_ACCESS_TOKENS_MAX) {
        return full(reader, DXI_ACCESS_TOKENS_MAX);
    }
    uint8_t *const hash = entry->tokens[entry->token_count];
    bool good = strlen(text) == (size_t)2 * DXI_ACCESS_HASH_BYTES;
    for (size_t i = 0; good && i < DXI_ACCESS_HASH_BYTES; i++) {
        const int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        hash[i] = (uint8_t)(high * 16 + low);
    }
    if (!good) {
        return dxi_fail(reader->yaml.error, DX_EINVAL,
                        "token_sha256 of %s must be 64 hexadecimal digits, the SHA-256 of the "
                        "token, never the token itself",
                        entry->name);
    }
    entry->token_count++;
    return DX_OK;
}

static int certificate_read(dxi_users_reader_t *reader, const char *text, int line)
{
    dxi_users_entry_t *const entry = reader->entry;
    (void)line;
    if (entry->certificate_count == DXI_ACCESS_CERTIFICATES_MAX) {
        return full(reader, DXI_ACCESS_CERTIFICATES_MAX);
    }
    const size_t bytes = strlen(text);
    const bool alternative = strncmp(text, "DNS:", 4) == 0 || strncmp(text, "URI:", 4) == 0 ||
                             strncmp(text, "EMAIL:", 6) == 0 || strncmp(text, "IP:", 3) == 0;
    if (bytes > DXI_ACCESS_CERTIFICATE_BYTES_MAX || (!alternative && strchr(text, '=') == NULL)) {
        return dxi_fail(reader->yaml.error, DX_EINVAL,
                        "certificate \"%.70s\" must be a subject (CN=pump-7,O=Works) or begin with "
                        "DNS:, URI:, EMAIL: or IP:, and have at most %d bytes",
                        text, DXI_ACCESS_CERTIFICATE_BYTES_MAX);
    }
    char *const kept = dxi_users_keep(reader, text);
    if (kept == NULL) {
        return dxi_users_no_memory(reader);
    }
    entry->certificates[entry->certificate_count++] = kept;
    return DX_OK;
}

static int role_of_user_read(dxi_users_reader_t *reader, const char *text, int line)
{
    dxi_users_entry_t *const entry = reader->entry;
    if (entry->role_count == DXI_ACCESS_ROLES_OF_USER_MAX) {
        return full(reader, DXI_ACCESS_ROLES_OF_USER_MAX);
    }
    for (uint32_t i = 0; i < entry->role_count; i++) {
        if (strcmp(entry->roles[i], text) == 0) {
            return dxi_fail(reader->yaml.error, DX_EINVAL, "role %s is there for the second time",
                            text);
        }
    }
    const int code = name_check(reader, "role", text);
    char *const kept = code == DX_OK ? dxi_users_keep(reader, text) : NULL;
    if (kept == NULL) {
        return code == DX_OK ? dxi_users_no_memory(reader) : code;
    }
    entry->role_lines[entry->role_count] = line;
    entry->roles[entry->role_count++] = kept;
    return DX_OK;
}

static int pattern_check(const dxi_users_reader_t *reader, const char *text)
{
    dx_error_t *const error = reader->yaml.error;
    char filled[DX_FRAME_TOPIC_BYTES_MAX + 1];
    for (const char *at = strchr(text, '{'); at != NULL; at = strchr(at + 1, '{')) {
        if (strncmp(at, DXI_USERS_WORD, strlen(DXI_USERS_WORD)) != 0) {
            return dxi_fail(error, DX_EINVAL,
                            "pattern \"%.100s\" has a '{' that does not begin " DXI_USERS_WORD,
                            text);
        }
    }
    const size_t bytes = dxi_users_pattern_fill(text, "u", filled);
    const int code = bytes == 0 ? dxi_pattern_check(text, strlen(text), error)
                                : dxi_pattern_check(filled, bytes, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "%s", text[0] != '\0' ? text : "\"\"");
        return code;
    }
    if (text[0] == '$' && reader->key->index != DXI_ACCESS_SUBSCRIBE) {
        return dxi_fail(error, DX_EINVAL,
                        "pattern \"%.100s\": topics that begin with '$' are the node's; only "
                        "subscribe and subscribe_deny may name them",
                        text);
    }
    if (strncmp(text, "$inbox", 6) == 0) {
        return dxi_fail(
            error, DX_EINVAL,
            "pattern \"%.100s\": an inbox belongs to who asks, and no rule changes that", text);
    }
    return DX_OK;
}

static int rule_read(dxi_users_reader_t *reader, const char *text, int line)
{
    dxi_users_entry_t *const entry = reader->entry;
    const dxi_users_key_t *const key = reader->key;
    if (entry->rule_counts[key->index][key->deny] == DXI_ACCESS_PATTERNS_MAX) {
        return full(reader, DXI_ACCESS_PATTERNS_MAX);
    }
    const int code = pattern_check(reader, text);
    if (code != DX_OK) {
        return code;
    }
    dxi_users_rule_t *const rule = dxi_arena_take(&reader->table->arena, sizeof *rule);
    char *const kept = rule != NULL ? dxi_users_keep(reader, text) : NULL;
    if (kept == NULL) {
        return dxi_users_no_memory(reader);
    }
    *rule = (dxi_users_rule_t){.pattern = kept, .line = line};
    *entry->rules_end[key->index][key->deny] = rule;
    entry->rules_end[key->index][key->deny] = &rule->next;
    entry->rule_counts[key->index][key->deny]++;
    return DX_OK;
}

static int admin_read(dxi_users_reader_t *reader, const char *text, int line)
{
    static const char *const WORDS[] = {"none", "read", "write"};
    static const int LEVELS[] = {0, DXI_ACCESS_ADMIN_READ, DXI_ACCESS_ADMIN_WRITE};
    (void)line;
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        if (strcmp(text, WORDS[i]) == 0) {
            reader->entry->admin = LEVELS[i];
            return DX_OK;
        }
    }
    return dxi_fail(reader->yaml.error, DX_EINVAL,
                    "admin is \"%.60s\", must be none, read or write", text);
}

static int limit_read(dxi_users_reader_t *reader, const char *text, int line)
{
    const dxi_users_key_t *const key = reader->key;
    (void)line;
    return dxi_integer_parse(key->name, text, 1, key->high, &reader->entry->limits[key->index],
                             reader->yaml.error);
}

static const item_fn READERS[] = {
    [KIND_TOKENS] = token_read,       [KIND_CERTIFICATES] = certificate_read,
    [KIND_ROLES] = role_of_user_read, [KIND_RULES] = rule_read,
    [KIND_ADMIN] = admin_read,        [KIND_LIMIT] = limit_read};

/* One item, a scalar; the event is the caller's. */
static int item_read(dxi_users_reader_t *reader, const yaml_event_t *event)
{
    const char *text = NULL;
    const int line = dxi_yaml_line(event);
    if (event->type != YAML_SCALAR_EVENT) {
        return dxi_fail(reader->yaml.error, DX_EINVAL,
                        "%s:%d: %s of %s must be a text, or a list of texts", reader->yaml.name,
                        line, reader->key->name, reader->entry->name);
    }
    if (dxi_yaml_is_nothing(event)) {
        return dxi_fail(reader->yaml.error, DX_EINVAL,
                        "%s:%d: %s of %s has no value; leave the line out", reader->yaml.name, line,
                        reader->key->name, reader->entry->name);
    }
    const int code = dxi_yaml_text(&reader->yaml, event, &text);
    return code != DX_OK ? code
                         : dxi_yaml_located(&reader->yaml, line,
                                            READERS[reader->key->kind](reader, text, line));
}

/* What stands behind a key: one item, or a list of them. */
static int value_read(dxi_users_reader_t *reader)
{
    yaml_event_t event;
    int code = dxi_yaml_next(&reader->yaml, &event);
    if (code != DX_OK) {
        return code;
    }
    const bool list = event.type == YAML_SEQUENCE_START_EVENT && reader->key->kind != KIND_ADMIN &&
                      reader->key->kind != KIND_LIMIT;
    if (!list) {
        code = item_read(reader, &event);
    }
    yaml_event_delete(&event);
    for (bool over = !list; !over && code == DX_OK;) {
        code = dxi_yaml_next(&reader->yaml, &event);
        if (code == DX_OK) {
            over = event.type == YAML_SEQUENCE_END_EVENT;
            code = over ? DX_OK : item_read(reader, &event);
            yaml_event_delete(&event);
        }
    }
    return code;
}

/* -------------------------------------------------------------------------------------- entries */

static const dxi_users_key_t *key_find(const dxi_users_reader_t *reader, const char *name, int line)
{
    dxi_nearest_t nearest = {.word = name};
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (reader->in_roles && KEYS[i].of_users) {
            continue;
        }
        if (strcmp(KEYS[i].name, name) == 0) {
            return &KEYS[i];
        }
        dxi_nearest_offer(&nearest, KEYS[i].name);
    }
    (void)dxi_fail(reader->yaml.error, DX_EINVAL, "%s:%d: %.60s is no key of a %s%s%s%s",
                   reader->yaml.name, line, name, reader->in_roles ? "role" : "user",
                   nearest.best != NULL ? "; did you mean " : "; docs/security.md has all keys",
                   nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
    return NULL;
}

static int key_read(void *context, const char *name, int line)
{
    dxi_users_reader_t *const reader = context;
    reader->key = key_find(reader, name, line);
    if (reader->key == NULL) {
        return DX_EINVAL;
    }
    const int code = dxi_yaml_once(&reader->yaml, &reader->entry->key_lines[reader->key - KEYS],
                                   line, "the key", name);
    return code != DX_OK ? code : value_read(reader);
}

static int entry_make(dxi_users_reader_t *reader, const char *name, int line)
{
    const uint32_t count = reader->in_roles ? reader->role_count : reader->user_count;
    const uint32_t most = reader->in_roles ? DXI_ACCESS_ROLES_MAX : DXI_ACCESS_USERS_MAX;
    const char *const what = reader->in_roles ? "role" : "user";
    if (count == most) {
        return dxi_fail(reader->yaml.error, DX_ELIMIT, "there are more than %u %ss", most, what);
    }
    const int code = name_check(reader, what, name);
    if (code != DX_OK) {
        return code;
    }
    dxi_users_entry_t *const entry = dxi_arena_take(&reader->table->arena, sizeof *entry);
    if (entry == NULL || (entry->name = dxi_users_keep(reader, name)) == NULL) {
        return dxi_users_no_memory(reader);
    }
    entry->line = line;
    entry->is_role = reader->in_roles;
    entry->admin = -1;
    for (int i = 0; i < DXI_ACCESS_LIST_ACTIONS; i++) {
        entry->rules_end[i][DXI_USERS_ALLOW] = &entry->rules[i][DXI_USERS_ALLOW];
        entry->rules_end[i][DXI_USERS_DENY] = &entry->rules[i][DXI_USERS_DENY];
    }
    dxi_users_entry_t ***const end = reader->in_roles ? &reader->roles_end : &reader->users_end;
    **end = entry;
    *end = &entry->next;
    reader->role_count += reader->in_roles;
    reader->user_count += !reader->in_roles;
    reader->entry = entry;
    return DX_OK;
}

/* What stands behind a name or a section: keys, or nothing. */
static int mapping_or_nothing(dxi_users_reader_t *reader, const char *what, const char *name,
                              dxi_yaml_value_fn read_value)
{
    yaml_event_t event;
    int code = dxi_yaml_next(&reader->yaml, &event);
    if (code != DX_OK) {
        return code;
    }
    if (event.type == YAML_MAPPING_START_EVENT) {
        code = dxi_yaml_mapping(&reader->yaml, read_value, reader);
    } else if (!dxi_yaml_is_nothing(&event)) {
        code = dxi_fail(reader->yaml.error, DX_EINVAL, "%s:%d: %s must have %s below it, indented",
                        reader->yaml.name, dxi_yaml_line(&event), name, what);
    }
    yaml_event_delete(&event);
    return code;
}

static int entry_read(void *context, const char *name, int line)
{
    dxi_users_reader_t *const reader = context;
    const int code = dxi_yaml_located(&reader->yaml, line, entry_make(reader, name, line));
    return code != DX_OK ? code : mapping_or_nothing(reader, "its keys", name, key_read);
}

static int section_read(void *context, const char *name, int line)
{
    dxi_users_reader_t *const reader = context;
    reader->in_roles = strcmp(name, "roles") == 0;
    if (!reader->in_roles && strcmp(name, "users") != 0) {
        return dxi_fail(reader->yaml.error, DX_EINVAL,
                        "%s:%d: the section %.60s is not known; a users file has users and roles",
                        reader->yaml.name, line, name);
    }
    const int code = dxi_yaml_once(&reader->yaml, &reader->section_lines[reader->in_roles], line,
                                   "the section", name);
    return code != DX_OK ? code : mapping_or_nothing(reader, "names", name, entry_read);
}

/* ---------------------------------------------------------------------------------------- files */

int dxi_access_table_parse(const char *text, size_t bytes, const char *name,
                           dxi_access_table_t **table_out, dx_error_t *error)
{
    dx_error_t why = {.code = 0};
    *table_out = NULL;
    dxi_access_table_t *const table = dxi_alloc_zeroed(1, sizeof *table);
    if (table == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %s", name);
    }
    dxi_users_reader_t reader = {.yaml = {.name = name, .what = "a users file", .error = &why},
                                 .table = table};
    reader.users_end = &reader.users;
    reader.roles_end = &reader.roles;
    int code = dxi_yaml_read(&reader.yaml, text, bytes, DXI_ACCESS_FILE_BYTES_MAX,
                             "must have the sections users and roles", section_read, &reader);
    code = code != DX_OK ? code : dxi_users_table_make(&reader);
    if (code != DX_OK) {
        dxi_access_table_release(table);
        if (error != NULL) {
            *error = why;
        }
        return code;
    }
    *table_out = table;
    return DX_OK;
}

/* Who may write the file may become anybody: only its owner may, and that is root or this user. */
static int mode_check(const char *path, const struct stat *status, dx_error_t *error)
{
    if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return dxi_fail(error, DX_EPERM, "%s may be written by others (mode %04o): chmod go-w %s",
                        path, (unsigned)status->st_mode & 07777, path);
    }
    if (status->st_uid != 0 && status->st_uid != geteuid()) {
        return dxi_fail(error, DX_EPERM, "%s belongs to user %u, must belong to root or to user %u",
                        path, (unsigned)status->st_uid, (unsigned)geteuid());
    }
    if (status->st_size > DXI_ACCESS_FILE_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "%s is longer than %d bytes", path,
                        DXI_ACCESS_FILE_BYTES_MAX);
    }
    return DX_OK;
}

int dxi_access_table_load(const char *path, dxi_access_table_t **table_out, dx_error_t *error)
{
    struct stat status;
    *table_out = NULL;
    const int fd = dxi_file_open(path, &status, error);
    if (fd < 0) {
        return fd;
    }
    int code = mode_check(path, &status, error);
    /* One byte more than may be: a file that grows meanwhile is found to be too long. */
    const size_t room = DXI_ACCESS_FILE_BYTES_MAX + 1;
    char *const text = code == DX_OK ? dxi_alloc_zeroed(1, room) : NULL;
    if (code == DX_OK && text == NULL) {
        code = dxi_fail(error, DX_ENOMEM, "no memory for %s", path);
    }
    if (code != DX_OK) {
        (void)close(fd);
        return code;
    }
    const int64_t bytes = dxi_file_read_open(fd, path, text, room, error);
    code = bytes < 0 ? (int)bytes
                     : dxi_access_table_parse(text, (size_t)bytes, path, table_out, error);
    dxi_free(text);
    return code;
}
