/* cli/redact.h - secrets out of texts: what `dx bundle` hands to others.
 *
 * Answers of a node never have secrets, and what is read from files is asked of the configuration,
 * which hides them. This is the second line: whatever is known to be secret here (tokens of this
 * command, values of the environment, of the configuration) is taken out wherever it stands, and so
 * is what looks like one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_REDACT_H
#define DXI_CLI_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#define DXI_REDACT_SECRETS_MAX 64
#define DXI_REDACT_BYTES_MIN 4 /* a shorter secret would stand in every other word */
#define DXI_REDACTED "(secret)"

typedef struct dxi_redact {
    int count;
    int left_out; /* more than there is room for */
    char secrets[DXI_REDACT_SECRETS_MAX][1024];
} dxi_redact_t;

/* Remembers a secret; one that is too short, or there already, is not. Threads: owner. */
void dxi_redact_know(dxi_redact_t *redact, const char *secret);

/* The same of "name=value, name: value", and of each value in it. Threads: owner. */
void dxi_redact_know_all(dxi_redact_t *redact, const char *list);

/* Whether the name of a variable says that its value is a secret: TOKEN, SECRET, PASSWORD, KEY ...
 * Threads: any. */
bool dxi_redact_is_secret_name(const char *name);

/* The text, with a NUL behind it, with "(secret)" in place of each secret that is known, of what
 * stands behind "Bearer " and of the lines of a private key. malloc()ed; NULL: no memory.
 * Threads: any. */
char *dxi_redact_text(const dxi_redact_t *redact, const char *text, size_t bytes,
                      size_t *bytes_out);

#endif
