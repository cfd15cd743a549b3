/* admin_route.c - which route a request means.
 *
 * Routes are few, so they are looked at one after the other. A part of a path in braces takes any
 * part; a route without braces there wins over one with them ("/config/reload" over
 * "/config/{name}"), whatever their order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "admin/admin_internal.h"
#include "base/fail.h"
#include "base/nearest.h"

const char *dxi_admin_method_name(dxi_admin_method_t method)
{
    static const char *const NAMES[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    return NAMES[method];
}

/* Steps over one part of a route's path: `*at` stands on its '/'. */
static const char *part_next(const char **at, size_t *bytes_out)
{
    const char *const part = *at + 1;
    *bytes_out = strcspn(part, "/");
    *at = part + *bytes_out;
    return part;
}

/* Whether the path is the route's. Parameters go to `match`; `weight` grows with parts that are
 * parameters, those further in front more. */
static bool path_fits(const char *path, const dxi_admin_uri_t *uri, dxi_admin_match_t *match,
                      uint32_t *weight)
{
    const char *at = path;
    *weight = 0;
    match->parameter_count = 0;
    for (size_t i = 0; i < uri->part_count; i++) {
        size_t bytes = 0;
        if (*at != '/') {
            return false;
        }
        const char *const part = part_next(&at, &bytes);
        *weight <<= 1;
        if (part[0] == '{') {
            if (uri->parts[i][0] == '\0') {
                return false;
            }
            *weight |= 1;
            match->parameters[match->parameter_count].name = part + 1;
            match->parameters[match->parameter_count].name_bytes = bytes - 2;
            match->parameters[match->parameter_count++].value = uri->parts[i];
        } else if (strlen(uri->parts[i]) != bytes || memcmp(uri->parts[i], part, bytes) != 0) {
            return false;
        }
    }
    return *at == '\0';
}

static void nearest_find(const dxi_admin_route_t *routes, size_t count, const dxi_admin_uri_t *uri,
                         dxi_admin_match_t *match)
{
    dxi_nearest_t nearest = {.word = uri->path};
    for (size_t i = 0; i < count; i++) {
        dxi_nearest_offer(&nearest, routes[i].path);
    }
    match->nearest = nearest.best;
}

void dxi_admin_route_find(const dxi_admin_route_t *routes, size_t count, dxi_admin_method_t method,
                          const dxi_admin_uri_t *uri, dxi_admin_match_t *match_out)
{
    *match_out = (dxi_admin_match_t){.route = NULL};
    uint32_t best = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        dxi_admin_match_t match = {.route = NULL};
        uint32_t weight = 0;
        if (!path_fits(routes[i].path, uri, &match, &weight)) {
            continue;
        }
        match_out->path_known = true;
        if (weight < best) { /* a more exact path: its methods are the ones that count */
            best = weight;
            memset(match_out->allowed, 0, sizeof match_out->allowed);
            match_out->route = NULL;
        }
        if (weight == best) {
            match_out->allowed[routes[i].method] = true;
        }
        if (weight == best && routes[i].method == method) {
            match_out->route = &routes[i];
            match_out->parameter_count = match.parameter_count;
            memcpy(match_out->parameters, match.parameters, sizeof match.parameters);
        }
    }
    if (!match_out->path_known) {
        nearest_find(routes, count, uri, match_out);
    }
}

bool dxi_admin_route_takes(const dxi_admin_route_t *route, const char *name)
{
    const size_t bytes = strlen(name);
    const char *at = route->query;
    while (at != NULL && *at != '\0') {
        const size_t word = strcspn(at, " ");
        if (word == bytes && memcmp(at, name, bytes) == 0) {
            return true;
        }
        at += word;
        at += strspn(at, " ");
    }
    return false;
}

static int path_check(const char *path, dx_error_t *error)
{
    const char *at = path;
    int parameters = 0;
    if (path == NULL || path[0] != '/') {
        return dxi_fail(error, DX_EINVAL, "a route's path is \"%.60s\", must begin with /",
                        path != NULL ? path : "");
    }
    while (*at != '\0') {
        size_t bytes = 0;
        const char *const part = part_next(&at, &bytes);
        const bool opens = bytes > 0 && part[0] == '{';
        const bool closes = bytes > 2 && part[bytes - 1] == '}';
        if (opens != closes || (opens && ++parameters > DXI_ADMIN_PARAMETERS_MAX)) {
            return dxi_fail(error, DX_EINVAL,
                            "a route's path is \"%.60s\", must have at most %d parameters, each as "
                            "{name}",
                            path, DXI_ADMIN_PARAMETERS_MAX);
        }
    }
    return DX_OK;
}

int dxi_admin_routes_check(const dxi_admin_route_t *routes, size_t count, dx_error_t *error)
{
    if (count > DXI_ADMIN_ROUTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "there are %zu routes, must be at most %d", count,
                        DXI_ADMIN_ROUTES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const int code = path_check(routes[i].path, error);
        if (code != DX_OK) {
            return code;
        }
        if (routes[i].answer == NULL || routes[i].method > DXI_ADMIN_DELETE ||
            routes[i].right > DXI_ADMIN_WRITE) {
            return dxi_fail(error, DX_EINVAL,
                            "the route %.60s has no answer, or an unknown method or right",
                            routes[i].path);
        }
    }
    return DX_OK;
}
