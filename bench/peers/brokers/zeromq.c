/* zeromq.c - ZeroMQ sockets, connected through zeromq_broker.c.
 *
 * Variants: "" is PUB to XSUB, XPUB to SUB, a topic before the payload, as a broker of topics is
 * built with ZeroMQ; "echo" is PUSH to PULL, PUSH to PULL, without topics, for one subscriber: the
 * round trip of a request to a server that answers with it.
 *
 * No limit of messages (the window of the driver is the limit), so nothing is dropped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "broker.h"

#define TOPIC_BYTES (sizeof BROKER_TOPIC) /* with its NUL, which keeps the payload aligned */
#define RECEIVE_BATCH 1000

struct broker_link {
    broker_sink_t *sink;
    void *context;
    void *socket;
    size_t topic_bytes; /* before each payload */
};

const char *const broker_peer_name = "zeromq";

static void require(int result, const char *what)
{
    if (result < 0) {
        broker_fail("%s: %s", what, zmq_strerror(errno));
    }
}

static void option(broker_link_t *link, int name, int value)
{
    require(zmq_setsockopt(link->socket, name, &value, sizeof value), "option");
}

broker_link_t *broker_link_open(const broker_options_t *options, broker_role_t role,
                                broker_sink_t *sink)
{
    const bool publisher = role == BROKER_PUBLISHER;
    const bool echo = strcmp(options->variant, "echo") == 0;
    broker_link_t *const link = calloc(1, sizeof *link);
    if (link == NULL || options->second_address == NULL) {
        broker_fail("--second-address is missing");
    }
    link->sink = sink;
    link->context = zmq_ctx_new();
    link->topic_bytes = echo ? 0 : TOPIC_BYTES;
    link->socket = zmq_socket(link->context, publisher ? (echo ? ZMQ_PUSH : ZMQ_PUB)
                                                       : (echo ? ZMQ_PULL : ZMQ_SUB));
    if (link->socket == NULL) {
        broker_fail("socket: %s", zmq_strerror(errno));
    }
    option(link, ZMQ_SNDHWM, 0);
    option(link, ZMQ_RCVHWM, 0);
    option(link, ZMQ_LINGER, 1000);
    if (!publisher) {
        option(link, ZMQ_RCVTIMEO, BROKER_RECEIVE_MS);
        if (!echo) {
            require(zmq_setsockopt(link->socket, ZMQ_SUBSCRIBE, BROKER_TOPIC, TOPIC_BYTES),
                    "subscribe");
        }
    }
    require(zmq_connect(link->socket, publisher ? options->address : options->second_address),
            "connect");
    return link;
}

void broker_link_publish(broker_link_t *link, const void *data, size_t bytes)
{
    zmq_msg_t message;
    require(zmq_msg_init_size(&message, link->topic_bytes + bytes), "message");
    char *const to = zmq_msg_data(&message);
    memcpy(to, BROKER_TOPIC, link->topic_bytes);
    memcpy(to + link->topic_bytes, data, bytes);
    require(zmq_msg_send(&message, link->socket, 0), "send");
}

void broker_link_flush(broker_link_t *link)
{
    (void)link; /* its thread sends */
}

void broker_link_receive(broker_link_t *link, bool wait)
{
    int flags = wait ? 0 : ZMQ_DONTWAIT; /* wait for the first, then take what is there */
    for (int i = 0; i < RECEIVE_BATCH; i++) {
        zmq_msg_t message;
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, link->socket, flags) < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                broker_fail("receive: %s", zmq_strerror(errno));
            }
            break;
        }
        const char *const data = zmq_msg_data(&message);
        broker_sink_take(link->sink, data + link->topic_bytes,
                         zmq_msg_size(&message) - link->topic_bytes);
        zmq_msg_close(&message);
        flags = ZMQ_DONTWAIT;
    }
    broker_sink_commit(link->sink);
}

void broker_link_close(broker_link_t *link)
{
    zmq_close(link->socket);
    zmq_ctx_term(link->context);
    free(link);
}
