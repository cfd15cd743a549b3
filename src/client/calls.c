/* calls.c - answers that somebody waits for: a table, a queue to the client's thread, deadlines.
 *
 * DESIGN
 *
 * Whoever waits for an answer takes a slot, whose number and use make its correlation. What has to
 * be sent for it is queued to the client's thread (CONTROL: a frame, SUBSCRIBE, UNSUBSCRIBE, FLUSH)
 * or stands in the window (RECEIPT, REQUEST). The answer finds the slot by its correlation; a slot
 * that was given back has another use, so a late answer finds nobody.
 *
 *     open -> [submit -> queued -> sent] -> finished (done = 1) -> closed
 *                           \-> again, when the connection breaks and a new one is open
 *
 * A thread that waits sleeps on `done`. Its answer, texts and data included, is stored under the
 * lock, and a thread that gives up does so under the lock: so nothing is stored behind its back.
 *
 * INVARIANTS
 *
 *   C1  a slot is free, or open and owned by one thread or by one asynchronous request
 *   C2  done = 1 is stored once per use, under the lock, and nothing of the answer changes after it
 *   C3  on_reply() of an asynchronous request is called exactly once, without the lock
 *   C4  the queue holds open calls only, and none that was given up
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/futex.h"
#include "client/internal.h"
#include "disruptorx/clock.h"

#define GENERATION_MASK 0x3fffffffu

static void lock(dx_client_t *client)
{
    (void)pthread_mutex_lock(&client->lock);
}

static void unlock(dx_client_t *client)
{
    (void)pthread_mutex_unlock(&client->lock);
}

/* ------------------------------------------------------------------------------------ the table */

/* One more chunk of slots. Under the lock. */
static int chunk_add(dx_client_t *client)
{
    if (client->chunk_count == DXI_CALL_CHUNKS) {
        return DX_ELIMIT;
    }
    dxi_call_t *const chunk = dxi_alloc_zeroed(DXI_CALLS_PER_CHUNK, sizeof *chunk);
    if (chunk == NULL) {
        return DX_ENOMEM;
    }
    const uint32_t first = client->chunk_count * DXI_CALLS_PER_CHUNK;
    for (uint32_t i = DXI_CALLS_PER_CHUNK; i-- > 0;) {
        chunk[i].index = first + i;
        chunk[i].next = client->free_calls;
        client->free_calls = &chunk[i];
    }
    client->chunks[client->chunk_count++] = chunk;
    return DX_OK;
}

int dxi_call_open(dx_client_t *client, dxi_call_kind_t kind, dxi_call_t **call_out,
                  dx_error_t *error)
{
    lock(client);
    const int code = client->free_calls == NULL ? chunk_add(client) : DX_OK;
    dxi_call_t *const call = code == DX_OK ? client->free_calls : NULL;
    if (call != NULL) {
        client->free_calls = call->next;
        const uint32_t index = call->index;
        const uint32_t generation = (call->generation + 1) & GENERATION_MASK;
        *call = (dxi_call_t){.index = index,
                             .generation = generation != 0 ? generation : 1,
                             .kind = kind,
                             .open = true,
                             .deadline_ns = INT64_MAX};
    }
    unlock(client);
    *call_out = call;
    if (call != NULL) {
        return DX_OK;
    }
    if (code == DX_ELIMIT) {
        (void)dxi_fail(error, code, "%d calls of the client wait for their answers, the most",
                       DX_REQUESTS_MAX);
        return DX_ELIMIT;
    }
    (void)dxi_fail(error, DX_ENOMEM, "no memory for a call of the client");
    return DX_ENOMEM;
}

/* Takes a call out of the queue. Under the lock. */
static void queue_remove(dx_client_t *client, dxi_call_t *call)
{
    dxi_call_t *before = NULL;
    for (dxi_call_t *at = client->queue_first; at != NULL; before = at, at = at->next) {
        if (at == call) {
            *(before != NULL ? &before->next : &client->queue_first) = call->next;
            if (client->queue_last == call) {
                client->queue_last = before;
            }
            call->queued = false;
            return;
        }
    }
}

static void flush_remove(dx_client_t *client, dxi_call_t *call)
{
    for (dxi_call_t **at = &client->flushes; *at != NULL; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            break;
        }
    }
    dx_store32_release(&client->flushing, client->flushes != NULL);
}

/* Gives a slot back. Under the lock. */
static void call_free(dx_client_t *client, dxi_call_t *call)
{
    assert(call->open); /* C1 */
    if (call->queued) {
        queue_remove(client, call); /* C4 */
    } else if (call->kind == DXI_CALL_FLUSH) {
        flush_remove(client, call);
    }
    dxi_free(call->frame);
    dxi_free(call->list);
    call->frame = call->list = NULL;
    call->open = false;
    call->next = client->free_calls;
    client->free_calls = call;
}

void dxi_call_close(dx_client_t *client, dxi_call_t *call)
{
    lock(client);
    call_free(client, call);
    unlock(client);
}

uint64_t dxi_call_correlation(const dxi_call_t *call)
{
    return (uint64_t)call->generation << 16 | call->index; /* below DXI_CORRELATION_NUMBER */
}

/* The open call of a correlation, or NULL. Under the lock. */
static dxi_call_t *call_find(const dx_client_t *client, uint64_t correlation)
{
    const uint32_t index = (uint32_t)(correlation & 0xffff);
    if (index / DXI_CALLS_PER_CHUNK >= client->chunk_count) {
        return NULL;
    }
    dxi_call_t *const call =
        &client->chunks[index / DXI_CALLS_PER_CHUNK][index % DXI_CALLS_PER_CHUNK];
    if (!call->open || dxi_call_correlation(call) != correlation ||
        dx_load32_relaxed(&call->done) != 0) {
        return NULL;
    }
    return call;
}

/* ----------------------------------------------------------------------------------- the waiter */

static void queue_add(dx_client_t *client, dxi_call_t *call)
{
    call->next = NULL;
    call->queued = true;
    *(client->queue_last != NULL ? &client->queue_last->next : &client->queue_first) = call;
    client->queue_last = call;
    dx_store32_release(&client->calls_waiting, 1);
}

void dxi_call_submit(dx_client_t *client, dxi_call_t *call)
{
    lock(client);
    queue_add(client, call);
    unlock(client);
    dxi_client_ring(client);
}

/* There was no answer: perhaps because there is no connection, or it broke meanwhile. */
static int late_fail(dx_client_t *client, int64_t begun_ns, dx_error_t *error)
{
    lock(client);
    const bool broke = client->last_error.message[0] != '\0' &&
                       (client->last_error_ns >= begun_ns ||
                        dx_load_relaxed(&client->counts.state) == DX_CLIENT_CONNECTING);
    const dx_error_t why = client->last_error;
    unlock(client);
    return broke ? dxi_fail(error, DX_ETIMEDOUT, "there was no answer in time; meanwhile: %s",
                            why.message)
                 : dxi_fail(error, DX_ETIMEDOUT, "there was no answer in time");
}

int dxi_call_wait(dx_client_t *client, dxi_call_t *call, int64_t deadline_ns, dx_error_t *error)
{
    const int64_t begun_ns = dx_clock_ns();
    dxi_loop_will_wait(client->loop);
    /* ACQUIRE, pairs with the release in finish(): the answer is whole. */
    while (dx_load32_acquire(&call->done) == 0) {
        const int64_t left_ns = deadline_ns == INT64_MAX ? INT64_MAX : deadline_ns - dx_clock_ns();
        if (left_ns <= 0) {
            break;
        }
        dxi_futex_wait(&call->done, 0, left_ns);
    }
    lock(client);
    const bool done = dx_load32_relaxed(&call->done) != 0;
    if (!done) {
        dx_store32_relaxed(&call->done, 1); /* nobody answers it any more (C2) */
        call->code = DX_ETIMEDOUT;
        if (call->queued) { /* nor begins it: what it is about may be gone soon */
            queue_remove(client, call);
        }
    }
    unlock(client);
    if (!done) {
        return late_fail(client, begun_ns, error);
    }
    if (call->code != DX_OK) {
        return dxi_fail(error, call->code, "%s",
                        call->sentence[0] != 0 ? call->sentence : dx_error_text(call->code));
    }
    return DX_OK;
}

int dxi_call_control(dx_client_t *client, dxi_call_t *call, uint8_t type, const char *topic,
                     const void *payload, size_t payload_bytes, int64_t deadline_ns,
                     dx_error_t *error)
{
    const uint64_t correlation = dxi_call_correlation(call);
    dx_frame_part_t parts[2];
    dx_frame_draft_t draft = {
        .type = type, .parts = parts, .payload_bytes = (uint32_t)payload_bytes};
    if (topic != NULL) {
        parts[draft.part_count++] = dx_frame_part_text(DX_PART_TOPIC, topic);
        draft.key_hash = dx_frame_key_hash(topic, strlen(topic));
    }
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8);
    const int64_t bytes = dx_frame_bytes(&draft, error);
    if (bytes < 0) {
        return (int)bytes;
    }
    call->frame = dxi_alloc_zeroed(1, (size_t)bytes);
    if (call->frame == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a frame of %lld bytes", (long long)bytes);
    }
    call->frame_bytes = (size_t)bytes;
    const int64_t encoded = dx_frame_encode(call->frame, (size_t)bytes, &draft, payload, error);
    if (encoded < 0) {
        return (int)encoded;
    }
    dxi_call_submit(client, call);
    return dxi_call_wait(client, call, deadline_ns, error);
}

/* -------------------------------------------------------------------------- the client's thread */

/* Stores the end of the answer and lets the waiter go on. Under the lock. */
static void finish(dxi_call_t *call, int code, const char *sentence, size_t bytes)
{
    call->code = code;
    if (sentence != NULL && code != DX_OK) {
        const size_t most = sizeof call->sentence - 1;
        const size_t stored = bytes < most ? bytes : most;
        memcpy(call->sentence, sentence, stored);
        call->sentence[stored] = 0;
    }
    dx_store32_release(&call->done, 1); /* (C2) pairs with the acquire in dxi_call_wait() */
}

/* The slots are never freed while the client lives, so waking one that was just given back wakes
 * nobody, or somebody who looks again. */
static void wake(dxi_call_t *call)
{
    dxi_futex_wake(&call->done);
}

void dxi_call_finish(dx_client_t *client, dxi_call_t *call, int code, const char *sentence,
                     size_t sentence_bytes)
{
    lock(client);
    const bool waits = call->open && dx_load32_relaxed(&call->done) == 0;
    if (waits) {
        finish(call, code, sentence, sentence_bytes);
    }
    unlock(client);
    if (waits) {
        wake(call);
    }
}

/* What an asynchronous request is told, and by whom. */
typedef struct told {
    dx_reply_fn on_reply;
    void *context;
} told_t;

/* Keeps one text of a list. Under the lock. */
static int list_add(dxi_call_t *call, const char *text, size_t bytes)
{
    const size_t needed = call->list_bytes + bytes + 1;
    if (needed > DXI_CLIENT_LIST_BYTES_MAX) {
        return DX_ELIMIT;
    }
    if (needed > call->list_room) {
        const size_t room = needed * 2 > 4096 ? needed * 2 : 4096;
        char *const larger = dxi_alloc_zeroed(1, room);
        if (larger == NULL) {
            return DX_ENOMEM;
        }
        if (call->list_bytes != 0) {
            memcpy(larger, call->list, call->list_bytes);
        }
        dxi_free(call->list);
        call->list = larger;
        call->list_room = room;
    }
    memcpy(call->list + call->list_bytes, text, bytes);
    call->list[call->list_bytes + bytes] = 0;
    call->list_bytes = needed;
    return DX_OK;
}

/* Stores what a frame answers. Returns false when more frames follow. Under the lock. */
static bool answer_store(dxi_call_t *call, int *code, const dx_frame_view_t *frame)
{
    if (frame == NULL || *code != DX_OK) {
        return true;
    }
    if (frame->header->type == DX_FRAME_TOPIC_INFO && call->data_out == NULL) {
        if (frame->payload_bytes != 0) {
            *code = list_add(call, frame->payload, frame->payload_bytes);
        }
        return *code != DX_OK || (frame->header->flags & DX_FRAME_MORE) == 0;
    }
    call->bytes = frame->payload_bytes;
    if (call->data_out != NULL) {
        const size_t stored = call->bytes < call->room ? call->bytes : call->room;
        if (stored != 0) {
            memcpy(call->data_out, frame->payload, stored);
        }
    }
    return true;
}

void dxi_call_answer(dx_client_t *client, uint64_t correlation, int code,
                     const dx_frame_view_t *frame, const dx_event_t *event)
{
    lock(client);
    dxi_call_t *const call = call_find(client, correlation);
    if (call == NULL || !answer_store(call, &code, frame)) {
        unlock(client);
        return;
    }
    if (call->again && code == DX_ENOTFOUND && call->frame != NULL &&
        ((const dx_frame_header_t *)call->frame)->type == DX_FRAME_TOPIC_DELETE) {
        code = DX_OK; /* the first of the two did it, and its answer was lost */
    }
    if (call->on_reply != NULL) {
        const told_t told = {.on_reply = call->on_reply, .context = call->context};
        call_free(client, call);
        unlock(client);
        told.on_reply(told.context, code, code == DX_OK ? event : NULL); /* C3 */
        return;
    }
    if (frame != NULL) {
        finish(call, code, frame->payload, frame->payload_bytes);
    } else {
        finish(call, code, NULL, 0);
    }
    unlock(client);
    wake(call);
}

void dxi_call_receipt(void *context, const dx_receipt_t *receipt)
{
    (void)context;
    (void)receipt;
    assert(0 && "a sign in a record, which send.c knows; never called");
}

void dxi_call_receipt_take(dx_client_t *client, uint64_t correlation, const dx_receipt_t *receipt,
                           const char *sentence, size_t sentence_bytes)
{
    lock(client);
    dxi_call_t *const call = call_find(client, correlation);
    if (call != NULL) {
        call->receipt = *receipt;
        finish(call, receipt->code, sentence, sentence_bytes);
    }
    unlock(client);
    if (call != NULL) {
        wake(call);
    }
}

/* Takes the first call of the queue that can be dealt with now. A CONTROL is sent under the lock,
 * because who gives up frees its frame; the others stay open until the client's thread has let go
 * of their subscriptions. `*go_on_out`: false when there is nothing more to be done now. */
static dxi_call_t *queue_take(dx_client_t *client, bool *go_on_out)
{
    *go_on_out = false;
    dxi_call_t *const call = client->queue_first;
    if (call == NULL) {
        dx_store32_relaxed(&client->calls_waiting, 0);
        return NULL;
    }
    if (call->kind == DXI_CALL_CONTROL) {
        if (!client->open ||
            dxi_connection_send(client->connection, call->frame, call->frame_bytes) != DX_OK) {
            return NULL;
        }
        client->ring_bytes += call->frame_bytes;
        call->sent = true;
    }
    queue_remove(client, call);
    if (call->kind == DXI_CALL_FLUSH) {
        call->next = client->flushes;
        client->flushes = call;
        dx_store32_release(&client->flushing, 1); /* pairs with dxi_calls_flushed() */
    }
    *go_on_out = true;
    return call->kind == DXI_CALL_SUBSCRIBE || call->kind == DXI_CALL_UNSUBSCRIBE ? call : NULL;
}

int dxi_calls_pump(dx_client_t *client)
{
    if (dx_load32_acquire(&client->calls_waiting) == 0) {
        return 0;
    }
    for (int done = 0;; done++) {
        bool go_on = false;
        lock(client);
        dxi_call_t *const call = queue_take(client, &go_on);
        unlock(client);
        if (!go_on) {
            return done;
        }
        if (call != NULL && call->kind == DXI_CALL_UNSUBSCRIBE) {
            dxi_subscription_leave(call->subscription, call);
        } else if (call != NULL) {
            const int code = dxi_subscription_add(call->subscription, call);
            if (code != DX_OK) {
                dxi_call_finish(client, call, code, NULL, 0);
            }
        }
    }
}

void dxi_calls_again(dx_client_t *client)
{
    lock(client);
    for (uint32_t i = 0; i < client->chunk_count * DXI_CALLS_PER_CHUNK; i++) {
        dxi_call_t *const call = &client->chunks[i / DXI_CALLS_PER_CHUNK][i % DXI_CALLS_PER_CHUNK];
        if (call->open && call->kind == DXI_CALL_CONTROL && call->sent &&
            dx_load32_relaxed(&call->done) == 0) {
            call->sent = false;
            call->again = true;
            call->list_bytes = 0;
            queue_add(client, call);
        }
    }
    unlock(client);
}

int dxi_calls_flushed(dx_client_t *client)
{
    if (dx_load32_acquire(&client->flushing) == 0) {
        return 0;
    }
    int done = 0;
    lock(client);
    const int64_t released = dx_load_relaxed(&client->window.released);
    const uint64_t pending = client->open ? dxi_connection_pending(client->connection) : 0;
    dxi_call_t *next = NULL;
    for (dxi_call_t *call = client->flushes; call != NULL; call = next) {
        next = call->next;
        if (!call->written && released >= call->position) {
            call->written = true;
            call->sent_bytes = client->ring_bytes;
        }
        /* A connection that broke since then has written or lost it. */
        if (call->written && (client->ring_bytes < call->sent_bytes ||
                              client->ring_bytes - pending >= call->sent_bytes || !client->open)) {
            flush_remove(client, call);
            if (dx_load32_relaxed(&call->done) == 0) {
                finish(call, DX_OK, NULL, 0);
                wake(call);
            }
            done++;
        }
    }
    unlock(client);
    return done;
}

/* The next call that has to be told `code`: waiters are woken here, an asynchronous request is
 * returned. `i` is where to go on. */
static told_t fail_next(dx_client_t *client, uint32_t *i, int64_t due_ns, int code,
                        const char *sentence, int64_t *next_ns)
{
    told_t told = {.on_reply = NULL};
    lock(client);
    while (*i < client->chunk_count * DXI_CALLS_PER_CHUNK && told.on_reply == NULL) {
        dxi_call_t *const call =
            &client->chunks[*i / DXI_CALLS_PER_CHUNK][*i % DXI_CALLS_PER_CHUNK];
        ++*i;
        if (!call->open || dx_load32_relaxed(&call->done) != 0) {
            continue;
        }
        if (call->deadline_ns > due_ns) {
            *next_ns = call->deadline_ns < *next_ns ? call->deadline_ns : *next_ns;
        } else if (call->on_reply != NULL) {
            told = (told_t){.on_reply = call->on_reply, .context = call->context};
            call_free(client, call);
        } else {
            if (call->queued) {
                queue_remove(client, call);
            } else if (call->kind == DXI_CALL_FLUSH) {
                flush_remove(client, call);
            }
            finish(call, code, sentence, strlen(sentence));
            wake(call);
        }
    }
    unlock(client);
    return told;
}

void dxi_calls_fail(dx_client_t *client, int code, const char *sentence)
{
    int64_t next_ns = INT64_MAX;
    uint32_t i = 0;
    told_t told;
    do {
        told = fail_next(client, &i, INT64_MAX, code, sentence, &next_ns);
        if (told.on_reply != NULL) {
            told.on_reply(told.context, code, NULL); /* C3 */
        }
    } while (told.on_reply != NULL);
}

void dxi_call_expect(dx_client_t *client, dxi_call_t *call, dx_reply_fn on_reply, void *context,
                     int64_t deadline_ns)
{
    lock(client);
    call->on_reply = on_reply;
    call->context = context;
    call->deadline_ns = deadline_ns;
    const bool earliest = deadline_ns < dx_load_relaxed(&client->next_deadline_ns);
    if (earliest) {
        dx_store_relaxed(&client->next_deadline_ns, deadline_ns);
    }
    unlock(client);
    if (earliest) {
        dxi_client_ring(client); /* the publication alone may not wake who keeps the time */
    }
}

bool dxi_call_withdraw(dx_client_t *client, uint64_t correlation)
{
    lock(client);
    dxi_call_t *const there = call_find(client, correlation);
    if (there != NULL) {
        call_free(client, there);
    }
    unlock(client);
    return there != NULL;
}

int64_t dxi_calls_expire(dx_client_t *client, int64_t now_ns)
{
    lock(client);
    const int64_t due_ns = dx_load_relaxed(&client->next_deadline_ns);
    if (due_ns <= now_ns) {
        dx_store_relaxed(&client->next_deadline_ns, INT64_MAX);
    }
    unlock(client);
    if (due_ns > now_ns) {
        return due_ns;
    }
    int64_t next_ns = INT64_MAX;
    uint32_t i = 0;
    told_t told;
    do {
        told = fail_next(client, &i, now_ns, DX_ETIMEDOUT, "there was no answer in time", &next_ns);
        if (told.on_reply != NULL) {
            told.on_reply(told.context, DX_ETIMEDOUT, NULL); /* C3 */
        }
    } while (told.on_reply != NULL);
    lock(client);
    if (next_ns < dx_load_relaxed(&client->next_deadline_ns)) {
        dx_store_relaxed(&client->next_deadline_ns, next_ns);
    }
    next_ns = dx_load_relaxed(&client->next_deadline_ns);
    unlock(client);
    return next_ns;
}
