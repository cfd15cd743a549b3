/* admin_address.c - http://host:port.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_internal.h"
#include "base/fail.h"

static int refuse(const char *text, const char *why, dx_error_t *error)
{
    return dxi_fail(error, DX_EINVAL,
                    "the address is \"%.80s\"%s, must be http://host:port or https://host:port",
                    text, why);
}

static bool is_loopback(const char *host)
{
    unsigned char number[sizeof(struct in_addr)];
    return (inet_pton(AF_INET, host, number) == 1 && number[0] == 127) ||
           strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

/* The port behind the colon. False: it is none. */
static bool port_read(const char *text, uint16_t *port_out)
{
    unsigned long port = 0;
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return false;
    }
    port = strtoul(text, NULL, 10);
    *port_out = (uint16_t)port;
    return port <= UINT16_MAX;
}

int dxi_admin_place_parse(const char *text, dxi_admin_place_t *place_out, dx_error_t *error)
{
    *place_out = (dxi_admin_place_t){.tls = false};
    const bool tls = strncmp(text, "https://", 8) == 0;
    if (!tls && strncmp(text, "http://", 7) != 0) {
        return refuse(text, "", error);
    }
    const char *host = text + (tls ? 8 : 7);
    const char *end = strrchr(host, ':');
    if (host[0] == '[') { /* IPv6 */
        host++;
        end = strchr(host, ']');
        if (end == NULL || end[1] != ':') {
            return refuse(text, "", error);
        }
    }
    if (end == NULL || (size_t)(end - host) >= sizeof place_out->host ||
        strcspn(host, "/?#@ ") < (size_t)(end - host)) {
        return refuse(text, "", error);
    }
    if (!port_read(end + (*end == ']' ? 2 : 1), &place_out->port)) {
        return refuse(text, ", whose port is not 0 to 65535", error);
    }
    memcpy(place_out->host, host, (size_t)(end - host));
    if (strcmp(place_out->host, "*") == 0) {
        place_out->host[0] = '\0';
    }
    place_out->tls = tls;
    place_out->loopback = is_loopback(place_out->host);
    return DX_OK;
}
