/* access/inboxes.h - whose inbox a topic is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_INBOXES_H
#define DXI_ACCESS_INBOXES_H

#include "access/access.h"

#define DXI_INBOX_BUCKETS 4096

typedef struct dxi_inbox dxi_inbox_t;
struct dxi_inbox {
    dxi_inbox_t *next;          /* of its bucket */
    dxi_inbox_t *newer, *older; /* of those that nobody has now */
    uint64_t taken;             /* how often; 0: left */
    int64_t left_ns;
    char topic[DXI_ACCESS_INBOX_BYTES_MAX + 1];
    char user[DXI_ACCESS_NAME_BYTES_MAX + 1];
};

/* Zero is empty. */
typedef struct dxi_inboxes {
    dxi_inbox_t **buckets;
    dxi_inbox_t *newest, *oldest; /* that were left */
    uint64_t count;
} dxi_inboxes_t;

/* As dxi_access_inbox_take() and _leave(). Threads: owner, all of these. */
DX_NODISCARD int dxi_inboxes_take(dxi_inboxes_t *inboxes, const char *user, const char *topic,
                                  int64_t now_ns, dx_error_t *error);
void dxi_inboxes_leave(dxi_inboxes_t *inboxes, const char *topic, int64_t now_ns);
void dxi_inboxes_close(dxi_inboxes_t *inboxes);

#endif
