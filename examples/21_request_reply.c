/* 21_request_reply.c - asking whoever listens, and waiting for the answer.
 *
 *     21_request_reply [address]
 *
 * A service answers what is asked on the topic "prices.get". Two copies of it share the questions:
 * a group. A client asks one question and waits; then it asks a thousand without waiting.
 *
 * Teaches: dx_client_request(), dx_client_request_async(), dx_client_reply(),
 * dx_client_reply_async(); what it looks like when nobody listens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/atomic.h>
#include <disruptorx/client.h>
#include <disruptorx/clock.h>
#include <disruptorx/node.h>

#define DEADLINE_NS (10 * DX_NS_PER_S)

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "21_request_reply: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code >= 0, error.code == code ? error.message : dx_error_text(code));
}

/* Without an address on the command line, a node of this process on any free port. */
static dx_node_t *node_begin(void)
{
    dx_config_t *config = NULL;
    dx_node_t *node = NULL;
    must(dx_config_create(&config, &error));
    must(dx_config_set(config, "listen.addresses", "tcp://127.0.0.1:0", &error));
    must(dx_config_set(config, "log.level", "warn", &error));
    must(dx_node_create(config, &node, &error));
    must(dx_node_start(node, &error));
    dx_config_destroy(config);
    return node;
}

/* Waits until another thread has counted that far. */
static void wait_for(const dx_atomic64_t *count, int64_t number)
{
    const int64_t deadline_ns = dx_clock_ns() + DEADLINE_NS;
    while (dx_load_acquire(count) < number) {
        require(dx_clock_ns() < deadline_ns, "something did not arrive");
    }
}

#define QUESTIONS 1000

typedef struct service {
    dx_client_t *client;
    dx_client_subscription_t *subscription;
    dx_atomic64_t answered;
    dx_atomic64_t late; /* nobody waited for the answer any more */
} service_t;

static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    service_t *const service = context;
    (void)dx_fetch_add_relaxed(&service->late, receipt->code == DX_ENOTFOUND);
}

/* Handlers may reply and publish: neither waits. */
static int on_question(void *context, const dx_event_t *event)
{
    service_t *const service = context;
    char answer[64];
    const int bytes = snprintf(answer, sizeof answer, "%.*s costs %d", (int)event->bytes,
                               (const char *)event->data, (int)event->bytes * 10);
    dx_error_t refusal = {0};
    /* With a receipt now and then, to see whether answers come in time. */
    const int code = dx_load_relaxed(&service->answered) % 10 == 0
                         ? dx_client_reply_async(service->client, event, answer, (size_t)bytes,
                                                 on_receipt, service, &refusal)
                         : dx_client_reply(service->client, event, answer, (size_t)bytes, &refusal);
    if (code != DX_OK) {
        fprintf(stderr, "%s\n", refusal.message);
    }
    (void)dx_fetch_add_relaxed(&service->answered, 1);
    return DX_OK;
}

static void serve(service_t *service, const char *address)
{
    must(dx_client_connect(&(dx_client_options_t){.address = address, .name = "prices"},
                           &service->client, &error));
    must(dx_client_subscribe(service->client,
                             &(dx_subscription_options_t){.pattern = "prices.get",
                                                          .group = "prices",
                                                          .ack = DX_ACK_NONE,
                                                          .on_event = on_question,
                                                          .context = service},
                             &service->subscription, &error));
}

static void on_reply(void *context, int code, const dx_event_t *reply)
{
    dx_atomic64_t *const answers = context;
    require(code == DX_OK && reply->bytes != 0, "every question has an answer");
    (void)dx_fetch_add_relaxed(answers, 1);
}

int main(int argc, char **argv)
{
    dx_node_t *const node = argc > 1 ? NULL : node_begin();
    const char *const address = node != NULL ? dx_node_address(node, 0) : argv[1];

    dx_client_t *client = NULL;
    must(dx_client_connect(&(dx_client_options_t){.address = address}, &client, &error));
    const dx_message_t question = {.topic = "prices.get", .data = "bread", .bytes = 5};
    char answer[64];
    size_t bytes = sizeof answer;
    const int nobody = dx_client_request(client, &question, DEADLINE_NS, answer, &bytes, &error);
    require(nobody == DX_ENOTFOUND, "nobody listens yet, and that is said at once");
    printf("%s\n", dx_error_name(nobody));

    service_t services[2] = {{0}};
    serve(&services[0], address);
    serve(&services[1], address);

    bytes = sizeof answer;
    must(dx_client_request(client, &question, DEADLINE_NS, answer, &bytes, &error));
    printf("%.*s\n", (int)bytes, answer);
    require(bytes == strlen("bread costs 50"), "the answer is as long as it was made");

    dx_atomic64_t answers = {0};
    for (int i = 0; i < QUESTIONS; i++) {
        must(dx_client_request_async(client, &question, DEADLINE_NS, on_reply, &answers, &error));
    }
    wait_for(&answers, QUESTIONS);
    fprintf(stderr, "answered %" PRId64 " and %" PRId64 "\n",
            dx_load_acquire(&services[0].answered), dx_load_acquire(&services[1].answered));

    must(dx_client_close(client, DEADLINE_NS));
    must(dx_client_close(services[0].client, DEADLINE_NS));
    must(dx_client_close(services[1].client, DEADLINE_NS));
    dx_node_destroy(node);
    printf("%d answers\n", QUESTIONS);
    return 0;
}
