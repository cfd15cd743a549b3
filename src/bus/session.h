/* bus/session.h - connections of clients, served by a bus: what frames mean.
 *
 * A session is what the node keeps of one connection: who it is, its subscriptions with their
 * credit, and how far it may publish. It belongs to the loop of its connection; shards of other
 * loops are reached, and reach it, through rings between loops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_SESSION_H
#define DXI_BUS_SESSION_H

#include "access/access.h"
#include "bus/shard.h"
#include "disruptorx/atomic.h"
#include "disruptorx/bus.h"
#include "disruptorx/ring.h"
#include "net/connection.h"

/* The loops of a bus, io.0 to io.N-1; valid from dx_bus_create() to dx_bus_destroy().
 * Threads: any. */
dxi_loop_t *const *dxi_bus_loops(dx_bus_t *bus, uint32_t *count_out);

/* What a node decides about clients. Called in loops' threads. */
typedef struct dxi_session_policy {
    void *context;
    /* As on_auth() of a connection; NULL: everybody. */
    int (*authenticate)(void *context, dxi_connection_t *connection, const char *mechanism,
                        const void *proof, size_t proof_bytes, dx_error_t *error);
    /* Answers a question of dx_client_ask(): fills `*text_out` (malloc()ed, freed by the caller).
     * Called in the bus's own thread for commands ("bus.commands"), never in a loop: it may read
     * files, and call dx_bus_topic_list() and the functions at the end of this file, which wait for
     * loops. NULL: DX_ENOTFOUND. */
    int (*ask)(void *context, const char *question, const char *argument, char **text_out,
               dx_error_t *error);
    /* Whether a question changes something; NULL: none does. Any thread. */
    bool (*ask_writes)(const char *question, const char *argument);
    /* Users and the audit. Where it is on (dxi_access_on()), it decides who somebody is, and
     * authenticate() is not called. NULL: no users, no audit. */
    dxi_access_t *access;
    /* These may be changed at any time, by any thread: they are for what comes then. RELAXED: a
     * number of its own each. */
    dx_atomic64_t subscriptions_max;                           /* per connection; 0 = 4096 */
    dx_atomic64_t publish_credit_events, publish_credit_bytes; /* windows; 0 = 65536, 8 MiB */
} dxi_session_policy_t;

/* Fills in what a listener does with the connections it accepts: their events, on_accept() and
 * loops. `policy` must live as long as the bus. The rest of `options` is the caller's.
 * Threads: any. */
void dxi_bus_serve(dx_bus_t *bus, const dxi_session_policy_t *policy,
                   dxi_listener_options_t *options);

/* Changes what topics keep, where they are not declared, and what all keep together: the retain_
 * fields of `topic`, which must not be 0 but retain_age_ns, and retain_bytes_max.
 * Returns DX_OK, DX_ESTATE. Threads: any that is no loop. */
DX_NODISCARD int dxi_bus_retain_defaults(dx_bus_t *bus, const dx_topic_options_t *topic,
                                         uint64_t retain_bytes_max, dx_error_t *error);

/* Sums over all sessions of the bus since the start. Threads: any. */
typedef struct dxi_sessions_stat {
    uint64_t open, opened, frames_refused, events_in, events_out, bytes_in, bytes_out, gaps;
} dxi_sessions_stat_t;
void dxi_bus_sessions_stat(dx_bus_t *bus, dxi_sessions_stat_t *stat_out);

/* After dxi_access_set(): all sessions take over what the new table says. Those whose user or proof
 * is gone are closed, subscriptions that are no longer allowed are ended. Waits for all loops.
 * Threads: any that is no loop. */
void dxi_bus_access_renew(dx_bus_t *bus);

/* One session, and each subscription, as they are. */
typedef struct dxi_session_info {
    dxi_connection_info_t connection;
    char user[DXI_ACCESS_NAME_BYTES_MAX + 1]; /* "": none */
    uint32_t subscriptions;
    uint64_t events_in, events_out;
    uint64_t send_queue_bytes; /* that wait to be sent to it */
} dxi_session_info_t;
typedef void (*dxi_session_visitor_t)(void *context, const dxi_session_info_t *info);

/* `connection`: the id of the session's; 0: in this process. */
typedef void (*dxi_subscription_visitor_t)(void *context, uint64_t connection,
                                           const dx_subscription_stats_t *stats);

/* Calls `visit`, in the caller's thread, for each session, and for each subscription of sessions
 * and of this process. Return how many, or DX_ENOMEM, DX_ESTATE.
 * Threads: any that is no loop; they wait for loops. */
int dxi_bus_sessions_each(dx_bus_t *bus, dxi_session_visitor_t visit, void *context);
int dxi_bus_subscriptions_each(dx_bus_t *bus, dxi_subscription_visitor_t visit, void *context);

/* Says goodbye to one client, with a sentence that lives as long as the process.
 * Returns DX_OK, DX_ENOTFOUND, DX_ESTATE. Threads: any that is no loop. */
DX_NODISCARD int dxi_bus_session_close(dx_bus_t *bus, uint64_t connection, const char *sentence);

/* Numbers of all shards together, and with `visit` each topic that matches `pattern` (NULL: all, of
 * those that begin with '$' too), in the order of names, in the caller's thread. It goes over the
 * topics a few at a time, so no loop is held up, however many there are.
 * Returns how many were visited, or DX_EINVAL, DX_ENOMEM, DX_ESTATE.
 * Threads: any that is no loop. */
DX_NODISCARD int dxi_bus_totals(dx_bus_t *bus, dxi_shard_totals_t *totals_out, const char *pattern,
                                dx_topic_visitor_t visit, void *context, dx_error_t *error);

/* How many subscriptions there are; what topics retain.
 * Threads: any; the first one waits for a command that is on its way. */
uint32_t dxi_bus_subscription_count(dx_bus_t *bus);
uint64_t dxi_bus_retained_bytes(const dx_bus_t *bus);

/* The ring in front of one shard, and who serves it. */
typedef struct dxi_lane_stat {
    uint32_t shard;
    uint32_t loop;
    int64_t used; /* slots claimed and not yet released, an event that stands aside included */
    dx_ring_stat_t ring;
} dxi_lane_stat_t;

/* Returns DX_OK, or DX_ENOTFOUND behind the last shard. Valid from dx_bus_create() on.
 * Threads: any. */
DX_NODISCARD int dxi_bus_lane_stat(const dx_bus_t *bus, uint32_t shard, dxi_lane_stat_t *stat_out);

#define DXI_LANE_BATCHES 10

/* What went through it. An event of a ring is a frame; a compressed batch is one. What came the
 * short way (lane.c) is not among them. */
typedef struct dxi_lane_events {
    uint64_t published;                 /* handled, or there to be handled */
    uint64_t consumed;                  /* handled */
    uint64_t batches[DXI_LANE_BATCHES]; /* turns that handled up to 1, 2, 4, ... 512 events */
    int64_t blocked_ns; /* how long the shard waited for a subscription (DX_SLOW_BLOCK) */
} dxi_lane_events_t;

/* The same, and DX_ESTATE after the bus has stopped. Waits for the shard's loop.
 * Threads: any that is no loop. */
DX_NODISCARD int dxi_bus_lane_events(dx_bus_t *bus, uint32_t shard, dxi_lane_events_t *events_out);

/* Says goodbye to all sessions, and waits until they are gone or `timeout_ns` is over.
 * Returns how many were left. Threads: owner of the bus. */
int dxi_bus_sessions_close(dx_bus_t *bus, int64_t timeout_ns);

#endif
