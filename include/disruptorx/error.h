/* disruptorx/error.h - what can go wrong, under pinned numbers.
 *
 * Functions return DX_OK (0) or a count on success and one of the negative codes below on failure.
 * The numbers travel in frames and stand in bindings of other languages, so they never change and
 * are never reused; a new code takes the next number. They are ours and not errno, which differs
 * between systems.
 *
 * Calls off the hot path also take a `dx_error_t *error`, which may be NULL. On failure it receives
 * the code, errno where the system refused, and a sentence with the value and the rule:
 *
 *     slot_count is 1000, must be a power of two from 2 to 16777216
 *
 * On success it is left as it was.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_ERROR_H
#define DISRUPTORX_ERROR_H

#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

/* X(name, number, text): the only list of codes. Everything else is made from it. */
#define DX_ERROR_LIST(X)                                                                           \
    X(DX_OK, 0, "success")                                                                         \
    X(DX_EINVAL, -1, "invalid argument")                                                           \
    X(DX_ENOMEM, -2, "out of memory")                                                              \
    X(DX_EAGAIN, -3, "full, or nothing yet")                                                       \
    X(DX_ETIMEDOUT, -4, "timed out")                                                               \
    X(DX_ECLOSED, -5, "ring closed")                                                               \
    X(DX_ESTATE, -6, "not allowed in this lifecycle state")                                        \
    X(DX_ECANCELLED, -7, "cancelled")                                                              \
    X(DX_EDROPPED, -8, "event dropped by policy")                                                  \
    X(DX_ECONSUMER, -9, "a gating consumer failed")                                                \
    X(DX_ELIMIT, -10, "limit reached")                                                             \
    X(DX_ENOTFOUND, -11, "not found")                                                              \
    X(DX_EEXIST, -12, "exists already")                                                            \
    X(DX_EPERM, -13, "not permitted")                                                              \
    X(DX_EIO, -14, "input or output failed")                                                       \
    X(DX_EVERSION, -15, "version not supported")                                                   \
    X(DX_ECORRUPT, -16, "data corrupt")                                                            \
    X(DX_ENOTSUP, -17, "not supported on this system")                                             \
    X(DX_EFATAL, -18, "handler asked to stop for good")                                            \
    X(DX_EDEADLOCK, -19, "handler would wait for itself")                                          \
    X(DX_EPARSE, -20, "text not understood")                                                       \
    X(DX_EBUSY, -21, "in use")                                                                     \
    X(DX_EALERTED, -22, "wait ended by a halt")                                                    \
    X(DX_EEVICTED, -23, "consumer evicted")

#define DX_ERROR_ENUMERATOR(name, number, text) name = (number),
enum dx_error_code { DX_ERROR_LIST(DX_ERROR_ENUMERATOR) };
#undef DX_ERROR_ENUMERATOR

/* Room for the sentence, its NUL included. A longer one ends in "...". */
#define DX_ERROR_MESSAGE_BYTES 256

/* A failure in words. The caller owns it; no call keeps a pointer to it. */
typedef struct dx_error {
    int code;                             /* a dx_error_code */
    int os_errno;                         /* errno where the system refused, else 0 */
    char message[DX_ERROR_MESSAGE_BYTES]; /* UTF-8, always ends in NUL */
} dx_error_t;

/* The name of a code, as in "DX_EINVAL"; "DX_EUNKNOWN" for a number that is none.
 * Threads: any. */
DX_API const char *dx_error_name(int code);

/* A few words for a code, as in "invalid argument"; "unknown error code" for a number that is none.
 * Threads: any. */
DX_API const char *dx_error_text(int code);

DX_EXTERN_C_END

#endif
