/* server.c - `dx server`: a node as a program of its own.
 *
 *     starting -> RUNNING -> SIGTERM or SIGINT: draining -> exit 0
 *                   |  ^          second signal: ends at once
 *                   v  | SIGHUP: reads the file again, all or nothing; with --dev and no file it
 *                        is as SIGTERM: a terminal that is closed leaves no node behind
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/dev_node.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "disruptorx/clock.h"
#include "node/daemon.h"

#define COMMAND "dx server"
#define UNIX_SCHEME "unix://"

typedef struct settings {
    const char *file;
    dxi_texts_t set;
    dxi_texts_t listen;
    bool dev;
    bool quiet;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "dev",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, dev),
     .help = "nothing to configure: tcp://127.0.0.1:7400, the dashboard at http://127.0.0.1:7401, "
             "and a UNIX socket in a temporary folder, which is removed at the end"},
    {.name = "config",
     .letter = 'c',
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, file),
     .help = "the configuration; dx config sample prints one to begin with"},
    {.name = "set",
     .letter = 's',
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "section.option=value",
     .offset = offsetof(settings_t, set),
     .parse = dxi_texts_parse,
     .help = "one option over the file and the environment; may be given several times"},
    {.name = "listen",
     .letter = 'l',
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "ADDRESS",
     .offset = offsetof(settings_t, listen),
     .parse = dxi_texts_parse,
     .help = "listen here instead: tcp://host:port (port 0: a free one), tls://host:port, "
             "unix:///path, which is for shm:///path as well; may be given several times"},
    {.name = "quiet",
     .letter = 'q',
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, quiet),
     .help = "don't print the addresses"},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description =
        "Runs a node: topics and subscriptions for programs of this machine and others.\n"
        "It keeps events in memory. Options come from the defaults, then --config, then\n"
        "the environment (DX_LIMITS_CONNECTIONS_MAX=1000), then --set and --listen.\n"
        "\n"
        "SIGTERM and Ctrl-C drain it: it accepts nothing new, delivers and answers what\n"
        "it has, and ends with 0; a second one ends it at once. SIGHUP reads the file\n"
        "again, all or nothing; with --dev and without --config it drains and ends, as\n"
        "when the terminal is closed.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx server --dev\n"
                "  dx server -c node.yaml --set limits.connections_max=1000\n"
                "  dx server --listen tcp://0.0.0.0:7400 --listen unix:///run/dx.sock\n",
};

/* ------------------------------------------------------------------------------- configuration */

/* Puts "a, b" of several addresses together and sets them. */
static int addresses_set(dx_config_t *config, const char *const *addresses, int count,
                         dx_error_t *error)
{
    char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? "," : "",
                                 addresses[i]);
        if (used >= sizeof text) {
            return dxi_fail(error, DX_ELIMIT, "--listen: the addresses have more than %d bytes",
                            DX_CONFIG_TEXT_BYTES_MAX);
        }
    }
    return dx_config_set(config, "listen.addresses", text, error);
}

/* Whether nobody has said yet if there is an admin server. */
static bool admin_is_open(const dx_config_t *config)
{
    char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
    const char *origin = "";
    return dx_config_get(config, "admin.enabled", text, sizeof text, &origin) == DX_OK &&
           strcmp(origin, "default") == 0;
}

/* What is set comes before the file, which is read under it: so they are checked together. */
static int configure(dx_config_t *config, const settings_t *settings, char *folder,
                     dx_error_t *error)
{
    int result = DX_OK;
    if (settings->dev && settings->file == NULL) {
        result = dx_config_set(config, "log.level", "warn", error);
    }
    if (result == DX_OK && settings->dev && admin_is_open(config)) {
        result = dx_config_set(config, "admin.enabled", "true", error);
    }
    if (result == DX_OK && settings->listen.count > 0) {
        result = addresses_set(config, settings->listen.texts, settings->listen.count, error);
    }
    for (int i = 0; i < settings->set.count && result == DX_OK; i++) {
        result = dxi_config_apply(config, settings->set.texts[i], error);
    }
    if (result == DX_OK) {
        result = settings->file != NULL ? dx_config_load(config, settings->file, error)
                                        : dx_config_check(config, error);
    }
    return result == DX_OK && settings->dev ? dxi_dev_begin(config, folder, error) : result;
}

/* ------------------------------------------------------------------------------------- printing */

/* What the callbacks need. */
typedef struct server {
    const settings_t *settings;
    char folder[DXI_DEV_FOLDER_BYTES]; /* "": none */
    bool local;                        /* its UNIX sockets are for shared memory as well */
    int64_t stopping_ns;
} server_t;

/* What stands behind "unix://" in an address, where clients may use shared memory as well; else
 * NULL. */
static const char *shm_path(const server_t *server, const char *address)
{
    const size_t bytes = sizeof UNIX_SCHEME - 1;
    return server->local && strncmp(address, UNIX_SCHEME, bytes) == 0 ? address + bytes : NULL;
}

static void started_json(const dx_node_t *node, const dx_node_info_t *info, const server_t *server)
{
    dxi_json_t json;
    dxi_json_begin_line(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "name", info->name);
    dxi_json_text(&json, "version", info->version);
    dxi_json_integer(&json, "process_id", (int64_t)getpid());
    dxi_json_array_begin(&json, "addresses");
    for (size_t i = 0; dx_node_address(node, i) != NULL; i++) {
        dxi_json_text(&json, NULL, dx_node_address(node, i));
    }
    dxi_json_array_end(&json);
    dxi_json_array_begin(&json, "shared_memory");
    for (size_t i = 0; dx_node_address(node, i) != NULL; i++) {
        const char *const path = shm_path(server, dx_node_address(node, i));
        if (path != NULL) {
            char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
            (void)snprintf(text, sizeof text, "shm://%s", path);
            dxi_json_text(&json, NULL, text);
        }
    }
    dxi_json_array_end(&json);
    dxi_json_text(&json, "admin", dx_node_admin_address(node));
    dxi_json_text(&json, "folder", server->folder[0] != '\0' ? server->folder : NULL);
    dxi_json_text(&json, "config", server->settings->file);
    dxi_json_object_end(&json);
    (void)dxi_json_finish(&json); /* main looks at standard output in the end */
}

static void started_text(const dx_node_t *node, const dx_node_info_t *info, const server_t *server)
{
    const char *const first = dx_node_address(node, 0);
    printf("%sDisruptorX %s%s, node %s, process %d\n", dxi_style(stdout, DXI_STYLE_HEADING),
           info->version, dxi_style(stdout, DXI_STYLE_PLAIN), info->name, (int)getpid());
    for (size_t i = 0; dx_node_address(node, i) != NULL; i++) {
        const char *const address = dx_node_address(node, i);
        printf("  %-10s %s\n", i == 0 ? "listens on" : "", address);
        if (shm_path(server, address) != NULL) {
            printf("  %-10s shm://%s   for programs of this host\n", "", shm_path(server, address));
        }
    }
    if (dx_node_admin_address(node) != NULL) {
        printf("  %-10s %s/\n", "dashboard", dx_node_admin_address(node));
    }
    if (server->folder[0] != '\0') {
        printf("  %-10s in memory; temporary folder %s, removed at the end\n", "data",
               server->folder);
    } else {
        printf("  %-10s in memory\n", "data");
    }
    if (server->settings->file != NULL) {
        printf("  %-10s %s; SIGHUP reads it again\n", "config", server->settings->file);
    }
    if (first != NULL) {
        const bool is_default = strcmp(first, "tcp://127.0.0.1:7400") == 0;
        printf("  %-10s dx sub '>'%s%s\n", "try", is_default ? "" : " -a ",
               is_default ? "" : first);
        printf("  %-10s dx pub hello world%s%s   in another window\n", "", is_default ? "" : " -a ",
               is_default ? "" : first);
    }
    printf("Ctrl-C stops it: it drains first. Twice ends it at once.\n");
}

/* ------------------------------------------------------------------------------------------ run */

static void on_running(void *context, dx_node_t *node)
{
    const server_t *const server = context;
    dx_node_info_t info;
    if (server->settings->quiet) {
        return;
    }
    if (dx_node_info(node, &info, NULL) != DX_OK) {
        memset(&info, 0, sizeof info);
        snprintf(info.name, sizeof info.name, "?");
    }
    if (dxi_output_is_json()) {
        started_json(node, &info, server);
    } else {
        started_text(node, &info, server);
    }
    fflush(stdout);
}

static void on_stopping(void *context, dx_node_t *node, int signal)
{
    server_t *const server = context;
    (void)node;
    (void)signal;
    server->stopping_ns = dx_clock_ns();
    if (!server->settings->quiet) {
        fprintf(stderr, "%s: draining; once more ends it at once\n", COMMAND);
    }
}

static int node_run(const dx_config_t *config, server_t *server)
{
    const dxi_daemon_options_t options = {.config = config,
                                          .on_running = on_running,
                                          .on_stopping = on_stopping,
                                          .context = server,
                                          .hangup_ends = server->settings->dev &&
                                                         server->settings->file == NULL};
    dx_error_t error = {0};
    server->local = dx_config_bool(config, "local.enabled");
    if (dx_config_list(config, "listen.addresses", 0) == NULL) {
        dxi_complain(COMMAND, "warning: listen.addresses is empty: nobody can connect");
    }
    const int result = dxi_daemon_run(&options, &error);
    if (result != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        if (result == DX_EBUSY && strncmp(error.message, "admin", 5) == 0) {
            fputs("Next: end the other program (ss -ltnp shows it), take a free port: "
                  "--set admin.address=http://127.0.0.1:0, or do without: "
                  "--set admin.enabled=false\n",
                  stderr);
        } else if (result == DX_EBUSY && strstr(error.message, "listening on unix:") != NULL) {
            fputs("Next: end the other program (ss -lxp shows it), or take another path: "
                  "dx server --listen unix:///tmp/dx.sock\n",
                  stderr);
        } else if (result == DX_EBUSY) {
            fputs("Next: end the other program (ss -ltnp shows it), or take a free port: "
                  "dx server --listen tcp://127.0.0.1:0\n",
                  stderr);
        }
        return DXI_EXIT_FAILED;
    }
    if (!server->settings->quiet) {
        fprintf(stderr, "%s: stopped in %s\n", COMMAND,
                dxi_format_ns(&(dxi_text_t){0}, dx_clock_ns() - server->stopping_ns));
    }
    return DXI_EXIT_OK;
}

/* Nothing was done: a bad option is a usage error, a bad file a failure. */
static int config_failure(const settings_t *settings, int code, const dx_error_t *error)
{
    dxi_complain_error(COMMAND, error);
    if (settings->file != NULL) {
        fprintf(stderr, "Next: dx config check %s\n", settings->file);
        return DXI_EXIT_FAILED;
    }
    fputs("Help: dx server --help; the options: dx config sample\n", stderr);
    return code == DX_EINVAL || code == DX_ENOTFOUND ? DXI_EXIT_USAGE : DXI_EXIT_FAILED;
}

int dxi_cli_server(int argc, char **argv)
{
    settings_t settings = {0};
    dxi_operands_t operands;
    dx_error_t error = {0};
    server_t server = {.settings = &settings};
    dx_config_t *config = NULL;
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    int result = dx_config_create(&config, &error);
    if (result == DX_OK) {
        result = configure(config, &settings, server.folder, &error);
    }
    const int exit_code =
        result == DX_OK ? node_run(config, &server) : config_failure(&settings, result, &error);
    dx_config_destroy(config);
    dxi_dev_end(server.folder);
    return exit_code;
}
