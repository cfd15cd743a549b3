/* net/settings.h - the options of a connection, checked and copied; a listener's are shared by all
 * that it accepts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_SETTINGS_H
#define DXI_NET_SETTINGS_H

#include "disruptorx/atomic.h"
#include "net/connection.h"

typedef struct dxi_settings {
    dx_atomic32_t references;
    dxi_connection_options_t options; /* without zeros; its texts lie behind this struct */
    dxi_connection_events_t events;
    size_t proof_bytes;

    /* A listener's. */
    bool listener;
    int (*on_accept)(void *context, dxi_connection_t *connection, dx_error_t *error);
    dx_atomic64_t accepted;
    dx_atomic64_t refused;
    dx_atomic64_t accept_errors;
    dx_atomic64_t handshake_failures;
    dx_atomic64_t tls_failures;
    dx_atomic64_t ended[DXI_END_CODES];
    dx_atomic64_t shm_granted;
    dx_atomic64_t shm_refused;
    dx_atomic64_t open;
    dx_atomic64_t shm_nonsense; /* a client's as well */
} dxi_settings_t;

/* Checks and copies. Returns DX_OK, DX_EINVAL, DX_ENOMEM. The caller has the only reference.
 * Threads: any. */
DX_NODISCARD int dxi_settings_create(const dxi_connection_options_t *options,
                                     const dxi_connection_events_t *events,
                                     dxi_settings_t **settings_out, dx_error_t *error);

/* One more user, one less; the last one frees. Threads: any. */
void dxi_settings_keep(dxi_settings_t *settings);
void dxi_settings_drop(dxi_settings_t *settings);

#endif
