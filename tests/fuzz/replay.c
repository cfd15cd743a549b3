/* replay.c - runs a fuzz target over the files of folders, without a fuzzer: what `make test` does
 * with each corpus, under every compiler and sanitizer.
 *
 * Usage: <program> FOLDER...     exits with 1 when there is no file, or one can't be read
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_BYTES_MAX (4 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_run(const char *path)
{
    static uint8_t input[INPUT_BYTES_MAX];
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    const size_t size = fread(input, 1, sizeof input, file);
    (void)fclose(file);
    return LLVMFuzzerTestOneInput(input, size);
}

static int folder_run(const char *folder)
{
    DIR *const files = opendir(folder);
    if (files == NULL) {
        perror(folder);
        return -1;
    }
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(files)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (file_run(path) != 0) {
            count = -1;
            break;
        }
        count++;
    }
    (void)closedir(files);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        const int files = folder_run(argv[i]);
        if (files < 0) {
            return 1;
        }
        count += files;
    }
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
