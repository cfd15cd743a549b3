/* sample.c - finds the files that come with the program, from where the program itself is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/sample.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"

#define LEVELS 4 /* the program's own folder and three above */

int dxi_sample_find(const char *name, char *path_out, size_t path_bytes, dx_error_t *error)
{
    char folder[PATH_MAX];
    const ssize_t bytes = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (bytes <= 0) {
        return dxi_fail(error, DX_ENOTFOUND,
                        "the sample %s cannot be looked for: /proc/self/exe is not readable", name);
    }
    folder[bytes] = '\0';
    for (int level = 0; level < LEVELS; level++) {
        char *const slash = strrchr(folder, '/');
        if (slash == NULL) {
            break;
        }
        *slash = '\0';
        const int needed = snprintf(path_out, path_bytes, "%s/share/disruptorx/%s", folder, name);
        if (needed > 0 && (size_t)needed < path_bytes && access(path_out, R_OK) == 0) {
            return DX_OK;
        }
    }
    return dxi_fail(error, DX_ENOTFOUND,
                    "the sample share/disruptorx/%s is not in the folder of this program or the "
                    "three above it; install it, or name a file of your own with --orders",
                    name);
}
