/* cli/archive.h - a .tar.gz that is written file by file: headers of POSIX (ustar), zlib.
 *
 * Threads: one archive belongs to one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ARCHIVE_H
#define DXI_CLI_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_ARCHIVE_NAME_MAX 100 /* bytes of a path in it */

typedef struct dxi_archive dxi_archive_t; /* opaque */

/* Makes the file, which must not be there, readable by its owner alone. `unix_s`: the time of all
 * members. Returns DX_OK, DX_ENOMEM, and what open() says: DX_EEXIST, DX_EPERM, DX_ENOTFOUND ... */
DX_NODISCARD int dxi_archive_create(const char *path, int64_t unix_s, dxi_archive_t **archive_out,
                                    dx_error_t *error);

/* Adds a file. Returns DX_OK, DX_ELIMIT for a name that is too long, DX_EIO. */
DX_NODISCARD int dxi_archive_add(dxi_archive_t *archive, const char *name, const void *data,
                                 size_t bytes, dx_error_t *error);

/* Ends it, and frees it whatever happens; NULL is allowed. `*bytes_out`: how large the file is.
 * Returns DX_OK, DX_EIO. */
int dxi_archive_close(dxi_archive_t *archive, int64_t *bytes_out, dx_error_t *error);

#endif
