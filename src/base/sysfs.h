/* base/sysfs.h - small files of /sys and /proc.
 *
 * The root is an argument, so that a test can give a tree of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_SYSFS_H
#define DXI_BASE_SYSFS_H

#include <stddef.h>
#include <stdint.h>

#include "disruptorx/platform.h"
#include "disruptorx/thread.h"

/* Reads the file "root/path" into `text_out`, without its final newline and with a NUL. Returns
 * DX_OK, DX_ENOTFOUND when it can't be opened or read, DX_ELIMIT when it does not fit.
 * Threads: any. */
DX_PRINTF(4, 5)
int dxi_sysfs_read(const char *root, char *text_out, size_t text_bytes, const char *path_format,
                   ...);

/* The decimal number a text starts with (0 to INT32_MAX), or `fallback` when it starts with none.
 * Threads: any. */
int32_t dxi_sysfs_number(const char *text, int32_t fallback);

/* Reads the cgroup CPU limit that applies to `cgroup_path` ("/a/b"; "" for the root), own or of an
 * ancestor, from "sysfs_root/fs/cgroup": version 2 (cpu.max) or 1 (cpu/cpu.cfs_quota_us). Returns
 * thousandths of a CPU, 0 for no limit.
 * Threads: any. */
uint32_t dxi_cgroup_quota_millicpus(const char *sysfs_root, const char *cgroup_path);

/* The caller's own cgroup path from a text such as /proc/self/cgroup; "" when there is none.
 * Threads: any. */
void dxi_cgroup_path(const char *proc_text, char *path_out, size_t path_bytes);

#endif
