/* net/descriptors.h - passing descriptors over a UNIX socket, and memory that is safe to share.
 *
 * A descriptor travels with bytes: whoever sends one sends at least one byte with it, and whoever
 * reads that byte has the descriptor, a number of his own for the same file. One read never brings
 * the descriptors of two sends; it may bring bytes that were sent before without any. So a reader
 * has them with the byte that they were sent with, or a little earlier, never late, and in order.
 *
 * Memory to be shared with a process that is not trusted is a file in memory that is *sealed*: it
 * can't be made shorter, which would kill its readers by a signal, nor longer; and nobody can take
 * the seals off. Who is handed such a file looks whether it is one before it maps it.
 *
 * Who the other side is, the kernel says: dxi_peer_credentials().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_DESCRIPTORS_H
#define DXI_NET_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_DESCRIPTORS_MAX 4 /* that go with one call */

/* Sends bytes, and `count` (0 to DXI_DESCRIPTORS_MAX) descriptors with the first of them. They stay
 * the caller's, who may close them as soon as something was taken.
 * Returns how many bytes were taken, all descriptors with them; 0 when the socket takes nothing
 * now; or a negative errno. Threads: any. */
DX_NODISCARD int64_t dxi_descriptors_send(int socket, const void *bytes, size_t size,
                                          const int *descriptors, int count);

/* Reads bytes, and what was sent with them, without waiting. `*count_out` descriptors, closed when
 * the program is replaced, are the caller's from now on. A peer that sends more of them in one go
 * than there is room for, DXI_DESCRIPTORS_MAX, has broken the rules: all are closed (-EBADMSG).
 * Returns bytes, 0 at the end, -EAGAIN when there is nothing, or another negative errno.
 * Threads: any. */
DX_NODISCARD int64_t dxi_descriptors_receive(int socket, void *bytes_out, size_t room,
                                             int descriptors_out[DXI_DESCRIPTORS_MAX],
                                             int *count_out);

/* Closes them, and sets each to -1; what is -1 is left out. Threads: any. */
void dxi_descriptors_close(int *descriptors, int count);

/* Makes a sealed file in memory of `size` zero bytes, whole pages. `name` is seen by people only.
 * Returns its descriptor, or DX_ELIMIT, DX_ENOMEM, DX_ENOTSUP. Threads: any. */
DX_NODISCARD int dxi_sealed_create(const char *name, size_t size, dx_error_t *error);

/* The same file again, but whoever maps it from now on may only read: for words that others look
 * at. Mappings that can write must be there before.
 * Returns DX_OK, DX_ENOTSUP (a kernel before 5.1). Threads: any. */
DX_NODISCARD int dxi_sealed_read_only(int descriptor, dx_error_t *error);

/* Looks whether a descriptor that a peer has sent is a sealed file in memory, and how large it is.
 * Returns DX_OK, DX_EINVAL when it is none. Threads: any. */
DX_NODISCARD int dxi_sealed_check(int descriptor, size_t *size_out, dx_error_t *error);

/* Who has connected, or listens, at the other end of a UNIX socket, as the kernel noted it then. A
 * process that this one can't see has the number 0.
 * Returns DX_OK, DX_ENOTSUP when the socket knows nobody. Threads: any. */
DX_NODISCARD int dxi_peer_credentials(int socket, uid_t *user_out, pid_t *process_out,
                                      dx_error_t *error);

#endif
