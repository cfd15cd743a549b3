/* config_check.c - rules between options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <string.h>

#include "admin/admin.h"
#include "base/fail.h"
#include "base/format.h"
#include "net/address.h"
#include "node/config_internal.h"
#include "trace/post.h"

static bool is_set(const dx_config_t *config, const char *name)
{
    return dx_config_text(config, name)[0] != '\0';
}

/* Two options that stand for each other's other half. */
static int pair_check(const dx_config_t *config, const char *name, const char *other,
                      dx_error_t *error)
{
    if (is_set(config, name) && !is_set(config, other)) {
        return dxi_fail(error, DX_EINVAL, "%s is given without %s; give both or none", name, other);
    }
    return DX_OK;
}

/* `name` must be at least `least` bytes, which is `why`. */
static int least_check(const dx_config_t *config, const char *name, int64_t least, const char *why,
                       dx_error_t *error)
{
    const int64_t value = dx_config_integer(config, name);
    if (value < least) {
        return dxi_fail(error, DX_EINVAL, "%s is %s bytes, must be at least %s: %s", name,
                        dxi_format_count(&(dxi_text_t){0}, value),
                        dxi_format_count(&(dxi_text_t){0}, least), why);
    }
    return DX_OK;
}

static int sizes_check(const dx_config_t *config, dx_error_t *error)
{
    const int64_t event = dx_config_integer(config, "bus.event_bytes_max");
    const char *const why = "bus.event_bytes_max and 64Ki for header and parts";
    int code = least_check(config, "bus.shard_ring_bytes", 4 * event,
                           "four times bus.event_bytes_max", error);
    static const char *const FRAMES[] = {"limits.frame_bytes_max", "limits.send_bytes",
                                         "limits.publish_credit_bytes"};
    for (size_t i = 0; code == DX_OK && i < sizeof FRAMES / sizeof FRAMES[0]; i++) {
        code = least_check(config, FRAMES[i], event + DXI_CONFIG_FRAME_OVERHEAD, why, error);
    }
    if (code == DX_OK) {
        code = least_check(config, "topics.retain_bytes_max",
                           dx_config_integer(config, "topics.retain_bytes"),
                           "topics.retain_bytes, of one topic", error);
    }
    return code;
}

static int addresses_check(const dx_config_t *config, dx_error_t *error)
{
    bool tls = false;
    const char *item = NULL;
    for (size_t i = 0; (item = dx_config_list(config, "listen.addresses", i)) != NULL; i++) {
        dxi_address_t address, other;
        if (dxi_address_parse(item, &address, error) != DX_OK) {
            return DX_EINVAL;
        }
        if (address.transport == DXI_SHM) {
            return dxi_fail(error, DX_EINVAL,
                            "listen.addresses has %.80s: clients of shared memory come by the UNIX "
                            "socket, so unix://%.80s is to be there",
                            item, address.host);
        }
        tls = tls || address.transport == DXI_TLS;
        for (size_t j = 0; j < i; j++) {
            const char *const before = dx_config_list(config, "listen.addresses", j);
            if (dxi_address_parse(before, &other, error) != DX_OK) {
                return DX_EINVAL;
            }
            const bool unix_or_port = address.transport == DXI_UNIX || address.port != 0;
            if ((address.transport == DXI_UNIX) == (other.transport == DXI_UNIX) &&
                address.port == other.port && strcmp(address.host, other.host) == 0 &&
                unix_or_port) {
                return dxi_fail(error, DX_EINVAL, "listen.addresses has %.80s twice", item);
            }
        }
    }
    if (tls && !is_set(config, "tls.certificate_file")) {
        return dxi_fail(error, DX_EINVAL,
                        "listen.addresses has a tls:// address, and there is no "
                        "tls.certificate_file");
    }
    return DX_OK;
}

static int tls_check(const dx_config_t *config, dx_error_t *error)
{
    int code = pair_check(config, "tls.certificate_file", "tls.key_file", error);
    if (code == DX_OK) {
        code = pair_check(config, "tls.key_file", "tls.certificate_file", error);
    }
    if (code == DX_OK && dx_config_bool(config, "tls.verify_peer") &&
        !is_set(config, "tls.authority_file")) {
        code = dxi_fail(error, DX_EINVAL,
                        "tls.verify_peer is true, and there is no tls.authority_file to verify "
                        "with");
    }
    return code;
}

/* Whether clients, and with them whoever asks the admin server, must prove who they are. */
static bool is_guarded(const dx_config_t *config)
{
    return is_set(config, "auth.token") || is_set(config, "auth.token_file") ||
           is_set(config, "access.file") || dx_config_bool(config, "admin.verify_peer");
}

static int admin_check(const dx_config_t *config, dx_error_t *error)
{
    dxi_admin_place_t place;
    if (!dx_config_bool(config, "admin.enabled")) {
        return DX_OK;
    }
    int code = dxi_admin_place_parse(dx_config_text(config, "admin.address"), &place, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "admin.address");
        return code;
    }
    code = pair_check(config, "admin.certificate_file", "admin.key_file", error);
    if (code == DX_OK) {
        code = pair_check(config, "admin.key_file", "admin.certificate_file", error);
    }
    if (code == DX_OK && place.tls && !is_set(config, "admin.certificate_file") &&
        !is_set(config, "tls.certificate_file")) {
        return dxi_fail(error, DX_EINVAL,
                        "admin.address is https://, and there is neither admin.certificate_file "
                        "nor tls.certificate_file");
    }
    if (code == DX_OK && dx_config_bool(config, "admin.verify_peer") &&
        (!place.tls ||
         (!is_set(config, "admin.authority_file") && !is_set(config, "tls.authority_file")))) {
        return dxi_fail(error, DX_EINVAL,
                        "admin.verify_peer is true, and wants an https:// address and "
                        "admin.authority_file or tls.authority_file");
    }
    if (code == DX_OK && !place.loopback && !is_guarded(config)) {
        return dxi_fail(error, DX_EINVAL,
                        "admin.address %.80s is open to other hosts; it must be guarded by "
                        "access.file, auth.token, auth.token_file or admin.verify_peer",
                        dx_config_text(config, "admin.address"));
    }
    return code;
}

static int timeouts_check(const dx_config_t *config, dx_error_t *error)
{
    const int64_t keep_alive = dx_config_integer(config, "timeouts.keep_alive_ms");
    const int64_t idle = dx_config_integer(config, "timeouts.idle_ms");
    if (idle != 0 && (keep_alive == 0 || idle <= keep_alive)) {
        return dxi_fail(error, DX_EINVAL,
                        "timeouts.idle_ms is %s, must be longer than timeouts.keep_alive_ms "
                        "(%s%s), or quiet clients are cut off",
                        dxi_format_ns(&(dxi_text_t){0}, idle),
                        dxi_format_ns(&(dxi_text_t){0}, keep_alive),
                        keep_alive == 0 ? ": never" : "");
    }
    return DX_OK;
}

static int trace_check(const dx_config_t *config, dx_error_t *error)
{
    char url[DXI_POST_URL_BYTES_MAX + 1];
    int code = DX_OK;
    if (is_set(config, "trace.endpoint")) {
        code = dxi_post_url(dx_config_text(config, "trace.endpoint"), url, error);
        if (code != DX_OK) {
            (void)dxi_fail_context(error, "trace.endpoint");
            return code;
        }
    }
    code = dxi_post_headers_check(dx_config_text(config, "trace.headers"), error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "trace.headers");
    }
    return code == DX_ELIMIT ? DX_EINVAL : code;
}

static int access_check(const dx_config_t *config, dx_error_t *error)
{
    static const char *const OTHERS[] = {"auth.token", "auth.token_file"};
    for (size_t i = 0; is_set(config, "access.file") && i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        if (is_set(config, OTHERS[i])) {
            return dxi_fail(error, DX_EINVAL,
                            "access.file and %s are both given; with users each has a token of its "
                            "own: leave %s out",
                            OTHERS[i], OTHERS[i]);
        }
    }
    return DX_OK;
}

int dx_config_check(const dx_config_t *config, dx_error_t *error)
{
    int code = addresses_check(config, error);
    if (code == DX_OK) {
        code = tls_check(config, error);
    }
    if (code == DX_OK) {
        code = sizes_check(config, error);
    }
    if (code == DX_OK) {
        code = timeouts_check(config, error);
    }
    if (code == DX_OK) {
        code = trace_check(config, error);
    }
    if (code == DX_OK) {
        code = access_check(config, error);
    }
    if (code == DX_OK) {
        code = admin_check(config, error);
    }
    if (code == DX_OK && is_set(config, "auth.token") && is_set(config, "auth.token_file")) {
        code = dxi_fail(error, DX_EINVAL,
                        "auth.token and auth.token_file are both given; which one counts?");
    }
    return code;
}

/* ------------------------------------------------------------------------------------- warnings */

/* Whether others than programs of this host can reach an address. */
static bool is_open(const dxi_address_t *address)
{
    return address->transport != DXI_UNIX && strncmp(address->host, "127.", 4) != 0 &&
           strcmp(address->host, "::1") != 0 && strcmp(address->host, "localhost") != 0;
}

static void listeners_warn(const dx_config_t *config, dxi_config_warning_fn visit, void *context)
{
    const char *item = NULL;
    const bool guarded = is_set(config, "auth.token") || is_set(config, "auth.token_file") ||
                         is_set(config, "access.file");
    const bool verifies = dx_config_bool(config, "tls.verify_peer");
    for (size_t i = 0; (item = dx_config_list(config, "listen.addresses", i)) != NULL; i++) {
        dxi_address_t address;
        dx_error_t why;
        if (dxi_address_parse(item, &address, NULL) == DX_OK && is_open(&address) && !guarded &&
            !(verifies && address.transport == DXI_TLS)) {
            (void)dxi_fail(&why, DX_OK,
                           "everybody who reaches %.80s may use it: there is no access.file, no "
                           "auth.token and no tls.verify_peer",
                           item);
            visit(context, why.message);
        }
    }
}

/* Such an address is for who has a proxy in front that speaks TLS, so it is not refused. */
static void admin_warn(const dx_config_t *config, dxi_config_warning_fn visit, void *context)
{
    dxi_admin_place_t place;
    const char *const address = dx_config_text(config, "admin.address");
    dx_error_t why;
    if (dx_config_bool(config, "admin.enabled") &&
        dxi_admin_place_parse(address, &place, NULL) == DX_OK && !place.tls && !place.loopback) {
        (void)dxi_fail(&why, DX_OK,
                       "tokens can be read on their way to admin.address %.80s, which other hosts "
                       "reach without TLS; make it https://, or let only a proxy with TLS reach it",
                       address);
        visit(context, why.message);
    }
}

void dxi_config_warnings(const dx_config_t *config, dxi_config_warning_fn visit, void *context)
{
    listeners_warn(config, visit, context);
    admin_warn(config, visit, context);
}
