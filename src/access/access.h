/* access/access.h - who may do what: users, their proofs, permissions and limits, and the audit.
 *
 *     users file --load--> table (immutable, counted) <--- login (a session's, an HTTP request's)
 *                            |
 *     dxi_access_t ----------+- accounts: what a user's connections use together; outlive reloads
 *                            '- audit: a file of its own, one JSON object a line (audit.h)
 *
 * A node has one dxi_access_t, always. Without a users file it is off: there is no table, nobody
 * asks it, and only the audit may be on. With one, nothing is allowed that no rule allows.
 *
 * Asking. A login names a user of a table and holds that table. dxi_access_allows() is pure: it
 * walks the user's patterns and keeps nothing, so who asks often keeps the answer. A session keeps
 * it per topic and forgets it when dxi_access_login_refresh() says that there is another table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_ACCESS_H
#define DXI_ACCESS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/log.h"
#include "disruptorx/platform.h"

#define DXI_ACCESS_FILE_BYTES_MAX 4194304
#define DXI_ACCESS_USERS_MAX 4096
#define DXI_ACCESS_ROLES_MAX 256
#define DXI_ACCESS_NAME_BYTES_MAX 63         /* of a user, of a role */
#define DXI_ACCESS_PATTERNS_MAX 256          /* of one list */
#define DXI_ACCESS_ROLES_OF_USER_MAX 16      /* of one user */
#define DXI_ACCESS_TOKENS_MAX 4              /* of one user: old and new, while they change over */
#define DXI_ACCESS_CERTIFICATES_MAX 16       /* of one user */
#define DXI_ACCESS_CERTIFICATE_BYTES_MAX 255 /* of a certificate's name */
#define DXI_ACCESS_HASH_BYTES 32

typedef enum dxi_access_action {
    DXI_ACCESS_PUBLISH = 0,
    DXI_ACCESS_SUBSCRIBE = 1, /* of a pattern: to everything that it can match */
    DXI_ACCESS_REQUEST = 2,
    DXI_ACCESS_MANAGE = 3,     /* create, change and delete a topic */
    DXI_ACCESS_ADMIN_READ = 4, /* questions, metrics, lists; no object */
    DXI_ACCESS_ADMIN_WRITE = 5 /* configuration, log level, ending connections; no object */
} dxi_access_action_t;
#define DXI_ACCESS_LIST_ACTIONS 4 /* those with lists of patterns */

typedef struct dxi_access dxi_access_t;
typedef struct dxi_access_table dxi_access_table_t;     /* a users file that was read */
typedef struct dxi_access_user dxi_access_user_t;       /* of a table */
typedef struct dxi_access_account dxi_access_account_t; /* of a name, as long as it is used */

/* ---------------------------------------------------------------------------------- users files */

/* Reads a users file. It must be a file that only its owner, who is root or this user, may write.
 * A sentence about its content begins with path:line.
 * Returns DX_OK, DX_ENOTFOUND, DX_EPERM, DX_EIO, DX_EPARSE, DX_EINVAL, DX_ELIMIT, DX_ENOMEM.
 * Threads: any. */
DX_NODISCARD int dxi_access_table_load(const char *path, dxi_access_table_t **table_out,
                                       dx_error_t *error);

/* The same with a text; `name` stands for the path. Threads: any. */
DX_NODISCARD int dxi_access_table_parse(const char *text, size_t bytes, const char *name,
                                        dxi_access_table_t **table_out, dx_error_t *error);

/* Gives up what was loaded and not given to dxi_access_set(); NULL is allowed. Threads: any. */
void dxi_access_table_release(dxi_access_table_t *table);

/* Users of a table, in the order of the file; NULL behind the last, or when there is no such name.
 * They live as long as the table. Threads: any. */
const dxi_access_user_t *dxi_access_table_user(const dxi_access_table_t *table, size_t index);
const dxi_access_user_t *dxi_access_table_find(const dxi_access_table_t *table, const char *name);
const char *dxi_access_user_name(const dxi_access_user_t *user);

/* ------------------------------------------------------------------------------------- deciding */

/* Whether a user may. `object` is a topic, for SUBSCRIBE a pattern, for ADMIN_ ignored. A deny rule
 * wins over every allow rule. Allocates nothing and takes no lock.
 * Returns DX_OK, or DX_EPERM with the user, the action, the object and the rule:
 *     user pump-7 may not publish to "plant.north.alarm": deny "*.north.>" of role device
 *     user pump-7 may not subscribe to "plant.>": no rule allows all of it
 * Threads: any that holds the user's table. */
DX_NODISCARD int dxi_access_allows(const dxi_access_user_t *user, dxi_access_action_t action,
                                   const char *object, size_t object_bytes, dx_error_t *error);

/* Whether a user may know of a topic: any rule lets it use the topic, or it may read all of
 * administration. Threads: any that holds the user's table. */
bool dxi_access_sees(const dxi_access_user_t *user, const char *topic, size_t bytes);

/* Words of actions: "publish", "admin read". Threads: any. */
const char *dxi_access_action_name(dxi_access_action_t action);

/* What a user may use; 0: without a limit. Threads: any that holds the user's table. */
typedef struct dxi_access_limits {
    uint64_t connections_max;
    uint64_t subscriptions_max; /* of one connection */
    uint64_t publish_events_per_s, publish_bytes_per_s;
} dxi_access_limits_t;
const dxi_access_limits_t *dxi_access_user_limits(const dxi_access_user_t *user);

/* --------------------------------------------------------------------------------------- living */

/* Off, with no audit. `log` may be NULL. Returns DX_OK, DX_ENOMEM. Threads: owner. */
DX_NODISCARD int dxi_access_create(dx_log_t *log, dxi_access_t **access_out, dx_error_t *error);
/* After the last login was given up. NULL is allowed. Threads: owner. */
void dxi_access_destroy(dxi_access_t *access);

/* Another table, which is given away; NULL: off. Who is logged in keeps what it has until it asks
 * for dxi_access_login_refresh(). Never fails. Threads: any. */
void dxi_access_set(dxi_access_t *access, dxi_access_table_t *table);

/* Whether there is a table. Threads: any. */
bool dxi_access_on(const dxi_access_t *access);

/* Who has proved to be somebody. Zero: nobody. The caller owns it, and ends it with
 * dxi_access_logout(). */
typedef struct dxi_access_login {
    const dxi_access_user_t *user; /* NULL: nobody */
    dxi_access_account_t *account;
    bool connected;                                  /* counts as a connection */
    uint8_t hash[DXI_ACCESS_HASH_BYTES];             /* of the token; zeros: none */
    char name[DXI_ACCESS_CERTIFICATE_BYTES_MAX + 1]; /* of the certificate; "": none */
} dxi_access_login_t;

/* What a users file has of a token: its SHA-256. Returns DX_OK, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_access_token_hash(const void *token, size_t bytes,
                                       uint8_t hash_out[DXI_ACCESS_HASH_BYTES]);

/* By a token, or by the names of a certificate that TLS has verified: its subject ("CN=pump-7,
 * O=Works", as RFC 2253 writes it) and its alternative names ("DNS:pump-7.example",
 * "URI:spiffe://works/pump-7", "EMAIL:...", "IP:..."), one behind the other with their NULs, an
 * empty one behind the last. What fails is counted; the sentence never has the token in it.
 * Return DX_OK, DX_EPERM, DX_ENOMEM; by_names() DX_ENOTFOUND when no user has such a name, which
 * counts nothing: a token may follow.
 * Threads: any. */
DX_NODISCARD int dxi_access_login_by_token(dxi_access_t *access, const void *token, size_t bytes,
                                           dxi_access_login_t *login_out, dx_error_t *error);
DX_NODISCARD int dxi_access_login_by_names(dxi_access_t *access, const char *names,
                                           dxi_access_login_t *login_out, dx_error_t *error);

/* Counts it as a connection of its user until the logout.
 * Returns DX_OK, DX_ELIMIT with user and limit, which is counted. Threads: owner of the login. */
DX_NODISCARD int dxi_access_connect(dxi_access_t *access, dxi_access_login_t *login,
                                    dx_error_t *error);

/* Moves a login to the table of now. Returns 0 when that is the one it has, 1 when it was moved
 * (answers that were kept are worth nothing), DX_EPERM when the user is gone, or the token or the
 * certificate is no longer one of the user's. Threads: owner of the login. */
int dxi_access_login_refresh(dxi_access_t *access, dxi_access_login_t *login, dx_error_t *error);

/* Holds the table of a user beyond its login, for who answers later. Threads: any that has it. */
void dxi_access_user_hold(dxi_access_t *access, const dxi_access_user_t *user);
void dxi_access_user_release(dxi_access_t *access, const dxi_access_user_t *user);

/* The number of an account, which is of its user alone; never 0. Threads: any that has it. */
uint32_t dxi_access_account_number(const dxi_access_account_t *account);

/* Gives up a login, which is zero then; nobody's is allowed. Threads: owner of the login. */
void dxi_access_logout(dxi_access_t *access, dxi_access_login_t *login);

/* -------------------------------------------------------------------------- rates of publishing */

/* Room to publish now, of the user's rate, which all its connections share: takes at most
 * `events_most` and `bytes_most` (both more than 0) and says how many were there.
 * Returns 0, or when there was nothing how many ns to wait before asking again; an account whose
 * user has no rate gives all. Threads: any. */
int64_t dxi_access_rate_take(dxi_access_account_t *account, const dxi_access_limits_t *limits,
                             int64_t now_ns, uint64_t events_most, uint64_t bytes_most,
                             uint64_t *events_out, uint64_t *bytes_out);
/* A connection begins to wait for its rate: counted. Threads: any. */
void dxi_access_throttled(dxi_access_t *access, dxi_access_account_t *account);
/* Gives back what was not used. Threads: any. */
void dxi_access_rate_return(dxi_access_account_t *account, const dxi_access_limits_t *limits,
                            uint64_t events, uint64_t bytes);

/* -------------------------------------------------------------------------------------- inboxes */

#define DXI_ACCESS_INBOX_BYTES_MAX 63 /* of an inbox's name, where there are users */
#define DXI_ACCESS_INBOXES_MAX 65536  /* of a node, with those that were left lately */
#define DXI_ACCESS_INBOX_KEPT_S 600   /* one that was left belongs to its user so long */

/* Takes an inbox ("$inbox.0123456789abcdef") for a user: who subscribes to it first has it, and
 * nobody else until it was left for DXI_ACCESS_INBOX_KEPT_S. A user may take it more than once.
 * Returns DX_OK, DX_EPERM (it is another's), DX_ELIMIT (too long, too many), DX_ENOMEM.
 * Threads: any. */
DX_NODISCARD int dxi_access_inbox_take(dxi_access_t *access, const char *user, const char *topic,
                                       int64_t now_ns, dx_error_t *error);
/* Leaves one that was taken. Threads: any. */
void dxi_access_inbox_leave(dxi_access_t *access, const char *topic, int64_t now_ns);

/* ---------------------------------------------------------------------------------------- audit */

/* One line of the audit log. Texts may be NULL, and are cut where they are too long. */
typedef struct dxi_access_event {
    const char *event;   /* "connect", "connect_refused", "refused", "admin", "reload", ... */
    const char *user;    /* NULL: not known */
    const char *address; /* of the peer */
    const char *action;  /* dxi_access_action_name(), a question, a method and path */
    const char *object;  /* a topic, a pattern, what was changed */
    int code;            /* DX_OK, or why not */
    const char *reason;  /* a sentence; no secrets */
    uint64_t repeated;   /* how many like it were left out before; 0 is not written */
} dxi_access_event_t;

/* Copies the event into the audit's buffer; never waits, counts what finds no room, and refusals
 * beyond so many a second of one user and host. Without an audit file it does nothing.
 * Threads: any. */
void dxi_access_audit(dxi_access_t *access, const dxi_access_event_t *event);

/* Counts refusals of an action: dxi_access_allows() counts nothing. Threads: any. */
void dxi_access_refused(dxi_access_t *access, const dxi_access_login_t *login,
                        dxi_access_action_t action, uint32_t times);

/* Opens a file for the audit, created with mode 0600. Returns a descriptor, or a negative code.
 * Threads: any. */
DX_NODISCARD int dxi_access_audit_prepare(const char *path, dx_error_t *error);

/* Starts the audit's thread, where there is none: what may fail of a move to a file.
 * Returns DX_OK, DX_ENOMEM. Threads: any, one at a time. */
DX_NODISCARD int dxi_access_audit_begin(dxi_access_t *access, dx_error_t *error);

/* Lines go to `fd` from now on, which is given away; -1: nowhere. So a file that was moved away is
 * begun anew. A first descriptor starts the audit's thread.
 * Returns DX_OK, DX_ENOMEM (fd is closed). Threads: any, one at a time. */
DX_NODISCARD int dxi_access_audit_move(dxi_access_t *access, int fd, dx_error_t *error);

/* Waits until the lines so far are written, or `timeout_ns` is over. Threads: any that is no loop.
 */
void dxi_access_audit_flush(dxi_access_t *access, int64_t timeout_ns);

/* -------------------------------------------------------------------------------------- figures */

typedef struct dxi_access_stat {
    uint64_t users;                   /* of the table; 0: off */
    uint64_t logins_refused;          /* by token or certificate */
    uint64_t connections_refused;     /* beyond connections_max of a user */
    uint64_t refused[6];              /* by action */
    uint64_t throttled;               /* how often a rate made a connection wait */
    uint64_t audit_lines, audit_lost; /* written; for which there was no room, or no disk */
    uint64_t audit_suppressed;        /* refusals left out: too many of one user and host */
    uint64_t audit_failures;          /* writes that failed */
    bool audit_failing;               /* the last one has */
} dxi_access_stat_t;
void dxi_access_stat(dxi_access_t *access, dxi_access_stat_t *stat_out); /* Threads: any. */

/* What is known of a user, for `dx node`, metrics and the admin API. */
typedef struct dxi_access_user_info {
    const char *name;
    uint32_t tokens, certificates;
    int admin; /* 0, or DXI_ACCESS_ADMIN_READ or _WRITE */
    dxi_access_limits_t limits;
    uint64_t connections, refused, throttled; /* since the start; refused: of any kind */
} dxi_access_user_info_t;
typedef void (*dxi_access_visitor_t)(void *context, const dxi_access_user_info_t *info);

/* Calls `visit`, in this thread, for each user of the table. Returns how many. Threads: any. */
int dxi_access_users_each(dxi_access_t *access, dxi_access_visitor_t visit, void *context);

#endif
