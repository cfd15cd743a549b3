/* cli/errors.h - what `dx errors` knows about a code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ERRORS_H
#define DXI_CLI_ERRORS_H

/* What a code means, and what to do about it: sentences, or NULL for a number that is no code.
 * Threads: any. */
const char *dxi_error_meaning(int code);
const char *dxi_error_action(int code);

/* Finds a code by its number, with or without the sign, or by its name, in upper or lower case,
 * with or without DX_ and E.
 * Returns DX_OK, DX_ENOTFOUND.
 * Threads: any. */
int dxi_error_lookup(const char *text, int *code_out);

#endif
