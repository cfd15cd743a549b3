/* inboxes.c - whose inbox a topic is.
 *
 * DESIGN
 *
 * Who sends requests listens on an inbox, a topic with 64 random bits in its name. Who answers
 * learns that name. So it must not be enough to know it: the user who subscribed to it first has
 * it, and still has it for a while after the last of its subscriptions has ended, because a client
 * that has lost its connection comes back with the same name.
 *
 * A table by name; those that were left stand in a list, by the time when they were. What is older
 * than DXI_ACCESS_INBOX_KEPT_S is forgotten whenever one is taken, and where there are too many,
 * the oldest that the same user has left goes first, so that nobody makes another's go by taking
 * many; a user that has left none gets the place of the oldest of all.
 *
 * INVARIANTS
 *
 *   I1  an inbox is of one user at a time
 *   I2  one that is taken is never forgotten
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/inboxes.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"

#define KEPT_NS (DXI_ACCESS_INBOX_KEPT_S * INT64_C(1000000000))

static dxi_inbox_t **bucket_of(const dxi_inboxes_t *inboxes, const char *topic)
{
    uint32_t hash = 2166136261;
    for (; *topic != '\0'; topic++) {
        hash = (hash ^ (unsigned char)*topic) * 16777619;
    }
    return &inboxes->buckets[hash % DXI_INBOX_BUCKETS];
}

static dxi_inbox_t *find(const dxi_inboxes_t *inboxes, const char *topic)
{
    dxi_inbox_t *it = inboxes->buckets == NULL ? NULL : *bucket_of(inboxes, topic);
    while (it != NULL && strcmp(it->topic, topic) != 0) {
        it = it->next;
    }
    return it;
}

/* Out of the list of those that were left. */
static void unlist(dxi_inboxes_t *inboxes, dxi_inbox_t *it)
{
    *(it->newer != NULL ? &it->newer->older : &inboxes->newest) = it->older;
    *(it->older != NULL ? &it->older->newer : &inboxes->oldest) = it->newer;
    it->newer = it->older = NULL;
}

static void forget(dxi_inboxes_t *inboxes, dxi_inbox_t *it)
{
    assert(it->taken == 0); /* I2 */
    dxi_inbox_t **at = bucket_of(inboxes, it->topic);
    while (*at != it) {
        at = &(*at)->next;
    }
    *at = it->next;
    unlist(inboxes, it);
    inboxes->count--;
    dxi_free(it);
}

/* The oldest that the user has left, or else the oldest of all; there is one. */
static dxi_inbox_t *left_to_forget(const dxi_inboxes_t *inboxes, const char *user)
{
    dxi_inbox_t *it = inboxes->oldest;
    while (it != NULL && strcmp(it->user, user) != 0) {
        it = it->newer;
    }
    return it != NULL ? it : inboxes->oldest;
}

static int make(dxi_inboxes_t *inboxes, const char *user, const char *topic, dx_error_t *error)
{
    if (inboxes->count >= DXI_ACCESS_INBOXES_MAX && inboxes->oldest != NULL) {
        forget(inboxes, left_to_forget(inboxes, user));
    }
    if (inboxes->count >= DXI_ACCESS_INBOXES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "%d inboxes are in use, which is the limit",
                        DXI_ACCESS_INBOXES_MAX);
    }
    if (inboxes->buckets == NULL) {
        inboxes->buckets = dxi_alloc_zeroed(DXI_INBOX_BUCKETS, sizeof(dxi_inbox_t *));
    }
    dxi_inbox_t *const it = inboxes->buckets == NULL ? NULL : dxi_alloc_zeroed(1, sizeof *it);
    if (it == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for an inbox");
    }
    (void)snprintf(it->topic, sizeof it->topic, "%s", topic);
    (void)snprintf(it->user, sizeof it->user, "%s", user);
    it->taken = 1;
    dxi_inbox_t **const bucket = bucket_of(inboxes, topic);
    it->next = *bucket;
    *bucket = it;
    inboxes->count++;
    return DX_OK;
}

int dxi_inboxes_take(dxi_inboxes_t *inboxes, const char *user, const char *topic, int64_t now_ns,
                     dx_error_t *error)
{
    while (inboxes->oldest != NULL && now_ns - inboxes->oldest->left_ns > KEPT_NS) {
        forget(inboxes, inboxes->oldest);
    }
    if (strlen(topic) > DXI_ACCESS_INBOX_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "the inbox has %zu bytes, must have at most %d",
                        strlen(topic), DXI_ACCESS_INBOX_BYTES_MAX);
    }
    dxi_inbox_t *const found = find(inboxes, topic);
    if (found == NULL) {
        return make(inboxes, user, topic, error);
    }
    if (strcmp(found->user, user) != 0) { /* I1; whose it is, is nobody's business */
        return dxi_fail(error, DX_EPERM,
                        "user %s may not subscribe to \"%s\": it is another's inbox", user, topic);
    }
    if (found->taken++ == 0) {
        unlist(inboxes, found);
    }
    return DX_OK;
}

void dxi_inboxes_leave(dxi_inboxes_t *inboxes, const char *topic, int64_t now_ns)
{
    dxi_inbox_t *const it = find(inboxes, topic);
    if (it == NULL || it->taken == 0) {
        return;
    }
    it->taken--;
    if (it->taken > 0) {
        return;
    }
    it->left_ns = now_ns;
    it->older = inboxes->newest;
    *(it->older != NULL ? &it->older->newer : &inboxes->oldest) = it;
    inboxes->newest = it;
}

void dxi_inboxes_close(dxi_inboxes_t *inboxes)
{
    for (uint32_t i = 0; inboxes->buckets != NULL && i < DXI_INBOX_BUCKETS; i++) {
        while (inboxes->buckets[i] != NULL) {
            dxi_inbox_t *const it = inboxes->buckets[i];
            inboxes->buckets[i] = it->next;
            dxi_free(it);
        }
    }
    dxi_free(inboxes->buckets);
    *inboxes = (dxi_inboxes_t){.count = 0};
}
