/* net_shm_test.h - a listener that gives shared memory, and a plain peer that does with it what it
 * likes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_SHM_TEST_H
#define NET_SHM_TEST_H

#include <pthread.h>

#include "net/capability.h"
#include "net/connection_internal.h"
#include "net_raw.h"

static char folder[64];
static char address_text[96];

static inline int setup_all(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/dx-net-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address_text, sizeof address_text, "unix://%s/s", folder);
    return 0;
}

static inline int teardown_all(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* A listener and its loop; clients and plain peers come and go. */
typedef struct rig {
    dxi_loop_t *loop;
    dxi_listener_t *listener;
    dxi_address_t shm; /* as clients write it */
    side_t side;
    int64_t live_before;
} rig_t;

static const dxi_connection_options_t ALLOWED = {.shm = true, .shm_ring_bytes = 65536};

static inline void rig_begin_loop(rig_t *rig, const dxi_connection_options_t *connection,
                                  const dxi_loop_options_t *loop_options)
{
    dx_error_t error = {0};
    *rig = (rig_t){0};
#if DX_TEST_HOOKS
    rig->live_before = dxi_live_count();
#endif
    side_init(&rig->side);
    assert_ok(dxi_loop_create(loop_options, &rig->loop, &error));
    assert_ok(dxi_loop_start(rig->loop, &error));
    const dxi_listener_options_t options = {
        .connection = *connection, .events = side_events(&rig->side), .on_accept = side_on_accept};
    rig->listener = listen_on(rig->loop, address_text, &options);
    rig->shm = *dxi_listener_address(rig->listener);
    rig->shm.transport = DXI_SHM;
}

static inline void rig_begin(rig_t *rig, const dxi_connection_options_t *connection)
{
    rig_begin_loop(rig, connection, &(dxi_loop_options_t){.name = "shm"});
}

static inline dxi_listener_stat_t rig_stat(rig_t *rig)
{
    dxi_listener_stat_t stat;
    dxi_listener_stat(rig->listener, &stat);
    return stat;
}

static inline void rig_end(rig_t *rig)
{
    listener_end(rig->loop, rig->listener);
    dxi_loop_destroy(rig->loop);
    assert_int_equal(rig->side.closes, rig->side.accepts);
#if DX_TEST_HOOKS
    assert_int_equal(dxi_live_count(), rig->live_before);
#endif
}

/* HELLO with these bits. */
static inline void script_hello(script_t *script, uint64_t bits)
{
    const dx_frame_capabilities_t capabilities = {
        .bits = bits, .frame_bytes_max = 1048576, .version_min = 1, .version_max = 1};
    const dx_frame_part_t part =
        dx_frame_part_of(DX_PART_CAPABILITIES, &capabilities, sizeof capabilities);
    script_add(script, &(dx_frame_draft_t){.type = DX_FRAME_HELLO, .parts = &part, .part_count = 1},
               NULL);
}

/* A peer that does with the memory what it likes. */
typedef struct raw {
    int fd;
    int file; /* the memory, to be mapped once more */
    dxi_shm_t *shm;
    script_t in; /* what was read of the ring */
} raw_t;

static inline void raw_open(rig_t *rig, raw_t *raw)
{
    script_t script = {.count = 0};
    char welcome[512];
    int descriptors[DXI_DESCRIPTORS_MAX];
    int count = 0;
    dx_error_t error = {0};
    raw->fd = raw_connect(dxi_listener_address(rig->listener));
    raw->in.count = 0;
    script_hello(&script, DXI_CAPABILITY_SHM);
    assert_true(raw_send(raw->fd, script.bytes, script.count));
    struct pollfd waiting = {.fd = raw->fd, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, HUNG_S * 1000), 1);
    assert_true(dxi_descriptors_receive(raw->fd, welcome, sizeof welcome, descriptors, &count) > 0);
    assert_int_equal(count, 1);
    assert_ok(dxi_shm_attach(descriptors[0], &raw->shm, &error));
    raw->file = descriptors[0];
    script.count = 0;
    script_plain(&script, DX_FRAME_PING, "last");
    assert_true(raw_send(raw->fd, script.bytes, script.count));
}

static inline void raw_close(raw_t *raw)
{
    (void)close(raw->fd);
    (void)close(raw->file);
    dxi_shm_destroy(raw->shm);
}

static inline void raw_bell(raw_t *raw)
{
    (void)!send(raw->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline void raw_put(raw_t *raw, const script_t *script)
{
    assert_int_equal(dxi_shm_write(&raw->shm->out, script->bytes, script->count), script->count);
    raw_bell(raw);
}

/* Waits until a frame of the type has come through the ring, or the socket has ended. */
static inline bool raw_wait(raw_t *raw, int type, dx_frame_view_t *view_out)
{
    size_t begin = 0;
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    bool ended = false;
    while (dx_clock_ns() < limit_ns) {
        while (dx_frame_decode(raw->in.bytes + begin, raw->in.count - begin, view_out, NULL) ==
               DX_OK) {
            if (view_out->header->type == type) {
                return true;
            }
            begin += view_out->bytes;
        }
        if (ended) {
            return false;
        }
        char bells[64];
        ended = recv(raw->fd, bells, sizeof bells, MSG_DONTWAIT) == 0;
        const int64_t got = dxi_shm_read(&raw->shm->in, raw->in.bytes + raw->in.count,
                                         sizeof raw->in.bytes - raw->in.count);
        assert_true(got >= 0);
        raw->in.count += (size_t)got;
    }
    fail_msg("waited in vain for a frame of type %d", type);
    return false;
}

#endif
