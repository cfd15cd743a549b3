/* connection_greet.c - the greeting, and the frames that are answered here.
 *
 * DESIGN
 *
 *     client                                      listener's side
 *     HELLO capabilities, name  ----------------> on_auth(NULL): everybody, or wait for AUTH
 *     AUTH mechanism, proof (in the same write) -> on_auth(mechanism): yes, no, or another round
 *                               <---------------- WELCOME capabilities, name, node
 *     OPEN                                        OPEN
 *
 * A client sends its AUTH behind its HELLO without waiting, so a greeting is one round trip. A node
 * that lets everybody in may be OPEN when the AUTH comes; it is looked at all the same.
 *
 * In OPEN: PING is answered with PONG, GOODBYE ends the connection, HELLO and WELCOME are refused;
 * the rest is the owner's, ERROR among it.
 *
 * INVARIANTS
 *
 *   H1  OPEN only after both sides' capabilities are known and on_auth() has said yes
 *   H2  at most DXI_AUTH_ROUNDS_MAX AUTH frames are looked at in one connection
 *   H3  whatever breaks the greeting ends the connection, with an ERROR that says why
 *   H4  a proof is wiped out of the receive buffer as soon as it was looked at
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "disruptorx/clock.h"
#include "net/capability.h"
#include "net/connection_internal.h"

/* --------------------------------------------------------------------------------------- saying */

static bool say_hello(dxi_connection_t *connection, uint8_t type)
{
    const dxi_connection_options_t *const options = &connection->settings->options;
    const bool shm = connection->shm != NULL || connection->address.transport == DXI_SHM;
    const dx_frame_capabilities_t capabilities = {
        .bits = options->capabilities | dxi_batch_out_capabilities(options->compression) |
                (shm ? DXI_CAPABILITY_SHM : 0),
        .frame_bytes_max = options->frame_bytes_max,
        .version_min = DX_FRAME_VERSION,
        .version_max = DX_FRAME_VERSION};
    dx_frame_part_t parts[3];
    uint16_t count = 0;
    parts[count++] = dx_frame_part_of(DX_PART_CAPABILITIES, &capabilities, sizeof capabilities);
    if (options->name != NULL) {
        parts[count++] = dx_frame_part_text(DX_PART_NAME, options->name);
    }
    if (options->node_id != 0) {
        parts[count++] = dx_frame_part_of(DX_PART_NODE, &options->node_id, 8);
    }
    const dx_frame_draft_t draft = {.type = type,
                                    .timestamp_ns = options->started_unix_ns,
                                    .parts = parts,
                                    .part_count = count};
    return dxi_connection_say(connection, &draft, NULL);
}

static bool say_auth(dxi_connection_t *connection)
{
    const dxi_settings_t *const settings = connection->settings;
    const dx_frame_part_t part = dx_frame_part_text(DX_PART_MECHANISM, settings->options.mechanism);
    const dx_frame_draft_t draft = {.type = DX_FRAME_AUTH,
                                    .parts = &part,
                                    .part_count = 1,
                                    .payload_bytes = (uint32_t)settings->proof_bytes};
    return dxi_connection_say(connection, &draft, settings->options.proof);
}

bool dxi_greet_say_error(dxi_connection_t *connection, const dx_error_t *what, uint32_t number,
                         uint32_t events, const uint64_t *correlation)
{
    const uint32_t bytes = (uint32_t)strnlen(what->message, sizeof what->message);
    const dx_frame_code_t code = {.code = what->code, .number = number};
    const uint64_t refused = events;
    dx_frame_part_t parts[3];
    uint16_t count = 0;
    if (what->code == DX_ECLOSED) {
        const dx_frame_draft_t goodbye = {.type = DX_FRAME_GOODBYE,
                                          .payload_bytes = connection->peer_left ? 0 : bytes};
        return dxi_connection_say(connection, &goodbye, what->message);
    }
    if (correlation != NULL) {
        parts[count++] = dx_frame_part_of(DX_PART_CORRELATION, correlation, sizeof *correlation);
    }
    parts[count++] = dx_frame_part_of(DX_PART_CODE, &code, sizeof code);
    if (refused > 1) {
        parts[count++] = dx_frame_part_of(DX_PART_COUNT, &refused, sizeof refused);
    }
    const dx_frame_draft_t draft = {
        .type = DX_FRAME_ERROR, .parts = parts, .part_count = count, .payload_bytes = bytes};
    return dxi_connection_say(connection, &draft, what->message);
}

bool dxi_greet_ping(dxi_connection_t *connection)
{
    const uint64_t now = (uint64_t)dx_clock_ns();
    const dx_frame_draft_t draft = {.type = DX_FRAME_PING, .timestamp_ns = now};
    if (!dxi_connection_say(connection, &draft, NULL)) {
        return false;
    }
    connection->ping_ns = now;
    return true;
}

void dxi_greet_begin(dxi_connection_t *connection)
{
    connection->state = DXI_GREETING;
    if (!connection->settings->listener) {
        (void)say_hello(connection, DX_FRAME_HELLO); /* the ring is empty: there is room */
        if (connection->settings->options.mechanism != NULL) {
            (void)say_auth(connection);
        }
    }
}

/* -------------------------------------------------------------------------------------- hearing */

/* The text of a part or payload, cut to what fits, with its NUL. */
static void text_copy(char *to, size_t to_bytes, const void *from, size_t bytes)
{
    const size_t kept = bytes < to_bytes - 1 ? bytes : to_bytes - 1;
    if (kept != 0) {
        memcpy(to, from, kept);
    }
    to[kept] = '\0';
}

/* What an ERROR or GOODBYE of the peer says, as a sentence. */
static void hear_error(const dxi_connection_t *connection, const dx_frame_view_t *frame,
                       dx_error_t *error_out)
{
    uint32_t bytes = 0;
    const dx_frame_code_t *const code = dx_frame_part(frame, DX_PART_CODE, &bytes);
    char text[200];
    text_copy(text, sizeof text, frame->payload, frame->payload_bytes);
    (void)dxi_fail(error_out, code != NULL && code->code < 0 ? code->code : DX_ECLOSED, "%s%s%s",
                   connection->peer_address, text[0] != '\0' ? ": " : " said goodbye", text);
}

void dxi_greet_note_error(dxi_connection_t *connection, const dx_frame_view_t *frame)
{
    hear_error(connection, frame, &connection->peer_said);
    connection->peer_error = true;
}

static int hear_capabilities(dxi_connection_t *connection, const dx_frame_view_t *frame,
                             dx_error_t *error)
{
    uint32_t bytes = 0;
    dx_frame_capabilities_t capabilities;
    memcpy(&capabilities, dx_frame_part(frame, DX_PART_CAPABILITIES, &bytes), sizeof capabilities);
    if (capabilities.version_min > DX_FRAME_VERSION ||
        capabilities.version_max < DX_FRAME_VERSION) {
        return dxi_fail(error, DX_EVERSION, "versions %u to %u are offered, only %d is understood",
                        capabilities.version_min, capabilities.version_max, DX_FRAME_VERSION);
    }
    if (capabilities.frame_bytes_max < DXI_FRAME_BYTES_MIN) {
        return dxi_fail(error, DX_EINVAL, "frame_bytes_max is %u, must be %d or more",
                        capabilities.frame_bytes_max, DXI_FRAME_BYTES_MIN);
    }
    connection->peer_capabilities = capabilities.bits;
    connection->peer_frame_bytes_max = capabilities.frame_bytes_max;
    connection->peer_node_id = dx_frame_part_u64(frame, DX_PART_NODE, 0);
    connection->peer_started_unix_ns = frame->header->timestamp_ns;
    const void *const name = dx_frame_part(frame, DX_PART_NAME, &bytes);
    text_copy(connection->peer_name, sizeof connection->peer_name, name, bytes);
    return DX_OK;
}

static void open_now(dxi_connection_t *connection)
{
    connection->state = DXI_OPEN;
    connection->stream.frame_bytes_max = connection->settings->options.frame_bytes_max;
    connection->may_claim = true;
    connection->was_open = true;
    connection->opened_ns = dxi_loop_now_ns(connection->loop);
    dxi_batch_out_open(connection);
    dxi_connection_timer(connection);
    DX_LOG_DEBUG(connection->settings->options.log, "net", "%s (%s) is open",
                 connection->peer_address, connection->peer_name);
    connection->events->on_open(connection->context, connection);
}

/* The listener's side lets it in. */
static int welcome(dxi_connection_t *connection, dx_error_t *error)
{
    const bool shm = (connection->peer_capabilities & DXI_CAPABILITY_SHM) != 0;
    if (shm) {
        const int code = dxi_connection_shm_grant(connection, error);
        if (code != DX_OK) {
            return code;
        }
    }
    (void)say_hello(connection, DX_FRAME_WELCOME);
    if (shm) {
        dxi_connection_shm_granted(connection);
    }
    open_now(connection);
    return DX_OK;
}

/* The listener's side asks its owner, and goes on with what that says. */
static int authenticate(dxi_connection_t *connection, const char *mechanism, const void *proof,
                        size_t proof_bytes, dx_error_t *error)
{
    int code = DX_OK;
    if (connection->events->on_auth != NULL) {
        const bool might = connection->may_claim;
        connection->may_claim = true; /* it may answer */
        code = connection->events->on_auth(connection->context, connection, mechanism, proof,
                                           proof_bytes, error);
        connection->may_claim = might && connection->state == DXI_OPEN;
    }
    if (code == DX_EAGAIN || connection->state >= DXI_CLOSING) {
        return DX_OK;
    }
    if (code < 0) {
        return error->message[0] != '\0'
                   ? code
                   : dxi_fail(error, code, "authentication refused: %s", dx_error_text(code));
    }
    if (connection->state == DXI_GREETING && connection->settings->listener) {
        return welcome(connection, error);
    }
    return DX_OK;
}

static int hear_auth(dxi_connection_t *connection, const dx_frame_view_t *frame, dx_error_t *error)
{
    uint32_t bytes = 0;
    char mechanism[33];
    if (++connection->auth_rounds > DXI_AUTH_ROUNDS_MAX) { /* H2 */
        return dxi_fail(error, DX_ELIMIT, "more than %d AUTH frames", DXI_AUTH_ROUNDS_MAX);
    }
    const void *const text = dx_frame_part(frame, DX_PART_MECHANISM, &bytes);
    text_copy(mechanism, sizeof mechanism, text, bytes);
    if (!connection->settings->listener && connection->events->on_auth == NULL) {
        return dxi_fail(error, DX_EPERM, "the node wants more than mechanism '%s' has given it",
                        mechanism);
    }
    const int code =
        authenticate(connection, mechanism, frame->payload, frame->payload_bytes, error);
    if (frame->payload_bytes != 0) { /* H4; the buffer is ours */
        explicit_bzero((void *)(uintptr_t)frame->payload, frame->payload_bytes);
    }
    return code;
}

/* The greeting of the listener's side: HELLO first, then AUTH. */
static int greet_listener(dxi_connection_t *connection, const dx_frame_view_t *frame,
                          dx_error_t *error)
{
    const uint8_t type = frame->header->type;
    if (!connection->hello_there && type == DX_FRAME_HELLO) {
        const int code = hear_capabilities(connection, frame, error);
        connection->hello_there = true;
        return code != DX_OK ? code : authenticate(connection, NULL, NULL, 0, error);
    }
    if (connection->hello_there && type == DX_FRAME_AUTH) {
        return hear_auth(connection, frame, error);
    }
    return dxi_fail(error, DX_ESTATE, "%s came where %s belongs", dx_frame_type_name(type),
                    connection->hello_there ? "AUTH" : "HELLO");
}

static int greet_client(dxi_connection_t *connection, const dx_frame_view_t *frame,
                        dx_error_t *error)
{
    const uint8_t type = frame->header->type;
    if (type == DX_FRAME_WELCOME) {
        int code = hear_capabilities(connection, frame, error);
        if (code == DX_OK && connection->address.transport == DXI_SHM) {
            code = dxi_connection_shm_accept(connection, error);
        }
        if (code == DX_OK) {
            open_now(connection);
        }
        return code;
    }
    if (type == DX_FRAME_AUTH) {
        return hear_auth(connection, frame, error);
    }
    return dxi_fail(error, DX_ESTATE, "%s came where WELCOME belongs", dx_frame_type_name(type));
}

static int pong(dxi_connection_t *connection, const dx_frame_view_t *frame, dx_error_t *error)
{
    const dx_frame_draft_t draft = {.type = DX_FRAME_PONG,
                                    .timestamp_ns = frame->header->timestamp_ns,
                                    .payload_bytes = frame->payload_bytes};
    if (frame->payload_bytes > DXI_PING_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "a PING has %u bytes of payload, at most %d are answered",
                        frame->payload_bytes, DXI_PING_BYTES_MAX);
    }
    return dxi_connection_say(connection, &draft, frame->payload) ? DX_OK : DX_EAGAIN;
}

static int greeting(dxi_connection_t *connection, const dx_frame_view_t *frame, dx_error_t *error)
{
    const uint8_t type = frame->header->type;
    int code = DX_OK;
    if (type == DX_FRAME_ERROR || type == DX_FRAME_GOODBYE) {
        hear_error(connection, frame, error);
        dxi_connection_end(connection, error);
        return DX_OK;
    }
    if (type == DX_FRAME_PING && (connection->hello_there || !connection->settings->listener)) {
        return pong(connection, frame, error);
    }
    code = connection->settings->listener ? greet_listener(connection, frame, error)
                                          : greet_client(connection, frame, error);
    if (code < 0 && connection->state < DXI_CLOSING) { /* H3 */
        dxi_connection_close(connection, code, error->message);
    }
    return DX_OK;
}

/* ----------------------------------------------------------------------------------------- open */

static void hear_goodbye(dxi_connection_t *connection, const dx_frame_view_t *frame)
{
    hear_error(connection, frame, &connection->peer_said);
    connection->peer_left = true;
    if (connection->events->on_leave == NULL) {
        dxi_connection_close(connection, DX_ECLOSED, NULL);
        return;
    }
    connection->paused |= DXI_PAUSED_LEFT;
    dxi_connection_timer(connection);
    connection->events->on_leave(connection->context, connection);
}

int dxi_greet_frame(dxi_connection_t *connection, const dx_frame_view_t *frame, dx_error_t *error)
{
    if (connection->state == DXI_GREETING) {
        return greeting(connection, frame, error);
    }
    int code = DX_OK;
    switch (frame->header->type) {
    case DX_FRAME_PING:
        code = pong(connection, frame, error);
        if (code == DX_OK && connection->shm != NULL && !connection->shm_reading) {
            dxi_connection_shm_reading(connection); /* the client's last frame on the socket */
        }
        return code;
    case DX_FRAME_PONG:
        if (frame->header->timestamp_ns == connection->ping_ns && connection->ping_ns != 0) {
            connection->rtt_ns = dx_clock_ns() - (int64_t)connection->ping_ns;
            connection->ping_ns = 0;
        }
        return DX_OK;
    case DX_FRAME_GOODBYE:
        hear_goodbye(connection, frame);
        return DX_OK;
    case DX_FRAME_AUTH:
        code = hear_auth(connection, frame, error);
        if (code < 0) {
            dxi_connection_close(connection, code, error->message);
        }
        return DX_OK;
    default:
        return dxi_fail(error, DX_ESTATE, "%s came after the greeting",
                        dx_frame_type_name(frame->header->type));
    }
}
