/* options.c - the options of a client: defaults, bounds, copies, the list of addresses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "client/internal.h"
#include "disruptorx/clock.h"

#define WINDOW_BYTES_DEFAULT 524288
#define WINDOW_EVENTS_DEFAULT 65536
#define RECEIVE_BYTES_DEFAULT 262144
#define DURATION_NS_MAX (INT64_C(86400) * 365 * DX_NS_PER_S)
#define TEXT_BYTES_MAX 4096
#define ADDRESSES_BYTES_MAX ((size_t)DX_CLIENT_ADDRESSES_MAX * 272)
#define DEFAULT_ADDRESS "tcp://127.0.0.1:7400"

typedef struct duration {
    const char *name;
    int64_t *value;
    int64_t otherwise;
} duration_t;

static int durations_fill(dx_client_options_t *o, dx_error_t *error)
{
    const duration_t durations[] = {
        {"timeout_ns", &o->timeout_ns, 5 * DX_NS_PER_S},
        {"connect_timeout_ns", &o->connect_timeout_ns, 5 * DX_NS_PER_S},
        {"reconnect_min_ns", &o->reconnect_min_ns, 50 * DX_NS_PER_MS},
        {"reconnect_max_ns", &o->reconnect_max_ns, 2 * DX_NS_PER_S},
        {"keep_alive_ns", &o->keep_alive_ns, 15 * DX_NS_PER_S},
        {"spin_ns", &o->spin_ns, 0},
    };
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        const int code =
            dxi_options_range(error, durations[i].name, *durations[i].value, 0, DURATION_NS_MAX);
        if (code != DX_OK) {
            return code;
        }
        if (*durations[i].value == 0) {
            *durations[i].value = durations[i].otherwise;
        }
    }
    if (o->reconnect_max_ns < o->reconnect_min_ns) {
        return dxi_fail(error, DX_EINVAL,
                        "reconnect_max_ns is %lld, must be at least reconnect_min_ns, %lld",
                        (long long)o->reconnect_max_ns, (long long)o->reconnect_min_ns);
    }
    return DX_OK;
}

static int sizes_fill(dx_client_options_t *o, dx_error_t *error)
{
    o->window_bytes = o->window_bytes != 0 ? o->window_bytes : WINDOW_BYTES_DEFAULT;
    o->window_events = o->window_events != 0 ? o->window_events : WINDOW_EVENTS_DEFAULT;
    o->receive_bytes = o->receive_bytes != 0 ? o->receive_bytes : RECEIVE_BYTES_DEFAULT;
    int code = dxi_options_power_of_two(error, "window_bytes", o->window_bytes,
                                        DXI_WINDOW_BYTES_MIN, DX_CLIENT_WINDOW_BYTES_MAX);
    if (code == DX_OK) {
        code = dxi_options_range(error, "window_events", o->window_events, 1,
                                 DX_CLIENT_WINDOW_EVENTS_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "receive_bytes", o->receive_bytes, DXI_RECEIVE_BYTES_MIN,
                                 DXI_RECEIVE_BYTES_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "attempts_max", o->attempts_max, 0, INT32_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "compression", (int64_t)o->compression, 0,
                                 DX_COMPRESSION_ZSTD);
    }
    return code;
}

static int text_check(const char *name, const char *text, size_t most, dx_error_t *error)
{
    const size_t bytes = text != NULL ? strnlen(text, most + 1) : 0;
    if (bytes > most) {
        return dxi_fail(error, DX_ELIMIT, "%s has more than %zu bytes", name, most);
    }
    return DX_OK;
}

static int texts_take(dx_client_t *client, dx_error_t *error)
{
    dx_client_options_t *const o = &client->options;
    const struct {
        const char *name;
        const char **text;
        size_t most;
    } texts[] = {
        {"address", &o->address, ADDRESSES_BYTES_MAX},
        {"name", &o->name, 255},
        {"token", &o->token, TEXT_BYTES_MAX},
        {"tls_certificate_file", &o->tls_certificate_file, TEXT_BYTES_MAX},
        {"tls_key_file", &o->tls_key_file, TEXT_BYTES_MAX},
        {"tls_authority_file", &o->tls_authority_file, TEXT_BYTES_MAX},
        {"tls_server_name", &o->tls_server_name, 255},
        {"thread.name", &o->thread.name, DX_THREAD_NAME_MAX},
    };
    const size_t count = sizeof texts / sizeof texts[0];
    size_t bytes = 1;
    for (size_t i = 0; i < count; i++) {
        const int code = text_check(texts[i].name, *texts[i].text, texts[i].most, error);
        if (code != DX_OK) {
            return code;
        }
        bytes += dxi_text_bytes(*texts[i].text);
    }
    client->texts = dxi_alloc_zeroed(1, bytes);
    if (client->texts == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the options of a client");
    }
    char *at = client->texts;
    for (size_t i = 0; i < count; i++) {
        *texts[i].text = dxi_text_keep(&at, *texts[i].text);
    }
    return DX_OK;
}

/* Reads "a,b,c". */
static int addresses_read(dx_client_t *client, dx_error_t *error)
{
    const char *at = client->options.address;
    for (;;) {
        const char *const comma = strchr(at, ',');
        const size_t bytes = comma != NULL ? (size_t)(comma - at) : strlen(at);
        char text[DXI_ADDRESS_TEXT_MAX + 16];
        if (client->address_count == DX_CLIENT_ADDRESSES_MAX) {
            return dxi_fail(error, DX_ELIMIT, "there are more than %d addresses",
                            DX_CLIENT_ADDRESSES_MAX);
        }
        if (bytes >= sizeof text) {
            return dxi_fail(error, DX_EINVAL, "an address has %zu bytes, must have at most %zu",
                            bytes, sizeof text - 1);
        }
        memcpy(text, at, bytes);
        text[bytes] = 0;
        const int code = dxi_address_parse(text, &client->addresses[client->address_count], error);
        if (code != DX_OK) {
            return code;
        }
        client->address_count++;
        if (comma == NULL) {
            return DX_OK;
        }
        at = comma + 1;
    }
}

static int tls_make(dx_client_t *client, dx_error_t *error)
{
    const dx_client_options_t *const o = &client->options;
    bool needed = o->tls_certificate_file != NULL || o->tls_authority_file != NULL;
    for (int i = 0; i < client->address_count; i++) {
        needed = needed || client->addresses[i].transport == DXI_TLS;
    }
    if (!needed) {
        return DX_OK;
    }
    const dxi_tls_options_t options = {.certificate_file = o->tls_certificate_file,
                                       .key_file = o->tls_key_file,
                                       .authority_file = o->tls_authority_file,
                                       .insecure = o->tls_insecure,
                                       .server_name = o->tls_server_name};
    return dxi_tls_create(&options, &client->tls, error);
}

int dxi_client_options_take(dx_client_t *client, const dx_client_options_t *options,
                            dx_error_t *error)
{
    dx_client_options_t *const o = &client->options;
    *o = options != NULL ? *options : (dx_client_options_t){.address = NULL};
    int code = dxi_options_reserved(error, o->reserved, 3);
    if (code == DX_OK) {
        code = durations_fill(o, error);
    }
    if (code == DX_OK) {
        code = sizes_fill(o, error);
    }
    if (code == DX_OK && o->thread.stack_bytes != 0) {
        code = dxi_fail(error, DX_EINVAL, "thread.stack_bytes is %zu, must be 0 for a client",
                        o->thread.stack_bytes);
    }
    if (code != DX_OK) {
        return code;
    }
    if (o->address == NULL || o->address[0] == 0) {
        const char *const environment = getenv("DX_ADDRESS");
        o->address = environment != NULL && environment[0] != 0 ? environment : DEFAULT_ADDRESS;
    }
    if (o->name == NULL) {
        o->name = program_invocation_short_name;
    }
    code = texts_take(client, error);
    if (code == DX_OK) {
        code = addresses_read(client, error);
    }
    return code == DX_OK ? tls_make(client, error) : code;
}
