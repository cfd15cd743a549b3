/* trie.c - patterns as a tree of tokens.
 *
 * DESIGN
 *
 * A node stands for the tokens from the root to it; entries hang at the node of their last token.
 * All nodes lie in one hash table by (parent, token), so a node with 50,000 children costs no more
 * than one with two, and there is no array of children to grow. A name is matched by going down
 * with its tokens: at each node to the child of that token, to the child `*`, and to the child `>`,
 * whose entries match whatever follows. A node is reached at most once, so a match never takes more
 * steps than there are nodes. What it finds is kept with the topic as links (bus/link.c), so names
 * are matched when a topic is made, not when an event comes.
 *
 * INVARIANTS
 *
 *   I1  a node but the root has entries or children
 *   I2  every node is found in the table from its parent and token; at most half of it is used
 *   I3  `children` is how many nodes have this one as parent
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "bus/trie.h"

#include <string.h>

#include "base/alloc.h"
#include "disruptorx/error.h"

#define TABLE_NODES_MIN 64

struct dxi_trie_node {
    dxi_trie_node_t *parent;
    uint64_t hash; /* of parent and token */
    dxi_list_t entries;
    uint32_t children;
    uint32_t token_bytes;
    char token[];
};

static uint64_t node_hash(const dxi_trie_node_t *parent, const char *token, size_t bytes)
{
    return XXH3_64bits_withSeed(token, bytes, parent->hash);
}

static dxi_trie_node_t *node_create(dxi_trie_node_t *parent, const char *token, size_t bytes)
{
    dxi_trie_node_t *const node = dxi_alloc_zeroed(1, sizeof *node + bytes);
    if (node != NULL) {
        node->parent = parent;
        node->hash = parent != NULL ? node_hash(parent, token, bytes) : 1;
        node->token_bytes = (uint32_t)bytes;
        memcpy(node->token, token, bytes);
        dxi_list_init(&node->entries);
    }
    return node;
}

int dxi_trie_init(dxi_trie_t *trie)
{
    *trie = (dxi_trie_t){.mask = TABLE_NODES_MIN - 1};
    trie->table = dxi_alloc_zeroed(TABLE_NODES_MIN, sizeof(dxi_trie_node_t *));
    trie->root = node_create(NULL, "", 0);
    if (trie->table == NULL || trie->root == NULL) {
        dxi_trie_close(trie);
        return DX_ENOMEM;
    }
    return DX_OK;
}

void dxi_trie_close(dxi_trie_t *trie)
{
    for (uint64_t i = 0; trie->table != NULL && i <= trie->mask; i++) {
        dxi_free(trie->table[i]);
    }
    dxi_free(trie->table);
    dxi_free(trie->root);
    *trie = (dxi_trie_t){0};
}

/* The child of a token, or NULL. */
static dxi_trie_node_t *child_find(const dxi_trie_t *trie, const dxi_trie_node_t *parent,
                                   const char *token, size_t bytes)
{
    if (parent->children == 0) {
        return NULL;
    }
    const uint64_t hash = node_hash(parent, token, bytes);
    for (uint64_t i = hash & trie->mask;; i = (i + 1) & trie->mask) {
        dxi_trie_node_t *const node = trie->table[i];
        if (node == NULL ||
            (node->hash == hash && node->parent == parent && node->token_bytes == bytes &&
             memcmp(node->token, token, bytes) == 0)) {
            return node;
        }
    }
}

static void table_put(dxi_trie_node_t **table, uint64_t mask, dxi_trie_node_t *node)
{
    uint64_t i = node->hash & mask;
    while (table[i] != NULL) {
        i = (i + 1) & mask;
    }
    table[i] = node;
}

/* Keeps half of the table free (I2). */
static int table_reserve(dxi_trie_t *trie)
{
    if ((trie->count + 1) * 2 <= trie->mask + 1) {
        return DX_OK;
    }
    const uint64_t places = (trie->mask + 1) * 2;
    dxi_trie_node_t **const larger = dxi_alloc_zeroed(places, sizeof(dxi_trie_node_t *));
    if (larger == NULL) {
        return DX_ENOMEM;
    }
    for (uint64_t i = 0; i <= trie->mask; i++) {
        if (trie->table[i] != NULL) {
            table_put(larger, places - 1, trie->table[i]);
        }
    }
    dxi_free(trie->table);
    trie->table = larger;
    trie->mask = places - 1;
    return DX_OK;
}

/* Takes a node out of the table: those behind it move up, so that no hole cuts a search. */
static void table_take(dxi_trie_t *trie, const dxi_trie_node_t *node)
{
    uint64_t hole = node->hash & trie->mask;
    while (trie->table[hole] != node) {
        hole = (hole + 1) & trie->mask;
    }
    for (uint64_t i = (hole + 1) & trie->mask; trie->table[i] != NULL; i = (i + 1) & trie->mask) {
        const uint64_t home = trie->table[i]->hash & trie->mask;
        if (((i - home) & trie->mask) >= ((i - hole) & trie->mask)) {
            trie->table[hole] = trie->table[i];
            hole = i;
        }
    }
    trie->table[hole] = NULL;
    trie->count--;
}

/* Frees a node and those above it that stand for nothing any more (I1). */
static void nodes_prune(dxi_trie_t *trie, dxi_trie_node_t *node)
{
    while (node != trie->root && node->children == 0 && dxi_list_empty(&node->entries)) {
        dxi_trie_node_t *const parent = node->parent;
        table_take(trie, node);
        dxi_free(node);
        parent->children--;
        node = parent;
    }
}

static dxi_trie_node_t *child_make(dxi_trie_t *trie, dxi_trie_node_t *parent, const char *token,
                                   size_t bytes)
{
    dxi_trie_node_t *node = child_find(trie, parent, token, bytes);
    if (node != NULL || table_reserve(trie) != DX_OK) {
        return node;
    }
    node = node_create(parent, token, bytes);
    if (node != NULL) {
        table_put(trie->table, trie->mask, node);
        trie->count++;
        parent->children++;
    }
    return node;
}

/* The bytes of the first token of `text`. */
DX_INLINE size_t token_bytes(const char *text, const char *end)
{
    const char *const dot = memchr(text, '.', (size_t)(end - text));
    return (size_t)((dot != NULL ? dot : end) - text);
}

int dxi_trie_add(dxi_trie_t *trie, const char *pattern, size_t bytes, dxi_trie_entry_t *entry)
{
    const char *const end = pattern + bytes;
    dxi_trie_node_t *node = trie->root;
    for (const char *token = pattern; token <= end;) {
        const size_t each = token_bytes(token, end);
        dxi_trie_node_t *const child = child_make(trie, node, token, each);
        if (child == NULL) {
            nodes_prune(trie, node);
            return DX_ENOMEM;
        }
        node = child;
        token += each + 1;
    }
    dxi_list_append(&node->entries, &entry->place);
    entry->node = node;
    return DX_OK;
}

void dxi_trie_remove(dxi_trie_t *trie, dxi_trie_entry_t *entry)
{
    if (entry->node != NULL) {
        dxi_list_remove(&entry->place);
        nodes_prune(trie, entry->node);
        entry->node = NULL;
    }
}

static bool entries_visit(const dxi_trie_node_t *node, dxi_trie_visit_t visit, void *context)
{
    for (dxi_list_t *at = node->entries.next; at != &node->entries;) {
        dxi_list_t *const next = at->next;
        if (!visit(context, DXI_LIST_OBJECT(at, dxi_trie_entry_t, place))) {
            return false;
        }
        at = next;
    }
    return true;
}

/* Below `node`, with the tokens from `token` on. At most DX_TOPIC_TOKENS_MAX deep. */
static bool match_below(const dxi_trie_t *trie, const dxi_trie_node_t *node, const char *token,
                        const char *end, dxi_trie_visit_t visit, void *context)
{
    const size_t bytes = token_bytes(token, end);
    const bool own = node == trie->root && bytes != 0 && token[0] == '$';
    const dxi_trie_node_t *const rest = own ? NULL : child_find(trie, node, ">", 1);
    if (rest != NULL && !entries_visit(rest, visit, context)) {
        return false;
    }
    const dxi_trie_node_t *const children[2] = {child_find(trie, node, token, bytes),
                                                own ? NULL : child_find(trie, node, "*", 1)};
    for (int i = 0; i < 2; i++) {
        if (children[i] == NULL) {
            continue;
        }
        const bool goes_on =
            token + bytes == end
                ? entries_visit(children[i], visit, context)
                : match_below(trie, children[i], token + bytes + 1, end, visit, context);
        if (!goes_on) {
            return false;
        }
    }
    return true;
}

bool dxi_trie_match(const dxi_trie_t *trie, const char *name, size_t bytes, dxi_trie_visit_t visit,
                    void *context)
{
    return match_below(trie, trie->root, name, name + bytes, visit, context);
}

void dxi_trie_check(const dxi_trie_t *trie)
{
    uint64_t count = 0;
    uint64_t children = trie->root->children;
    for (uint64_t i = 0; i <= trie->mask; i++) {
        const dxi_trie_node_t *const node = trie->table[i];
        if (node == NULL) {
            continue;
        }
        count++;
        children += node->children;
        assert(node->children != 0 || !dxi_list_empty(&node->entries));                 /* I1 */
        assert(child_find(trie, node->parent, node->token, node->token_bytes) == node); /* I2 */
    }
    assert(count == trie->count && count == children); /* I3 */
    assert(count * 2 <= trie->mask + 1);
    (void)children;
}
