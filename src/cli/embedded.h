/* cli/embedded.h - files of the repository that the program carries inside; made by
 * cmake/Embed.cmake.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_EMBEDDED_H
#define DXI_CLI_EMBEDDED_H

#include <stddef.h>

typedef struct dxi_embedded {
    const char *name;           /* "deploy/grafana/overview.json" */
    const unsigned char *bytes; /* and a NUL behind */
    size_t count;
} dxi_embedded_t;

/* Ends with a row of NULLs. */
extern const dxi_embedded_t DXI_EMBEDDED[];

/* NULL when there is none. Threads: any. */
const dxi_embedded_t *dxi_embedded_find(const char *name);

#endif
