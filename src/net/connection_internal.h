/* net/connection_internal.h - the connection, as its files see it.
 *
 *     connection.c          life: begin, timers, close, end
 *     connection_connect.c  names, addresses, the first handshake of the transport
 *     connection_greet.c    the greeting, and the frames that are answered here
 *     connection_in.c       bytes to frames
 *     connection_out.c      frames to bytes
 *     connection_shm.c      the same through shared memory, and descriptors
 *     connection_batch_out.c, connection_batch_in.c   what is compressed on its way
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_CONNECTION_INTERNAL_H
#define DXI_NET_CONNECTION_INTERNAL_H

#include "net/connection.h"
#include "net/descriptors.h"
#include "net/loop_internal.h"
#include "net/send_ring.h"
#include "net/settings.h"
#include "net/shm.h"
#include "net/tls_session.h"
#include "net/watch.h"

typedef enum dxi_state {
    DXI_CONNECTING, /* resolving, connecting */
    DXI_SECURING,   /* the handshake of TLS */
    DXI_GREETING,
    DXI_OPEN,
    DXI_CLOSING, /* sends what is there, then waits for the peer's end */
    DXI_CLOSED   /* handles are being closed; on_close() comes */
} dxi_state_t;

/* Why frames are not read: bits of `paused`. */
#define DXI_PAUSED_OWNER 1 /* on_frame() could not take one */
#define DXI_PAUSED_ROOM 2  /* an answer of ours has no room in the sending ring */
#define DXI_PAUSED_LEFT 4  /* the peer has said GOODBYE: until the end */

/* Room that only our own answers use: PONG, ERROR, GOODBYE. */
#define DXI_RESERVE_BYTES 4096

#define DXI_CAME_MAX 8 /* descriptors that came and were not taken yet */

#define DXI_PING_BYTES_MAX 1024 /* of a PING's payload */

/* The largest frame before OPEN: who has not been let in costs one buffer, whatever it says. A
 * proof of 64 KiB fits. */
#define DXI_GREETING_BYTES_MAX 69632

typedef struct dxi_resolution dxi_resolution_t;
typedef struct dxi_batcher dxi_batcher_t;

struct dxi_connection {
    /* What every frame touches. */
    dxi_loop_t *loop;
    void *context;
    const dxi_connection_events_t *events;
    dxi_state_t state;
    int fd;
    uint8_t paused;
    bool blocked;   /* the socket took no more: wait until it is writable */
    bool may_claim; /* OPEN, or in on_auth() */
    bool mixed;     /* what is in the sending ring does not all go the same way */
    dxi_send_ring_t out;
    size_t claimed;
    size_t wanted; /* a claim of so many bytes failed: tell when there is room; 0: none did */
    dxi_batcher_t *batcher; /* NULL: nothing is compressed on its way out */
    char *in;
    size_t in_bytes; /* of the buffer */
    size_t in_begin; /* the frame at which the stream stands: a multiple of 8 */
    size_t in_end;
    dx_frame_stream_t stream;
    uint64_t frames_in;
    uint64_t given; /* calls of on_frame() */
    uint64_t frames_out;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t writes;
    int64_t heard_ns; /* when something came last */

    /* The frame that could not be taken. */
    dx_frame_view_t offered;
    bool offered_there;

    /* The frame at in_begin is a BATCH, and not all that is in it was given. */
    dx_frame_batch_t *batch;
    uint64_t batches_in, batch_bytes_in, batch_raw_bytes_in;

    /* The refusal that could not be said yet. */
    dx_error_t refusal;
    uint32_t refusal_number;
    uint32_t refusal_events; /* of the frame */
    uint64_t refusal_correlation;
    bool refusal_correlated;
    bool refusal_there;

    dxi_hook_t flush; /* at the end of the turn */
    dxi_hook_t next;  /* at the start of the next turn: on_writable(), resume, broken */
    dxi_hook_t member;
    bool tell_writable;
    bool resume;
    bool broken; /* writing failed; reading says why */

    /* Life. */
    dxi_settings_t *settings;
    uint64_t id;
    uv_poll_t poll;
    uv_timer_t timer;
    int armed; /* what `poll` waits for; 0: nothing */
    bool poll_there;
    int handles; /* of libuv, not yet closed */
    dxi_task_t adoption;
    int64_t begun_ns;
    int64_t opened_ns;
    bool was_open;
    bool at_end;     /* the peer sends no more */
    bool shut;       /* we send no more */
    bool last_words; /* ERROR or GOODBYE has still to be put into the ring */
    bool unwelcome;  /* refused before its owner knew it: no callback is called */
    bool peer_error; /* the last frame of the peer was an ERROR: peer_said */
    bool peer_left;  /* it has said GOODBYE */
    dx_error_t peer_said;
    dx_error_t why;
    dx_memory_t in_memory;
    uint32_t in_largest; /* the largest frame since the last tick */

    /* Connecting. */
    dxi_address_t address;
    dxi_resolution_t *resolution;
    struct addrinfo *candidates; /* owned */
    bool resolved;               /* and libuv's to free */
    struct addrinfo *candidate;  /* the next to try */

    /* TLS. */
    dxi_tls_session_t *tls;

    /* Shared memory, and descriptors. */
    dxi_shm_t *shm;                /* NULL: none */
    bool shm_reading, shm_writing; /* the direction goes through memory */
    bool shm_trim;                 /* what is left of the socket in the buffer are bells */
    bool shm_nonsense;             /* the peer has broken the rules: shm_why */
    bool takes;                    /* descriptors may come */
    int shm_end;                   /* of the socket: 0 open, 1 ended, or a negative errno */
    uint64_t shm_from;             /* of `out`: from here on it goes through memory */
    uint64_t bells_out;
    dxi_watched_t watched;
    dx_error_t shm_why;
    uint64_t passing_at; /* of `out`: the byte with which they go */
    int passing[DXI_DESCRIPTORS_MAX];
    int passing_count;
    int came[DXI_CAME_MAX];
    int came_count;

    /* The peer. */
    uint64_t peer_node_id;
    uint64_t peer_started_unix_ns;
    uint64_t peer_capabilities;
    uint32_t peer_frame_bytes_max;
    int auth_rounds;
    bool hello_there;
    uint64_t refused;
    uint64_t ping_ns; /* the time in the last PING */
    int64_t rtt_ns;
    char peer_name[256];
    char peer_address[128];
};

/* --------------------------------------------------------------------------------- connection.c */

/* A connection without handles. Returns DX_OK, DX_ENOMEM, DX_ELIMIT. Keeps `settings`.
 * Threads: any. */
DX_NODISCARD int dxi_connection_new(dxi_loop_t *loop, dxi_settings_t *settings,
                                    dxi_connection_t **connection_out, dx_error_t *error);

/* Frees what was never begun. Threads: as dxi_connection_new(). */
void dxi_connection_discard(dxi_connection_t *connection);

/* Joins the loop and starts the timer of the handshake. Threads: loop. */
void dxi_connection_begin(dxi_connection_t *connection);

/* Waits for `fd`, which the connection owns from now on. On failure the caller closes it. */
DX_NODISCARD int dxi_connection_watch(dxi_connection_t *connection, int fd, dx_error_t *error);

/* Stops waiting for the socket and closes it; dxi_connection_next_candidate() follows. */
void dxi_connection_unwatch(dxi_connection_t *connection);

/* The bytes flow: TLS, or the greeting. */
void dxi_connection_connected(dxi_connection_t *connection);

/* Ends it now, without a word; on_close() comes later. The first reason stays. */
void dxi_connection_end(dxi_connection_t *connection, const dx_error_t *why);
DX_PRINTF(3, 4)
void dxi_connection_end_with(dxi_connection_t *connection, int code, const char *format, ...);

/* The peer's end of the stream was read. */
void dxi_connection_ended(dxi_connection_t *connection);

/* CLOSING: does what can be done now. */
void dxi_connection_closing(dxi_connection_t *connection);

/* Lets the poll wait for what is wanted now. */
void dxi_connection_arm(dxi_connection_t *connection);

/* The timer, from now on, by state. */
void dxi_connection_timer(dxi_connection_t *connection);

/* A socket from a listener: joins it to the loop. With `unwelcome` it is refused with `refusal`.
 * Threads: loop. */
void dxi_connection_adopt(dxi_connection_t *connection, int fd);

/* ------------------------------------------------------------------------- connection_connect.c */

void dxi_connection_next_candidate(dxi_connection_t *connection);
void dxi_connection_connect_done(dxi_connection_t *connection);
void dxi_connection_forget_candidates(dxi_connection_t *connection);

/* --------------------------------------------------------------------------- connection_greet.c */

void dxi_greet_begin(dxi_connection_t *connection);

/* A frame of the greeting, or one with a number up to DXI_CONTROL_TYPES_MAX that is ours to answer.
 * Returns DX_OK, DX_EAGAIN when an answer has no room, or the code of a refusal. */
DX_NODISCARD int dxi_greet_frame(dxi_connection_t *connection, const dx_frame_view_t *frame,
                                 dx_error_t *error);

/* True for the types that in OPEN are not the owner's: those that dxi_greet_frame() answers, and
 * BATCH. */
DX_INLINE bool dxi_greet_owns(uint8_t type)
{
    const uint32_t owned = (UINT32_C(1) << DX_FRAME_HELLO) | (UINT32_C(1) << DX_FRAME_WELCOME) |
                           (UINT32_C(1) << DX_FRAME_AUTH) | (UINT32_C(1) << DX_FRAME_PING) |
                           (UINT32_C(1) << DX_FRAME_PONG) | (UINT32_C(1) << DX_FRAME_GOODBYE) |
                           (UINT32_C(1) << DX_FRAME_BATCH);
    return type < 32 && ((owned >> type) & 1) != 0;
}

/* ERROR with code and sentence, and how many events it refuses where they are several; GOODBYE for
 * DX_ECLOSED. False: no room. */
bool dxi_greet_say_error(dxi_connection_t *connection, const dx_error_t *what, uint32_t number,
                         uint32_t events, const uint64_t *correlation);

/* Remembers an ERROR of the peer, in case it is its last word. */
void dxi_greet_note_error(dxi_connection_t *connection, const dx_frame_view_t *frame);

/* False: no room. */
bool dxi_greet_ping(dxi_connection_t *connection);

/* ------------------------------------------------------------------------------ connection_in.c */

void dxi_connection_read(dxi_connection_t *connection);

/* Goes on with frames that are in the buffer. */
void dxi_connection_continue(dxi_connection_t *connection);

/* Gives one frame to whom it belongs. Returns false when it was not taken. */
bool dxi_connection_give(dxi_connection_t *connection, const dx_frame_view_t *frame);

/* Notes what is to be answered to a frame that is refused. `whole`: its parts are known. */
void dxi_connection_refuse(dxi_connection_t *connection, int code, const dx_error_t *error,
                           const dx_frame_view_t *frame, bool whole);

/* Says what was noted. True when nothing remains to be answered. */
bool dxi_connection_refusal_say(dxi_connection_t *connection);

/* The stream can't be read any further: says why and ends. */
void dxi_connection_unreadable(dxi_connection_t *connection, const dx_error_t *error);

/* There are no more frames at the moment; the owner had `before` of them when this look began. */
void dxi_connection_pause_tell(dxi_connection_t *connection, uint64_t before);

/* Gives memory that only large frames needed back. */
void dxi_connection_shrink(dxi_connection_t *connection);

/* ----------------------------------------------------------------------------- connection_out.c */

/* Encodes into the ring, the reserve included. False: no room. */
DX_NODISCARD bool dxi_connection_say(dxi_connection_t *connection, const dx_frame_draft_t *draft,
                                     const void *payload);

/* Writes what may be written. */
void dxi_connection_write(dxi_connection_t *connection);

/* ----------------------------------------------------------------------- connection_batch_out.c */

/* The bits of CAPABILITIES that say what this side wants. */
uint64_t dxi_batch_out_capabilities(dx_compression_t compression);

/* The connection is open: compresses from now on, if both sides want that. */
void dxi_batch_out_open(dxi_connection_t *connection);
void dxi_batch_out_close(dxi_connection_t *connection);

/* `bytes` wait at the head of the sending ring. Packs what pays, and returns how many bytes there
 * are to be written now. Only with `batcher`. */
size_t dxi_batch_out_next(dxi_connection_t *connection, size_t bytes);

/* So many of them were written. */
void dxi_batch_out_took(dxi_connection_t *connection, size_t bytes);

/* What was written, in bytes before compression. */
uint64_t dxi_batch_out_written(const dxi_connection_t *connection);
void dxi_batch_out_info(const dxi_connection_t *connection, dxi_connection_info_t *info_out);

/* ------------------------------------------------------------------------ connection_batch_in.c */

/* Opens a BATCH. Returns DX_OK, or why it is refused; DX_ECORRUPT and DX_ENOMEM end the connection.
 */
DX_NODISCARD int dxi_batch_in_begin(dxi_connection_t *connection, const dx_frame_view_t *frame,
                                    dx_error_t *error);

/* Gives what is in the open BATCH, as far as it is taken. True when that was all of it. */
bool dxi_batch_in_run(dxi_connection_t *connection);
void dxi_batch_in_close(dxi_connection_t *connection);
/* ----------------------------------------------------------------------------- connection_shm.c */

/* Reads from a socket, and keeps descriptors that come. Returns bytes, 0, or a negative errno. */
DX_NODISCARD int64_t dxi_connection_receive(dxi_connection_t *connection, char *to, size_t room);

/* The listener's side: makes memory for a client that wants it, and passes it with the frame that
 * is put into the sending ring next. Returns DX_OK, or why not. */
DX_NODISCARD int dxi_connection_shm_grant(dxi_connection_t *connection, dx_error_t *error);
/* That frame is in the ring: what follows goes through memory. */
void dxi_connection_shm_granted(dxi_connection_t *connection);
/* The client's side: takes the memory that came with WELCOME, and changes over. */
DX_NODISCARD int dxi_connection_shm_accept(dxi_connection_t *connection, dx_error_t *error);
/* The last frame on the socket was read: the rest is in memory. */
void dxi_connection_shm_reading(dxi_connection_t *connection);

/* In the place of recv() and send(). */
DX_NODISCARD int64_t dxi_connection_shm_read(dxi_connection_t *connection, char *to, size_t room);
DX_NODISCARD int64_t dxi_connection_shm_write(dxi_connection_t *connection, const char *from,
                                              size_t bytes);
/* Bytes to be read, or the end. */
DX_NODISCARD bool dxi_connection_shm_has_more(dxi_connection_t *connection);
/* The loop looks at it in each turn, until it has been silent for a while. */
void dxi_connection_shm_watch(dxi_connection_t *connection);
/* The socket has something: bells, descriptors, the end. */
void dxi_connection_shm_rung(dxi_connection_t *connection);

/* How much of `bytes` goes in one write. */
DX_NODISCARD size_t dxi_connection_mixed(dxi_connection_t *connection, size_t bytes);
/* A write with which descriptors go. */
DX_NODISCARD int64_t dxi_connection_pass_now(dxi_connection_t *connection, const char *from,
                                             size_t bytes);

void dxi_connection_shm_end(dxi_connection_t *connection);
void dxi_connection_shm_discard(dxi_connection_t *connection);

#endif
