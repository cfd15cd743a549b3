/* access/patterns.h - what patterns match together: pure questions about sets of topics.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_PATTERNS_H
#define DXI_ACCESS_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pattern of a rule. */
typedef struct dxi_access_rule {
    const char *pattern;
    const char *role; /* whose rule it is; NULL: the user's own */
    uint32_t bytes;
} dxi_access_rule_t;

/* Whether there is a topic that both patterns match. A name without wildcards is a pattern.
 * Threads: any. */
bool dxi_patterns_meet(const char *a, size_t a_bytes, const char *b, size_t b_bytes);

/* Whether the rules together match every topic that the pattern matches.
 * Threads: any. */
bool dxi_patterns_cover(const dxi_access_rule_t *rules, size_t count, const char *pattern,
                        size_t bytes);

#endif
