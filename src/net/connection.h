/* net/connection.h - frames in both directions over TCP, TLS, a UNIX socket or shared memory.
 *
 *     CONNECTING -> TLS -> GREETING -> OPEN -> CLOSING -> CLOSED
 *     (a listener's begin with TLS or GREETING; any state goes to CLOSED)
 *
 * A connection belongs to one loop; every call and callback is in that loop's thread.
 *
 * Receiving. Bytes are read into one buffer, frames are found and checked there (dx_frame_stream_t)
 * and given to on_frame() where they lie. When on_frame() can't take one now (DX_EAGAIN), reading
 * stops, the kernel's window closes, and the same frame is given again after
 * dxi_connection_resume(): memory is bounded whatever the peer sends.
 *
 * Sending. Frames are encoded or copied into one ring of bytes, mapped twice in a row, one behind
 * the other as they go to the peer. Once per turn of the loop, or when a quarter is full, what is
 * there is one write: no timer, no Nagle. The ring is the bound (`send_bytes`): when it is full
 * dxi_connection_claim() says so, and on_writable() tells when half of it is free again.
 *
 * Compression. What waits to be written goes as BATCH frames where both sides want that and it
 * pays, topic by topic; what comes as a BATCH is given to on_frame() frame by frame, as if each had
 * come alone. Owners see nothing of it but on_pause() behind each BATCH.
 *
 * The greeting: HELLO, AUTH as often as the mechanism wants, WELCOME (docs/protocol.md), within
 * handshake_timeout_ns. PING, PONG and GOODBYE are answered here and not given to on_frame().
 * A frame whose on_frame() returns another error is refused with ERROR, and the connection lives;
 * what can't be read ends it, with an ERROR that says why where the peer can still read it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_CONNECTION_H
#define DXI_NET_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/frame.h"
#include "disruptorx/frame_batch.h"
#include "disruptorx/log.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/tls.h"

typedef struct dxi_connection dxi_connection_t;
typedef struct dxi_listener dxi_listener_t;

#define DXI_RECEIVE_BYTES_MIN 65536
#define DXI_RECEIVE_BYTES_MAX DX_FRAME_BYTES_MAX
#define DXI_FRAME_BYTES_MIN 4096 /* of frame_bytes_max: any greeting and refusal fits */
#define DXI_SEND_BYTES_MIN 65536
#define DXI_SEND_BYTES_MAX 1073741824
#define DXI_AUTH_ROUNDS_MAX 8

/* What the owner of a connection is told. Callbacks may send and close, but not free. */
typedef struct dxi_connection_events {
    void *context; /* first argument; a listener's connections change it in on_accept() */

    /* The greeting is over: capabilities are known, frames may be sent. */
    void (*on_open)(void *context, dxi_connection_t *connection);

    /* One frame, checked. DX_OK: it was taken. DX_EAGAIN: not now, see above. Another negative
     * code: it is refused with an ERROR of that code and `error`'s sentence. */
    int (*on_frame)(void *context, dxi_connection_t *connection, const dx_frame_view_t *frame,
                    dx_error_t *error);

    /* No more whole frames at the moment: publish what was put together. May be NULL. */
    void (*on_pause)(void *context, dxi_connection_t *connection);

    /* The peer has said GOODBYE; what it sends from now on is not read. The owner answers what is
     * under way, and then calls dxi_connection_close(); after drain_timeout_ns it is closed all the
     * same. NULL: it is closed at once. */
    void (*on_leave)(void *context, dxi_connection_t *connection);

    /* Half of the sending ring is free again after a claim had failed. May be NULL. */
    void (*on_writable)(void *context, dxi_connection_t *connection);

    /* Authentication, the listener's side. `mechanism` NULL: the peer's HELLO came without one yet.
     * Returns DX_OK: it may go on; DX_EAGAIN: wait for another AUTH (an answer may have been sent);
     * DX_EPERM or another code: refused and closed. NULL: everybody may go on. */
    int (*on_auth)(void *context, dxi_connection_t *connection, const char *mechanism,
                   const void *proof, size_t proof_bytes, dx_error_t *error);

    /* It is over, and why: DX_ECLOSED for an end in order (GOODBYE). The last call; what the
     * connection pointed to is gone when it returns. */
    void (*on_close)(void *context, dxi_connection_t *connection, const dx_error_t *why);
} dxi_connection_events_t;

/* Zero = default. */
typedef struct dxi_connection_options {
    uint32_t receive_bytes;   /* of the receive buffer; 0 = 256 KiB; at least the largest frame */
    uint32_t send_bytes;      /* of the sending ring, a power of two; 0 = 1 MiB */
    uint32_t frame_bytes_max; /* accepted; 0 = 4 MiB; buffers grow up to it */
    int64_t handshake_timeout_ns; /* connect, TLS and greeting; 0 = 5 s */
    int64_t keep_alive_ns;        /* silence after which PING is sent; 0 = 15 s; -1: never */
    int64_t idle_timeout_ns;      /* silence after which it is dead; 0 = 45 s; -1: never */
    int64_t drain_timeout_ns;     /* dxi_connection_close(): to send what is there; 0 = 2 s */
    const char *name;             /* sent in HELLO or WELCOME, for people; copied; may be NULL */
    uint64_t node_id;             /* sent in HELLO or WELCOME when not 0 */
    uint64_t started_unix_ns;     /* sent with it: since when its sequences count; 0: not said */
    uint64_t capabilities;        /* bits sent, besides those of `compression`: net/capability.h */
    dx_compression_t compression; /* what is sent and taken as BATCH */
    const char *mechanism;        /* a client's AUTH: "token"; NULL: none. Copied */
    const char *proof;            /* and what it proves itself with; copied */
    dxi_tls_t *tls;               /* for tls:// addresses; NULL elsewhere */
    bool shm;                     /* a listener's: UNIX sockets' clients may use shared memory */
    bool shm_any_user;            /* not only those of this process's user */
    uint32_t shm_ring_bytes;      /* of each direction, a power of two; 0 = 256 KiB */
    bool takes_descriptors;       /* a client of a UNIX socket; one of shared memory always does */
    dx_log_t *log;
} dxi_connection_options_t;

/* Begins to connect and stores the connection in `*connection_out`. The address is resolved anew
 * each time. Its end is on_close(), also when it never opens.
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM, DX_ELIMIT (descriptors).
 * Threads: loop. */
DX_NODISCARD int dxi_connection_connect(dxi_loop_t *loop, const dxi_address_t *address,
                                        const dxi_connection_options_t *options,
                                        const dxi_connection_events_t *events,
                                        dxi_connection_t **connection_out, dx_error_t *error);

/* Room for a frame of `bytes` (a multiple of 8, at most dxi_connection_frame_bytes_max()) at the
 * end of the sending ring, aligned to 8; NULL when it is full or the connection is not OPEN.
 * Nothing is sent before the commit.
 * Threads: loop. */
void *dxi_connection_claim(dxi_connection_t *connection, size_t bytes);

/* The last claim is a whole, sealed frame of `bytes` (at most what was claimed).
 * Threads: loop. */
void dxi_connection_commit(dxi_connection_t *connection, size_t bytes);

/* Both, with a copy of a sealed frame.
 * Returns DX_OK, DX_EAGAIN when full, DX_ECLOSED, DX_ELIMIT when it is too large for the peer.
 * Threads: loop. */
DX_NODISCARD int dxi_connection_send(dxi_connection_t *connection, const void *frame, size_t bytes);

/* The same with a draft and its payload, encoded in place.
 * Returns DX_OK, DX_EAGAIN, DX_ECLOSED, or as dx_frame_encode().
 * Threads: loop. */
DX_NODISCARD int dxi_connection_encode(dxi_connection_t *connection, const dx_frame_draft_t *draft,
                                       const void *payload, dx_error_t *error);

/* The largest frame that the peer accepts. Threads: loop. */
uint32_t dxi_connection_frame_bytes_max(const dxi_connection_t *connection);

/* What the peer has said that it can (net/capability.h); 0 before the greeting is over.
 * Threads: loop. */
uint64_t dxi_connection_capabilities(const dxi_connection_t *connection);

/* Free bytes of the sending ring, and bytes that wait in it.
 * Threads: loop. */
size_t dxi_connection_room(const dxi_connection_t *connection);
size_t dxi_connection_pending(const dxi_connection_t *connection);

/* Bytes, before compression, that the system has taken for this connection, since its start; of
 * what goes as a BATCH, when the whole of it was taken. Also in on_close().
 * Threads: loop. */
uint64_t dxi_connection_written(const dxi_connection_t *connection);

/* Offers again the frame that on_frame() could not take, in this turn or the next.
 * Threads: loop. */
void dxi_connection_resume(dxi_connection_t *connection);

/* The frame that is committed next carries these descriptors, which are the connection's from now
 * on. Only over UNIX sockets and shared memory; the peer must take them.
 * Returns DX_OK, DX_EINVAL (count is not 1 to DXI_DESCRIPTORS_MAX), DX_ENOTSUP, DX_EAGAIN while
 * others wait to be sent. Threads: loop. */
DX_NODISCARD int dxi_connection_pass(dxi_connection_t *connection, const int *descriptors,
                                     int count, dx_error_t *error);

/* In on_frame(): takes the descriptors that came with a frame that says there are some. They are
 * the caller's. Returns DX_OK, DX_ENOTFOUND when there are not so many. Threads: loop. */
DX_NODISCARD int dxi_connection_take(dxi_connection_t *connection, int *descriptors_out, int count);

/* Ends it: sends ERROR with code and sentence (GOODBYE for DX_ECLOSED), what is in the ring before
 * it, waits for at most drain_timeout_ns, closes. on_close() comes later, never inside.
 * Threads: loop. */
void dxi_connection_close(dxi_connection_t *connection, int code, const char *sentence);

/* What is known of it. */
typedef struct dxi_connection_info {
    uint64_t id; /* of this process, never used again */
    char peer_name[256];
    char peer_address[128];
    uint64_t peer_node_id;
    uint64_t peer_started_unix_ns;
    uint64_t peer_capabilities;
    uint32_t peer_frame_bytes_max; /* larger frames must not be sent to it */
    dxi_transport_t transport;
    bool tls;
    bool shm; /* through shared memory */
    bool open;
    char tls_subject[256]; /* of the peer's certificate; "": none */
    int64_t opened_ns;     /* dx_clock_ns() */
    uint64_t frames_in, frames_out, bytes_in, bytes_out, writes, refused;
    /* BATCH frames, their bytes, and those of the frames in them. */
    uint64_t batches_in, batch_bytes_in, batch_raw_bytes_in;
    uint64_t batches_out, batch_bytes_out, batch_raw_bytes_out;
    uint64_t bells_out; /* system calls that woke the other side of shared memory */
    int64_t rtt_ns;     /* of the last PING; 0: none yet */
} dxi_connection_info_t;
void dxi_connection_info(const dxi_connection_t *connection, dxi_connection_info_t *info_out);

/* The few of them that may be asked for in each turn. */
typedef struct dxi_connection_traffic {
    uint64_t bytes_in, bytes_out, batches_in, batches_out;
} dxi_connection_traffic_t;
dxi_connection_traffic_t dxi_connection_traffic(const dxi_connection_t *connection);

/* The names of the peer's certificate, which TLS has verified: "CN=pump-7,O=Works",
 * "DNS:pump-7.example", one behind the other with their NULs, an empty one behind the last.
 * Threads: loop. */
const char *dxi_connection_peer_names(const dxi_connection_t *connection);
uint64_t dxi_connection_id(const dxi_connection_t *connection);
dxi_loop_t *dxi_connection_loop(const dxi_connection_t *connection);
void dxi_connection_set_context(dxi_connection_t *connection, void *context);

/* ------------------------------------------------------------------------------------ listening */

typedef struct dxi_listener_options {
    dxi_connection_options_t connection; /* of what it accepts */
    dxi_connection_events_t events; /* and what is told of those; `context` is the listener's */
    /* A connection was accepted; before its greeting. Sets the connection's context. Returns DX_OK,
     * or a code with which it is refused. */
    int (*on_accept)(void *context, dxi_connection_t *connection, dx_error_t *error);
    /* Where an accepted socket goes: one of `loops`, in turns. NULL: the listener's loop. */
    dxi_loop_t *const *loops;
    uint32_t loop_count;
    uint32_t connections_max; /* more are refused with DX_ELIMIT; 0 = 65536 */
    uint32_t unix_mode;       /* permissions of a UNIX socket; 0 = 0600 */
} dxi_listener_options_t;

/* Binds and listens. A stale UNIX socket, which nobody answers on, is replaced; port 0 is any free
 * one (see dxi_listener_address()). When descriptors run out it accepts nothing for a while and
 * counts that, and the others live on.
 * Returns DX_OK, DX_EINVAL, DX_EBUSY (the address is in use), DX_EPERM, DX_ENOMEM, DX_EIO.
 * Threads: loop, or any before the loop starts. */
DX_NODISCARD int dxi_listener_create(dxi_loop_t *loop, const dxi_address_t *address,
                                     const dxi_listener_options_t *options,
                                     dxi_listener_t **listener_out, dx_error_t *error);

/* Stops accepting and frees it; its connections live on. NULL is allowed. Threads: loop, or any
 * after the loop has stopped. */
void dxi_listener_close(dxi_listener_t *listener);

/* The address with the port that it got. Threads: any. */
const dxi_address_t *dxi_listener_address(const dxi_listener_t *listener);

#define DXI_END_CODES 32

typedef struct dxi_listener_stat {
    int64_t accepted, refused, accept_errors, handshake_failures;
    int64_t tls_failures; /* handshakes of TLS; handshake_failures has them too */
    int64_t open;         /* at the moment */
    /* Connections that are over, by the code why, without its sign; the last one: another code. */
    int64_t ended[DXI_END_CODES];
    /* Shared memory: clients that got it, that were refused it, and that broke its rules. */
    int64_t shm_granted, shm_refused, shm_nonsense;
} dxi_listener_stat_t;
void dxi_listener_stat(const dxi_listener_t *listener, dxi_listener_stat_t *stat_out);

#endif
