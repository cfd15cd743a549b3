/* descriptors.c - passing descriptors over a UNIX socket, and memory that is safe to share.
 *
 * INVARIANTS
 *
 *   E1  a descriptor that was received is the caller's, or closed: none is left open by an error
 *   E2  a file that passed dxi_sealed_check() has its size for as long as anybody maps it
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/descriptors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* Room for one control message, aligned as it must be. */
typedef union control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int) * DXI_DESCRIPTORS_MAX)];
} control_t;

/* -------------------------------------------------------------------------------------- passing */

int64_t dxi_descriptors_send(int socket, const void *bytes, size_t size, const int *descriptors,
                             int count)
{
    assert(count >= 0 && count <= DXI_DESCRIPTORS_MAX && size != 0);
    control_t control;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > 0) {
        const size_t used = sizeof(int) * (size_t)count;
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(used);
        struct cmsghdr *const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(used);
        memcpy(CMSG_DATA(head), descriptors, used);
    }
    for (;;) {
        const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            return sent;
        }
        if (errno != EINTR) {
            return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
        }
    }
}

/* Takes what one control message carries; what has no room is closed. Returns false then (E1). */
static bool rights_take(const struct cmsghdr *head, int *descriptors_out, int *count)
{
    const size_t bytes = head->cmsg_len - CMSG_LEN(0);
    bool all = true;
    for (size_t i = 0; i < bytes / sizeof(int); i++) {
        int descriptor = -1;
        memcpy(&descriptor, CMSG_DATA(head) + i * sizeof(int), sizeof descriptor);
        if (*count < DXI_DESCRIPTORS_MAX) {
            descriptors_out[(*count)++] = descriptor;
        } else {
            (void)close(descriptor);
            all = false;
        }
    }
    return all;
}

int64_t dxi_descriptors_receive(int socket, void *bytes_out, size_t room,
                                int descriptors_out[DXI_DESCRIPTORS_MAX], int *count_out)
{
    control_t control;
    struct iovec vector = {.iov_base = bytes_out, .iov_len = room};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got;
    *count_out = 0;
    do {
        got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return -errno;
    }
    bool whole = (message.msg_flags & MSG_CTRUNC) == 0; /* the kernel has closed the rest */
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL;
         head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
            whole = rights_take(head, descriptors_out, count_out) && whole;
        }
    }
    if (!whole) {
        dxi_descriptors_close(descriptors_out, *count_out);
        *count_out = 0;
        return -EBADMSG;
    }
    return got;
}

void dxi_descriptors_close(int *descriptors, int count)
{
    for (int i = 0; i < count; i++) {
        if (descriptors[i] >= 0) {
            (void)close(descriptors[i]);
            descriptors[i] = -1;
        }
    }
}

/* --------------------------------------------------------------------------------------- memory */

int dxi_sealed_create(const char *name, size_t size, dx_error_t *error)
{
    if (dxi_fault("memfd")) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a file in memory");
    }
    const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        const int os = errno;
        const int code = os == ENOSYS ? DX_ENOTSUP : os == ENOMEM ? DX_ENOMEM : DX_ELIMIT;
        return dxi_fail_os(error, code, os, "cannot make a file in memory");
    }
    if (ftruncate(fd, (off_t)size) != 0) {
        const int os = errno;
        (void)close(fd);
        return dxi_fail_os(error, DX_ENOMEM, os, "cannot make a file of %zu bytes in memory", size);
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        const int os = errno;
        (void)close(fd);
        return dxi_fail_os(error, DX_ENOTSUP, os, "cannot seal a file in memory");
    }
    return fd;
}

int dxi_sealed_read_only(int descriptor, dx_error_t *error)
{
    if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0) {
        return dxi_fail_os(error, DX_ENOTSUP, errno, "cannot seal a file in memory for writing");
    }
    return DX_OK;
}

int dxi_sealed_check(int descriptor, size_t *size_out, dx_error_t *error)
{
    *size_out = 0;
    const int seals = fcntl(descriptor, F_GET_SEALS);
    if (seals < 0) {
        return dxi_fail(error, DX_EINVAL, "the descriptor is no file in memory");
    }
    if ((seals & SEALS) != SEALS) { /* E2 */
        return dxi_fail(error, DX_EINVAL,
                        "the file in memory has seals 0x%x, must not be able to shrink or grow",
                        (unsigned)seals);
    }
    struct stat file;
    if (fstat(descriptor, &file) != 0) {
        return dxi_fail_os(error, DX_EINVAL, errno, "cannot look at a file in memory");
    }
    *size_out = (size_t)file.st_size;
    return DX_OK;
}

/* ----------------------------------------------------------------------------------------- peer */

int dxi_peer_credentials(int socket, uid_t *user_out, pid_t *process_out, dx_error_t *error)
{
    struct ucred who = {0};
    socklen_t bytes = sizeof who;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0 ||
        who.uid == (uid_t)-1) { /* a process of another namespace has no number here */
        return dxi_fail(error, DX_ENOTSUP, "the system does not say who is at the other end");
    }
    *user_out = who.uid;
    *process_out = who.pid;
    return DX_OK;
}
