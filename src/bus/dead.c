/* dead.c - events that a group gives up: to the dead-letter topic, with the cause.
 *
 * A letter is the event as a publication of its own: key, trace, correlation, headers and payload
 * as they were, and four headers more:
 *
 *     dx-cause      the name of the code of the last failure, as DX_ETIMEDOUT
 *     dx-topic      where it was published
 *     dx-sequence   under which sequence
 *     dx-attempts   how often it was delivered
 *
 * It asks for no reply, and has no producer. Where the headers would be too many or too long, the
 * last of the event's own are left out. What dies in a dead-letter topic ("$dead.") is not sent
 * round again: it is gone, and counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "bus/team.h"

#define RETRY_NS INT64_C(10000000)
#define OWN_HEADERS 4
#define DEAD_PREFIX "$dead."

/* A letter on its way to be a frame, and the texts it points to. */
typedef struct letter {
    dx_frame_view_t view; /* of the event */
    char topic[DX_TOPIC_BYTES_MAX + 1];
    char sequence[24];
    char attempts[16];
    dx_frame_part_t parts[4];
    dx_frame_pair_t pairs[DX_FRAME_HEADERS_MAX];
} letter_t;

static dx_frame_pair_t pair_of(const char *name, const char *value, size_t bytes)
{
    return (dx_frame_pair_t){.name = name,
                             .value = value,
                             .name_bytes = (uint16_t)strlen(name),
                             .value_bytes = (uint16_t)bytes};
}

/* The headers: as many of the event's own as there is room for, then ours. */
static uint16_t headers_fill(letter_t *letter, const dxi_pending_t *pending, const char *topic,
                             uint32_t topic_bytes)
{
    (void)snprintf(letter->sequence, sizeof letter->sequence, "%llu",
                   (unsigned long long)pending->frame->sequence);
    (void)snprintf(letter->attempts, sizeof letter->attempts, "%u", pending->attempt);
    const char *const cause = dx_error_name(pending->cause);
    const dx_frame_pair_t own[OWN_HEADERS] = {
        pair_of("dx-cause", cause, strlen(cause)),
        pair_of("dx-topic", topic, topic_bytes),
        pair_of("dx-sequence", letter->sequence, strlen(letter->sequence)),
        pair_of("dx-attempts", letter->attempts, strlen(letter->attempts)),
    };
    size_t room = DX_FRAME_HEADERS_BYTES_MAX;
    for (size_t i = 0; i < OWN_HEADERS; i++) {
        room -= 4 + (size_t)own[i].name_bytes + own[i].value_bytes;
    }
    uint16_t count = 0;
    dx_frame_pair_t pair;
    for (dx_frame_headers_t headers = dx_frame_headers(&letter->view);
         count < DX_FRAME_HEADERS_MAX - OWN_HEADERS && dx_frame_headers_next(&headers, &pair);) {
        const size_t bytes = 4 + (size_t)pair.name_bytes + pair.value_bytes;
        if (bytes > room) {
            break;
        }
        room -= bytes;
        letter->pairs[count++] = pair;
    }
    memcpy(&letter->pairs[count], own, sizeof own);
    return (uint16_t)(count + OWN_HEADERS);
}

static uint16_t parts_fill(letter_t *letter)
{
    static const int KEPT[] = {DX_PART_KEY, DX_PART_CORRELATION, DX_PART_TRACE};
    uint16_t count = 0;
    letter->parts[count++] = dx_frame_part_text(DX_PART_TOPIC, letter->topic);
    for (size_t i = 0; i < sizeof KEPT / sizeof KEPT[0]; i++) {
        uint32_t bytes = 0;
        const void *const value = dx_frame_part(&letter->view, KEPT[i], &bytes);
        if (value != NULL) {
            letter->parts[count++] = dx_frame_part_of(KEPT[i], value, bytes);
        }
    }
    return count;
}

/* Encodes and publishes. Returns DX_OK, DX_EAGAIN, or why it can't be published at all. */
static int letter_publish(dxi_shard_t *shard, letter_t *letter, const dxi_pending_t *pending,
                          const char *topic, uint32_t topic_bytes)
{
    const dx_frame_view_t *const view = &letter->view;
    uint32_t key_hash = pending->key_hash;
    if (!dx_frame_has(view, DX_PART_KEY)) {
        key_hash = dx_frame_key_hash(letter->topic, strlen(letter->topic));
    }
    const uint16_t part_count = parts_fill(letter);
    const uint16_t header_count = headers_fill(letter, pending, topic, topic_bytes);
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                    .key_hash = key_hash,
                                    .payload_bytes = view->payload_bytes,
                                    .parts = letter->parts,
                                    .part_count = part_count,
                                    .headers = letter->pairs,
                                    .header_count = header_count};
    const int64_t bytes = dx_frame_bytes(&draft, NULL);
    if (bytes < 0) {
        return (int)bytes;
    }
    void *const frame = dxi_alloc_zeroed(1, (size_t)bytes);
    if (frame == NULL) {
        return DX_EAGAIN;
    }
    const int64_t encoded = dx_frame_encode(frame, (size_t)bytes, &draft, view->payload, NULL);
    const int code = encoded < 0
                         ? (int)encoded
                         : shard->actions.publish(shard->actions.context, frame, (uint32_t)encoded);
    dxi_free(frame);
    return code;
}

/* Returns DX_OK: published, or it can't be; DX_EAGAIN: later. */
static int letter_send(dxi_shard_t *shard, const dxi_team_t *team, const dxi_pending_t *pending)
{
    letter_t letter;
    uint32_t topic_bytes = 0;
    int code = dx_frame_view(pending->frame, pending->bytes, &letter.view, NULL);
    const char *const topic =
        code == DX_OK ? dx_frame_part(&letter.view, DX_PART_TOPIC, &topic_bytes) : NULL;
    const size_t prefix_bytes = sizeof DEAD_PREFIX - 1;
    if (topic == NULL ||
        (topic_bytes > prefix_bytes && memcmp(topic, DEAD_PREFIX, prefix_bytes) == 0)) {
        shard->dead_lost++;
        return DX_OK;
    }
    const char *const chosen = team->flow->options.dead_letter;
    if (chosen != NULL) {
        (void)snprintf(letter.topic, sizeof letter.topic, "%s", chosen);
    } else if (prefix_bytes + topic_bytes <= DX_TOPIC_BYTES_MAX) {
        (void)snprintf(letter.topic, sizeof letter.topic, DEAD_PREFIX "%.*s", (int)topic_bytes,
                       topic);
    } else { /* the name is too long to be put behind the prefix */
        (void)snprintf(letter.topic, sizeof letter.topic, DEAD_PREFIX "long");
    }
    code = letter_publish(shard, &letter, pending, topic, topic_bytes);
    if (code != DX_OK && code != DX_EAGAIN) {
        shard->dead_lost++;
        code = DX_OK;
    }
    return code;
}

void dxi_pending_die(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending, int64_t clock_ns)
{
    pending->link->topic->dead++;
    team->flow->dead++;
    dxi_pending_bury(team, pending);
    if (letter_send(shard, team, pending) == DX_OK) {
        dxi_pending_drop(shard, team, pending);
    } else {
        dxi_team_due(shard, team, clock_ns + RETRY_NS);
    }
}

void dxi_dead_retry(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns)
{
    while (!dxi_list_empty(&team->dead)) {
        dxi_pending_t *const pending = DXI_LIST_OBJECT(team->dead.next, dxi_pending_t, in_order);
        if (letter_send(shard, team, pending) != DX_OK) {
            dxi_team_due(shard, team, clock_ns + RETRY_NS);
            return;
        }
        dxi_pending_drop(shard, team, pending);
    }
}
