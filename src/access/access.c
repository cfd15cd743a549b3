/* access.c - users who are here: logins, accounts, connections, rates; and what is counted.
 *
 * DESIGN
 *
 *     dxi_access_t --- table (of now) --- users --- accounts (by name)
 *                                           ^          ^
 *     login --- user (holds its table) -----'----------'
 *
 * A table never changes. A reload puts another in its place; the old one lives as long as a login
 * holds it. What must survive reloads is the account of a name: its connections, its rate, its
 * counters. A table brings an account for each of its users; where the name has one already, that
 * one is taken, so a reload needs no memory and can't fail.
 *
 * Tokens are 256 random bits (`dx user token`), kept as their SHA-256. A slow hash with a salt
 * would protect guessable secrets; these can't be guessed, and a slow one would let anybody who
 * reaches the port make the node busy. Finding one compares with all (table.c, U4).
 *
 * Rates are buckets that all connections of a user share: they fill with time, up to a tenth of a
 * second's worth. Connections take out more than one event at a time.
 *
 * INVARIANTS
 *
 *   V1  a table is freed when it is not the table of now and no login holds it
 *   V2  an account is freed when no table has it; so a login's account lives as long as the login
 *   V3  connections of an account = logins that are `connected`
 *
 * THREADS. One mutex, taken at logins, logouts, reloads: never for an event. An account has its own
 * for its rate.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "access/account.h"
#include "access/audit.h"
#include "access/inboxes.h"
#include "access/table.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "disruptorx/atomic.h"

#define ACCOUNT_BUCKETS 1024 /* by the hash of the name */

struct dxi_access {
    pthread_mutex_t mutex;
    dxi_access_table_t *table;                       /* under it */
    dxi_access_account_t *accounts[ACCOUNT_BUCKETS]; /* under it: those that tables have */
    uint32_t account_count;                          /* under it: of all that ever were */
    dxi_inboxes_t inboxes;                           /* under it */
    dxi_audit_t *audit;
    /* RELAXED, all of these: figures; `on` is looked at before a login takes the mutex anyway. */
    dx_atomic32_t on;
    dx_atomic64_t logins_refused, connections_refused, throttled;
    dx_atomic64_t refused[DXI_ACCESS_ADMIN_WRITE + 1];
};

/* --------------------------------------------------------------------------------------- tables */

static void table_free(dxi_access_table_t *table)
{
    dxi_arena_t *arena = table->arena;
    while (arena != NULL) {
        dxi_arena_t *const next = arena->next;
        dxi_free(arena);
        arena = next;
    }
    dxi_free(table);
}

void dxi_access_table_release(dxi_access_table_t *table)
{
    if (table == NULL) {
        return;
    }
    for (uint32_t i = 0; i < table->user_count; i++) {
        dxi_account_destroy(table->users[i].account);
    }
    table_free(table);
}

/* Where the accounts of a name begin. Names are the operator's: nobody makes them collide. */
static dxi_access_account_t **bucket_of(dxi_access_t *access, const char *name)
{
    uint32_t hash = 2166136261;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619;
    }
    return &access->accounts[hash % ACCOUNT_BUCKETS];
}

/* Under the mutex. */
static void account_drop(dxi_access_t *access, dxi_access_account_t *account)
{
    if (--account->tables > 0) {
        return;
    }
    for (dxi_access_account_t **at = bucket_of(access, account->name); *at != NULL;
         at = &(*at)->next) {
        if (*at == account) {
            *at = account->next;
            break;
        }
    }
    dxi_account_destroy(account);
}

/* Under the mutex. */
static void table_drop(dxi_access_t *access, dxi_access_table_t *table)
{
    if (--table->references > 0) { /* V1 */
        return;
    }
    for (uint32_t i = 0; i < table->user_count; i++) {
        account_drop(access, table->users[i].account);
    }
    table_free(table);
}

/* Gives each user the account of its name; the one that it brought where there is none yet. */
static void accounts_join(dxi_access_t *access, const dxi_access_table_t *table)
{
    for (uint32_t i = 0; i < table->user_count; i++) {
        dxi_access_user_t *const user = table->by_name[i];
        dxi_access_account_t **const bucket = bucket_of(access, user->name);
        dxi_access_account_t *found = *bucket;
        while (found != NULL && strcmp(found->name, user->name) != 0) {
            found = found->next;
        }
        if (found != NULL) {
            dxi_account_destroy(user->account);
            user->account = found;
        } else {
            user->account->number = ++access->account_count;
            user->account->next = *bucket;
            *bucket = user->account;
        }
        user->account->tables++;
    }
}

void dxi_access_set(dxi_access_t *access, dxi_access_table_t *table)
{
    (void)pthread_mutex_lock(&access->mutex);
    dxi_access_table_t *const before = access->table;
    if (table != NULL) {
        table->references = 1;
        accounts_join(access, table);
    }
    access->table = table;
    dx_store32_relaxed(&access->on, table != NULL);
    if (before != NULL) {
        table_drop(access, before);
    }
    (void)pthread_mutex_unlock(&access->mutex);
}

bool dxi_access_on(const dxi_access_t *access)
{
    return dx_load32_relaxed(&access->on) != 0;
}

/* ----------------------------------------------------------------------------------------- life */

int dxi_access_create(dx_log_t *log, dxi_access_t **access_out, dx_error_t *error)
{
    *access_out = NULL;
    dxi_access_t *const access = dxi_alloc_zeroed(1, sizeof *access);
    if (access == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the users");
    }
    const int code = dxi_audit_create(log, &access->audit, error);
    if (code != DX_OK) {
        dxi_free(access);
        return code;
    }
    (void)pthread_mutex_init(&access->mutex, NULL);
    *access_out = access;
    return DX_OK;
}

void dxi_access_destroy(dxi_access_t *access)
{
    if (access != NULL) {
        dxi_access_set(access, NULL);
        dxi_audit_destroy(access->audit);
        dxi_inboxes_close(&access->inboxes);
        (void)pthread_mutex_destroy(&access->mutex);
        dxi_free(access);
    }
}

/* --------------------------------------------------------------------------------------- logins */

/* Under the mutex. */
static void login_take(const dxi_access_t *access, const dxi_access_user_t *user,
                       dxi_access_login_t *login_out)
{
    *login_out = (dxi_access_login_t){.user = user, .account = user->account};
    access->table->references++;
}

static int refuse(dxi_access_t *access, dx_error_t *error, const char *sentence)
{
    (void)dx_fetch_add_relaxed(&access->logins_refused, 1);
    return dxi_fail(error, DX_EPERM, "%s", sentence);
}

int dxi_access_token_hash(const void *token, size_t bytes, uint8_t hash_out[DXI_ACCESS_HASH_BYTES])
{
    unsigned hash_bytes = 0;
    return !dxi_fault("hash of a token") &&
                   EVP_Digest(token, bytes, hash_out, &hash_bytes, EVP_sha256(), NULL) == 1
               ? DX_OK
               : DX_ENOMEM;
}

int dxi_access_login_by_token(dxi_access_t *access, const void *token, size_t bytes,
                              dxi_access_login_t *login_out, dx_error_t *error)
{
    uint8_t hash[DXI_ACCESS_HASH_BYTES];
    *login_out = (dxi_access_login_t){.user = NULL};
    if (bytes == 0) {
        return refuse(access, error, "a token is wanted");
    }
    if (dxi_access_token_hash(token, bytes, hash) != DX_OK) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the hash of a token");
    }
    (void)pthread_mutex_lock(&access->mutex);
    const dxi_access_user_t *const user =
        access->table == NULL ? NULL : dxi_access_table_by_token(access->table, hash);
    if (user != NULL) {
        login_take(access, user, login_out);
        memcpy(login_out->hash, hash, sizeof hash);
    }
    (void)pthread_mutex_unlock(&access->mutex);
    return user != NULL ? DX_OK : refuse(access, error, "the token is wrong");
}

int dxi_access_login_by_names(dxi_access_t *access, const char *names,
                              dxi_access_login_t *login_out, dx_error_t *error)
{
    int code = DX_ENOTFOUND;
    *login_out = (dxi_access_login_t){.user = NULL};
    (void)pthread_mutex_lock(&access->mutex);
    for (const char *name = names; access->table != NULL && *name != '\0';
         name += strlen(name) + 1) {
        const dxi_access_user_t *const user = dxi_access_table_by_certificate(access->table, name);
        if (user == NULL || user == login_out->user) {
            continue;
        }
        if (code == DX_OK) {
            code = dxi_fail(error, DX_EPERM, "the certificate has names of two users, %s and %s",
                            login_out->user->name, user->name);
            break;
        }
        code = DX_OK;
        login_out->user = user;
        (void)snprintf(login_out->name, sizeof login_out->name, "%s", name);
    }
    if (code == DX_OK) {
        login_out->account = login_out->user->account;
        access->table->references++;
    } else {
        *login_out = (dxi_access_login_t){.user = NULL};
    }
    (void)pthread_mutex_unlock(&access->mutex);
    if (code == DX_EPERM) {
        (void)dx_fetch_add_relaxed(&access->logins_refused, 1);
    } else if (code == DX_ENOTFOUND) {
        return dxi_fail(error, code, "no user has the certificate %.120s", names);
    }
    return code;
}

int dxi_access_connect(dxi_access_t *access, dxi_access_login_t *login, dx_error_t *error)
{
    int code = DX_OK;
    const uint64_t most = login->user->limits.connections_max;
    (void)pthread_mutex_lock(&access->mutex);
    dxi_access_account_t *const account = login->account;
    if (!login->connected && most != 0 && account->connections >= most) {
        code = dxi_fail(error, DX_ELIMIT,
                        "user %s has %" PRIu64 " connections, and connections_max is %" PRIu64,
                        login->user->name, account->connections, most);
    } else if (!login->connected) {
        login->connected = true;
        account->connections++;
    }
    (void)pthread_mutex_unlock(&access->mutex);
    if (code != DX_OK) {
        (void)dx_fetch_add_relaxed(&access->connections_refused, 1);
        (void)dx_fetch_add_relaxed(&account->refused, 1);
    }
    return code;
}

static bool is_empty(const uint8_t hash[DXI_ACCESS_HASH_BYTES])
{
    uint8_t any = 0;
    for (int i = 0; i < DXI_ACCESS_HASH_BYTES; i++) {
        any |= hash[i];
    }
    return any == 0;
}

int dxi_access_login_refresh(dxi_access_t *access, dxi_access_login_t *login, dx_error_t *error)
{
    int code = 1;
    (void)pthread_mutex_lock(&access->mutex);
    dxi_access_table_t *const now = access->table, *const before = login->user->table;
    const dxi_access_user_t *const user =
        now == NULL || now == before ? NULL : dxi_access_table_find(now, login->user->name);
    if (now == before) {
        code = 0;
    } else if (user == NULL) {
        code =
            dxi_fail(error, DX_EPERM, "user %s is no longer one of this node", login->user->name);
    } else if (is_empty(login->hash) ? !dxi_access_user_has_certificate(user, login->name)
                                     : !dxi_access_user_has_token(user, login->hash)) {
        code = dxi_fail(error, DX_EPERM, "the %s with which user %s came is no longer good",
                        is_empty(login->hash) ? "certificate" : "token", login->user->name);
    } else {
        login->user = user; /* the account is the same: it belongs to the name */
        now->references++;
        table_drop(access, before);
    }
    (void)pthread_mutex_unlock(&access->mutex);
    return code;
}

void dxi_access_logout(dxi_access_t *access, dxi_access_login_t *login)
{
    if (login->user != NULL) {
        (void)pthread_mutex_lock(&access->mutex);
        login->account->connections -= login->connected; /* V3 */
        table_drop(access, login->user->table);
        (void)pthread_mutex_unlock(&access->mutex);
    }
    *login = (dxi_access_login_t){.user = NULL};
}

void dxi_access_user_hold(dxi_access_t *access, const dxi_access_user_t *user)
{
    (void)pthread_mutex_lock(&access->mutex);
    user->table->references++;
    (void)pthread_mutex_unlock(&access->mutex);
}

void dxi_access_user_release(dxi_access_t *access, const dxi_access_user_t *user)
{
    (void)pthread_mutex_lock(&access->mutex);
    table_drop(access, user->table);
    (void)pthread_mutex_unlock(&access->mutex);
}

uint32_t dxi_access_account_number(const dxi_access_account_t *account)
{
    return account->number;
}

/* -------------------------------------------------------------------------------------- inboxes */

int dxi_access_inbox_take(dxi_access_t *access, const char *user, const char *topic, int64_t now_ns,
                          dx_error_t *error)
{
    (void)pthread_mutex_lock(&access->mutex);
    const int code = dxi_inboxes_take(&access->inboxes, user, topic, now_ns, error);
    (void)pthread_mutex_unlock(&access->mutex);
    return code;
}

void dxi_access_inbox_leave(dxi_access_t *access, const char *topic, int64_t now_ns)
{
    (void)pthread_mutex_lock(&access->mutex);
    dxi_inboxes_leave(&access->inboxes, topic, now_ns);
    (void)pthread_mutex_unlock(&access->mutex);
}

/* ---------------------------------------------------------------------------------------- audit */

void dxi_access_audit(dxi_access_t *access, const dxi_access_event_t *event)
{
    dxi_audit_put(access->audit, event);
}

void dxi_access_refused(dxi_access_t *access, const dxi_access_login_t *login,
                        dxi_access_action_t action, uint32_t times)
{
    (void)dx_fetch_add_relaxed(&access->refused[action], times);
    if (login->account != NULL) {
        (void)dx_fetch_add_relaxed(&login->account->refused, times);
    }
}

int dxi_access_audit_prepare(const char *path, dx_error_t *error)
{
    /* O_NONBLOCK: a pipe in its place must not keep anybody waiting. */
    const int fd =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0) {
        return dxi_fail_os(error, dxi_code_of_errno(errno), errno,
                           "the audit log %s can't be opened", path);
    }
    return fd;
}

int dxi_access_audit_begin(dxi_access_t *access, dx_error_t *error)
{
    return dxi_audit_begin(access->audit, error);
}

int dxi_access_audit_move(dxi_access_t *access, int fd, dx_error_t *error)
{
    return dxi_audit_move(access->audit, fd, error);
}

void dxi_access_audit_flush(dxi_access_t *access, int64_t timeout_ns)
{
    dxi_audit_flush(access->audit, timeout_ns);
}

/* -------------------------------------------------------------------------------------- figures */

void dxi_access_throttled(dxi_access_t *access, dxi_access_account_t *account)
{
    (void)dx_fetch_add_relaxed(&access->throttled, 1);
    (void)dx_fetch_add_relaxed(&account->throttled, 1);
}

void dxi_access_stat(dxi_access_t *access, dxi_access_stat_t *stat_out)
{
    dxi_audit_stat_t audit;
    dxi_audit_stat(access->audit, &audit);
    *stat_out = (dxi_access_stat_t){
        .logins_refused = (uint64_t)dx_load_relaxed(&access->logins_refused),
        .connections_refused = (uint64_t)dx_load_relaxed(&access->connections_refused),
        .throttled = (uint64_t)dx_load_relaxed(&access->throttled),
        .audit_lines = audit.lines,
        .audit_lost = audit.lost,
        .audit_suppressed = audit.suppressed,
        .audit_failures = audit.failures,
        .audit_failing = audit.failing,
    };
    for (int i = 0; i <= DXI_ACCESS_ADMIN_WRITE; i++) {
        stat_out->refused[i] = (uint64_t)dx_load_relaxed(&access->refused[i]);
    }
    (void)pthread_mutex_lock(&access->mutex);
    stat_out->users = access->table != NULL ? access->table->user_count : 0;
    (void)pthread_mutex_unlock(&access->mutex);
}

/* Under the mutex. */
static void info_fill(const dxi_access_user_t *user, dxi_access_user_info_t *info_out)
{
    *info_out = (dxi_access_user_info_t){
        .name = user->name,
        .tokens = user->token_count,
        .certificates = user->certificate_count,
        .admin = user->admin,
        .limits = user->limits,
        .connections = user->account->connections,
        .refused = (uint64_t)dx_load_relaxed(&user->account->refused),
        .throttled = (uint64_t)dx_load_relaxed(&user->account->throttled),
    };
}

int dxi_access_users_each(dxi_access_t *access, dxi_access_visitor_t visit, void *context)
{
    (void)pthread_mutex_lock(&access->mutex);
    dxi_access_table_t *const table = access->table;
    if (table == NULL) {
        (void)pthread_mutex_unlock(&access->mutex);
        return 0;
    }
    table->references++; /* so that `visit` runs without the mutex */
    (void)pthread_mutex_unlock(&access->mutex);
    for (uint32_t i = 0; i < table->user_count; i++) {
        dxi_access_user_info_t info;
        (void)pthread_mutex_lock(&access->mutex);
        info_fill(&table->users[i], &info);
        (void)pthread_mutex_unlock(&access->mutex);
        visit(context, &info);
    }
    const int count = (int)table->user_count;
    (void)pthread_mutex_lock(&access->mutex);
    table_drop(access, table);
    (void)pthread_mutex_unlock(&access->mutex);
    return count;
}
