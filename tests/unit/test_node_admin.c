/* test_node_admin.c - the admin server of a node inside a program: where it is, what it says while
 * the node runs, drains and ends, an address in use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "disruptorx/atomic.h"
#include "node_test.h"

static dx_config_t *config_with_admin(const char *address)
{
    dx_config_t *const config = config_small();
    config_put(config, "admin.enabled", "true");
    config_put(config, "admin.address", address);
    return config;
}

/* One GET; the whole answer, "" when nobody is there. */
static const char *get(const char *address, const char *path)
{
    static char text[65536];
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t used = 0;
    text[0] = '\0';
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0) {
        (void)snprintf(text, sizeof text,
                       "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
        ssize_t got = 1;
        while (got > 0 && used + 1 < sizeof text) {
            got = recv(fd, text + used, sizeof text - 1 - used, 0);
            used += got > 0 ? (size_t)got : 0;
        }
        text[used] = '\0';
    }
    (void)close(fd);
    return text;
}

static void a_node_has_none_unless_it_is_asked_for(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    assert_null(dx_node_admin_address(node));
    node_end(node);
    dx_config_destroy(config);
}

/* A handler that keeps the drain waiting. */
typedef struct handler {
    dx_atomic32_t entered, go_on;
} handler_t;

static int on_event(void *context, const dx_event_t *event)
{
    handler_t *const handler = context;
    (void)event;
    dx_store32_release(&handler->entered, 1); /* with the load of the test */
    while (dx_load32_acquire(&handler->go_on) == 0) {
        (void)usleep(1000);
    }
    return DX_OK;
}

static void *node_stop_run(void *node)
{
    (void)dx_node_stop(node, 0, NULL);
    return NULL;
}

static void it_is_ready_then_drains_then_is_gone(void **state)
{
    (void)state;
    handler_t handler = {.go_on = {0}};
    dx_subscription_t *subscription = NULL;
    pthread_t thread;
    char address[128];
    dx_config_t *const config = config_with_admin("http://127.0.0.1:0");
    dx_node_t *const node = node_started(config);
    (void)snprintf(address, sizeof address, "%s", dx_node_admin_address(node));
    assert_contains(get(address, "/readyz"), "{\"ready\":true,\"reasons\":[]}");
    assert_ok(dx_bus_on(dx_node_bus(node), "held", on_event, &handler, &subscription, NULL));
    assert_ok(dx_bus_publish(dx_node_bus(node), "held", "x", 1, NULL));
    wait_until(dx_load32_acquire(&handler.entered) == 1);
    assert_int_equal(pthread_create(&thread, NULL, node_stop_run, node), 0);
    wait_until(strstr(get(address, "/readyz"), " 503 ") != NULL);
    assert_contains(get(address, "/readyz"), "\"name\":\"draining\"");
    assert_contains(get(address, "/livez"), "live");
    assert_contains(get(address, "/api/v1/node"), "\"state\":\"draining\"");
    dx_store32_release(&handler.go_on, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(get(address, "/livez"), "");
    assert_string_equal(dx_node_admin_address(node), address);
    dx_node_destroy(node);
    dx_config_destroy(config);
}

static void after_an_address_in_use_nothing_runs_and_it_can_be_tried_again(void **state)
{
    (void)state;
    dx_error_t error = {0};
    dx_config_t *const first = config_with_admin("http://127.0.0.1:0");
    dx_node_t *const node = node_started(first);
    dx_config_t *const second = config_with_admin(dx_node_admin_address(node));
    config_put(second, "listen.addresses", "");
    dx_node_t *const other = node_new(second);
    assert_fails(dx_node_start(other, &error), DX_EBUSY, error, dx_node_admin_address(node));
    assert_null(dx_node_admin_address(other));
    node_end(node);
    assert_ok(dx_node_start(other, &error));
    assert_contains(get(dx_node_admin_address(other), "/livez"), "live");
    node_end(other);
    dx_config_destroy(first);
    dx_config_destroy(second);
}

static void what_others_reach_must_be_guarded(void **state)
{
    (void)state;
    dx_error_t error = {0};
    dx_node_t *node = NULL;
    dx_config_t *const config = config_with_admin("http://0.0.0.0:0");
    assert_fails(dx_node_create(config, &node, &error), DX_EINVAL, error, "must be guarded");
    config_put(config, "auth.token", "secret");
    assert_ok(dx_node_create(config, &node, &error));
    dx_node_destroy(node);
    dx_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_has_none_unless_it_is_asked_for),
        cmocka_unit_test(it_is_ready_then_drains_then_is_gone),
        cmocka_unit_test(after_an_address_in_use_nothing_runs_and_it_can_be_tried_again),
        cmocka_unit_test(what_others_reach_must_be_guarded),
    };
    return cmocka_run_group_tests(tests, node_folder_make, node_folder_remove);
}
