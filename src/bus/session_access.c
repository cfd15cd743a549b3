/* session_access.c - what a session asks of src/access: who it is, what it may, how fast.
 *
 * DESIGN
 *
 * Where there is no users file `session->access` is NULL, and nothing here is called: what a user
 * costs those who have none is one comparison with NULL for each frame.
 *
 * May it send. The answer for a topic is kept in one of a few places by its hash, name and all, so
 * names that are made to collide only cost their sender. A reload empties the places.
 *
 * How fast. A session with a rate gets its credit out of its user's bucket instead of a window.
 * Where the bucket is empty the session stands in its loop's list and is looked at when there is
 * more: until then it has no credit. A client that sends all the same is not read: its frame waits
 * in the connection. Nothing is dropped.
 *
 *     credit used up --bucket gives--> CREDIT
 *          '--bucket empty--> slowed: in the list, due_ns --(due)--> bucket gives: CREDIT, resume
 *
 * Reloads. dxi_bus_access_renew() visits each session in its loop: its login moves to the new
 * table; subscriptions that are no longer allowed are ended; a session whose user or proof is gone
 * is closed.
 *
 * INVARIANTS
 *
 *   X1  no event and no subscription of a session that has `access` passes without an answer of
 *       dxi_access_allows() from its user's present table
 *   X2  a reply goes to an inbox; a request names as the place for its answer an inbox that its own
 *       session listens on
 *   X3  a session in the list of those that are slowed is open
 *   X4  an event with a producer reaches a shard with the number of its user's account as its term
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/session_access.h"

#include <assert.h>
#include <stdio.h>

#include "base/fail.h"
#include "wire/pack.h"

#define RENEW_NS INT64_C(1000000) /* between two looks at a bucket that gave something */
#define INBOX "$inbox."
#define INBOX_BYTES (sizeof INBOX - 1)

/* ---------------------------------------------------------------------------------------- audit */

static void audit(dxi_session_t *session, dxi_access_event_t *event)
{
    dxi_access_t *const access = session->policy->access;
    dxi_connection_info_t info;
    if (access == NULL || session->connection == NULL) {
        return;
    }
    dxi_connection_info(session->connection, &info);
    event->address = info.peer_address;
    if (event->user == NULL && session->access != NULL) {
        event->user = dxi_access_user_name(session->access->login.user);
    }
    dxi_access_audit(access, event);
    event->address = NULL; /* it was here */
}

/* Whether another refusal of this second is written down; those that are not are counted. */
static bool may_write_down(dxi_session_t *session)
{
    dxi_session_access_t *const own = session->access;
    const int64_t now_ns = dxi_loop_now_ns(session->home->loop);
    if (now_ns - own->second_ns >= INT64_C(1000000000)) {
        own->second_ns = now_ns;
        own->audited = 0;
    }
    if (own->audited >= DXI_SESSION_AUDITED_PER_S) {
        own->unaudited++;
        return false;
    }
    own->audited++;
    return true;
}

/* Counts a refusal, and writes it down. Returns its code. */
static int refused(dxi_session_t *session, dxi_access_action_t action, const char *object,
                   size_t object_bytes, int code, const dx_error_t *error)
{
    dxi_session_access_t *const own = session->access;
    dxi_access_refused(session->policy->access, &own->login, action, 1);
    if (may_write_down(session)) {
        char text[DX_TOPIC_BYTES_MAX + 1];
        (void)snprintf(text, sizeof text, "%.*s", (int)object_bytes, object != NULL ? object : "");
        dxi_access_event_t event = {.event = "refused",
                                    .action = dxi_access_action_name(action),
                                    .object = text,
                                    .code = code,
                                    .reason = error != NULL ? error->message : NULL,
                                    .repeated = own->unaudited};
        own->unaudited = 0;
        audit(session, &event);
    }
    return code;
}

/* --------------------------------------------------------------------------------------- logins */

static void limits_take(dxi_session_access_t *own)
{
    own->limits = *dxi_access_user_limits(own->login.user);
    own->limited = own->limits.publish_events_per_s != 0 || own->limits.publish_bytes_per_s != 0;
}

/* A login becomes the session's. */
static int login_take(dxi_session_t *session, dxi_access_login_t *login, const char *mechanism,
                      dx_error_t *error)
{
    dxi_access_t *const access = session->policy->access;
    dxi_session_access_t *const own = dxi_alloc_zeroed(1, sizeof *own);
    if (own == NULL) {
        dxi_access_logout(access, login);
        return dxi_fail(error, DX_ENOMEM, "no memory for a user's session");
    }
    const int code = dxi_access_connect(access, login, error);
    if (code != DX_OK) {
        dxi_access_logout(access, login);
        dxi_free(own);
        return code;
    }
    own->login = *login;
    own->mechanism = mechanism;
    limits_take(own);
    session->access = own;
    return DX_OK;
}

/* A token behind a certificate that has said already who it is, or a second one. */
static int login_compare(dxi_session_t *session, dxi_access_login_t *login, dx_error_t *error)
{
    const char *const now = dxi_access_user_name(session->access->login.user);
    const char *const other = dxi_access_user_name(login->user);
    const int code =
        strcmp(now, other) == 0
            ? DX_OK
            : dxi_fail(error, DX_EPERM, "the connection is user %s by its %s, and the token is not",
                       now, session->access->mechanism);
    dxi_access_logout(session->policy->access, login);
    return code;
}

int dxi_session_authenticate(dxi_session_t *session, const char *mechanism, const void *proof,
                             size_t proof_bytes, dx_error_t *error)
{
    dxi_access_t *const access = session->policy->access;
    dxi_access_login_t login;
    if (mechanism == NULL) {
        const char *const names = dxi_connection_peer_names(session->connection);
        const int code = names[0] == '\0' ? DX_ENOTFOUND
                                          : dxi_access_login_by_names(access, names, &login, error);
        if (code == DX_ENOTFOUND) {
            return DX_EAGAIN; /* a token may follow */
        }
        return code == DX_OK ? login_take(session, &login, "certificate", error) : code;
    }
    if (strcmp(mechanism, "token") != 0) {
        return dxi_fail(error, DX_EPERM, "the mechanism %.32s is not known; this node takes token",
                        mechanism);
    }
    if (session->access != NULL && proof_bytes == 0) {
        return DX_OK; /* who has no token says so, and a certificate was enough */
    }
    const int code = dxi_access_login_by_token(access, proof, proof_bytes, &login, error);
    if (code != DX_OK) {
        return code;
    }
    return session->access != NULL ? login_compare(session, &login, error)
                                   : login_take(session, &login, "token", error);
}

void dxi_session_access_open(dxi_session_t *session)
{
    dxi_access_t *const access = session->policy->access;
    if (access != NULL && dxi_access_on(access) && session->access == NULL) { /* X1 */
        dxi_session_end(session, DX_EPERM, "the connection has no user");
        return;
    }
    dxi_access_event_t event = {
        .event = "connect", .action = session->access != NULL ? session->access->mechanism : NULL};
    audit(session, &event);
    if (session->access != NULL && session->access->limited) {
        session->granted_events = session->granted_bytes = 0;
        session->credit_due = false;
        dxi_session_rate_renew(session);
    }
}

static void slowed_remove(dxi_session_t *session)
{
    dxi_session_t **at = &session->home->sessions->slowed;
    for (; *at != NULL; at = &(*at)->access->slowed_next) {
        if (*at == session) {
            *at = session->access->slowed_next;
            break;
        }
    }
    session->access->slowed = false;
}

static int64_t events_left(const dxi_session_t *session)
{
    return (int64_t)(session->granted_events - session->taken_events);
}

static int64_t bytes_left(const dxi_session_t *session)
{
    return (int64_t)(session->granted_bytes - session->taken_bytes);
}

/* Credit of a rate that nobody will use. */
static void rate_give_back(dxi_session_t *session, const dxi_access_limits_t *limits)
{
    const int64_t events = events_left(session), bytes = bytes_left(session);
    dxi_access_rate_return(session->access->login.account, limits,
                           events > 0 ? (uint64_t)events : 0, bytes > 0 ? (uint64_t)bytes : 0);
}

void dxi_session_access_close(dxi_session_t *session, const dx_error_t *why)
{
    dxi_access_event_t event = {
        .event = session->open ? "disconnect" : "connect_refused",
        .code = why != NULL && why->code != DX_ECLOSED ? why->code : DX_OK,
        .reason = why != NULL ? why->message : NULL,
        .repeated = session->access != NULL ? session->access->unaudited : 0, /* refusals */
    };
    if (!session->open && event.code == DX_OK) {
        event.code = DX_ECLOSED;
    }
    audit(session, &event);
    dxi_session_access_t *const own = session->access;
    if (own != NULL) {
        if (own->slowed) {
            slowed_remove(session); /* X3 */
        }
        if (session->open && own->limited) {
            rate_give_back(session, &own->limits);
        }
        dxi_access_logout(session->policy->access, &own->login);
        dxi_free(own->places);
        dxi_free(own);
        session->access = NULL;
    }
}

/* ------------------------------------------------------------------------------------- deciding */

int dxi_session_allows(dxi_session_t *session, dxi_access_action_t action, const char *object,
                       size_t object_bytes, dx_error_t *error)
{
    dx_error_t why = {.code = 0};
    if (session->access == NULL) {
        return DX_OK;
    }
    const int code =
        dxi_access_allows(session->access->login.user, action, object, object_bytes, &why);
    if (code == DX_OK) {
        return DX_OK;
    }
    if (error != NULL) {
        *error = why;
    }
    return refused(session, action, object, object_bytes, code, &why);
}

int dxi_session_may_see(dxi_session_t *session, const char *topic, dx_error_t *error)
{
    dx_error_t why = {.code = 0};
    if (session->access == NULL ||
        dxi_access_sees(session->access->login.user, topic, strlen(topic))) {
        return DX_OK;
    }
    (void)dxi_fail(&why, DX_EPERM, "user %s may not know of \"%s\": no rule lets it use the topic",
                   dxi_access_user_name(session->access->login.user), topic);
    if (error != NULL) {
        *error = why;
    }
    return refused(session, DXI_ACCESS_SUBSCRIBE, topic, strlen(topic), DX_EPERM, &why);
}

/* The place of a topic; NULL when there is no memory for places: then each answer is a new one. */
static dxi_session_place_t *place_of(dxi_session_access_t *own, const char *topic, uint32_t bytes)
{
    if (own->places == NULL) {
        own->places = dxi_alloc_zeroed(DXI_SESSION_PLACES, sizeof *own->places);
    }
    return own->places == NULL ? NULL
                               : &own->places[dx_frame_key_hash(topic, bytes) % DXI_SESSION_PLACES];
}

static int topic_allows(dxi_session_t *session, dxi_access_action_t action, const char *topic,
                        uint32_t bytes, dx_error_t *error)
{
    dxi_session_place_t *const place = place_of(session->access, topic, bytes);
    if (place != NULL && place->kept && place->action == action && place->bytes == bytes &&
        memcmp(place->topic, topic, bytes) == 0) {
        return DX_OK;
    }
    const int code = dxi_session_allows(session, action, topic, bytes, error);
    if (place != NULL && code == DX_OK) {
        place->kept = true;
        place->action = (uint8_t)action;
        place->bytes = (uint8_t)bytes;
        memcpy(place->topic, topic, bytes);
    }
    return code;
}

/* Whether the session listens on an inbox. */
static bool is_own_inbox(dxi_session_t *session, const char *topic, uint32_t bytes)
{
    dxi_session_access_t *const own = session->access;
    if (bytes > DXI_ACCESS_INBOX_BYTES_MAX) {
        return false;
    }
    if (strlen(own->inbox) == bytes && memcmp(own->inbox, topic, bytes) == 0) {
        return true;
    }
    for (uint32_t i = 0; i < DXI_SESSION_BUCKETS; i++) {
        for (const dxi_remote_t *it = session->remotes[i]; it != NULL; it = it->next) {
            const char *const pattern = it->base.options.pattern;
            if (it->is_inbox && strlen(pattern) == bytes && memcmp(pattern, topic, bytes) == 0) {
                memcpy(own->inbox, topic, bytes);
                own->inbox[bytes] = '\0';
                return true;
            }
        }
    }
    return false;
}

/* X2. Other topics may be named: whoever answers there needs a rule for it. */
static int reply_to_check(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error)
{
    uint32_t bytes = 0;
    const char *const reply_to = dx_frame_part(frame, DX_PART_REPLY_TO, &bytes);
    if (reply_to == NULL || reply_to[0] != '$' || is_own_inbox(session, reply_to, bytes)) {
        return DX_OK;
    }
    dx_error_t why = {.code = 0};
    (void)dxi_fail(&why, DX_EPERM,
                   "user %s may not ask for answers to \"%.*s\": it is no inbox of this connection",
                   dxi_access_user_name(session->access->login.user), (int)bytes, reply_to);
    if (error != NULL) {
        *error = why;
    }
    return refused(session, DXI_ACCESS_REQUEST, reply_to, bytes, DX_EPERM, &why);
}

int dxi_session_may_send(dxi_session_t *session, const dx_frame_view_t *frame, const char *topic,
                         uint32_t topic_bytes, dx_error_t *error)
{
    dxi_session_access_t *const own = session->access;
    if (own->limited && (events_left(session) <= 0 || bytes_left(session) <= 0)) {
        dxi_session_rate_renew(session);
        if (own->slowed) {
            own->frame_waits = true;
            return DX_EAGAIN;
        }
    }
    const uint8_t type = frame->header->type;
    if (type == DX_FRAME_REPLY && topic[0] == '$') {
        return DX_OK; /* to an inbox: topic_allowed() has looked */
    }
    const dxi_access_action_t action =
        type == DX_FRAME_REQUEST ? DXI_ACCESS_REQUEST : DXI_ACCESS_PUBLISH;
    const int code = topic_allows(session, action, topic, topic_bytes, error);
    if (code == DX_EPERM) { /* one is counted; the frame may have more events */
        dxi_access_refused(session->policy->access, &own->login, action,
                           dxi_frame_events(frame->header) - 1);
    }
    return code == DX_OK && dx_frame_has(frame, DX_PART_REPLY_TO)
               ? reply_to_check(session, frame, error)
               : code;
}

void dxi_session_owner_stamp(const dxi_session_t *session, const dx_frame_view_t *frame)
{
    const dx_frame_header_t *const header = frame->header;
    const dx_frame_stamp_t stamp = {.shard = header->shard,
                                    .term =
                                        dxi_access_account_number(session->access->login.account),
                                    .sequence = header->sequence,
                                    .timestamp_ns = header->timestamp_ns};
    const int code = dx_frame_stamp((void *)(uintptr_t)header, &stamp); /* the memory is ours */
    assert(code == DX_OK);                                              /* it was checked */
    (void)code;
}

/* An inbox: whole, and nobody else's. */
static int inbox_take(dxi_session_t *session, const char *pattern, dx_error_t *error)
{
    const char *const user = dxi_access_user_name(session->access->login.user);
    dx_error_t why = {.code = 0};
    const int code = strpbrk(pattern, "*>") != NULL
                         ? dxi_fail(&why, DX_EPERM,
                                    "user %s may not subscribe to \"%s\": an inbox is named whole",
                                    user, pattern)
                         : dxi_access_inbox_take(session->policy->access, user, pattern,
                                                 dxi_loop_now_ns(session->home->loop), &why);
    if (code == DX_OK) {
        return DX_OK;
    }
    if (error != NULL) {
        *error = why;
    }
    return code != DX_EPERM
               ? code
               : refused(session, DXI_ACCESS_SUBSCRIBE, pattern, strlen(pattern), code, &why);
}

/* What it listens to, and where its dead letters go. */
static int subscription_allowed(dxi_session_t *session, const dx_subscription_options_t *options,
                                dx_error_t *error)
{
    const char *const letters = options->dead_letter;
    const int code = dxi_session_allows(session, DXI_ACCESS_SUBSCRIBE, options->pattern,
                                        strlen(options->pattern), error);
    return code == DX_OK && letters != NULL
               ? dxi_session_allows(session, DXI_ACCESS_PUBLISH, letters, strlen(letters), error)
               : code;
}

int dxi_session_may_subscribe(dxi_session_t *session, const dx_subscription_options_t *options,
                              bool *inbox_out, dx_error_t *error)
{
    const dxi_session_access_t *const own = session->access;
    const char *const pattern = options->pattern;
    *inbox_out = false;
    if (own == NULL) {
        return DX_OK;
    }
    if (own->limits.subscriptions_max != 0 &&
        session->remote_count >= own->limits.subscriptions_max) {
        return dxi_fail(error, DX_ELIMIT,
                        "user %s has %u subscriptions in this connection, and subscriptions_max is "
                        "%llu",
                        dxi_access_user_name(own->login.user), session->remote_count,
                        (unsigned long long)own->limits.subscriptions_max);
    }
    if (strncmp(pattern, INBOX, INBOX_BYTES) == 0) {
        const int code = inbox_take(session, pattern, error);
        *inbox_out = code == DX_OK;
        return code;
    }
    return subscription_allowed(session, options, error);
}

/* ---------------------------------------------------------------------------------------- rates */

static void slow_down(dxi_session_t *session)
{
    dxi_session_access_t *const own = session->access;
    if (!own->slowed) {
        own->slowed = true;
        own->slowed_next = session->home->sessions->slowed;
        session->home->sessions->slowed = session;
        dxi_access_throttled(session->policy->access, own->login.account);
    }
    dxi_loop_wake_at(session->home->loop, own->due_ns);
}

void dxi_session_rate_renew(dxi_session_t *session)
{
    dxi_session_access_t *const own = session->access;
    const dxi_credit_t window = dxi_session_window(session);
    const int64_t now_ns = dxi_loop_now_ns(session->home->loop);
    if (events_left(session) > own->last_events / 2 && bytes_left(session) > own->last_bytes / 2) {
        return; /* it asks again when half is used: an idle connection holds little */
    }
    if (now_ns >= own->due_ns) {
        uint64_t events = 0, bytes = 0;
        const int64_t wait_ns = dxi_access_rate_take(
            own->login.account, &own->limits, now_ns,
            (uint64_t)((int64_t)window.events - events_left(session)),
            (uint64_t)((int64_t)window.bytes - bytes_left(session)), &events, &bytes);
        own->due_ns = now_ns + (wait_ns > 0 ? wait_ns : RENEW_NS);
        if (wait_ns == 0) {
            session->granted_events += events;
            session->granted_bytes += bytes;
            own->last_events = events_left(session);
            own->last_bytes = bytes_left(session);
            session->credit_due = true;
        }
    }
    if (events_left(session) > 0 && bytes_left(session) > 0) {
        if (own->slowed) {
            slowed_remove(session);
        }
    } else { /* nothing was there, or an event that was larger than the credit is not paid yet */
        slow_down(session);
    }
}

/* It has credit again. */
static void go_on(dxi_session_t *session)
{
    const bool waits = session->access->frame_waits;
    session->access->frame_waits = false;
    dxi_session_grant(session); /* may end it */
    if (waits && session->connection != NULL) {
        dxi_connection_resume(session->connection);
    }
}

int dxi_sessions_slowed_run(dxi_bus_loop_t *loop, int64_t now_ns)
{
    int done = 0;
    int64_t next_ns = INT64_MAX;
    for (dxi_session_t *session = loop->sessions->slowed, *next = NULL; session != NULL;
         session = next) {
        dxi_session_access_t *const own = session->access;
        next = own->slowed_next;
        if (own->due_ns <= now_ns) {
            dxi_session_rate_renew(session);
            done++;
        }
        if (own->slowed) {
            next_ns = own->due_ns < next_ns ? own->due_ns : next_ns;
            continue;
        }
        go_on(session);
    }
    if (next_ns != INT64_MAX) {
        dxi_loop_wake_at(loop->loop, next_ns);
    }
    return done;
}

/* -------------------------------------------------------------------------------------- reloads */

/* Ends what the user may not listen to any more, or may not send dead letters of. */
static void subscriptions_check(dxi_session_t *session)
{
    for (uint32_t i = 0; i < DXI_SESSION_BUCKETS; i++) {
        for (dxi_remote_t *it = session->remotes[i]; it != NULL; it = it->next) {
            dx_error_t error = {.code = 0};
            if (!it->is_inbox && it->state != DXI_REMOTE_LEAVING &&
                subscription_allowed(session, &it->base.options, &error) != DX_OK) {
                dxi_remote_ended(it, DX_EPERM, error.message);
            }
        }
    }
}

/* Begins anew with another rate, or with a window; `before`: the rate that it had, or NULL. What
 * the client was told it may still send; where that is more than it has now, its frames wait. */
static void rate_change(dxi_session_t *session, const dxi_access_limits_t *before)
{
    dxi_session_access_t *const own = session->access;
    const dxi_credit_t window = dxi_session_window(session);
    if (!session->open) {
        return;
    }
    if (before != NULL) {
        rate_give_back(session, before);
    }
    session->granted_events = session->taken_events + (own->limited ? 0 : window.events);
    session->granted_bytes = session->taken_bytes + (own->limited ? 0 : window.bytes);
    own->due_ns = own->last_events = own->last_bytes = 0;
    if (own->limited) {
        dxi_session_rate_renew(session);
    } else {
        session->credit_due = true;
        if (own->slowed) {
            slowed_remove(session);
        }
    }
    if (!own->slowed) {
        go_on(session);
    }
}

static void session_renew(dxi_session_t *session)
{
    dxi_session_access_t *const own = session->access;
    dx_error_t error = {.code = 0};
    const int code = dxi_access_login_refresh(session->policy->access, &own->login, &error);
    if (code == DX_OK) {
        return;
    }
    if (code < 0) {
        dxi_session_end(session, code, error.message);
        return;
    }
    dxi_free(own->places); /* X1 */
    own->places = NULL;
    subscriptions_check(session);
    const bool was_limited = own->limited;
    const dxi_access_limits_t before = own->limits;
    limits_take(own);
    if (was_limited || own->limited) {
        rate_change(session, was_limited ? &before : NULL);
    }
}

static void renew_in_loop(void *context)
{
    const dxi_bus_loop_t *const loop = context;
    for (dxi_session_t *it = loop->sessions->all, *next = NULL; it != NULL; it = next) {
        next = it->next; /* one that is ended may go at once */
        if (it->access != NULL) {
            session_renew(it);
        }
    }
}

void dxi_bus_access_renew(dx_bus_t *bus)
{
    for (uint32_t i = 0; i < bus->loop_count; i++) {
        dxi_loop_call(bus->loops[i].loop, renew_in_loop, &bus->loops[i]);
    }
}
