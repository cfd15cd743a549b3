/* 23_configuration.c - what a node can be told: the table of options, files, values, differences.
 *
 * Teaches: a configuration of your own in front of dx_node_create(); what a mistake looks like; how
 * to show options and differences to people.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <disruptorx/config.h>

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "23_configuration: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

/* The table: everything there is, for a help or a form. */
static void table(void)
{
    size_t count = 0, live = 0;
    const dx_config_option_t *const options = dx_config_options(&count);
    for (size_t i = 0; i < count; i++) {
        live += options[i].live;
    }
    require(live > 0 && live < count, "some options are live, and some are not");
    printf("the first option is %s: %s\n", options[0].name, options[0].help);
}

/* Values, from outside and by name. */
static void values(dx_config_t *config)
{
    static const char TEXT[] = "listen:\n"
                               "  addresses: [tcp://127.0.0.1:0, unix:///tmp/orders.sock]\n"
                               "limits:\n"
                               "  connections_max: 5k # a number may have a multiplier,\n"
                               "timeouts:\n"
                               "  drain_ms: 2s        # a duration has a unit\n";
    must(dx_config_parse(config, TEXT, strlen(TEXT), "orders.yaml", &error));
    must(dx_config_set(config, "bus.busy_poll", "yes", &error));
    must(dx_config_set(config, "auth.token", "hunter2", &error));
    must(dx_config_check(config, &error)); /* what options say about each other */

    require(dx_config_integer(config, "limits.connections_max") == 5000, "5k is 5000");
    require(dx_config_integer(config, "timeouts.drain_ms") == INT64_C(2000000000), "ns are kept");
    require(dx_config_bool(config, "bus.busy_poll"), "yes is true");
    require(strcmp(dx_config_text(config, "auth.token"), "hunter2") == 0, "programs may see it");
    for (size_t i = 0; dx_config_list(config, "listen.addresses", i) != NULL; i++) {
        printf("listens on %s\n", dx_config_list(config, "listen.addresses", i));
    }

    static const char *const SHOWN[] = {"limits.connections_max", "timeouts.drain_ms",
                                        "bus.busy_poll", "auth.token", "log.level"};
    for (size_t i = 0; i < sizeof(SHOWN) / sizeof(SHOWN[0]); i++) {
        char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
        const char *origin = NULL;
        must(dx_config_get(config, SHOWN[i], text, sizeof(text), &origin));
        printf("%s is %s, by %s\n", SHOWN[i], text, origin);
    }
}

/* A wrong text changes nothing, and says where it is wrong. */
static void mistakes(dx_config_t *config)
{
    static const char *const WRONG[] = {
        "limits:\n  conections_max: 5\n",
        "limits:\n  connections_max: many\n",
        "timeouts:\n  keep_alive_ms: 1m\n",
    };
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        const int code = dx_config_parse(config, WRONG[i], strlen(WRONG[i]), "wrong.yaml", &error);
        require(code == DX_EINVAL, "a wrong text must be refused");
        printf("%s\n", error.message);
    }
    require(dx_config_integer(config, "limits.connections_max") == 5000, "it is as it was");
}

static void change_print(void *context, const dx_config_change_t *change)
{
    int *const changes = context;
    (*changes)++;
    printf("%s: %s -> %s%s\n", change->option->name, change->from, change->to,
           change->option->live ? "" : " (at the next start)");
}

/* A file, and what differs in it. */
static void file(const dx_config_t *config)
{
    char path[] = "/tmp/dx-example-XXXXXX";
    const int fd = mkstemp(path);
    require(fd >= 0, "no file in /tmp");
    static const char TEXT[] = "log:\n  level: debug\nbus:\n  shards: 4\n";
    require(write(fd, TEXT, strlen(TEXT)) == (ssize_t)strlen(TEXT), "the file can't be written");
    (void)close(fd);

    dx_config_t *fresh = NULL;
    must(dx_config_copy(config, &fresh, &error));
    must(dx_config_load(fresh, path, &error));
    require(strcmp(dx_config_path(fresh), path) == 0, "the path is kept, for a reload");
    int printed = 0;
    const int changes = dx_config_diff(config, fresh, change_print, &printed);
    require(changes == printed && changes == 5, "each difference is told once");
    dx_config_destroy(fresh);
    (void)unlink(path);
}

int main(void)
{
    dx_config_t *config = NULL;
    must(dx_config_create(&config, &error)); /* defaults, and DX_... of the environment */
    table();
    values(config);
    mistakes(config);
    file(config);
    dx_config_destroy(config);
    return 0;
}
