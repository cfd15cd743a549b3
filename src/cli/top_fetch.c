/* top_fetch.c - looks at a node in a thread of their own.
 *
 * The thread asks one question after the other and puts the whole look where the main thread takes
 * it; one that nobody has taken is replaced by the next. All that both use is under `mutex`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/top_fetch.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "cli/ask.h"
#include "cli/interrupt.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"

struct dxi_top_fetch {
    dx_client_t *client;
    dx_thread_t *thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex: */
    bool ends;
    bool again;
    bool is_new; /* `fetched` was not taken yet */
    int code;
    int64_t interval_ns;
    dxi_top_fetched_t fetched;
    char broken[200]; /* why there is no connection; "": there is one */
};

/* Moves the arrays of an answer into the look. A question that an older node does not know leaves
 * them out. */
static bool answer_move(json_t *look, dx_client_t *client, const char *question, dx_error_t *error)
{
    json_t *const answer = dxi_ask(client, question, "", error);
    if (answer == NULL) {
        return error->code == DX_ENOTFOUND;
    }
    const bool moved = json_object_update(look, answer) == 0;
    json_decref(answer);
    return moved || dxi_fail(error, DX_ENOMEM, "no memory for a look") == DX_OK;
}

json_t *dxi_top_look(dx_client_t *client, dx_error_t *error)
{
    static const char *const questions[] = {"subscriptions", "connections", "rings"};
    json_t *const look = json_object();
    json_t *const node = dxi_ask(client, "node", "", error);
    bool whole = node != NULL && json_object_set_new(look, "node", node) == 0;
    if (whole) {
        json_t *const topics = dxi_ask_topics(client, error);
        whole = topics != NULL && json_object_set_new(look, "topics", topics) == 0;
    }
    for (size_t i = 0; i < sizeof questions / sizeof questions[0] && whole; i++) {
        whole = answer_move(look, client, questions[i], error);
    }
    if (!whole) {
        json_decref(look);
        return NULL;
    }
    return look;
}

int dxi_top_fetch_create(dxi_top_fetch_t **fetch_out, dx_error_t *error)
{
    dxi_top_fetch_t *const fetch = dxi_alloc_zeroed(1, sizeof *fetch);
    pthread_condattr_t attributes;
    *fetch_out = fetch;
    if (fetch == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for looks");
    }
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&fetch->mutex, NULL);
    (void)pthread_cond_init(&fetch->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return DX_OK;
}

void dxi_top_fetch_on_state(void *context, dx_client_state_t state, int code, const char *sentence)
{
    dxi_top_fetch_t *const fetch = context;
    (void)pthread_mutex_lock(&fetch->mutex);
    if (state == DX_CLIENT_CONNECTED) {
        fetch->broken[0] = '\0';
        fetch->again = true;
        (void)pthread_cond_signal(&fetch->changed);
    } else if (code != DX_OK && sentence != NULL) {
        snprintf(fetch->broken, sizeof fetch->broken, "%s", sentence);
    }
    (void)pthread_mutex_unlock(&fetch->mutex);
}

/* ----------------------------------------------------------------------------------- the thread */

static void look_put(dxi_top_fetch_t *fetch, json_t *look, const dx_error_t *error)
{
    const time_t seconds = time(NULL);
    struct tm parts;
    (void)pthread_mutex_lock(&fetch->mutex);
    json_decref(fetch->fetched.look);
    fetch->fetched.look = look;
    fetch->fetched.taken_ns = dx_clock_ns();
    fetch->code = look != NULL ? 1 : error->code;
    if (localtime_r(&seconds, &parts) == NULL ||
        strftime(fetch->fetched.clock, sizeof fetch->fetched.clock, "%H:%M:%S", &parts) == 0) {
        fetch->fetched.clock[0] = '\0';
    }
    snprintf(fetch->fetched.trouble, sizeof fetch->fetched.trouble, "%s",
             look != NULL               ? ""
             : fetch->broken[0] != '\0' ? fetch->broken
                                        : error->message);
    fetch->is_new = true;
    (void)pthread_mutex_unlock(&fetch->mutex);
    dxi_interrupt_wake();
}

/* Until the next look is due. False when it ends. */
static bool pause_make(dxi_top_fetch_t *fetch, int64_t begun_ns)
{
    (void)pthread_mutex_lock(&fetch->mutex);
    while (!fetch->ends && !fetch->again) {
        const int64_t due_ns = begun_ns + fetch->interval_ns;
        const struct timespec due = {.tv_sec = (time_t)(due_ns / DX_NS_PER_S),
                                     .tv_nsec = (long)(due_ns % DX_NS_PER_S)};
        if (pthread_cond_timedwait(&fetch->changed, &fetch->mutex, &due) != 0) {
            break; /* it is due */
        }
    }
    const bool goes_on = !fetch->ends;
    fetch->again = false;
    (void)pthread_mutex_unlock(&fetch->mutex);
    return goes_on;
}

static void looks_run(void *context)
{
    dxi_top_fetch_t *const fetch = context;
    int64_t begun_ns = 0;
    do {
        dx_error_t error = {0};
        begun_ns = dx_clock_ns();
        json_t *const look = dxi_top_look(fetch->client, &error);
        look_put(fetch, look, &error);
    } while (pause_make(fetch, begun_ns));
}

/* ------------------------------------------------------------------------------ the main thread */

int dxi_top_fetch_start(dxi_top_fetch_t *fetch, dx_client_t *client, int64_t interval_ns,
                        dx_error_t *error)
{
    fetch->client = client;
    fetch->interval_ns = interval_ns;
    return dx_thread_start(&(dx_thread_options_t){.name = "dx.top"}, looks_run, fetch,
                           &fetch->thread, error);
}

void dxi_top_fetch_again(dxi_top_fetch_t *fetch, int64_t interval_ns)
{
    (void)pthread_mutex_lock(&fetch->mutex);
    fetch->interval_ns = interval_ns;
    fetch->again = true;
    (void)pthread_cond_signal(&fetch->changed);
    (void)pthread_mutex_unlock(&fetch->mutex);
}

int dxi_top_fetch_take(dxi_top_fetch_t *fetch, dxi_top_fetched_t *fetched_out)
{
    (void)pthread_mutex_lock(&fetch->mutex);
    const int code = fetch->is_new ? fetch->code : 0;
    if (fetch->is_new) {
        *fetched_out = fetch->fetched;
        fetch->fetched.look = NULL;
        fetch->is_new = false;
    }
    (void)pthread_mutex_unlock(&fetch->mutex);
    return code;
}

void dxi_top_fetch_stop(dxi_top_fetch_t *fetch)
{
    (void)pthread_mutex_lock(&fetch->mutex);
    fetch->ends = true;
    (void)pthread_cond_signal(&fetch->changed);
    (void)pthread_mutex_unlock(&fetch->mutex);
    (void)dx_thread_join(fetch->thread);
    fetch->thread = NULL;
}

void dxi_top_fetch_destroy(dxi_top_fetch_t *fetch)
{
    if (fetch != NULL) {
        json_decref(fetch->fetched.look);
        (void)pthread_cond_destroy(&fetch->changed);
        (void)pthread_mutex_destroy(&fetch->mutex);
        dxi_free(fetch);
    }
}
