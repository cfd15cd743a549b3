/* bundle.c - `dx bundle`: one archive with all that somebody needs who helps from afar.
 *
 * What can't be collected is listed in errors.txt and does not end it: a node that hangs or is gone
 * is the usual reason to make one. Secrets are left out three times: a node answers "(secret)", the
 * configuration gives values in the same way, and every text goes through cli/redact.h before it is
 * written.
 *
 * A path or a process that a node names is looked at only over a connection that can't leave this
 * host (unix://, shm://): else whoever answers would choose which file of it is given away.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/format.h"
#include "base/sysfs.h"
#include "cli/archive.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/redact.h"
#include "cli/target.h"
#include "disruptorx/clock.h"
#include "disruptorx/config.h"

#define COMMAND "dx bundle"
#define LOG_BYTES_MAX 1048576 /* of a log's file: its end */
#define PROC_BYTES_MAX 65536
#define MEMBERS_MAX 32
#define FOREIGN_BYTES_MIN 8 /* of a secret in a variable that is not ours */

extern char **environ;

typedef struct settings {
    const char *file;
    const char *config;
    const char *log;
    const char *data;
    int64_t timeout_ns;
    bool quick;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "file",
     .letter = 'f',
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, file),
     .help = "the archive, which must not be there; default: dx-bundle-TIME.tar.gz here"},
    {.name = "config",
     .letter = 'c',
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, config),
     .help = "the configuration of the node, where the node can't be asked for it"},
    {.name = "log",
     .letter = 'l',
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, log),
     .help = "the end of this file as well; default: the node's log.file where it is of this host"},
    {.name = "data",
     .letter = 'd',
     .kind = DXI_OPTION_TEXT,
     .value_name = "DIR",
     .offset = offsetof(settings_t, data),
     .help = "whose disk dx doctor looks at; default: the current folder"},
    {.name = "timeout",
     .letter = 't',
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, timeout_ns),
     .low = 10 * DX_NS_PER_MS,
     .high = 600 * DX_NS_PER_S,
     .help = "how long the node may take for each answer; default 5s"},
    {.name = "quick",
     .letter = 'q',
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, quick),
     .help = "measure nothing"},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description =
        "Puts into one archive what somebody needs who helps from afar: version, machine\n"
        "(dx doctor), the node's configuration, topics, subscriptions, connections,\n"
        "rings, users, its newest log lines and metrics. What can't be collected is\n"
        "listed in it.\n"
        "\n"
        "No events, and no secrets: tokens, keys and what looks like one are taken out.\n"
        "Look through it before you give it away all the same; names of topics, addresses\n"
        "and hosts are in it.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx bundle\n"
                "  dx bundle -f /tmp/node-1.tar.gz --config /etc/disruptorx/node.yaml\n"
                "  tar -tzf dx-bundle-20261126-123107.tar.gz\n",
    .uses_node = 1,
};

/* ------------------------------------------------------------------------------------- a bundle */

typedef struct bundle {
    const settings_t *settings;
    dxi_archive_t *archive;
    dxi_redact_t redact;
    char folder[32]; /* of all members */
    char errors[8192];
    int error_count;
    const char *members[MEMBERS_MAX];
    int member_count;
    int code; /* of the archive: DX_OK, or why it is worth nothing */
    dx_error_t error;
} bundle_t;

DX_PRINTF(2, 3) static void trouble(bundle_t *bundle, const char *format, ...)
{
    const size_t used = strlen(bundle->errors);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(bundle->errors + used, sizeof bundle->errors - used, format, arguments);
    va_end(arguments);
    const size_t now = strlen(bundle->errors);
    if (now + 1 < sizeof bundle->errors) {
        memcpy(bundle->errors + now, "\n", 2);
    }
    bundle->error_count++;
}

/* Adds a text without its secrets. `name` must live as long as the bundle. */
static void member_add(bundle_t *bundle, const char *name, const char *text, size_t bytes)
{
    char path[DXI_ARCHIVE_NAME_MAX + 1];
    size_t clean_bytes = 0;
    if (bundle->code != DX_OK) {
        return;
    }
    snprintf(path, sizeof path, "%s/%s", bundle->folder, name);
    char *const clean = dxi_redact_text(&bundle->redact, text, bytes, &clean_bytes);
    if (clean == NULL) {
        trouble(bundle, "%s: no memory", name);
        return;
    }
    bundle->code = dxi_archive_add(bundle->archive, path, clean, clean_bytes, &bundle->error);
    free(clean);
    if (bundle->code == DX_OK && bundle->member_count < MEMBERS_MAX) {
        bundle->members[bundle->member_count++] = name;
    }
}

static void json_add(bundle_t *bundle, const char *name, const json_t *root)
{
    char *const text = json_dumps(root, JSON_INDENT(2));
    if (text == NULL) {
        trouble(bundle, "%s: no memory", name);
        return;
    }
    member_add(bundle, name, text, strlen(text));
    free(text);
}

/* ------------------------------------------------------------------------------------ this host */

/* A small file of the system, or "". */
static const char *system_text(char *room, size_t bytes, const char *root, const char *path)
{
    (void)dxi_sysfs_read(root, room, bytes, "%s", path);
    return room;
}

static void version_add(bundle_t *bundle)
{
    char release[4096];
    struct utsname host;
    memset(&host, 0, sizeof host);
    (void)uname(&host);
    json_t *const root =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "dx", DX_VERSION_STRING, "kernel", host.release,
                  "machine", host.machine, "host", host.nodename, "os",
                  system_text(release, sizeof release, "/etc", "os-release"), "unix_ns",
                  (json_int_t)dx_clock_realtime_ns());
    if (root == NULL) { /* a name that is no UTF-8 */
        trouble(bundle, "version.json: the host's name can't be written");
        return;
    }
    json_add(bundle, "version.json", root);
    json_decref(root);
}

/* Variables of ours, those that hold secrets by name only; their values are known from here on. */
static void environment_add(bundle_t *bundle)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *const stream = open_memstream(&text, &bytes);
    if (stream == NULL) {
        trouble(bundle, "environment.txt: no memory");
        return;
    }
    for (char **at = environ; *at != NULL; at++) {
        const char *const equals = strchr(*at, '=');
        const bool ours = strncmp(*at, "DX_", 3) == 0;
        if (equals == NULL || equals - *at > 200) {
            continue;
        }
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)(equals - *at), *at);
        if (dxi_redact_is_secret_name(name)) {
            /* Paths of files with secrets are no secrets, and helpful. */
            const bool path = strstr(name, "FILE") != NULL;
            /* What is short, and of somebody else, may be a word like any other. */
            if (!path && (ours || strlen(equals + 1) >= FOREIGN_BYTES_MIN)) {
                dxi_redact_know_all(&bundle->redact, equals + 1);
            }
            if (ours) {
                fprintf(stream, "%s=%s\n", name, path ? equals + 1 : DXI_REDACTED);
            }
        } else if (ours) {
            fprintf(stream, "%s\n", *at);
        }
    }
    if (fclose(stream) == 0) {
        member_add(bundle, "environment.txt", text, bytes);
    }
    free(text);
}

static void doctor_add(bundle_t *bundle)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *const stream = open_memstream(&text, &bytes);
    const bool written =
        stream != NULL && dxi_doctor_write(stream, bundle->settings->data, bundle->settings->config,
                                           !bundle->settings->quick);
    if (stream != NULL && fclose(stream) == 0 && written) {
        member_add(bundle, "doctor.json", text, bytes);
    } else {
        trouble(bundle, "doctor.json: it could not be made");
    }
    free(text);
}

/* The end of a file. */
static void file_add(bundle_t *bundle, const char *name, const char *path, int64_t most)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        trouble(bundle, "%s: %s can't be read: %s", name, path,
                fd < 0 ? strerror(errno) : "it is no file");
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    /* Files of /proc have no size. */
    const int64_t begin = status.st_size > most ? status.st_size - most : 0;
    char *const text = dxi_alloc_zeroed(1, (size_t)most + 1);
    size_t used = 0;
    ssize_t got = 0;
    (void)lseek(fd, begin, SEEK_SET);
    while (text != NULL && used < (size_t)most &&
           (got = read(fd, text + used, (size_t)most - used)) > 0) {
        used += (size_t)got;
    }
    (void)close(fd);
    if (text == NULL || got < 0) {
        trouble(bundle, "%s: %s can't be read", name, path);
    } else {
        member_add(bundle, name, text, used);
    }
    dxi_free(text);
}

/* -------------------------------------------------------------------------------- configuration */

/* A configuration from its file, as the node would have it; its secrets are known from here on. */
static void config_file_add(bundle_t *bundle)
{
    dx_config_t *config = NULL;
    dx_error_t error = {0};
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    json_t *const root = json_object();
    int result = dx_config_create(&config, &error);
    if (result == DX_OK) {
        result = dx_config_load(config, bundle->settings->config, &error);
    }
    if (result != DX_OK) {
        trouble(bundle, "config-file.json: %s", error.message);
    }
    for (size_t i = 0; i < count && result == DX_OK; i++) {
        char value[DX_CONFIG_TEXT_BYTES_MAX + 1];
        const char *origin = "";
        if (rows[i].secret) {
            dxi_redact_know_all(&bundle->redact, dx_config_text(config, rows[i].name));
        }
        if (dx_config_get(config, rows[i].name, value, sizeof value, &origin) == DX_OK &&
            strcmp(origin, "default") != 0) {
            (void)json_object_set_new(root, rows[i].name,
                                      json_pack("{s:s, s:s}", "value", value, "origin", origin));
        }
    }
    if (result == DX_OK) {
        json_add(bundle, "config-file.json", root);
    }
    json_decref(root);
    dx_config_destroy(config);
}

/* ------------------------------------------------------------------------------------- the node */

static json_t *question_add(bundle_t *bundle, dx_client_t *client, const char *question,
                            const char *name)
{
    dx_error_t error = {0};
    json_t *const answer = dxi_ask(client, question, "", &error);
    if (answer == NULL) {
        trouble(bundle, "%s: %s (%s)", name, error.message, dx_error_name(error.code));
    } else {
        json_add(bundle, name, answer);
    }
    return answer;
}

static void topics_add(bundle_t *bundle, dx_client_t *client)
{
    dx_error_t error = {0};
    json_t *const topics = dxi_ask_topics(client, &error);
    if (topics == NULL) {
        trouble(bundle, "topics.json: %s (%s)", error.message, dx_error_name(error.code));
        return;
    }
    json_add(bundle, "topics.json", topics);
    json_decref(topics);
}

static void metrics_add(bundle_t *bundle, dx_client_t *client)
{
    dx_error_t error = {0};
    json_t *const answer = dxi_ask(client, "metrics", "", &error);
    const char *const text = dxi_answer_text(answer, "text");
    if (answer == NULL) {
        trouble(bundle, "metrics.txt: %s (%s)", error.message, dx_error_name(error.code));
    } else {
        member_add(bundle, "metrics.txt", text, strlen(text));
    }
    json_decref(answer);
}

/* The value of an option in the node's answer to "config"; "" when it has none. */
static const char *config_value(const json_t *config, const char *name)
{
    size_t index = 0;
    json_t *option = NULL;
    json_array_foreach(json_object_get(config, "options"), index, option)
    {
        if (strcmp(dxi_answer_text(option, "name"), name) == 0) {
            return dxi_answer_text(option, "value");
        }
    }
    return "";
}

/* What this host's system says of the node's process. */
static void process_add(bundle_t *bundle, const json_t *node)
{
    static const char *const files[][2] = {{"status", "process-status.txt"},
                                           {"limits", "process-limits.txt"}};
    char name[64];
    char path[64];
    const long long id = json_integer_value(json_object_get(node, "process_id"));
    (void)dxi_sysfs_read("/proc", name, sizeof name, "%lld/comm", id);
    for (size_t i = 0; i < 2 && strcmp(name, "dx") == 0; i++) {
        snprintf(path, sizeof path, "/proc/%lld/%s", id, files[i][0]);
        file_add(bundle, files[i][1], path, PROC_BYTES_MAX);
    }
}

/* Whether all answers came over one connection that can't leave this host. */
static bool is_local(const dx_client_stats_t *stats)
{
    return stats->reconnects == 0 && (strncmp(stats->address, "unix://", 7) == 0 ||
                                      strncmp(stats->address, "shm://", 6) == 0);
}

/* What the node names of its host, which must be this one. */
static void host_add(bundle_t *bundle, dx_client_t *client, const json_t *node,
                     const char *log_file)
{
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    const bool log_wanted = bundle->settings->log == NULL && log_file[0] == '/';
    if (!is_local(&stats)) {
        trouble(bundle,
                "process-status.txt, process-limits.txt%s: left out, because the node at %s may be "
                "of another host: make a bundle there, through its unix:// address%s",
                log_wanted ? ", log.txt" : "", stats.address,
                log_wanted ? ", or name the file with --log" : "");
        return;
    }
    if (node != NULL) {
        process_add(bundle, node);
    }
    if (log_wanted && access(log_file, R_OK) == 0) {
        file_add(bundle, "log.txt", log_file, LOG_BYTES_MAX);
    }
}

static void node_add(bundle_t *bundle, dx_client_t *client)
{
    json_t *const node = question_add(bundle, client, "node", "node.json");
    json_t *const config = question_add(bundle, client, "config", "config.json");
    topics_add(bundle, client);
    json_decref(question_add(bundle, client, "subscriptions", "subscriptions.json"));
    json_decref(question_add(bundle, client, "connections", "connections.json"));
    json_decref(question_add(bundle, client, "rings", "rings.json"));
    json_decref(question_add(bundle, client, "users", "users.json"));
    json_decref(question_add(bundle, client, "log", "log.json"));
    metrics_add(bundle, client);
    host_add(bundle, client, node, config_value(config, "log.file"));
    json_decref(node);
    json_decref(config);
}

static void node_collect(bundle_t *bundle)
{
    const dx_client_options_t wishes = {.timeout_ns = bundle->settings->timeout_ns,
                                        .connect_timeout_ns = bundle->settings->timeout_ns};
    dx_client_t *client = NULL;
    dxi_target_t target = {0};
    dx_error_t error = {0};
    const int result = dxi_target_open(COMMAND, &wishes, &target, &client, &error);
    dxi_redact_know(&bundle->redact, target.place.token);
    if (result != DX_OK) {
        trouble(bundle, "the node: no connection to %s (%s): %s", target.place.address,
                target.origin, error.message);
        return;
    }
    node_add(bundle, client);
    (void)dx_client_close(client, 0);
}

/* ---------------------------------------------------------------------------------- all of it */

static const char README[] =
    "Made by dx bundle. Each file is what its name says; times are in nanoseconds.\n"
    "errors.txt lists what could not be collected. There are no events in it, and secrets\n"
    "stand as (secret).\n";

static void collect(bundle_t *bundle)
{
    member_add(bundle, "README.txt", README, sizeof README - 1);
    environment_add(bundle); /* first: its secrets are taken out of all that follows */
    if (bundle->settings->config != NULL) {
        config_file_add(bundle);
    }
    version_add(bundle);
    if (!dxi_interrupted()) {
        node_collect(bundle);
    }
    if (bundle->settings->log != NULL) {
        file_add(bundle, "log.txt", bundle->settings->log, LOG_BYTES_MAX);
    }
    if (!dxi_interrupted()) {
        doctor_add(bundle);
    }
    if (bundle->redact.left_out > 0) {
        trouble(bundle, "more than %d secrets are known: look for the others yourself",
                DXI_REDACT_SECRETS_MAX);
    }
    member_add(bundle, "errors.txt", bundle->errors, strlen(bundle->errors));
}

static int report(const bundle_t *bundle, const char *path, int64_t bytes)
{
    if (!dxi_output_is_json()) {
        printf("%s: %d files, %s\n", path, bundle->member_count,
               dxi_format_bytes(&(dxi_text_t){0}, (uint64_t)bytes));
        if (bundle->error_count > 0) {
            fprintf(stderr, "%s: %d could not be collected:\n%s", COMMAND, bundle->error_count,
                    bundle->errors);
        }
        return DXI_EXIT_OK;
    }
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "file", path);
    dxi_json_integer(&json, "bytes", bytes);
    dxi_json_array_begin(&json, "members");
    for (int i = 0; i < bundle->member_count; i++) {
        dxi_json_text(&json, NULL, bundle->members[i]);
    }
    dxi_json_array_end(&json);
    dxi_json_integer(&json, "errors", bundle->error_count);
    dxi_json_text(&json, "errors_text", bundle->errors);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

int dxi_cli_bundle(int argc, char **argv)
{
    static bundle_t bundle; /* large */
    settings_t settings = {.data = ".", .timeout_ns = 5 * DX_NS_PER_S};
    dxi_operands_t operands;
    char path[64];
    struct tm parts;
    const time_t now = time(NULL);
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    memset(&bundle, 0, sizeof bundle);
    bundle.settings = &settings;
    if (gmtime_r(&now, &parts) == NULL ||
        strftime(bundle.folder, sizeof bundle.folder, "dx-bundle-%Y%m%d-%H%M%S", &parts) == 0) {
        snprintf(bundle.folder, sizeof bundle.folder, "dx-bundle");
    }
    snprintf(path, sizeof path, "%s.tar.gz", bundle.folder);
    const char *const file = settings.file != NULL ? settings.file : path;
    dxi_interrupt_catch();
    if (dxi_archive_create(file, now, &bundle.archive, &bundle.error) != DX_OK) {
        dxi_complain_error(COMMAND, &bundle.error);
        return DXI_EXIT_FAILED;
    }
    collect(&bundle);
    int64_t bytes = 0;
    dx_error_t error = {0};
    const int closed = dxi_archive_close(bundle.archive, &bytes, &error);
    if (bundle.code != DX_OK || closed != DX_OK || dxi_interrupted()) {
        (void)unlink(file);
        if (dxi_interrupted()) {
            dxi_complain(COMMAND, "interrupted; nothing was kept");
        } else {
            dxi_complain_error(COMMAND, bundle.code != DX_OK ? &bundle.error : &error);
        }
        return DXI_EXIT_FAILED;
    }
    return report(&bundle, file, bytes);
}
