/* zeromq_broker.c - the process between ZeroMQ's publishers and subscribers.
 *
 *     zeromq_broker proxy|echo PUBLISHERS-ADDRESS SUBSCRIBERS-ADDRESS
 *
 * proxy: XSUB to XPUB, which filters by topic. echo: PULL to PUSH, which does not. Both are
 * zmq_proxy(), in one thread, with one thread of input and output. Ends with SIGTERM.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

static void *bound(void *context, int type, const char *address)
{
    void *const socket = zmq_socket(context, type);
    const int no_limit = 0;
    if (socket == NULL || zmq_setsockopt(socket, ZMQ_SNDHWM, &no_limit, sizeof no_limit) != 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &no_limit, sizeof no_limit) != 0 ||
        zmq_bind(socket, address) != 0) {
        fprintf(stderr, "zeromq_broker: %s: %s\n", address, zmq_strerror(errno));
        return NULL;
    }
    return socket;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: zeromq_broker proxy|echo PUBLISHERS SUBSCRIBERS\n");
        return 2;
    }
    const bool echo = strcmp(argv[1], "echo") == 0;
    void *const context = zmq_ctx_new();
    void *const in = bound(context, echo ? ZMQ_PULL : ZMQ_XSUB, argv[2]);
    void *const out = bound(context, echo ? ZMQ_PUSH : ZMQ_XPUB, argv[3]);
    if (in == NULL || out == NULL) {
        return 1;
    }
    zmq_proxy(in, out, NULL);
    return 0;
}
