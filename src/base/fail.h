/* base/fail.h - how the library fills a dx_error_t.
 *
 * The three functions format into a buffer of their own first, so an argument may point into the
 * `error` they write. They take `error == NULL` and then only return the code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_FAIL_H
#define DXI_BASE_FAIL_H

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

/* Stores code and sentence, os_errno = 0. Returns `code`.
 * Threads: any. */
DX_PRINTF(3, 4) int dxi_fail(dx_error_t *error, int code, const char *format, ...);

/* Stores code, errno and the sentence followed by ": " and the system's text for `os_errno`.
 * Returns `code`.
 * Threads: any. */
DX_PRINTF(4, 5)
int dxi_fail_os(dx_error_t *error, int code, int os_errno, const char *format, ...);

/* Puts what the caller was doing, and ": ", before the sentence that stands in `error`.
 * Returns error->code, or DX_OK when `error` is NULL: return the callee's code, not this one.
 * Threads: any. */
DX_PRINTF(2, 3) int dxi_fail_context(dx_error_t *error, const char *format, ...);

/* The code that says the same as an errno value: ENOMEM is DX_ENOMEM, EACCES is DX_EPERM; what has
 * no code of its own is DX_EIO.
 * Threads: any. */
int dxi_code_of_errno(int os_errno);

#endif
