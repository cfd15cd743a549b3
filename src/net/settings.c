/* settings.c - checking the options of a connection, and keeping them.
 *
 * INVARIANTS
 *
 *   G1  what is kept has no zero that means "default", and points to nothing of the caller's but
 *       `tls`, `log` and the context
 *   G2  the proof is wiped before its memory is given back
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/settings.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "disruptorx/clock.h"
#include "net/shm.h"

#define MECHANISM_BYTES_MAX 32
#define NAME_BYTES_MAX 255
#define PROOF_BYTES_MAX 65536

static int range_check(const char *name, uint64_t value, uint64_t least, uint64_t most,
                       dx_error_t *error)
{
    if (value < least || value > most) {
        return dxi_fail(error, DX_EINVAL, "%s is %" PRIu64 ", must be from %" PRIu64 " to %" PRIu64,
                        name, value, least, most);
    }
    return DX_OK;
}

static int power_check(const char *name, uint32_t value, dx_error_t *error)
{
    if ((value & (value - 1)) != 0) {
        return dxi_fail(error, DX_EINVAL, "%s is %u, must be a power of two", name, value);
    }
    return DX_OK;
}

static int sizes_check(const dxi_connection_options_t *options, dx_error_t *error)
{
    int code = range_check("frame_bytes_max", options->frame_bytes_max, DXI_FRAME_BYTES_MIN,
                           DX_FRAME_BYTES_MAX, error);
    if (code == DX_OK) {
        code = range_check("receive_bytes", options->receive_bytes, DXI_RECEIVE_BYTES_MIN,
                           DXI_RECEIVE_BYTES_MAX, error);
    }
    if (code == DX_OK) {
        code = range_check("send_bytes", options->send_bytes, DXI_SEND_BYTES_MIN,
                           DXI_SEND_BYTES_MAX, error);
    }
    if (code == DX_OK) {
        code = range_check("shm_ring_bytes", options->shm_ring_bytes, DXI_SHM_RING_BYTES_MIN,
                           DXI_SHM_RING_BYTES_MAX, error);
    }
    if (code == DX_OK) {
        code = power_check("send_bytes", options->send_bytes, error);
    }
    return code == DX_OK ? power_check("shm_ring_bytes", options->shm_ring_bytes, error) : code;
}

static int times_check(const dxi_connection_options_t *options, dx_error_t *error)
{
    const struct {
        const char *name;
        int64_t value;
        int64_t least;
    } rows[] = {{"handshake_timeout_ns", options->handshake_timeout_ns, 1},
                {"keep_alive_ns", options->keep_alive_ns, -1},
                {"idle_timeout_ns", options->idle_timeout_ns, -1},
                {"drain_timeout_ns", options->drain_timeout_ns, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].value < rows[i].least) {
            return dxi_fail(error, DX_EINVAL, "%s is %" PRId64 ", must be %" PRId64 " or more",
                            rows[i].name, rows[i].value, rows[i].least);
        }
    }
    return DX_OK;
}

static int text_check(const char *name, const char *text, size_t most, dx_error_t *error)
{
    if (text != NULL && (text[0] == '\0' || strlen(text) > most)) {
        return dxi_fail(error, DX_EINVAL, "%s has %zu bytes, must have 1 to %zu", name,
                        strlen(text), most);
    }
    return DX_OK;
}

static int texts_check(const dxi_connection_options_t *options, dx_error_t *error)
{
    int code = text_check("name", options->name, NAME_BYTES_MAX, error);
    if (code == DX_OK) {
        code = text_check("mechanism", options->mechanism, MECHANISM_BYTES_MAX, error);
    }
    if (code == DX_OK && options->proof != NULL && strlen(options->proof) > PROOF_BYTES_MAX) {
        code = dxi_fail(error, DX_EINVAL, "proof has %zu bytes, at most %d are allowed",
                        strlen(options->proof), PROOF_BYTES_MAX);
    }
    return code;
}

static void defaults(dxi_connection_options_t *options)
{
    const struct {
        uint32_t *value;
        uint32_t otherwise;
    } sizes[] = {{&options->receive_bytes, 256 * 1024},
                 {&options->send_bytes, 1024 * 1024},
                 {&options->shm_ring_bytes, DXI_SHM_RING_BYTES_DEFAULT},
                 {&options->frame_bytes_max, 4 * 1024 * 1024}};
    const struct {
        int64_t *value;
        int64_t otherwise;
    } times[] = {{&options->handshake_timeout_ns, 5 * DX_NS_PER_S},
                 {&options->keep_alive_ns, 15 * DX_NS_PER_S},
                 {&options->idle_timeout_ns, 45 * DX_NS_PER_S},
                 {&options->drain_timeout_ns, 2 * DX_NS_PER_S}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        *sizes[i].value = *sizes[i].value != 0 ? *sizes[i].value : sizes[i].otherwise;
    }
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        *times[i].value = *times[i].value != 0 ? *times[i].value : times[i].otherwise;
    }
}

int dxi_settings_create(const dxi_connection_options_t *options,
                        const dxi_connection_events_t *events, dxi_settings_t **settings_out,
                        dx_error_t *error)
{
    dxi_connection_options_t kept = *options;
    *settings_out = NULL;
    defaults(&kept);
    int code = sizes_check(&kept, error);
    code = code != DX_OK ? code : times_check(&kept, error);
    code = code != DX_OK ? code : texts_check(&kept, error);
    if (code == DX_OK && (unsigned)kept.compression > DX_COMPRESSION_ZSTD) {
        code = dxi_fail(error, DX_EINVAL, "compression is %d, must be from 0 to %d",
                        (int)kept.compression, DX_COMPRESSION_ZSTD);
    }
    if (code == DX_OK &&
        (events->on_open == NULL || events->on_frame == NULL || events->on_close == NULL)) {
        code = dxi_fail(error, DX_EINVAL, "on_open, on_frame and on_close must be there");
    }
    if (code != DX_OK) {
        return code;
    }
    const size_t bytes = sizeof(dxi_settings_t) + dxi_text_bytes(kept.name) +
                         dxi_text_bytes(kept.mechanism) + dxi_text_bytes(kept.proof);
    dxi_settings_t *const settings = dxi_alloc_zeroed(1, bytes);
    if (settings == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the options of a connection");
    }
    char *at = (char *)(settings + 1);
    kept.name = dxi_text_keep(&at, kept.name);
    kept.mechanism = dxi_text_keep(&at, kept.mechanism);
    kept.proof = dxi_text_keep(&at, kept.proof);
    settings->options = kept;
    settings->events = *events;
    settings->proof_bytes = kept.proof != NULL ? strlen(kept.proof) : 0;
    dx_store32_relaxed(&settings->references, 1);
    *settings_out = settings;
    return DX_OK;
}

void dxi_settings_keep(dxi_settings_t *settings)
{
    (void)dx_fetch_add32_acq_rel(&settings->references, 1);
}

void dxi_settings_drop(dxi_settings_t *settings)
{
    /* ACQ_REL: what other users did with it is over before it is freed. */
    if (settings != NULL && dx_fetch_add32_acq_rel(&settings->references, -1) == 1) {
        if (settings->options.proof != NULL) {
            explicit_bzero((char *)settings->options.proof, settings->proof_bytes); /* G2 */
        }
        dxi_free(settings);
    }
}
