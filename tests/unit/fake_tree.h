/* fake_tree.h - a folder of small files in a temporary place: a machine's /sys for a test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FAKE_TREE_H
#define FAKE_TREE_H

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fake_tree {
    char root[64];
} fake_tree_t;

static inline void fake_tree_create(fake_tree_t *tree)
{
    const char *const folder = getenv("TMPDIR");
    const int length = snprintf(tree->root, sizeof(tree->root), "%s/dx_tree_XXXXXX",
                                folder == NULL || strlen(folder) > 40 ? "/tmp" : folder);
    if (length < 0 || mkdtemp(tree->root) == NULL) {
        perror(tree->root);
        abort();
    }
}

/* Writes a file and the folders above it. */
static inline void fake_tree_write(const fake_tree_t *tree, const char *path, const char *text)
{
    char full[PATH_MAX];
    (void)snprintf(full, sizeof(full), "%s/%s", tree->root, path);
    for (char *slash = full + strlen(tree->root) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        if (mkdir(full, 0700) != 0 && errno != EEXIST) {
            perror(full);
            abort();
        }
        *slash = '/';
    }
    FILE *const file = fopen(full, "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
        perror(full);
        abort();
    }
}

static inline int fake_tree_remove_one(const char *path, const struct stat *status, int type,
                                       struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void fake_tree_destroy(const fake_tree_t *tree)
{
    (void)nftw(tree->root, fake_tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
