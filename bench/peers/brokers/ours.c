/* ours.c - DisruptorX: `dx server` through include/disruptorx/client.h, as a program uses it.
 *
 * Variants, words with commas between them: "batch" publishes OURS_BATCH messages a call; "spin"
 * lets the client's thread spin. The other end (UNIX socket, busy_poll of the node) is the business
 * of whoever starts the server. Subscribers ask for delivery without loss (DX_SLOW_BLOCK). In the
 * latency mode both links are one client, with one connection and one thread; in the polled one the
 * driver takes the turns of that thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <time.h>

#include "broker.h"
#include "disruptorx/client.h"

#define OURS_BATCH 64

struct broker_link {
    broker_sink_t *sink;
    dx_client_t *client;
    dx_client_subscription_t *subscription;
    bool shared; /* the client is that of the other link */
    int batch;   /* messages a call */
    int waiting; /* of a batch */
    dx_message_t messages[OURS_BATCH];
    unsigned char *data; /* of the batch */
};

const char *const broker_peer_name = "disruptorx";

/* The one client of the latency mode; the subscriber's link is opened and closed in its own thread,
 * so both may be first. */
static struct {
    dx_client_t *client;
    dx_atomic32_t users;
    dx_atomic32_t opened;
} shared_client;

static int on_events(void *context, const dx_event_t *events, int count)
{
    broker_sink_t *const sink = context;
    for (int i = 0; i < count; i++) {
        broker_sink_take(sink, events[i].data, events[i].bytes);
    }
    broker_sink_commit(sink);
    return count;
}

static void on_end(void *context, int code, const char *sentence)
{
    (void)context;
    if (code != DX_OK && code != DX_ECLOSED) {
        broker_fail("the subscription ended with %d: %s", code, sentence);
    }
}

static dx_client_t *client_connect(const broker_options_t *options)
{
    dx_client_t *client = NULL;
    dx_error_t error;
    const dx_client_options_t wanted = {.address = options->address,
                                        .busy_poll = strstr(options->variant, "spin") != NULL};
    if (dx_client_connect(&wanted, &client, &error) != DX_OK) {
        broker_fail("%s", error.message);
    }
    return client;
}

/* The first to come connects, the other waits for it. */
static dx_client_t *client_of_both(const broker_options_t *options)
{
    if (dx_fetch_add32_acq_rel(&shared_client.users, 1) == 0) {
        shared_client.client = client_connect(options);
        /* RELEASE, pairs with the acquire below: who sees 1 also sees the client. */
        dx_store32_release(&shared_client.opened, 1);
    }
    while (dx_load32_acquire(&shared_client.opened) == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return shared_client.client;
}

broker_link_t *broker_link_open(const broker_options_t *options, broker_role_t role,
                                broker_sink_t *sink)
{
    broker_link_t *const link = calloc(1, sizeof *link);
    if (link == NULL) {
        broker_fail("out of memory");
    }
    link->sink = sink;
    link->shared = strcmp(options->mode, "throughput") != 0;
    link->batch = strstr(options->variant, "batch") != NULL && !link->shared ? OURS_BATCH : 1;
    link->data = calloc((size_t)link->batch, options->bytes);
    link->client = link->shared ? client_of_both(options) : client_connect(options);
    if (role != BROKER_PUBLISHER) {
        dx_error_t error;
        const dx_subscription_options_t wanted = {.pattern = BROKER_TOPIC,
                                                  .context = sink,
                                                  .on_batch = on_events,
                                                  .on_end = on_end,
                                                  .slow = role == BROKER_STALLED ? DX_SLOW_DROP
                                                                                 : DX_SLOW_BLOCK};
        if (dx_client_subscribe(link->client, &wanted, &link->subscription, &error) != DX_OK) {
            broker_fail("%s", error.message);
        }
    }
    return link;
}

static void publish_batch(broker_link_t *link)
{
    dx_error_t error;
    for (int done = 0; done < link->waiting;) {
        const int taken = dx_client_publish_batch(link->client, link->messages + done,
                                                  link->waiting - done, &error);
        if (taken <= 0) {
            broker_fail("publish: %s", error.message);
        }
        done += taken;
    }
    link->waiting = 0;
}

void broker_link_publish(broker_link_t *link, const void *data, size_t bytes)
{
    dx_error_t error;
    if (link->batch == 1) {
        const dx_message_t message = {.topic = BROKER_TOPIC, .data = data, .bytes = bytes};
        if (dx_client_publish(link->client, &message, &error) != DX_OK) {
            broker_fail("publish: %s", error.message);
        }
        return;
    }
    void *const copy = link->data + (size_t)link->waiting * bytes;
    memcpy(copy, data, bytes);
    link->messages[link->waiting++] =
        (dx_message_t){.topic = BROKER_TOPIC, .data = copy, .bytes = bytes};
    if (link->waiting == link->batch) {
        publish_batch(link);
    }
}

void broker_link_flush(broker_link_t *link)
{
    publish_batch(link); /* the rest is the business of the client's thread */
}

void broker_link_receive(broker_link_t *link, bool wait)
{
    if (!wait) {
        if (dx_client_drive(link->client) < 0) {
            broker_fail("the client has given up");
        }
        return;
    }
    /* The client's thread calls on_events(). */
    nanosleep(&(struct timespec){.tv_nsec = BROKER_RECEIVE_MS * DX_NS_PER_MS / 10}, NULL);
}

void broker_link_close(broker_link_t *link)
{
    if (link->subscription != NULL) {
        (void)dx_client_unsubscribe(link->subscription, DX_NS_PER_S);
    }
    if (!link->shared || dx_fetch_add32_acq_rel(&shared_client.users, -1) == 1) {
        (void)dx_client_close(link->client, DX_NS_PER_S);
    }
    free(link->data);
    free(link);
}
