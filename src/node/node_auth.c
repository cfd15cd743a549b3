/* node_auth.c - tokens.
 *
 * A comparison reads all DXI_TOKEN_BYTES_MAX bytes of both sides and takes no branch on what it
 * finds: how long it takes says nothing about the token, its length included.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/node_auth.h"

#include <string.h>

#include "base/fail.h"
#include "base/file.h"
#include "base/secret.h"

int dxi_auth_init(dxi_auth_t *auth, dx_error_t *error)
{
    auth->token = dxi_secret_alloc(sizeof *auth->token);
    if (auth->token == NULL || pthread_mutex_init(&auth->mutex, NULL) != 0) {
        dxi_secret_free(auth->token, sizeof *auth->token);
        return dxi_fail(error, DX_ENOMEM, "no memory for a token");
    }
    return DX_OK;
}

void dxi_auth_close(dxi_auth_t *auth)
{
    dxi_secret_free(auth->token, sizeof *auth->token);
    (void)pthread_mutex_destroy(&auth->mutex);
}

/* The first line of a file, without its end. */
static int line_read(const char *path, dxi_token_t *token, dx_error_t *error)
{
    /* One byte more than a token, and the "\r\n" that may follow it. */
    char text[DXI_TOKEN_BYTES_MAX + 3];
    const int64_t got = dxi_file_read(path, text, sizeof text, error);
    if (got < 0) {
        (void)dxi_fail_context(error, "auth.token_file");
        return (int)got;
    }
    const size_t used = (size_t)got;
    size_t bytes = 0;
    while (bytes < used && text[bytes] != '\n' && text[bytes] != '\0') {
        bytes++;
    }
    bytes -= bytes > 0 && text[bytes - 1] == '\r';
    if (bytes == 0 || bytes > DXI_TOKEN_BYTES_MAX) {
        explicit_bzero(text, sizeof text);
        return dxi_fail(error, DX_EINVAL,
                        "auth.token_file %s has %s in its first line, must have 1 to %d bytes",
                        path, bytes == 0 ? "nothing" : "too much", DXI_TOKEN_BYTES_MAX);
    }
    memcpy(token->text, text, bytes);
    token->bytes = bytes;
    explicit_bzero(text, sizeof text);
    return DX_OK;
}

int dxi_token_read(const dx_config_t *config, dxi_token_t *token_out, dx_error_t *error)
{
    *token_out = (dxi_token_t){.bytes = 0};
    const char *const path = dx_config_text(config, "auth.token_file");
    if (path[0] != '\0') {
        return line_read(path, token_out, error);
    }
    const char *const token = dx_config_text(config, "auth.token");
    token_out->bytes = strlen(token);
    memcpy(token_out->text, token, token_out->bytes);
    return DX_OK;
}

bool dxi_auth_set(dxi_auth_t *auth, const dxi_token_t *token)
{
    (void)pthread_mutex_lock(&auth->mutex);
    const bool other = auth->token->bytes != token->bytes ||
                       memcmp(auth->token->text, token->text, token->bytes) != 0;
    *auth->token = *token;
    (void)pthread_mutex_unlock(&auth->mutex);
    return other;
}

bool dxi_auth_wanted(dxi_auth_t *auth)
{
    (void)pthread_mutex_lock(&auth->mutex);
    const bool wanted = auth->token->bytes != 0;
    (void)pthread_mutex_unlock(&auth->mutex);
    return wanted;
}

uint64_t dxi_auth_refused(dxi_auth_t *auth)
{
    (void)pthread_mutex_lock(&auth->mutex);
    const uint64_t refused = auth->refused;
    (void)pthread_mutex_unlock(&auth->mutex);
    return refused;
}

bool dxi_auth_check(dxi_auth_t *auth, const void *proof, size_t proof_bytes)
{
    dxi_token_t shown = {.bytes = proof_bytes};
    const bool fits = proof_bytes <= DXI_TOKEN_BYTES_MAX;
    if (fits && proof_bytes > 0) {
        memcpy(shown.text, proof, proof_bytes);
    }
    (void)pthread_mutex_lock(&auth->mutex);
    /* volatile: the compiler may not stop at the first difference. */
    volatile unsigned different = auth->token->bytes != shown.bytes;
    for (size_t i = 0; i < sizeof shown.text; i++) {
        different = different | (unsigned)(auth->token->text[i] ^ shown.text[i]);
    }
    const bool good = auth->token->bytes == 0 || (fits && different == 0);
    auth->refused += !good;
    (void)pthread_mutex_unlock(&auth->mutex);
    explicit_bzero(&shown, sizeof shown);
    return good;
}
