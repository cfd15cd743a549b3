/* access/token.h - tokens that are made here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_TOKEN_H
#define DXI_ACCESS_TOKEN_H

#include "access/access.h"

#define DXI_TOKEN_PREFIX "dxt_"
#define DXI_TOKEN_TEXT_BYTES 47 /* the prefix, and 256 random bits in 43 characters */

/* Makes a token: "dxt_" and 43 letters, digits, '-' and '_', so that scanners for secrets find one
 * that was left somewhere. The caller wipes it. Returns DX_OK, DX_EIO. Threads: any. */
DX_NODISCARD int dxi_token_make(char token_out[DXI_TOKEN_TEXT_BYTES + 1], dx_error_t *error);

/* Writes a hash as a users file has it. Threads: any. */
void dxi_token_hash_write(const uint8_t hash[DXI_ACCESS_HASH_BYTES],
                          char text_out[2 * DXI_ACCESS_HASH_BYTES + 1]);

#endif
