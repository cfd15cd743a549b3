/* nats_library.c - core NATS through its published C client (libnats): what a program that links it
 * gets. Messages come by callback, in the client's thread; in the latency mode the client sends at
 * each publication (natsOptions_SetSendAsap), else by its own buffer and flusher.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker.h"

struct broker_link {
    broker_sink_t *sink;
    bool at_once;
    natsOptions *options;
    natsConnection *connection;
    natsSubscription *subscription;
};

const char *const broker_peer_name = "nats-library";

static void require(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        broker_fail("%s: %s", what, natsStatus_GetText(status));
    }
}

static void on_message(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                       void *closure)
{
    broker_link_t *const link = closure;
    (void)connection;
    (void)subscription;
    broker_sink_take(link->sink, natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
    broker_sink_commit(link->sink);
    natsMsg_Destroy(message);
}

broker_link_t *broker_link_open(const broker_options_t *options, broker_role_t role,
                                broker_sink_t *sink)
{
    broker_link_t *const link = calloc(1, sizeof *link);
    char url[300];
    if (link == NULL || strncmp(options->address, "tcp://", 6) != 0) {
        broker_fail("the address %s is not tcp://host:port", options->address);
    }
    snprintf(url, sizeof url, "nats://%s", options->address + 6);
    link->sink = sink;
    link->at_once = strcmp(options->mode, "latency") == 0;
    require(natsOptions_Create(&link->options), "options");
    require(natsOptions_SetURL(link->options, url), "address");
    require(natsOptions_SetSendAsap(link->options, link->at_once), "send at once");
    require(natsConnection_Connect(&link->connection, link->options), "connect");
    if (role != BROKER_PUBLISHER) {
        require(natsConnection_Subscribe(&link->subscription, link->connection, BROKER_TOPIC,
                                         on_message, link),
                "subscribe");
        require(natsSubscription_SetPendingLimits(link->subscription, -1, -1), "pending limits");
        require(natsConnection_Flush(link->connection), "flush");
    }
    return link;
}

void broker_link_publish(broker_link_t *link, const void *data, size_t bytes)
{
    require(natsConnection_Publish(link->connection, BROKER_TOPIC, data, (int)bytes), "publish");
}

void broker_link_flush(broker_link_t *link)
{
    if (!link->at_once) {
        require(natsConnection_Flush(link->connection), "flush");
    }
}

void broker_link_receive(broker_link_t *link, bool wait)
{
    (void)link;
    if (wait) {
        nats_Sleep(BROKER_RECEIVE_MS / 10);
    }
}

void broker_link_close(broker_link_t *link)
{
    natsSubscription_Destroy(link->subscription);
    natsConnection_Destroy(link->connection);
    natsOptions_Destroy(link->options);
    nats_Close();
    free(link);
}
