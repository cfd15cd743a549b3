/* address.c - reading and writing addresses.
 *
 * DESIGN
 *
 *     [tcp:// | tls://] [host | [IPv6]] [:port]      unix://path  /path  ./path      shm://path
 *
 * A name is not resolved here, but what can't be one is refused here, where the user still sees
 * the text that he wrote.
 *
 * INVARIANTS
 *
 *   A1  what dxi_address_format() writes is read by dxi_address_parse() as the same address
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/fail.h"

#define PATH_BYTES_MAX (sizeof((struct sockaddr_un *)0)->sun_path - 1)
#define PORT_MAX 65535

static const struct {
    const char *text;
    dxi_transport_t transport;
} SCHEMES[] = {
    {"tcp://", DXI_TCP}, {"tls://", DXI_TLS}, {"unix://", DXI_UNIX}, {"shm://", DXI_SHM}};

/* The address is a UNIX one, or has its transport already. */
static int path_parse(const char *path, dxi_address_t *address, dx_error_t *error)
{
    const size_t bytes = strlen(path);
    if (bytes == 0 || bytes > PATH_BYTES_MAX) {
        return dxi_fail(error, DX_EINVAL,
                        "the path of a UNIX socket has %zu bytes, must have 1 to %zu", bytes,
                        PATH_BYTES_MAX);
    }
    address->transport = address->transport == DXI_SHM ? DXI_SHM : DXI_UNIX;
    address->port = 0;
    memcpy(address->host, path, bytes + 1);
    return DX_OK;
}

static int port_parse(const char *text, dxi_address_t *address, dx_error_t *error)
{
    uint32_t port = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && port <= PORT_MAX; at++) {
        port = port * 10 + (uint32_t)(*at - '0');
    }
    if (at == text || *at != '\0' || port > PORT_MAX) {
        return dxi_fail(error, DX_EINVAL, "the port is '%.20s', must be a number from 0 to %d",
                        text, PORT_MAX);
    }
    address->port = (uint16_t)port;
    return DX_OK;
}

static bool is_name(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        const char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}

/* "[::1]" and what is behind it. */
static int bracketed_parse(const char *text, dxi_address_t *address, const char **rest_out,
                           dx_error_t *error)
{
    const char *const end = strchr(text, ']');
    struct in6_addr parsed;
    const size_t bytes = end != NULL ? (size_t)(end - text - 1) : 0;
    if (bytes > 0 && bytes < INET6_ADDRSTRLEN) {
        memcpy(address->host, text + 1, bytes);
        address->host[bytes] = '\0';
    }
    if (address->host[0] == '\0' || inet_pton(AF_INET6, address->host, &parsed) != 1) {
        return dxi_fail(error, DX_EINVAL, "'%.64s' is no IPv6 address in brackets", text);
    }
    *rest_out = end + 1;
    return DX_OK;
}

static int host_parse(const char *text, dxi_address_t *address, const char **rest_out,
                      dx_error_t *error)
{
    const size_t bytes = strcspn(text, ":");
    if (bytes > DXI_ADDRESS_TEXT_MAX) {
        return dxi_fail(error, DX_EINVAL, "the host has %zu bytes, at most %d are allowed", bytes,
                        DXI_ADDRESS_TEXT_MAX);
    }
    if (!is_name(text, bytes)) {
        return dxi_fail(error, DX_EINVAL,
                        "'%.64s' is no host: letters, digits, '.', '-' and '_' are allowed", text);
    }
    if (text[bytes] == ':' && strchr(text + bytes + 1, ':') != NULL) {
        return dxi_fail(error, DX_EINVAL,
                        "'%.64s' has more than one ':'; an IPv6 address stands "
                        "in brackets, as in [::1]:%d",
                        text, DXI_DEFAULT_PORT);
    }
    memcpy(address->host, text, bytes);
    address->host[bytes] = '\0';
    *rest_out = text + bytes;
    return DX_OK;
}

static int address_parse(const char *text, dxi_address_t *address, dx_error_t *error)
{
    const char *rest = text;
    bool scheme = false;
    for (size_t i = 0; i < sizeof SCHEMES / sizeof SCHEMES[0] && !scheme; i++) {
        const size_t bytes = strlen(SCHEMES[i].text);
        if (strncmp(text, SCHEMES[i].text, bytes) == 0) {
            scheme = true;
            address->transport = SCHEMES[i].transport;
            rest = text + bytes;
        }
    }
    if (!scheme && strstr(text, "://") != NULL) {
        return dxi_fail(error, DX_EINVAL,
                        "'%.64s' begins with none of tcp://, tls://, unix:// and shm://", text);
    }
    if (address->transport == DXI_UNIX || address->transport == DXI_SHM ||
        (!scheme && (rest[0] == '/' || rest[0] == '.'))) {
        return path_parse(rest, address, error);
    }
    if (rest[0] == '\0') {
        return dxi_fail(error, DX_EINVAL, "the address '%s' names no host and no port", text);
    }
    const int code = rest[0] == '[' ? bracketed_parse(rest, address, &rest, error)
                                    : host_parse(rest, address, &rest, error);
    if (code != DX_OK || rest[0] == '\0') {
        return code;
    }
    if (rest[0] != ':') {
        return dxi_fail(error, DX_EINVAL, "'%.64s' stands where ':' and the port belong", rest);
    }
    return port_parse(rest + 1, address, error);
}

int dxi_address_parse(const char *text, dxi_address_t *address_out, dx_error_t *error)
{
    *address_out = (dxi_address_t){.transport = DXI_TCP, .port = DXI_DEFAULT_PORT};
    const int code = address_parse(text, address_out, error);
    if (code != DX_OK) {
        *address_out = (dxi_address_t){0};
    }
    return code;
}

void dxi_address_format(const dxi_address_t *address, char text_out[DXI_ADDRESS_TEXT_MAX + 16])
{
    const size_t room = DXI_ADDRESS_TEXT_MAX + 16;
    if (address->transport == DXI_UNIX || address->transport == DXI_SHM) {
        (void)snprintf(text_out, room, "%s://%s", address->transport == DXI_SHM ? "shm" : "unix",
                       address->host);
        return;
    }
    const char *const scheme = address->transport == DXI_TLS ? "tls" : "tcp";
    const char *const format = strchr(address->host, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u";
    (void)snprintf(text_out, room, format, scheme, address->host, (unsigned)address->port);
}
