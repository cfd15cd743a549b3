/* node/dashboard/dashboard.h - the page at `/` of the admin server.
 *
 * One page that loads nothing: CMake makes it of the files in this folder
 * (tools/embed_dashboard.py). It holds no number and no secret, so it is given to whoever asks;
 * what it shows it asks of the API, with the token that the person enters.
 *
 * The server sends `policy` as Content-Security-Policy (it allows exactly this page's script and
 * style, by their hashes) and `tag` as ETag.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_DASHBOARD_DASHBOARD_H
#define DXI_NODE_DASHBOARD_DASHBOARD_H

#include <stddef.h>

typedef struct dxi_dashboard {
    const unsigned char *page; /* text/html; charset=utf-8; not ended by NUL */
    size_t bytes;
    const char *policy;
    const char *tag; /* with its quotation marks */
} dxi_dashboard_t;

/* Threads: any. */
extern const dxi_dashboard_t DXI_DASHBOARD;

#endif
