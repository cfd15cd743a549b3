/* base/file.h - files that a person has named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_FILE_H
#define DXI_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

/* Opens a regular file for reading, and never waits for it. Anything else is refused, because a
 * pipe or a terminal in a file's place keeps its reader waiting for good. `status_out` may be NULL.
 * Returns a descriptor, or DX_ENOTFOUND, DX_EPERM and others of open(), DX_EINVAL (no regular
 * file), with the path in the sentence.
 * Threads: any, here and below. */
DX_NODISCARD int dxi_file_open(const char *path, struct stat *status_out, dx_error_t *error);

/* Reads a regular file from its begin: all of it, or its first `room` bytes. Who must know whether
 * there is more gives room for one byte more than may be.
 * Returns how many bytes, or a code as dxi_file_open(), or DX_EIO. */
DX_NODISCARD int64_t dxi_file_read(const char *path, void *to, size_t room, dx_error_t *error);

/* The same of a descriptor of dxi_file_open(), which it closes. */
DX_NODISCARD int64_t dxi_file_read_open(int fd, const char *path, void *to, size_t room,
                                        dx_error_t *error);

/* Whether open(O_APPEND | O_CREAT) would do, without making the file.
 * Returns DX_OK, or a code of open(), with the path in the sentence. */
DX_NODISCARD int dxi_file_append_check(const char *path, dx_error_t *error);

#endif
