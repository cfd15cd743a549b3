/* target_words.c - the global options that say which node: apart from what reads them, so that a
 * program which only parses options needs no client.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/target.h"

static dxi_target_words_t target_words;

dxi_target_words_t *dxi_target_words(void)
{
    return &target_words;
}
