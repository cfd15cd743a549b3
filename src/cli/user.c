/* user.c - `dx user`: who may use a node, in its users file.
 *
 * The file is --file, else what access.file says in the configuration of --config, else
 * DX_ACCESS_FILE. src/access/users_edit.c changes it; a node takes it over at its next reload.
 * A token is printed once, when it is made, and kept nowhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/table.h"
#include "access/token.h"
#include "access/users_edit.h"
#include "base/fail.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "disruptorx/config.h"

typedef struct settings {
    const char *file, *config;
    dxi_texts_t roles, certificates;
    dxi_texts_t allow[DXI_ACCESS_LIST_ACTIONS], deny[DXI_ACCESS_LIST_ACTIONS];
    const char *admin, *connections_max, *events_per_s, *bytes_per_s;
    bool no_token, keep;
} settings_t;

#define FILE_OPTIONS                                                                               \
    {.name = "file",                                                                               \
     .letter = 'f',                                                                                \
     .kind = DXI_OPTION_TEXT,                                                                      \
     .value_name = "FILE",                                                                         \
     .offset = offsetof(settings_t, file),                                                         \
     .help = "the users file; else access.file of --config, else DX_ACCESS_FILE"},                 \
    {                                                                                              \
        .name = "config", .letter = 'c', .kind = DXI_OPTION_TEXT, .value_name = "FILE",            \
        .offset = offsetof(settings_t, config), .help = "a node's configuration, with access.file" \
    }

#define PATTERNS_OPTION(option, member, text)                                                      \
    {                                                                                              \
        .name = (option), .kind = DXI_OPTION_CUSTOM, .value_name = "PATTERN",                      \
        .offset = offsetof(settings_t, member), .parse = dxi_texts_parse, .help = (text)           \
    }

static const char NEXT[] = "Next: dx config reload, or SIGHUP to the node, so that it counts\n";

/* Writes the path of the users file. Returns DXI_GO_ON, or an exit code. */
static int file_find(const dxi_usage_t *usage, const settings_t *settings, char *path_out,
                     size_t room)
{
    dx_error_t error = {.code = 0};
    const char *const variable = getenv("DX_ACCESS_FILE");
    const char *path = settings->file;
    dx_config_t *config = NULL;
    if (path == NULL && settings->config != NULL) {
        int code = dx_config_create(&config, &error);
        code = code != DX_OK ? code : dx_config_load(config, settings->config, &error);
        if (code != DX_OK) {
            dxi_complain_error(usage->command, &error);
            dx_config_destroy(config);
            return DXI_EXIT_FAILED;
        }
        path = dx_config_text(config, "access.file");
    } else if (path == NULL) {
        path = variable;
    }
    const bool there = path != NULL && path[0] != '\0';
    (void)snprintf(path_out, room, "%s", there ? path : "");
    dx_config_destroy(config);
    if (there) {
        return DXI_GO_ON;
    }
    (void)dxi_fail(&error, DX_EINVAL, "%s; next: --file users.yaml",
                   settings->config != NULL ? "the configuration has no access.file"
                                            : "which users file?");
    return dxi_usage_error(usage, &error);
}

/* The beginning of each action. Returns DXI_GO_ON, or an exit code. */
static int begin(const dxi_usage_t *usage, int argc, char **argv, settings_t *settings,
                 dxi_operands_t *operands, char *path_out, size_t room)
{
    const int begun = dxi_arguments_begin(usage, argc, argv, settings, operands);
    return begun != DXI_GO_ON ? begun : file_find(usage, settings, path_out, room);
}

static int failed(const char *speaker, const dx_error_t *error)
{
    dxi_complain_error(speaker, error);
    return DXI_EXIT_FAILED;
}

/* -------------------------------------------------------------------------------- add and token */

static void token_print(const char *file, const char *user, const char *token)
{
    if (!dxi_output_is_json()) {
        if (token != NULL) {
            printf("%s\n", token);
            (void)fprintf(stderr, "This is the token of %s, printed once and kept nowhere.\n",
                          user);
        }
        (void)fputs(NEXT, stderr);
        return;
    }
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "file", file);
    dxi_json_text(&json, "user", user);
    if (token != NULL) {
        dxi_json_text(&json, "token", token);
    }
    dxi_json_object_end(&json);
    (void)dxi_json_finish(&json);
}

static const dxi_option_t ADD_OPTIONS[] = {
    FILE_OPTIONS,
    {.name = "role",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "ROLE",
     .offset = offsetof(settings_t, roles),
     .parse = dxi_texts_parse,
     .help = "a role of the file; may be given several times, as all of these"},
    {.name = "certificate",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "NAME",
     .offset = offsetof(settings_t, certificates),
     .parse = dxi_texts_parse,
     .help = "CN=pump-7,O=Works or DNS:pump-7.example, URI:..., EMAIL:..., IP:..."},
    PATTERNS_OPTION("publish", allow[DXI_ACCESS_PUBLISH], "topics that it may publish to"),
    PATTERNS_OPTION("publish-deny", deny[DXI_ACCESS_PUBLISH], "and may not all the same"),
    PATTERNS_OPTION("subscribe", allow[DXI_ACCESS_SUBSCRIBE], "topics that it may subscribe to"),
    PATTERNS_OPTION("subscribe-deny", deny[DXI_ACCESS_SUBSCRIBE], "and may not all the same"),
    PATTERNS_OPTION("request", allow[DXI_ACCESS_REQUEST], "topics that it may send requests to"),
    PATTERNS_OPTION("request-deny", deny[DXI_ACCESS_REQUEST], "and may not all the same"),
    PATTERNS_OPTION("manage", allow[DXI_ACCESS_MANAGE], "topics that it may create and delete"),
    PATTERNS_OPTION("manage-deny", deny[DXI_ACCESS_MANAGE], "and may not all the same"),
    {.name = "admin",
     .kind = DXI_OPTION_TEXT,
     .value_name = "LEVEL",
     .offset = offsetof(settings_t, admin),
     .help = "none, read or write: figures, and what changes the node"},
    {.name = "connections-max",
     .kind = DXI_OPTION_TEXT,
     .value_name = "N",
     .offset = offsetof(settings_t, connections_max),
     .help = "connections at a time"},
    {.name = "events-per-s",
     .kind = DXI_OPTION_TEXT,
     .value_name = "N",
     .offset = offsetof(settings_t, events_per_s),
     .help = "events that it may publish in a second"},
    {.name = "bytes-per-s",
     .kind = DXI_OPTION_TEXT,
     .value_name = "N",
     .offset = offsetof(settings_t, bytes_per_s),
     .help = "and their bytes: 10Mi"},
    {.name = "no-token",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, no_token),
     .help = "make no token: it comes with a certificate"},
};

static const dxi_usage_t ADD_USAGE = {
    .command = "dx user add",
    .operands = "NAME",
    .description =
        "Adds a user to a users file, which is made where there is none (mode 0600), and\n"
        "prints its token, once. Without permissions and roles it may connect and do\n"
        "nothing. {user} in a pattern stands for the name.\n",
    .options = ADD_OPTIONS,
    .option_count = sizeof ADD_OPTIONS / sizeof ADD_OPTIONS[0],
    .examples = "  dx user add pump-7 -f users.yaml --publish 'plant.{user}.>'\n"
                "  dx user add boss -f users.yaml --admin write --subscribe '>' --publish '>'\n"
                "  dx user add web -c node.yaml --role reader --certificate DNS:web.example \\\n"
                "     --no-token\n",
    .operands_max = 1,
    .question = "which name?",
};

#define VALUES_MAX 16

/* What the options say, as keys of the file. */
static size_t values_make(const settings_t *settings, const char *const *hash,
                          dxi_users_value_t values_out[VALUES_MAX])
{
    static const char *const ALLOW[] = {"publish", "subscribe", "request", "manage"};
    static const char *const DENY[] = {"publish_deny", "subscribe_deny", "request_deny",
                                       "manage_deny"};
    size_t count = 0;
    values_out[count++] = (dxi_users_value_t){"token_sha256", hash, !settings->no_token};
    values_out[count++] = (dxi_users_value_t){"certificates", settings->certificates.texts,
                                              (size_t)settings->certificates.count};
    values_out[count++] =
        (dxi_users_value_t){"roles", settings->roles.texts, (size_t)settings->roles.count};
    for (size_t i = 0; i < DXI_ACCESS_LIST_ACTIONS; i++) {
        values_out[count++] = (dxi_users_value_t){ALLOW[i], settings->allow[i].texts,
                                                  (size_t)settings->allow[i].count};
        values_out[count++] =
            (dxi_users_value_t){DENY[i], settings->deny[i].texts, (size_t)settings->deny[i].count};
    }
    values_out[count++] = (dxi_users_value_t){"admin", &settings->admin, settings->admin != NULL};
    values_out[count++] = (dxi_users_value_t){"connections_max", &settings->connections_max,
                                              settings->connections_max != NULL};
    values_out[count++] = (dxi_users_value_t){"publish_events_per_s", &settings->events_per_s,
                                              settings->events_per_s != NULL};
    values_out[count++] = (dxi_users_value_t){"publish_bytes_per_s", &settings->bytes_per_s,
                                              settings->bytes_per_s != NULL};
    return count;
}

/* A token and its hash. */
static int token_make(char token_out[DXI_TOKEN_TEXT_BYTES + 1],
                      uint8_t hash_out[DXI_ACCESS_HASH_BYTES], dx_error_t *error)
{
    const int code = dxi_token_make(token_out, error);
    if (code != DX_OK) {
        return code;
    }
    return dxi_access_token_hash(token_out, DXI_TOKEN_TEXT_BYTES, hash_out) == DX_OK
               ? DX_OK
               : dxi_fail(error, DX_ENOMEM, "no memory for the hash of a token");
}

static int add_run(int argc, char **argv)
{
    char path[4096], token[DXI_TOKEN_TEXT_BYTES + 1], text[2 * DXI_ACCESS_HASH_BYTES + 1];
    uint8_t hash[DXI_ACCESS_HASH_BYTES];
    settings_t settings = {.file = NULL};
    dxi_operands_t operands;
    dxi_users_value_t values[VALUES_MAX];
    dx_error_t error = {.code = 0};
    const int begun = begin(&ADD_USAGE, argc, argv, &settings, &operands, path, sizeof path);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    int code = token_make(token, hash, &error);
    if (code == DX_OK) {
        dxi_token_hash_write(hash, text);
        const char *const texts = text;
        const size_t count = values_make(&settings, &texts, values);
        code = dxi_users_add(path, operands.texts[0], values, count, &error);
    }
    if (code != DX_OK) {
        explicit_bzero(token, sizeof token);
        return failed(ADD_USAGE.command, &error);
    }
    token_print(path, operands.texts[0], settings.no_token ? NULL : token);
    explicit_bzero(token, sizeof token);
    return DXI_EXIT_OK;
}

static const dxi_option_t TOKEN_OPTIONS[] = {
    FILE_OPTIONS,
    {.name = "keep",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, keep),
     .help = "the old ones stay good, up to 4 in all; run it without --keep at the end"},
};

static int token_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx user token",
        .operands = "NAME",
        .description =
            "Makes another token for a user and prints it, once. Connections that came with\n"
            "one that is no longer good are closed when the node takes the file over; --keep\n"
            "lets clients change over first.\n",
        .options = TOKEN_OPTIONS,
        .option_count = sizeof TOKEN_OPTIONS / sizeof TOKEN_OPTIONS[0],
        .examples = "  dx user token pump-7 -f users.yaml --keep\n",
        .operands_max = 1,
        .question = "which user?",
    };
    char path[4096], token[DXI_TOKEN_TEXT_BYTES + 1];
    uint8_t hash[DXI_ACCESS_HASH_BYTES];
    settings_t settings = {.file = NULL};
    dxi_operands_t operands;
    dx_error_t error = {.code = 0};
    const int begun = begin(&usage, argc, argv, &settings, &operands, path, sizeof path);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    int code = token_make(token, hash, &error);
    if (code == DX_OK) {
        code = dxi_users_set_token(path, operands.texts[0], hash, settings.keep, &error);
    }
    if (code == DX_OK) {
        token_print(path, operands.texts[0], token);
    }
    explicit_bzero(token, sizeof token);
    return code == DX_OK ? DXI_EXIT_OK : failed(usage.command, &error);
}

/* ------------------------------------------------------------------------------------ rm and ls */

static const dxi_option_t PLAIN_OPTIONS[] = {FILE_OPTIONS};

static int rm_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx user rm",
        .operands = "NAME",
        .description = "Removes a user. Its connections are closed when the node takes the file\n"
                       "over.\n",
        .options = PLAIN_OPTIONS,
        .option_count = sizeof PLAIN_OPTIONS / sizeof PLAIN_OPTIONS[0],
        .examples = "  dx user rm pump-7 -f users.yaml\n",
        .operands_max = 1,
        .question = "which user?",
    };
    char path[4096];
    settings_t settings = {.file = NULL};
    dxi_operands_t operands;
    dx_error_t error = {.code = 0};
    const int begun = begin(&usage, argc, argv, &settings, &operands, path, sizeof path);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (dxi_users_remove(path, operands.texts[0], &error) != DX_OK) {
        return failed(usage.command, &error);
    }
    token_print(path, operands.texts[0], NULL);
    return DXI_EXIT_OK;
}

static const char *admin_word(const dxi_access_user_t *user)
{
    return user->admin == 0 ? "none" : user->admin == DXI_ACCESS_ADMIN_READ ? "read" : "write";
}

static void rules_json(dxi_json_t *json, const char *key, const char *suffix,
                       const dxi_access_rule_t *rules, uint32_t count)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s%s", key, suffix);
    dxi_json_array_begin(json, name);
    for (uint32_t i = 0; i < count; i++) {
        dxi_json_text(json, NULL, rules[i].pattern);
    }
    dxi_json_array_end(json);
}

static void user_json(dxi_json_t *json, const dxi_access_user_t *user)
{
    dxi_json_object_begin(json, NULL);
    dxi_json_text(json, "name", user->name);
    dxi_json_integer(json, "tokens", user->token_count);
    dxi_json_array_begin(json, "certificates");
    for (uint32_t i = 0; i < user->certificate_count; i++) {
        dxi_json_text(json, NULL, user->certificates[i]);
    }
    dxi_json_array_end(json);
    for (int i = 0; i < DXI_ACCESS_LIST_ACTIONS; i++) {
        const dxi_access_list_t *const list = &user->lists[i];
        const char *const action = dxi_access_action_name((dxi_access_action_t)i);
        rules_json(json, action, "", list->allow, list->allow_count);
        rules_json(json, action, "_deny", list->deny, list->deny_count);
    }
    dxi_json_text(json, "admin", admin_word(user));
    dxi_json_integer(json, "connections_max", (int64_t)user->limits.connections_max);
    dxi_json_integer(json, "subscriptions_max", (int64_t)user->limits.subscriptions_max);
    dxi_json_integer(json, "publish_events_per_s", (int64_t)user->limits.publish_events_per_s);
    dxi_json_integer(json, "publish_bytes_per_s", (int64_t)user->limits.publish_bytes_per_s);
    dxi_json_object_end(json);
}

/* "a.>, b, not c" in a cell. */
static void rules_cell(dxi_table_t *table, const dxi_access_list_t *list)
{
    char text[DXI_TABLE_CELL_BYTES] = "-";
    size_t used = 0;
    for (uint32_t i = 0; i < list->allow_count && used < sizeof text - 1; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? ", " : "",
                                 list->allow[i].pattern);
    }
    for (uint32_t i = 0; i < list->deny_count && used < sizeof text - 1; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%snot %s", used > 0 ? ", " : "",
                                 list->deny[i].pattern);
    }
    dxi_table_cell(table, "%s", text);
}

static int list_print(const char *speaker, const dxi_access_table_t *users)
{
    static const dxi_column_t columns[] = {
        {"user", DXI_ALIGN_LEFT, 0},    {"by", DXI_ALIGN_LEFT, 3},
        {"publish", DXI_ALIGN_LEFT, 0}, {"subscribe", DXI_ALIGN_LEFT, 0},
        {"request", DXI_ALIGN_LEFT, 2}, {"manage", DXI_ALIGN_LEFT, 1},
        {"admin", DXI_ALIGN_LEFT, 4}};
    dxi_table_t *table = NULL;
    dx_error_t error = {.code = 0};
    if (dxi_table_create(columns, sizeof columns / sizeof columns[0], &table, &error) != DX_OK) {
        return failed(speaker, &error);
    }
    for (uint32_t i = 0; i < users->user_count; i++) {
        const dxi_access_user_t *const user = &users->users[i];
        dxi_table_cell(table, "%s", user->name);
        dxi_table_cell(table, "%s%s%s", user->token_count > 0 ? "token" : "",
                       user->token_count > 0 && user->certificate_count > 0 ? ", " : "",
                       user->certificate_count > 0 ? "certificate" : "");
        for (int action = 0; action < DXI_ACCESS_LIST_ACTIONS; action++) {
            rules_cell(table, &user->lists[action]);
        }
        dxi_table_cell(table, "%s", admin_word(user));
    }
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    return DXI_EXIT_OK;
}

static int ls_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx user ls",
        .description = "Lists the users of a file, with what their roles allow them.\n",
        .options = PLAIN_OPTIONS,
        .option_count = sizeof PLAIN_OPTIONS / sizeof PLAIN_OPTIONS[0],
        .examples = "  dx user ls -f users.yaml\n  dx user ls -c node.yaml -o json\n",
    };
    char path[4096];
    settings_t settings = {.file = NULL};
    dxi_operands_t operands;
    dxi_access_table_t *users = NULL;
    dx_error_t error = {.code = 0};
    const int begun = begin(&usage, argc, argv, &settings, &operands, path, sizeof path);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (dxi_access_table_load(path, &users, &error) != DX_OK) {
        return failed(usage.command, &error);
    }
    int exit_code = DXI_EXIT_OK;
    if (dxi_output_is_json()) {
        dxi_json_t json;
        dxi_json_begin(&json, stdout);
        dxi_json_array_begin(&json, NULL);
        for (uint32_t i = 0; i < users->user_count; i++) {
            user_json(&json, &users->users[i]);
        }
        dxi_json_array_end(&json);
        (void)dxi_json_finish(&json);
    } else {
        exit_code = list_print(usage.command, users);
    }
    dxi_access_table_release(users);
    return exit_code;
}

/* ---------------------------------------------------------------------------------------- check */

static const char *const ACTION_WORDS[] = {"publish", "subscribe",  "request",
                                           "manage",  "admin-read", "admin-write"};

/* The action of a word, or -1 with the error. */
static int action_find(const char *word, dx_error_t *error)
{
    dxi_nearest_t nearest = {.word = word};
    for (int i = 0; i <= DXI_ACCESS_ADMIN_WRITE; i++) {
        if (strcmp(ACTION_WORDS[i], word) == 0) {
            return i;
        }
        dxi_nearest_offer(&nearest, ACTION_WORDS[i]);
    }
    (void)dxi_fail(
        error, DX_EINVAL,
        "the action is %.40s, must be publish, subscribe, request, manage, admin-read or "
        "admin-write%s%s%s",
        word, nearest.best != NULL ? "; did you mean " : "",
        nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
    return -1;
}

static int verdict_print(const char *user, const char *action, const char *object, int code,
                         const dx_error_t *why)
{
    if (dxi_output_is_json()) {
        dxi_json_t json;
        dxi_json_begin(&json, stdout);
        dxi_json_object_begin(&json, NULL);
        dxi_json_text(&json, "user", user);
        dxi_json_text(&json, "action", action);
        dxi_json_text(&json, "object", object);
        dxi_json_boolean(&json, "allowed", code == DX_OK);
        dxi_json_text(&json, "reason", code == DX_OK ? NULL : why->message);
        dxi_json_object_end(&json);
        (void)dxi_json_finish(&json);
    } else if (code == DX_OK) {
        printf("%sallowed%s\n", dxi_style(stdout, DXI_STYLE_GOOD),
               dxi_style(stdout, DXI_STYLE_PLAIN));
    } else {
        printf("%srefused%s: %s\n", dxi_style(stdout, DXI_STYLE_ERROR),
               dxi_style(stdout, DXI_STYLE_PLAIN), why->message);
    }
    return code == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int check_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx user check",
        .operands = "NAME ACTION [TOPIC|PATTERN]",
        .description = "Says whether a user may do something, and which rule says so: publish,\n"
                       "subscribe, request, manage, admin-read, admin-write. Exit code 1: no.\n",
        .options = PLAIN_OPTIONS,
        .option_count = sizeof PLAIN_OPTIONS / sizeof PLAIN_OPTIONS[0],
        .examples = "  dx user check pump-7 publish plant.pump-7.heat -f users.yaml\n"
                    "  dx user check web subscribe 'orders.>' -c node.yaml\n",
        .operands_max = 3,
        .question = "which user, and what?",
    };
    char path[4096];
    settings_t settings = {.file = NULL};
    dxi_operands_t operands;
    dxi_access_table_t *users = NULL;
    dx_error_t error = {.code = 0};
    const int begun = begin(&usage, argc, argv, &settings, &operands, path, sizeof path);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    const int action =
        operands.count < 2
            ? (dxi_fail(&error, DX_EINVAL, "what should %.63s do?", operands.texts[0]), -1)
            : action_find(operands.texts[1], &error);
    if (action >= 0 && (action < DXI_ACCESS_LIST_ACTIONS) != (operands.count == 3)) {
        (void)dxi_fail(&error, DX_EINVAL,
                       action < DXI_ACCESS_LIST_ACTIONS ? "%s wants a topic" : "%s wants no topic",
                       ACTION_WORDS[action]);
    }
    if (action < 0 || error.code != DX_OK) {
        return dxi_usage_error(&usage, &error);
    }
    if (dxi_access_table_load(path, &users, &error) != DX_OK) {
        return failed(usage.command, &error);
    }
    const dxi_access_user_t *const user = dxi_access_table_find(users, operands.texts[0]);
    int exit_code = DXI_EXIT_FAILED;
    if (user == NULL) {
        dxi_complain(usage.command, "%s has no user %s", path, operands.texts[0]);
    } else {
        const char *const object = operands.count == 3 ? operands.texts[2] : NULL;
        const int code = dxi_access_allows(user, (dxi_access_action_t)action, object,
                                           object != NULL ? strlen(object) : 0, &error);
        exit_code = verdict_print(user->name, ACTION_WORDS[action], object, code, &error);
    }
    dxi_access_table_release(users);
    return exit_code;
}

static const dxi_command_t ACTIONS[] = {
    {"add", "add a user, and print its token", add_run},
    {"ls", "list the users of a file", ls_run},
    {"rm", "remove a user", rm_run},
    {"token", "make another token", token_run},
    {"check", "say whether a user may do something", check_run},
    {NULL, NULL, NULL},
};

int dxi_cli_user(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx user",
        .operands = "ACTION ...",
        .description =
            "Who may use a node: its users file (access.file in the configuration). The\n"
            "file is changed at once or not at all, with its comments; a node takes it\n"
            "over at its next reload.\n",
        .examples = "  dx user add pump-7 -f users.yaml --publish 'plant.{user}.>'\n"
                    "  dx user check pump-7 publish plant.pump-7.heat -f users.yaml\n",
        .stops_at_operands = 1,
        .actions = ACTIONS,
    };
    return dxi_command_group(&usage, argc, argv);
}
