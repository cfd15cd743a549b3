/* session.c - the life of a session, the table of a loop's sessions, figures.
 *
 * DESIGN
 *
 *     on_accept() -> session in a place of its loop's table -> on_open() -> frames -> on_close()
 *         -> out of the table -> command: detached from all lanes -> task in its loop: freed, when
 *         nothing that it has published waits any more (session_aside.c)
 *
 * Everything of a session belongs to the loop of its connection, but for what deliver() of other
 * loops touches: credit, what was sent, and bytes on their way (atomics). Others name a session by
 * its origin, which says loop, place and count, so one that comes late finds nothing.
 *
 * INVARIANTS
 *
 *   S1  a session is freed after its attachments are detached and its commands are back
 * S2  no run of deliveries is open when a connection writes something of its own: duties, tasks and
 *       calls end with dxi_bus_loop_settle(), and so does what a connection has received, whose
 *       frames may go to a shard the short way (lane.c)
 *   S3  a frame that can't be taken now waits in the connection, which then reads nothing
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "base/fail.h"
#include "bus/session_access.h"
#include "net/capability.h"

#define PLACES_FIRST 16
#define WAIT_NS INT64_C(100000) /* a frame that waits for another loop is offered again */
#define CLOSE_PAUSE_NS 500000

/* ---------------------------------------------------------------------------------------- table */

int dxi_sessions_create(dxi_bus_loop_t *loop, dx_error_t *error)
{
    dxi_session_table_t *table = dxi_alloc_zeroed(1, sizeof *table);
    loop->sessions = table;
    return table == NULL ? dxi_fail(error, DX_ENOMEM, "no memory for sessions") : DX_OK;
}

void dxi_sessions_destroy(dxi_bus_loop_t *loop)
{
    if (loop->sessions != NULL) {
        for (dxi_session_t *next; (next = loop->sessions->waiting) != NULL;) {
            loop->sessions->waiting = next->waiting_next; /* closed, and what it published waits */
            dxi_session_aside_drop(next);
            dxi_session_free(next);
        }
        dxi_free(loop->sessions->places);
        dxi_free(loop->sessions->counts);
        dxi_free(loop->sessions);
        loop->sessions = NULL;
    }
}

static int table_grow(dxi_session_table_t *table)
{
    const uint32_t room = table->room == 0 ? PLACES_FIRST : table->room * 2;
    if (room > DXI_PLACES_MAX) {
        return DX_ELIMIT;
    }
    dxi_session_t **places = dxi_alloc_zeroed(room, sizeof(dxi_session_t *));
    uint32_t *counts = dxi_alloc_zeroed(room, sizeof(uint32_t));
    if (places == NULL || counts == NULL) {
        dxi_free(places);
        dxi_free(counts);
        return DX_ENOMEM;
    }
    if (table->room != 0) {
        memcpy(places, table->places, table->room * sizeof(dxi_session_t *));
        memcpy(counts, table->counts, table->room * sizeof(uint32_t));
    }
    dxi_free(table->places);
    dxi_free(table->counts);
    table->places = places;
    table->counts = counts;
    table->free_hint = table->room;
    table->room = room;
    return DX_OK;
}

/* Gives the session a place and its origin. */
static int table_add(dxi_bus_loop_t *loop, dxi_session_t *session)
{
    dxi_session_table_t *table = loop->sessions;
    uint32_t place = table->free_hint;
    while (place < table->room && table->places[place] != NULL) {
        place++;
    }
    if (place >= table->room) {
        const int code = table_grow(table);
        if (code != DX_OK) {
            return code;
        }
        place = table->free_hint;
    }
    table->places[place] = session;
    table->free_hint = place + 1;
    session->place = place;
    session->origin =
        dxi_origin_make(DXI_ORIGIN_SESSION, loop->index, place, ++table->counts[place]);
    session->next = table->all;
    if (session->next != NULL) {
        session->next->previous = session;
    }
    table->all = session;
    return DX_OK;
}

static void table_remove(dxi_session_t *session)
{
    dxi_session_table_t *table = session->home->sessions;
    table->places[session->place] = NULL;
    if (session->place < table->free_hint) {
        table->free_hint = session->place;
    }
    if (session->previous != NULL) {
        session->previous->next = session->next;
    } else {
        table->all = session->next;
    }
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
}

dxi_session_t *dxi_session_find(dxi_bus_loop_t *loop, uint64_t origin)
{
    const uint32_t place = dxi_origin_place(origin);
    dxi_session_table_t *table = loop->sessions;
    if (place >= table->room) {
        return NULL;
    }
    dxi_session_t *session = table->places[place];
    return session != NULL && session->origin == origin ? session : NULL;
}

/* ------------------------------------------------------------------------------------ callbacks */

static dxi_bus_loop_t *home_of(dx_bus_t *bus, const dxi_connection_t *connection)
{
    const dxi_loop_t *loop = dxi_connection_loop(connection);
    for (uint32_t i = 0; i < bus->loop_count; i++) {
        if (bus->loops[i].loop == loop) {
            return &bus->loops[i];
        }
    }
    return NULL;
}

static int on_accept(void *context, dxi_connection_t *connection, dx_error_t *error)
{
    const dxi_serve_t *serve = context;
    if (serve->bus == NULL) {
        return dxi_fail(error, DX_ELIMIT, "the bus serves %d listeners, which is the limit",
                        DXI_BUS_SERVES_MAX);
    }
    if (!dxi_bus_runs(serve->bus)) {
        return dxi_bus_not_running(serve->bus, error);
    }
    dxi_bus_loop_t *home = home_of(serve->bus, connection);
    dxi_session_t *session = home == NULL ? NULL : dxi_alloc_zeroed(1, sizeof *session);
    if (session == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a session");
    }
    session->bus = serve->bus;
    session->home = home;
    session->policy = serve->policy;
    session->connection = connection;
    session->connection_id = dxi_connection_id(connection);
    const int code = table_add(home, session);
    if (code != DX_OK) {
        dxi_free(session);
        return dxi_fail(error, code, "no place for a session");
    }
    dxi_connection_set_context(connection, session);
    dxi_count(&home->sessions->open, 1);
    dxi_count(&home->sessions->opened, 1);
    return DX_OK;
}

dxi_credit_t dxi_session_window(const dxi_session_t *session)
{
    const uint64_t events = (uint64_t)dx_load_relaxed(&session->policy->publish_credit_events);
    const uint64_t bytes = (uint64_t)dx_load_relaxed(&session->policy->publish_credit_bytes);
    return (dxi_credit_t){.events = events != 0 ? events : DXI_CREDIT_EVENTS,
                          .bytes = bytes != 0 ? bytes : DXI_CREDIT_BYTES};
}

static void on_open(void *context, dxi_connection_t *connection)
{
    dxi_session_t *session = context;
    session->open = true;
    session->frame_bytes_max = dxi_connection_frame_bytes_max(connection);
    session->packs = (dxi_connection_capabilities(connection) & DXI_CAPABILITY_PACK) != 0;
    const dxi_credit_t window = dxi_session_window(session);
    session->granted_events = window.events;
    session->granted_bytes = window.bytes;
    session->credit_due = true;
    dxi_session_access_open(session);
    dxi_session_grant(session);
}

static int on_auth(void *context, dxi_connection_t *connection, const char *mechanism,
                   const void *proof, size_t proof_bytes, dx_error_t *error)
{
    dxi_session_t *session = context;
    const dxi_session_policy_t *policy = session->policy;
    if (policy->access != NULL && dxi_access_on(policy->access)) {
        return dxi_session_authenticate(session, mechanism, proof, proof_bytes, error);
    }
    return policy->authenticate == NULL
               ? DX_OK
               : policy->authenticate(policy->context, connection, mechanism, proof, proof_bytes,
                                      error);
}

static void unlist(dxi_session_t **list, dxi_session_t *session, bool dirty)
{
    for (dxi_session_t **at = list; *at != NULL;
         at = dirty ? &(*at)->dirty_next : &(*at)->waiting_next) {
        if (*at == session) {
            *at = dirty ? session->dirty_next : session->waiting_next;
            return;
        }
    }
}

/* Nothing of a closed session stands aside any more. */
static void session_over(dxi_session_t *session)
{
    assert(session->connection == NULL && dxi_aside_empty(&session->aside));
    session->waiting = true; /* in no list any more, and not to be put there */
    dxi_count(&session->home->sessions->open, -1);
    if (session->detached) {
        dxi_session_free(session);
    }
}

static void end_in_loop(void *context)
{
    dxi_session_t *session = context;
    session->detached = true;
    if (dxi_aside_empty(&session->aside)) {
        dxi_session_free(session);
    }
}

/* In the commands' thread: no lane knows of it afterwards, and its commands have run. */
static void end_command(dxi_command_t *command)
{
    dxi_session_t *session = (dxi_session_t *)(void *)command;
    (void)pthread_mutex_lock(&session->bus->command_mutex);
    for (uint32_t i = 0; i < DXI_SESSION_BUCKETS; i++) {
        for (dxi_remote_t *it = session->remotes[i]; it != NULL; it = it->next) {
            dxi_attachment_detach(&it->base);
        }
    }
    (void)pthread_mutex_unlock(&session->bus->command_mutex);
    session->task = (dxi_task_t){.run = end_in_loop, .context = session};
    dxi_loop_post(session->home->loop, &session->task);
}

static void on_close(void *context, dxi_connection_t *connection, const dx_error_t *why)
{
    dxi_session_t *session = context;
    dxi_session_table_t *table = session->home->sessions;
    (void)connection;
    dxi_session_access_close(session, why);
    session->connection = NULL;
    session->open = false;
    if (session->dirty) {
        unlist(&table->dirty, session, true);
    }
    session->dirty = true; /* in no list any more, and not to be put there */
    session->touched = true;
    table_remove(session);
    dxi_session_commands_drop(session);
    if (!dxi_bus_runs(session->bus)) {
        dxi_session_aside_drop(session);
    }
    if (dxi_aside_empty(&session->aside)) { /* else it goes on waiting */
        if (session->waiting) {
            unlist(&table->waiting, session, false);
        }
        session_over(session);
    }
    for (uint32_t i = 0; i < DXI_SESSION_BUCKETS; i++) {
        for (dxi_remote_t *it = session->remotes[i]; it != NULL; it = it->next) {
            dx_store32_release(&it->over, 1);
        }
    }
    session->command.run = end_command;
    dxi_command_post(session->bus, &session->command);
}

/* A client that has said GOODBYE: its end, when everything it waits for is answered. */
static void leave(dxi_session_t *session)
{
    const bool more =
        session->unanswered > 0 || session->commands != 0 || dxi_session_says_more(session);
    if (!more) {
        dxi_session_end(session, DX_ECLOSED, NULL);
    } else if (!session->waiting) {
        dxi_session_wait(session, NULL, 0);
    }
}

static void on_leave(void *context, dxi_connection_t *connection)
{
    dxi_session_t *session = context;
    (void)connection;
    session->leaving = true;
    leave(session);
}

void dxi_bus_serve(dx_bus_t *bus, const dxi_session_policy_t *policy,
                   dxi_listener_options_t *options)
{
    (void)pthread_mutex_lock(&bus->command_mutex);
    dxi_serve_t *serve = &bus->serves[DXI_BUS_SERVES_MAX]; /* refuses */
    for (uint32_t i = 0; i < bus->serve_count; i++) {
        serve = bus->serves[i].policy == policy ? &bus->serves[i] : serve;
    }
    if (serve->bus == NULL && bus->serve_count < DXI_BUS_SERVES_MAX) {
        serve = &bus->serves[bus->serve_count++];
        *serve = (dxi_serve_t){bus, policy};
    }
    (void)pthread_mutex_unlock(&bus->command_mutex);
    options->events = (dxi_connection_events_t){
        .context = serve,
        .on_open = on_open,
        .on_frame = dxi_session_frame,
        .on_pause = dxi_session_pause,
        .on_leave = on_leave,
        .on_writable = dxi_session_writable,
        .on_auth = policy->authenticate != NULL || policy->access != NULL ? on_auth : NULL,
        .on_close = on_close,
    };
    options->connection.started_unix_ns = bus->made_unix_ns;
    options->connection.capabilities |= DXI_CAPABILITY_PACK | DXI_CAPABILITY_DIRECT;
    options->on_accept = on_accept;
    options->loops = bus->net_loops;
    options->loop_count = bus->loop_count;
}

/* -------------------------------------------------------------------------------------- waiting */

void dxi_session_wait(dxi_session_t *session, dxi_lane_t *lane, int64_t slots)
{
    session->waits_for = lane;
    session->waits_slots = slots;
    if (!session->waiting) {
        session->waiting = true;
        session->waiting_next = session->home->sessions->waiting;
        session->home->sessions->waiting = session;
    }
}

/* Whether what the session waits for may be there. What is too much for it keeps its frames in the
 * connection; behind on_close() there are none, and nothing of it becomes less. */
static bool may_go_on(const dxi_session_t *session)
{
    if (session->connection != NULL && dxi_session_overloaded(session)) {
        return false;
    }
    dxi_lane_t *lane = session->waits_for;
    if (lane == NULL || !dxi_bus_runs(session->bus)) {
        return true;
    }
    return dx_producer_has_available(&session->home->producers[lane->index], session->waits_slots);
}

/* What stood aside first, then what waits in the connection. */
static void go_on(dxi_session_t *session)
{
    if (!dxi_aside_empty(&session->aside)) {
        dxi_session_aside_run(session);
        dxi_session_commands_run(session);
        dxi_session_bells(session->home);
        dxi_session_grant(session);
    }
    if (session->leaving && session->connection != NULL) {
        leave(session);
    } else if (session->connection != NULL) {
        dxi_connection_resume(session->connection);
    } else if (dxi_aside_empty(&session->aside)) {
        session_over(session);
    }
}

static int waiting_run(dxi_bus_loop_t *loop, int64_t now_ns)
{
    dxi_session_table_t *table = loop->sessions;
    dxi_session_t *session = table->waiting;
    int resumed = 0;
    table->waiting = NULL;
    while (session != NULL) {
        dxi_session_t *next = session->waiting_next;
        session->waiting = false;
        if (may_go_on(session)) {
            go_on(session);
            resumed++;
        } else {
            dxi_session_wait(session, session->waits_for, session->waits_slots);
        }
        session = next;
    }
    if (table->waiting != NULL) {
        dxi_loop_wake_at(loop->loop, now_ns + WAIT_NS);
    }
    return resumed;
}

int dxi_sessions_run(dxi_bus_loop_t *loop, int64_t now_ns)
{
    int done = loop->bus->loop_count > 1 ? dxi_pairs_take(loop) : 0;
    if (DX_UNLIKELY(loop->sessions->waiting != NULL)) {
        done += waiting_run(loop, now_ns);
    }
    if (DX_UNLIKELY(loop->sessions->slowed != NULL)) {
        done += dxi_sessions_slowed_run(loop, now_ns);
    }
    return done;
}

void dxi_session_end(dxi_session_t *session, int code, const char *sentence)
{
    if (session->connection != NULL && !session->ends) {
        session->ends = true;
        dxi_connection_close(session->connection, code, sentence);
    }
}

/* -------------------------------------------------------------------------------------- figures */

void dxi_bus_sessions_stat(dx_bus_t *bus, dxi_sessions_stat_t *stat_out)
{
    memset(stat_out, 0, sizeof *stat_out);
    for (uint32_t i = 0; i < bus->loop_count; i++) {
        const dxi_session_table_t *table = bus->loops[i].sessions;
        stat_out->open += (uint64_t)dx_load_relaxed(&table->open);
        stat_out->opened += (uint64_t)dx_load_relaxed(&table->opened);
        stat_out->frames_refused += (uint64_t)dx_load_relaxed(&table->refused);
        stat_out->events_in += (uint64_t)dx_load_relaxed(&table->events_in);
        stat_out->events_out += (uint64_t)dx_load_relaxed(&table->events_out);
        stat_out->bytes_in += (uint64_t)dx_load_relaxed(&table->bytes_in);
        stat_out->bytes_out += (uint64_t)dx_load_relaxed(&table->bytes_out);
        stat_out->gaps += (uint64_t)dx_load_relaxed(&table->gaps);
    }
}

#define STEP_SESSIONS 32 /* looked at before the loop's other work has its turn */

/* What is collected in loops, some at a time, to be visited outside. Places don't move, so each
 * session that is there all the while is met once. */
typedef struct collection {
    dxi_bus_loop_t *loop;
    uint32_t place;
    bool more;
    uint32_t step_count;
    dxi_session_info_t step[STEP_SESSIONS];
} collection_t;

static void collect_in_loop(void *context)
{
    collection_t *to = context;
    const dxi_session_table_t *table = to->loop->sessions;
    to->step_count = 0;
    for (uint32_t looks = 0;
         to->place < table->room && to->step_count < STEP_SESSIONS && looks < 32 * STEP_SESSIONS;
         to->place++, looks++) {
        const dxi_session_t *it = table->places[to->place];
        if (it == NULL) {
            continue;
        }
        dxi_session_info_t *item = &to->step[to->step_count++];
        dxi_connection_info(it->connection, &item->connection);
        (void)snprintf(item->user, sizeof item->user, "%s",
                       it->access != NULL ? dxi_access_user_name(it->access->login.user) : "");
        item->subscriptions = it->remote_count;
        item->events_in = it->events_in;
        item->events_out = it->events_out;
        item->send_queue_bytes = dxi_connection_pending(it->connection);
    }
    to->more = to->place < table->room;
}

static int listable(dx_bus_t *bus)
{
    const int32_t state = dx_load32_relaxed(&bus->state);
    return state == DXI_BUS_RUNNING || state == DXI_BUS_STOPPING ? DX_OK : DX_ESTATE;
}

int dxi_bus_sessions_each(dx_bus_t *bus, dxi_session_visitor_t visit, void *context)
{
    const int code = listable(bus);
    collection_t *all = code == DX_OK ? dxi_alloc_zeroed(1, sizeof *all) : NULL;
    int count = 0;
    if (all == NULL) {
        return code != DX_OK ? code : DX_ENOMEM;
    }
    for (uint32_t i = 0; i < bus->loop_count; i++) {
        all->loop = &bus->loops[i];
        all->place = 0;
        do {
            dxi_loop_call(all->loop->loop, collect_in_loop, all);
            for (uint32_t j = 0; j < all->step_count; j++) {
                visit(context, &all->step[j]);
                count++;
            }
        } while (all->more);
    }
    dxi_free(all);
    return count;
}

/* One subscription, and whose. */
typedef struct listed {
    uint64_t connection;
    dx_subscription_stats_t stats;
} listed_t;

int dxi_bus_subscriptions_each(dx_bus_t *bus, dxi_subscription_visitor_t visit, void *context)
{
    int code = listable(bus);
    if (code != DX_OK) {
        return code;
    }
    (void)pthread_mutex_lock(&bus->command_mutex);
    const uint32_t count = bus->attachment_count;
    listed_t *items = count == 0 ? NULL : dxi_alloc_zeroed(count, sizeof *items);
    if (count != 0 && items == NULL) {
        (void)pthread_mutex_unlock(&bus->command_mutex);
        return DX_ENOMEM;
    }
    uint32_t filled = 0;
    for (dxi_attachment_t *it = bus->attachments; it != NULL && filled < count; it = it->next) {
        const char *base = (const char *)it - offsetof(dxi_remote_t, base);
        items[filled].connection =
            it->remote ? ((const dxi_remote_t *)(const void *)base)->session->connection_id : 0;
        dxi_attachment_stats(it, &items[filled++].stats);
    }
    (void)pthread_mutex_unlock(&bus->command_mutex);
    for (uint32_t i = 0; i < filled; i++) {
        visit(context, items[i].connection, &items[i].stats);
    }
    dxi_free(items);
    return (int)filled;
}

typedef struct closing {
    dxi_bus_loop_t *loop;
    uint64_t connection;
    const char *sentence;
    bool found;
} closing_t;

static void close_one_in_loop(void *context)
{
    closing_t *closing = context;
    for (dxi_session_t *it = closing->loop->sessions->all; it != NULL; it = it->next) {
        if (it->connection_id == closing->connection) {
            dxi_session_end(it, DX_ECLOSED, closing->sentence);
            closing->found = true;
        }
    }
}

int dxi_bus_session_close(dx_bus_t *bus, uint64_t connection, const char *sentence)
{
    closing_t closing = {.connection = connection, .sentence = sentence};
    const int code = listable(bus);
    for (uint32_t i = 0; i < bus->loop_count && code == DX_OK && !closing.found; i++) {
        closing.loop = &bus->loops[i];
        dxi_loop_call(closing.loop->loop, close_one_in_loop, &closing);
    }
    return code != DX_OK ? code : (closing.found ? DX_OK : DX_ENOTFOUND);
}

static void close_in_loop(void *context)
{
    dxi_bus_loop_t *loop = context;
    for (dxi_session_t *it = loop->sessions->all; it != NULL; it = it->next) {
        dxi_session_end(it, DX_ECLOSED, "the node stops");
    }
}

int dxi_bus_sessions_close(dx_bus_t *bus, int64_t timeout_ns)
{
    const int64_t now_ns = dx_clock_ns();
    const int64_t deadline_ns = timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
    for (;;) {
        dxi_sessions_stat_t stat;
        for (uint32_t i = 0; i < bus->loop_count; i++) {
            dxi_loop_call(bus->loops[i].loop, close_in_loop, &bus->loops[i]);
        }
        dxi_bus_sessions_stat(bus, &stat);
        if (stat.open == 0 || dx_clock_ns() >= deadline_ns) {
            return (int)stat.open;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = CLOSE_PAUSE_NS}, NULL);
    }
}
