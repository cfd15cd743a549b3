/* cli/sample.h - finds the files that come with the program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_SAMPLE_H
#define DXI_CLI_SAMPLE_H

#include <stddef.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

/* Stores the path of share/disruptorx/<name>, looked for in the folder of the program and in the
 * three above it: <prefix>/bin/dx finds the installed file, <build>/src/cli/dx the built one,
 * wherever the tree was moved.
 * Returns DX_OK, DX_ENOTFOUND with the places that were tried.
 * Threads: any. */
DX_NODISCARD int dxi_sample_find(const char *name, char *path_out, size_t path_bytes,
                                 dx_error_t *error);

#endif
