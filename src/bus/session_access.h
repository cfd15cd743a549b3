/* bus/session_access.h - what a session asks of src/access: who it is, what it may, how fast.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_SESSION_ACCESS_H
#define DXI_BUS_SESSION_ACCESS_H

#include "access/access.h"
#include "bus/session_internal.h"

#define DXI_SESSION_PLACES 64        /* topics whose answer is kept */
#define DXI_SESSION_AUDITED_PER_S 10 /* refusals written down; more are counted */

/* A topic, and what its user may do with it. */
typedef struct dxi_session_place {
    bool kept; /* false: nothing stands here */
    uint8_t action;
    uint8_t bytes;
    char topic[DX_TOPIC_BYTES_MAX];
} dxi_session_place_t;

/* Of a session whose user is known. */
typedef struct dxi_session_access {
    dxi_access_login_t login;
    const char *mechanism; /* "token", "certificate" */
    dxi_access_limits_t limits;
    bool limited;                    /* has a rate of publishing */
    bool slowed, frame_waits;        /* for its rate; in the loop's list */
    int64_t due_ns;                  /* when to ask for more; not before */
    int64_t last_events, last_bytes; /* what it got when it got something */
    dxi_session_t *slowed_next;
    int64_t second_ns; /* refusals written down in the second that began then */
    uint32_t audited;
    uint64_t unaudited;
    char inbox[DXI_ACCESS_INBOX_BYTES_MAX + 1]; /* the last that was found to be its own */
    dxi_session_place_t *places;                /* NULL: none yet */
} dxi_session_access_t;

/* As on_auth() of a connection, where there are users. Threads: the session's loop, as all here. */
int dxi_session_authenticate(dxi_session_t *session, const char *mechanism, const void *proof,
                             size_t proof_bytes, dx_error_t *error);
/* It is open: written down; what it may publish to begin with. */
void dxi_session_access_open(dxi_session_t *session);
/* It is over: written down, and given up. */
void dxi_session_access_close(dxi_session_t *session, const dx_error_t *why);

/* Whether its user may; where there are no users, everybody may. A refusal is counted and written
 * down. Returns DX_OK, DX_EPERM. */
int dxi_session_allows(dxi_session_t *session, dxi_access_action_t action, const char *object,
                       size_t object_bytes, dx_error_t *error);

/* The same for knowing of a topic. */
int dxi_session_may_see(dxi_session_t *session, const char *topic, dx_error_t *error);

/* An event on its way in, of a session that has `access`. Returns DX_OK; DX_EPERM; DX_EAGAIN: its
 * rate is used up, and the frame is offered again when there is more. */
int dxi_session_may_send(dxi_session_t *session, const dx_frame_view_t *frame, const char *topic,
                         uint32_t topic_bytes, dx_error_t *error);
/* Says in an event that has a producer whose it is: its shard tells apart the producers of users
 * (dedup.h). Where it says so already nothing is changed. */
void dxi_session_owner_stamp(const dxi_session_t *session, const dx_frame_view_t *frame);
/* A subscription. `*inbox_out`: it is the client's own inbox, to be left when it ends. */
int dxi_session_may_subscribe(dxi_session_t *session, const dx_subscription_options_t *options,
                              bool *inbox_out, dx_error_t *error);

/* More credit for a session with a rate, as much as there is. */
void dxi_session_rate_renew(dxi_session_t *session);

#endif
