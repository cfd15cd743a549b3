/* bus/trie.h - which patterns match a topic.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_TRIE_H
#define DXI_BUS_TRIE_H

#include <stdint.h>

#include "bus/list.h"
#include "disruptorx/platform.h"

typedef struct dxi_trie_node dxi_trie_node_t;

typedef struct dxi_trie {
    dxi_trie_node_t **table; /* every node by its parent and token, open addressing */
    uint64_t mask;           /* places of `table` - 1 */
    uint64_t count;
    dxi_trie_node_t *root;
} dxi_trie_t;

/* Something with a pattern, in the trie. Zero: in none. */
typedef struct dxi_trie_entry {
    dxi_list_t place;
    dxi_trie_node_t *node;
} dxi_trie_entry_t;

/* Returns false to stop. */
typedef bool (*dxi_trie_visit_t)(void *context, dxi_trie_entry_t *entry);

/* Threads: the shard's, here and below.
 * Returns DX_OK, DX_ENOMEM. */
DX_NODISCARD int dxi_trie_init(dxi_trie_t *trie);
void dxi_trie_close(dxi_trie_t *trie);

/* Adds an entry under a pattern that dxi_pattern_check() accepts.
 * Returns DX_OK, DX_ENOMEM: then nothing changed. */
DX_NODISCARD int dxi_trie_add(dxi_trie_t *trie, const char *pattern, size_t bytes,
                              dxi_trie_entry_t *entry);
void dxi_trie_remove(dxi_trie_t *trie, dxi_trie_entry_t *entry);

/* Calls `visit` for each entry whose pattern matches the name, in no order. Returns false when it
 * was stopped. */
bool dxi_trie_match(const dxi_trie_t *trie, const char *name, size_t bytes, dxi_trie_visit_t visit,
                    void *context);

/* Asserts the invariants. */
void dxi_trie_check(const dxi_trie_t *trie);

#endif
