/* token.c - tokens that are made here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/fail.h"

#define RANDOM_BYTES 32

int dxi_token_make(char token_out[DXI_TOKEN_TEXT_BYTES + 1], dx_error_t *error)
{
    static const char LETTERS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[RANDOM_BYTES + 1] = {0}; /* and the bits that fill up the last character */
    if (getrandom(random, RANDOM_BYTES, 0) != RANDOM_BYTES) {
        return dxi_fail_os(error, DX_EIO, errno, "no random numbers for a token");
    }
    memcpy(token_out, DXI_TOKEN_PREFIX, sizeof DXI_TOKEN_PREFIX - 1);
    for (size_t i = 0; i < DXI_TOKEN_TEXT_BYTES - (sizeof DXI_TOKEN_PREFIX - 1); i++) {
        const size_t bit = 6 * i;
        const unsigned two = (unsigned)random[bit / 8] << 8 |
                             (bit / 8 + 1 < sizeof random ? random[bit / 8 + 1] : 0u);
        token_out[sizeof DXI_TOKEN_PREFIX - 1 + i] = LETTERS[(two >> (10 - bit % 8)) & 63];
    }
    token_out[DXI_TOKEN_TEXT_BYTES] = '\0';
    explicit_bzero(random, sizeof random);
    return DX_OK;
}

void dxi_token_hash_write(const uint8_t hash[DXI_ACCESS_HASH_BYTES],
                          char text_out[2 * DXI_ACCESS_HASH_BYTES + 1])
{
    for (size_t i = 0; i < DXI_ACCESS_HASH_BYTES; i++) {
        (void)snprintf(text_out + 2 * i, 3, "%02x", hash[i]);
    }
}
