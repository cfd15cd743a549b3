/* redact.c - secrets out of texts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* As it stands in JSON, where that is different. */
static void escaped_know(dxi_redact_t *redact, const char *secret)
{
    char text[2 * sizeof redact->secrets[0]];
    size_t used = 0;
    if (strpbrk(secret, "\"\\") == NULL) {
        return;
    }
    for (; *secret != '\0'; secret++) {
        if (*secret == '"' || *secret == '\\') {
            text[used++] = '\\';
        }
        text[used++] = *secret;
    }
    text[used] = '\0';
    if (used < sizeof redact->secrets[0] && redact->count < DXI_REDACT_SECRETS_MAX) {
        memcpy(redact->secrets[redact->count++], text, used + 1);
    }
}

void dxi_redact_know(dxi_redact_t *redact, const char *secret)
{
    const size_t bytes = secret == NULL ? 0 : strlen(secret);
    if (bytes < DXI_REDACT_BYTES_MIN || bytes >= sizeof redact->secrets[0]) {
        return;
    }
    for (int i = 0; i < redact->count; i++) {
        if (strcmp(redact->secrets[i], secret) == 0) {
            return;
        }
    }
    if (redact->count == DXI_REDACT_SECRETS_MAX) {
        redact->left_out++;
        return;
    }
    memcpy(redact->secrets[redact->count++], secret, bytes + 1);
    escaped_know(redact, secret);
}

void dxi_redact_know_all(dxi_redact_t *redact, const char *list)
{
    dxi_redact_know(redact, list);
    while (*list != '\0') {
        char item[sizeof redact->secrets[0]];
        const size_t bytes = strcspn(list, ",");
        snprintf(item, sizeof item, "%.*s", (int)bytes, list);
        const char *const value = strpbrk(item, "=:");
        if (value != NULL) {
            dxi_redact_know(redact, value + 1 + strspn(value + 1, " "));
        }
        list += bytes + (list[bytes] == ',');
    }
}

bool dxi_redact_is_secret_name(const char *name)
{
    static const char *const words[] = {"TOKEN",   "SECRET",     "PASSW",  "PASSPHRASE",   "KEY",
                                        "HEADERS", "CREDENTIAL", "COOKIE", "AUTHORIZATION"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasestr(name, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* How many bytes at `text` are a secret: of those that are known, the longest. */
static size_t known_at(const dxi_redact_t *redact, const char *text, size_t left)
{
    size_t longest = 0;
    for (int i = 0; i < redact->count; i++) {
        const size_t bytes = strlen(redact->secrets[i]);
        if (bytes <= left && bytes > longest && memcmp(text, redact->secrets[i], bytes) == 0) {
            longest = bytes;
        }
    }
    return longest;
}

/* The lines of a private key: how many bytes at `text` are its first line, 0 when it is none. */
static size_t key_begins(const char *text, size_t left)
{
    static const char begin[] = "-----BEGIN ";
    static const char key[] = "PRIVATE KEY-----";
    if (left < sizeof begin || strncmp(text, begin, sizeof begin - 1) != 0) {
        return 0;
    }
    const char *const found = strstr(text, key);
    const size_t line = strcspn(text, "\r\n");
    return found != NULL && (size_t)(found - text) < line ? (size_t)(found - text) + sizeof key - 1
                                                          : 0;
}

/* What looks like a secret: how many bytes stay in front of it (`*kept_out`), and how many go. */
static size_t pattern_at(const char *text, size_t left, size_t *kept_out)
{
    static const char bearer[] = "bearer ";
    *kept_out = 0;
    if (left > sizeof bearer && strncasecmp(text, bearer, sizeof bearer - 1) == 0) {
        *kept_out = sizeof bearer - 1;
        return strcspn(text + *kept_out, " \t\r\n\"'\\");
    }
    const size_t first = key_begins(text, left);
    if (first > 0) {
        const char *const end = strstr(text + first, "-----END");
        *kept_out = first;
        return end != NULL ? (size_t)(end - text) - first : strlen(text + first);
    }
    return 0;
}

char *dxi_redact_text(const dxi_redact_t *redact, const char *text, size_t bytes, size_t *bytes_out)
{
    char *copy = NULL;
    *bytes_out = 0;
    FILE *const stream = open_memstream(&copy, bytes_out);
    if (stream == NULL) {
        return NULL;
    }
    size_t at = 0;
    while (at < bytes) {
        size_t kept = 0;
        size_t gone = known_at(redact, text + at, bytes - at);
        gone = gone > 0 ? gone : pattern_at(text + at, bytes - at, &kept);
        if (gone > 0) {
            fwrite(text + at, 1, kept, stream);
            fputs(DXI_REDACTED, stream);
            at += kept + gone;
        } else {
            fputc(text[at++], stream);
        }
    }
    if (fclose(stream) != 0) {
        free(copy);
        return NULL;
    }
    return copy;
}
