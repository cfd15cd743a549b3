/* archive.c - tar by hand, gzip by zlib.
 *
 * A member is a header of 512 bytes and its bytes, filled up to a multiple of 512; two empty blocks
 * are the end. Numbers are octal text. Nothing but plain files of ours are put in, so that is all
 * there is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/fail.h"

#define BLOCK_BYTES 512

/* POSIX.1-1988, as `tar` reads it. */
typedef struct header {
    char name[DXI_ARCHIVE_NAME_MAX];
    char mode[8];
    char owner[8];
    char group[8];
    char size[12];
    char time[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char owner_name[32];
    char group_name[32];
    char device[16];
    char prefix[155];
    char rest[12];
} header_t;

_Static_assert(sizeof(header_t) == BLOCK_BYTES, "a header of tar has 512 bytes");

struct dxi_archive {
    gzFile file;
    int fd; /* a second one, to ask for the size behind the end */
    int64_t unix_s;
};

int dxi_archive_create(const char *path, int64_t unix_s, dxi_archive_t **archive_out,
                       dx_error_t *error)
{
    *archive_out = NULL;
    dxi_archive_t *const archive = dxi_alloc_zeroed(1, sizeof *archive);
    if (archive == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for an archive");
    }
    archive->unix_s = unix_s;
    archive->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (archive->fd < 0) {
        const int number = errno;
        dxi_free(archive);
        return dxi_fail_os(error, dxi_code_of_errno(number), number, "%.200s can't be made", path);
    }
    const int copy = fcntl(archive->fd, F_DUPFD_CLOEXEC, 0);
    archive->file = copy < 0 ? NULL : gzdopen(copy, "wb");
    if (archive->file == NULL) {
        if (copy >= 0) {
            (void)close(copy);
        }
        (void)close(archive->fd);
        (void)unlink(path);
        dxi_free(archive);
        return dxi_fail(error, DX_ENOMEM, "no memory for an archive");
    }
    *archive_out = archive;
    return DX_OK;
}

static int bytes_write(dxi_archive_t *archive, const void *data, size_t bytes, dx_error_t *error)
{
    const char *at = data;
    while (bytes > 0) {
        const unsigned part = bytes > 1048576 ? 1048576 : (unsigned)bytes;
        if (gzwrite(archive->file, at, part) != (int)part) {
            return dxi_fail_os(error, DX_EIO, errno, "the archive can't be written");
        }
        at += part;
        bytes -= part;
    }
    return DX_OK;
}

static void checksum_fill(header_t *header)
{
    unsigned sum = 0;
    unsigned char bytes[BLOCK_BYTES];
    memset(header->checksum, ' ', sizeof header->checksum);
    memcpy(bytes, header, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        sum += bytes[i];
    }
    (void)snprintf(header->checksum, sizeof header->checksum, "%06o", sum & 0777777U);
    header->checksum[7] = ' ';
}

int dxi_archive_add(dxi_archive_t *archive, const char *name, const void *data, size_t bytes,
                    dx_error_t *error)
{
    static const char zeros[BLOCK_BYTES];
    header_t header;
    const size_t name_bytes = strlen(name);
    if (name_bytes > sizeof header.name) {
        return dxi_fail(error, DX_ELIMIT, "the name %.60s... has %zu bytes, must have at most %d",
                        name, name_bytes, DXI_ARCHIVE_NAME_MAX);
    }
    memset(&header, 0, sizeof header);
    memcpy(header.name, name, name_bytes);
    (void)snprintf(header.mode, sizeof header.mode, "%07o", 0600U);
    (void)snprintf(header.owner, sizeof header.owner, "%07o", 0U);
    (void)snprintf(header.group, sizeof header.group, "%07o", 0U);
    (void)snprintf(header.size, sizeof header.size, "%011llo", (unsigned long long)bytes);
    (void)snprintf(header.time, sizeof header.time, "%011llo",
                   (unsigned long long)archive->unix_s & 077777777777ULL);
    header.type = '0';
    memcpy(header.magic, "ustar", 6);
    memcpy(header.version, "00", 2);
    checksum_fill(&header);
    int code = bytes_write(archive, &header, sizeof header, error);
    if (code == DX_OK) {
        code = bytes_write(archive, data, bytes, error);
    }
    if (code == DX_OK && bytes % BLOCK_BYTES != 0) {
        code = bytes_write(archive, zeros, BLOCK_BYTES - bytes % BLOCK_BYTES, error);
    }
    return code;
}

int dxi_archive_close(dxi_archive_t *archive, int64_t *bytes_out, dx_error_t *error)
{
    static const char end[2 * BLOCK_BYTES];
    struct stat status;
    *bytes_out = 0;
    if (archive == NULL) {
        return DX_OK;
    }
    int code = bytes_write(archive, end, sizeof end, error);
    if (gzclose(archive->file) != Z_OK && code == DX_OK) {
        code = dxi_fail_os(error, DX_EIO, errno, "the archive can't be written");
    }
    if (code == DX_OK && fstat(archive->fd, &status) == 0) {
        *bytes_out = status.st_size;
    }
    (void)close(archive->fd);
    dxi_free(archive);
    return code;
}
