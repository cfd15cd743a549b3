/* config_files.c - deploy/node.yaml and docs/configuration.md, from the table of options.
 *
 * Usage: config_files --check ROOT     exits with 1 when one of them is stale
 *        config_files --write ROOT     writes them
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/config_internal.h"

static const struct file {
    const char *path;
    void (*write)(FILE *stream);
} FILES[] = {
    {"deploy/node.yaml", dxi_config_sample_write},
    {"docs/configuration.md", dxi_config_manual_write},
};

/* Whether a file holds this text. */
static int file_is(const char *path, const char *text, size_t bytes)
{
    FILE *const stream = fopen(path, "rb");
    if (stream == NULL) {
        return 0;
    }
    char *const found = malloc(bytes + 1);
    int same = 0;
    if (found != NULL) {
        same = fread(found, 1, bytes + 1, stream) == bytes && memcmp(found, text, bytes) == 0;
    }
    free(found);
    (void)fclose(stream);
    return same;
}

static int file_write(const char *path, const char *text, size_t bytes)
{
    FILE *const stream = fopen(path, "wb");
    if (stream == NULL) {
        return 0;
    }
    const int written = fwrite(text, 1, bytes, stream) == bytes;
    return fclose(stream) == 0 && written;
}

static int file_do(const struct file *file, const char *root, int writes)
{
    char *text = NULL, path[4096];
    size_t bytes = 0;
    FILE *const stream = open_memstream(&text, &bytes);
    if (stream == NULL) {
        perror("open_memstream");
        return 1;
    }
    file->write(stream);
    (void)fclose(stream);
    (void)snprintf(path, sizeof path, "%s/%s", root, file->path);
    int failed = 0;
    if (writes && !file_write(path, text, bytes)) {
        perror(path);
        failed = 1;
    } else if (!writes && !file_is(path, text, bytes)) {
        printf("%s is not what the table says; run config_files --write %s\n", path, root);
        failed = 1;
    }
    free(text);
    return failed;
}

int main(int argc, char **argv)
{
    const int writes = argc == 3 && strcmp(argv[1], "--write") == 0;
    if (argc != 3 || (!writes && strcmp(argv[1], "--check") != 0)) {
        fprintf(stderr, "usage: config_files --check|--write ROOT\n");
        return 2;
    }
    int failed = 0;
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        failed |= file_do(&FILES[i], argv[2], writes);
    }
    return failed;
}
