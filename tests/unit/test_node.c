/* test_node.c - a node by itself: made, bound, started, stopped; what is wrong is told early.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "disruptorx/atomic.h"
#include "net/address.h"
#include "node/config_internal.h"

#include "node_test.h"

/* A bound socket of another program, and its port. */
static int other_program(uint16_t *port_inout)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(*port_inout),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    const int one = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
        (void)close(fd);
        return -1;
    }
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port_inout = ntohs(address.sin_port);
    return fd;
}

static void it_goes_through_its_states_once(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_new(config);
    dx_error_t error = {0};
    dx_node_info_t info;
    assert_non_null(dx_node_bus(node));
    assert_non_null(dx_node_log(node));
    assert_fails(dx_node_stop(node, 0, &error), DX_ESTATE, error, "never started");
    assert_fails(dx_node_info(node, &info, &error), DX_ESTATE, error, "does not run");
    assert_ok(dx_node_start(node, &error));
    assert_fails(dx_node_start(node, &error), DX_ESTATE, error, "started before");
    assert_ok(dx_node_stop(node, 0, &error));
    assert_ok(dx_node_stop(node, 0, &error));
    assert_fails(dx_node_start(node, &error), DX_ESTATE, error, "started before");
    assert_fails(dx_node_info(node, &info, &error), DX_ESTATE, error, "does not run");
    dx_node_destroy(node);
    dx_node_destroy(NULL);
    dx_node_destroy(node_new(config));     /* never started */
    dx_node_destroy(node_started(config)); /* still running */
    dx_config_destroy(config);
}

static void its_addresses_say_the_ports_they_got(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    char unix_address[80];
    config_put(config, "listen.addresses", "tcp://127.0.0.1:0, tcp://127.0.0.1:0");
    config_put(config, "node.name", "n1");
    dx_node_t *const node = node_started(config);
    dxi_address_t first, second;
    assert_ok(dxi_address_parse(dx_node_address(node, 0), &first, NULL));
    assert_ok(dxi_address_parse(dx_node_address(node, 1), &second, NULL));
    assert_true(first.port != 0 && second.port != 0 && first.port != second.port);
    assert_null(dx_node_address(node, 2));
    assert_contains(text_of_file(node_log_file), "n1 (");
    assert_contains(text_of_file(node_log_file), dx_node_address(node, 1));
    node_end(node);
    config_put(config, "listen.addresses", node_socket);
    dx_node_t *const other = node_started(config);
    (void)snprintf(unix_address, sizeof unix_address, "unix://%s", node_socket);
    assert_string_equal(dx_node_address(other, 0), unix_address);
    node_end(other);
    dx_config_destroy(config);
}

static void an_address_in_use_is_told_and_nothing_stays_bound(void **state)
{
    (void)state;
    uint16_t taken = 0, free_port = 0;
    const int other = other_program(&taken);
    const int probe = other_program(&free_port);
    assert_true(other >= 0 && probe >= 0);
    (void)close(probe);
    char addresses[128], sentence[64];
    (void)snprintf(addresses, sizeof addresses, "tcp://127.0.0.1:%u, tcp://127.0.0.1:%u", free_port,
                   taken);
    (void)snprintf(sentence, sizeof sentence, "listening on tcp://127.0.0.1:%u: ", taken);
    dx_config_t *const config = config_small();
    config_put(config, "listen.addresses", addresses);
    dx_node_t *const node = node_new(config);
    dx_error_t error = {0};
    assert_fails(dx_node_start(node, &error), DX_EBUSY, error, sentence);
    const int again = other_program(&free_port); /* the first address is free again */
    assert_true(again >= 0);
    (void)close(again);
    (void)close(other);
    assert_ok(dx_node_start(node, &error)); /* it may try once more */
    node_end(node);
    dx_config_destroy(config);
}

static void a_stale_unix_socket_is_replaced_and_a_living_one_is_not(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", node_socket);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd); /* its file stays, as after a crash */
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    dx_node_t *const second = node_new(config);
    dx_error_t error = {0};
    assert_fails(dx_node_start(second, &error), DX_EBUSY, error, node_socket);
    dx_node_destroy(second);
    assert_int_equal(access(node_socket, F_OK), 0);
    node_end(node);
    assert_int_not_equal(access(node_socket, F_OK), 0);
    dx_config_destroy(config);
}

static void a_unix_socket_has_the_permissions_it_is_told(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    struct stat file;
    config_put(config, "listen.unix_mode", "0620");
    dx_node_t *const node = node_started(config);
    assert_int_equal(stat(node_socket, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0620);
    node_end(node);
    dx_config_destroy(config);
}

static void files_that_are_wrong_are_told_before_it_starts(void **state)
{
    (void)state;
    char garbage[80], nowhere[80];
    (void)snprintf(garbage, sizeof garbage, "%s/garbage.pem", node_folder);
    (void)snprintf(nowhere, sizeof nowhere, "%s/nowhere/file", node_folder);
    text_to_file(garbage, "no certificate\n");
    const struct wrong {
        const char *names[4], *texts[4];
        int code;
        const char *sentence;
    } WRONG[] = {
        {{"tls.certificate_file", "tls.key_file"}, {nowhere, nowhere}, DX_ENOTFOUND, nowhere},
        {{"tls.certificate_file", "tls.key_file"}, {garbage, garbage}, DX_EINVAL, garbage},
        {{"tls.certificate_file", NULL}, {garbage, NULL}, DX_EINVAL, "without tls.key_file"},
        {{"auth.token_file", NULL}, {nowhere, NULL}, DX_ENOTFOUND, nowhere},
        {{"log.file", NULL}, {nowhere, NULL}, DX_ENOTFOUND, nowhere},
        {{"access.file", NULL}, {nowhere, NULL}, DX_ENOTFOUND, nowhere},
        {{"access.audit_file", NULL}, {nowhere, NULL}, DX_ENOTFOUND, nowhere},
        {{"admin.enabled", "admin.address", "admin.certificate_file", "admin.key_file"},
         {"true", "https://127.0.0.1:0", nowhere, nowhere},
         DX_ENOTFOUND,
         nowhere},
        {{"trace.endpoint", "trace.authority_file"},
         {"https://127.0.0.1:1", nowhere},
         DX_ENOTFOUND,
         nowhere},
    };
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        dx_config_t *const config = config_small();
        dx_node_t *node = (dx_node_t *)garbage;
        dx_error_t error = {0};
        for (int n = 0; n < 4 && WRONG[i].names[n] != NULL; n++) {
            config_put(config, WRONG[i].names[n], WRONG[i].texts[n]);
        }
        assert_fails(dx_node_create(config, &node, &error), WRONG[i].code, error,
                     WRONG[i].sentence);
        assert_null(node);
        error = (dx_error_t){0};
        if (WRONG[i].code != DX_EINVAL || WRONG[i].names[1] != NULL) { /* no rule between options */
            assert_fails(dxi_config_files_check(config, &error), WRONG[i].code, error,
                         WRONG[i].sentence);
        }
        dx_config_destroy(config);
    }
}

/* ------------------------------------------------------------------------------- in one program */

typedef struct seen {
    dx_atomic64_t events;
} seen_t;

static int on_event(void *context, const dx_event_t *event)
{
    seen_t *const seen = context;
    (void)event;
    (void)dx_fetch_add_relaxed(&seen->events, 1);
    return DX_OK;
}

static void a_node_without_an_address_serves_its_program(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "listen.addresses", "");
    dx_node_t *const node = node_started(config);
    seen_t seen = {.events = {0}};
    dx_subscription_t *subscription = NULL;
    dx_node_info_t info;
    assert_null(dx_node_address(node, 0));
    assert_ok(dx_bus_on(dx_node_bus(node), "orders.*", on_event, &seen, &subscription, NULL));
    for (int i = 0; i < 100; i++) {
        assert_ok(dx_bus_publish(dx_node_bus(node), "orders.created", "x", 1, NULL));
    }
    wait_until(dx_load_relaxed(&seen.events) == 100);
    assert_ok(dx_node_info(node, &info, NULL));
    assert_int_equal(info.published, 100);
    assert_int_equal(info.delivered, 100);
    assert_int_equal(info.topics, 1);
    assert_int_equal(info.shards, 2);
    assert_int_equal(info.loops, 2);
    assert_int_equal(info.process_id, getpid());
    assert_true(info.uptime_ns > 0 && info.started_unix_ns > 0);
    assert_true(info.delivered_rate_1m > 0);
    node_end(node);
    dx_config_destroy(config);
}

static void what_was_published_is_delivered_before_it_stops(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    seen_t seen = {.events = {0}};
    dx_subscription_t *subscription = NULL;
    dx_error_t error = {0};
    assert_ok(dx_bus_on(dx_node_bus(node), ">", on_event, &seen, &subscription, NULL));
    for (int i = 0; i < 1000; i++) {
        assert_ok(dx_bus_publish(dx_node_bus(node), "orders.created", "x", 1, NULL));
    }
    assert_ok(dx_node_stop(node, 0, &error));
    assert_int_equal(dx_load_relaxed(&seen.events), 1000);
    assert_true(dx_bus_publish(dx_node_bus(node), "orders.created", "x", 1, NULL) < 0);
    dx_node_destroy(node);
    dx_config_destroy(config);
}

static void a_node_has_a_name_and_an_id_of_its_own(void **state)
{
    (void)state;
    char host[64];
    dx_config_t *const config = config_small();
    dx_node_info_t first, second, named;
    config_put(config, "listen.addresses", "");
    assert_int_equal(gethostname(host, sizeof host), 0);
    dx_node_t *const one = node_started(config), *const other = node_started(config);
    assert_ok(dx_node_info(one, &first, NULL));
    assert_ok(dx_node_info(other, &second, NULL));
    assert_string_equal(first.name, host);
    assert_true(first.id != 0 && second.id != 0 && first.id != second.id);
    node_end(one);
    node_end(other);
    config_put(config, "node.name", "k\xc3\xb6ln-1");
    config_put(config, "node.id", "7");
    dx_node_t *const third = node_started(config);
    assert_ok(dx_node_info(third, &named, NULL));
    assert_string_equal(named.name, "k\xc3\xb6ln-1");
    assert_int_equal(named.id, 7);
    node_end(third);
    dx_config_destroy(config);
}

static void an_address_for_everybody_without_a_token_is_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *address, *token;
        bool warned;
    } CASES[] = {
        {"tcp://0.0.0.0:0", "", true},
        {"tcp://0.0.0.0:0", "secret", false},
        {"tcp://127.0.0.1:0", "", false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        dx_config_t *const config = config_small();
        (void)unlink(node_log_file);
        config_put(config, "listen.addresses", CASES[i].address);
        config_put(config, "auth.token", CASES[i].token);
        node_end(node_started(config));
        const bool warned = strstr(text_of_file(node_log_file), "everybody who reaches") != NULL;
        assert_int_equal(warned, CASES[i].warned);
        assert_null(strstr(text_of_file(node_log_file), "secret"));
        dx_config_destroy(config);
    }
}

static void count_up(void *context, const char *sentence)
{
    assert_true(sentence[0] != '\0');
    ++*(int *)context;
}

static void what_may_surprise_in_a_configuration_is_a_warning(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *other, *other_value;
        int warnings;
    } CASES[] = {
        {"admin.address", "http://0.0.0.0:0", "auth.token", "secret", 1},
        {"admin.address", "http://node.example:0", "access.file", "users.yaml", 1},
        {"admin.address", "http://127.0.0.1:0", "auth.token", "secret", 0},
        {"admin.address", "https://0.0.0.0:0", "auth.token", "secret", 0},
        {"listen.addresses", "tcp://0.0.0.0:1, tls://0.0.0.0:2", "tls.verify_peer", "true", 1},
        {"listen.addresses", "tcp://0.0.0.0:1, tls://0.0.0.0:2", "tls.verify_peer", "false", 2},
        {"listen.addresses", "tcp://0.0.0.0:1", "access.file", "users.yaml", 0},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        int warnings = 0;
        dx_config_t *const config = config_small();
        config_put(config, "admin.enabled", "true");
        config_put(config, CASES[i].name, CASES[i].value);
        config_put(config, CASES[i].other, CASES[i].other_value);
        dxi_config_warnings(config, count_up, &warnings);
        assert_int_equal(warnings, CASES[i].warnings);
        dx_config_destroy(config);
    }
}

static void an_admin_address_without_tls_is_warned_of_at_the_start(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    (void)unlink(node_log_file);
    config_put(config, "admin.enabled", "true");
    config_put(config, "admin.address", "http://0.0.0.0:0");
    config_put(config, "auth.token", "secret");
    node_end(node_started(config));
    assert_contains(text_of_file(node_log_file),
                    "tokens can be read on their way to admin.address http://0.0.0.0:0");
    dx_config_destroy(config);
}

static void too_few_descriptors_are_warned_of(void **state)
{
    (void)state;
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    dx_config_t *const config = config_small();
    low = (struct rlimit){.rlim_cur = 263, .rlim_max = before.rlim_max};
    (void)unlink(node_log_file);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    node_end(node_started(config));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_contains(text_of_file(node_log_file), "INFO  node: this process may open 263 files");
    config_put(config, "limits.connections_max", "200");
    for (int few = 0; few < 2; few++) {
        low = (struct rlimit){.rlim_cur = few ? 263 : 264, .rlim_max = before.rlim_max};
        (void)unlink(node_log_file);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        node_end(node_started(config));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        const bool warned =
            strstr(text_of_file(node_log_file), "WARN  node: this process may open 263") != NULL;
        assert_int_equal(warned, few != 0);
    }
    dx_config_destroy(config);
}

static dx_config_t *swept;

static int attempt(void)
{
    dx_node_t *node = NULL;
    int code = dx_node_create(swept, &node, NULL);
    assert_int_equal(node != NULL, code == DX_OK);
    if (code == DX_OK) {
        code = dx_node_start(node, NULL);
        assert_int_equal(access(node_socket, F_OK) == 0, code == DX_OK);
    }
    dx_node_destroy(node);
    return code == DX_ELIMIT ? DX_ENOMEM : code; /* a thread that can't be made */
}

static void each_failed_allocation_is_survived(void **state)
{
    (void)state;
    swept = config_small();
    config_put(swept, "bus.shards", "1");
    config_put(swept, "bus.loops", "1");
    assert_true(fault_sweep(attempt) > 10);
    dx_config_destroy(swept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_through_its_states_once),
        cmocka_unit_test(its_addresses_say_the_ports_they_got),
        cmocka_unit_test(an_address_in_use_is_told_and_nothing_stays_bound),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_and_a_living_one_is_not),
        cmocka_unit_test(a_unix_socket_has_the_permissions_it_is_told),
        cmocka_unit_test(files_that_are_wrong_are_told_before_it_starts),
        cmocka_unit_test(a_node_without_an_address_serves_its_program),
        cmocka_unit_test(what_was_published_is_delivered_before_it_stops),
        cmocka_unit_test(a_node_has_a_name_and_an_id_of_its_own),
        cmocka_unit_test(an_address_for_everybody_without_a_token_is_warned_of),
        cmocka_unit_test(what_may_surprise_in_a_configuration_is_a_warning),
        cmocka_unit_test(an_admin_address_without_tls_is_warned_of_at_the_start),
        cmocka_unit_test(too_few_descriptors_are_warned_of),
        cmocka_unit_test(each_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, node_folder_make, node_folder_remove);
}
