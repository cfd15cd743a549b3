/* nearest.c - the distance between words.
 *
 * The distance is the optimal string alignment variant of Damerau and Levenshtein's: the usual
 * table of prefixes, of which three rows are enough. Words are short (DXI_NEAREST_BYTES_MAX), so
 * the rows are on the stack.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/nearest.h"

#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t dxi_edit_distance(const char *a, const char *b)
{
    const size_t a_bytes = strlen(a);
    const size_t b_bytes = strlen(b);
    if (a_bytes > DXI_NEAREST_BYTES_MAX || b_bytes > DXI_NEAREST_BYTES_MAX) {
        return DXI_NEAREST_BYTES_MAX + 1;
    }
    /* rows[i % 3][j]: distance between the first i bytes of a and the first j bytes of b. */
    size_t rows[3][DXI_NEAREST_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_bytes; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_bytes; i++) {
        size_t *const row = rows[i % 3];
        const size_t *const above = rows[(i + 2) % 3];
        const size_t *const two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            const size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = smaller(change, smaller(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = smaller(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

void dxi_nearest_offer(dxi_nearest_t *nearest, const char *name)
{
    const size_t word_bytes = strlen(nearest->word);
    const size_t third = word_bytes / 3;
    size_t distance = dxi_edit_distance(nearest->word, name);
    if (word_bytes >= 2 && strncmp(nearest->word, name, word_bytes) == 0) {
        distance = 1; /* the beginning of it */
    }
    if (distance > (third > 1 ? third : 1)) {
        return;
    }
    if (nearest->best == NULL || distance < nearest->best_distance) {
        nearest->best = name;
        nearest->best_distance = distance;
    }
}
