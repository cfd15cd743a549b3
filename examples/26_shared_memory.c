/* 26_shared_memory.c - programs of one host talk through shared memory: shm://.
 *
 *     26_shared_memory                  a node, a subscriber, and a publisher in another process
 *     26_shared_memory shm:///path      only the publisher, at a node that listens on unix:///path
 *
 * Teaches: the address is all that changes; what is said when a node does not give shared memory,
 * and the way on, which the program chooses; a thread that spins, or a program that takes the turns
 * of that thread itself, for the least latency; a publisher that is killed harms nobody.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <disruptorx/atomic.h>
#include <disruptorx/client.h>
#include <disruptorx/clock.h>
#include <disruptorx/node.h>

#define DEADLINE_NS (20 * DX_NS_PER_S)
#define QUOTES 20000
#define BATCH 32

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "26_shared_memory: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code >= 0, error.code == code ? error.message : dx_error_text(code));
}

/* ------------------------------------------------------------------------------- the publisher */

/* Through shared memory, or, where the node does not give it to us, over its UNIX socket. The
 * library never decides that: a program that counts on the speed wants to know. */
static dx_client_t *connect_near(const char *address)
{
    dx_client_t *client = NULL;
    char otherwise[256];
    int code = dx_client_connect(&(dx_client_options_t){.address = address}, &client, &error);
    if (code == DX_ENOTSUP || code == DX_EPERM) {
        fprintf(stderr, "%s\n", error.message);
        snprintf(otherwise, sizeof otherwise, "unix%s", strchr(address, ':'));
        code = dx_client_connect(&(dx_client_options_t){.address = otherwise}, &client, &error);
    }
    must(code);
    return client;
}

static void publish(const char *address)
{
    dx_client_t *const client = connect_near(address);
    int64_t prices[BATCH];
    dx_message_t quotes[BATCH];
    for (int64_t done = 0; done < QUOTES; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            prices[i] = done + i + 1;
            quotes[i] = (dx_message_t){
                .topic = "quotes.ABC", .data = &prices[i], .bytes = sizeof prices[i]};
        }
        require(dx_client_publish_batch(client, quotes, BATCH, &error) == BATCH, error.message);
    }
    must(dx_client_close(client, DEADLINE_NS));
}

/* ------------------------------------------------------------------------------- the other side */

static int on_quote(void *context, const dx_event_t *event)
{
    dx_atomic64_t *const last = context;
    int64_t price = 0;
    memcpy(&price, event->data, sizeof price);
    require(price == dx_load_relaxed(last) + 1, "quotes come in order, and none is missing");
    dx_store_release(last, price);
    return DX_OK;
}

/* Until so many quotes have come. This thread has nothing else to do, so it reads and calls the
 * handler itself, and the client's own thread rests. */
static void wait_for(dx_client_t *client, const dx_atomic64_t *last, int64_t price)
{
    const int64_t deadline_ns = dx_clock_ns() + DEADLINE_NS;
    while (dx_load_acquire(last) < price) {
        require(dx_client_drive(client) >= 0, "the client has given up");
        require(dx_clock_ns() < deadline_ns, "something did not arrive");
    }
}

/* A node that listens on a socket of this folder, which is what clients of shared memory begin
 * with: its permissions say who may. */
static dx_node_t *node_begin(const char *folder)
{
    dx_config_t *config = NULL;
    dx_node_t *node = NULL;
    char socket[96];
    snprintf(socket, sizeof socket, "unix://%s/dx.sock", folder);
    must(dx_config_create(&config, &error));
    must(dx_config_set(config, "listen.addresses", socket, &error));
    must(dx_config_set(config, "local.ring_bytes", "1Mi", &error));
    must(dx_config_set(config, "log.level", "warn", &error));
    must(dx_node_create(config, &node, &error));
    must(dx_node_start(node, &error));
    dx_config_destroy(config);
    return node;
}

static pid_t publisher_start(const char *program, const char *address)
{
    const pid_t child = fork();
    if (child == 0) {
        (void)execl(program, program, address, (char *)NULL);
        _exit(127);
    }
    require(child > 0, "no process for the publisher");
    return child;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        publish(argv[1]);
        return 0;
    }
    char folder[] = "/tmp/dx-example-XXXXXX";
    char address[128];
    require(mkdtemp(folder) != NULL, "no temporary folder");
    dx_node_t *const node = node_begin(folder);
    snprintf(address, sizeof address, "shm%s", strchr(dx_node_address(node, 0), ':'));

    /* Its thread looks for 50 us before it sleeps: while events come faster than that neither side
     * makes a system call. busy_poll never sleeps. */
    dx_client_t *client = NULL;
    must(dx_client_connect(&(dx_client_options_t){.address = address, .spin_ns = INT64_C(50000)},
                           &client, &error));
    dx_atomic64_t last = {0};
    dx_client_subscription_t *subscription = NULL;
    must(dx_client_subscribe(
        client,
        &(dx_subscription_options_t){
            .pattern = "quotes.*", .on_event = on_quote, .slow = DX_SLOW_BLOCK, .context = &last},
        &subscription, &error));

    const pid_t publisher = publisher_start("/proc/self/exe", address);
    wait_for(client, &last, QUOTES);
    int status = -1;
    require(waitpid(publisher, &status, 0) == publisher && status == 0, "the publisher failed");
    printf("%d quotes came through shared memory, in order\n", QUOTES);

    /* One that is killed at any moment: the node hears the end of its socket, and goes on. */
    dx_store_release(&last, 0);
    const pid_t killed = publisher_start("/proc/self/exe", address);
    wait_for(client, &last, 1);
    (void)kill(killed, SIGKILL);
    (void)waitpid(killed, NULL, 0);
    dx_node_info_t info;
    const int64_t deadline_ns = dx_clock_ns() + DEADLINE_NS;
    do {
        must(dx_node_info(node, &info, &error));
        require(dx_clock_ns() < deadline_ns, "the node still has the publisher's connection");
    } while (info.connections != 1);
    fprintf(stderr, "killed behind quote %" PRId64 "\n", dx_load_acquire(&last));
    printf("the node has %u connection\n", info.connections);

    must(dx_client_close(client, DEADLINE_NS));
    dx_node_destroy(node);
    (void)rmdir(folder);
    return 0;
}
