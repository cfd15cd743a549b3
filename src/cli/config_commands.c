/* config_commands.c - `dx config`: check, diff and sample work on files; get, set and reload ask a
 * node that runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "disruptorx/config.h"
#include "node/config_internal.h"

/* ----------------------------------------------------------------------------- lists of changes */

/* Options and two values of each, printed as they come. */
typedef struct changes {
    const char *speaker;
    bool has_happened;          /* in a node, instead of in a file */
    const dx_config_t *origins; /* where the second values come from is printed, too; NULL: not */
    dxi_table_t *table;
    dxi_json_t json;
    int count;
    int restarts; /* of them that wait for a start */
} changes_t;

static int changes_begin(changes_t *changes, const char *speaker, const char *from, const char *to,
                         const dx_config_t *origins)
{
    const dxi_column_t columns[] = {{"option", DXI_ALIGN_LEFT, 0},
                                    {from, DXI_ALIGN_LEFT, 0},
                                    {to, DXI_ALIGN_LEFT, 0},
                                    {"takes effect", DXI_ALIGN_LEFT, 1},
                                    {"from", DXI_ALIGN_LEFT, 0}};
    dx_error_t error = {0};
    memset(changes, 0, sizeof *changes);
    changes->speaker = speaker;
    changes->origins = origins;
    if (dxi_output_is_json()) {
        dxi_json_begin(&changes->json, stdout);
        dxi_json_array_begin(&changes->json, NULL);
        return DX_OK;
    }
    const int result = dxi_table_create(columns, origins != NULL ? 5 : 4, &changes->table, &error);
    if (result != DX_OK) {
        dxi_complain_error(speaker, &error);
    }
    return result;
}

static void change_add(changes_t *changes, const char *name, const char *from, const char *to,
                       bool live)
{
    const char *origin = NULL;
    char value[DX_CONFIG_TEXT_BYTES_MAX + 1];
    if (changes->origins != NULL &&
        dx_config_get(changes->origins, name, value, sizeof value, &origin) != DX_OK) {
        origin = "";
    }
    changes->count++;
    changes->restarts += !live;
    if (dxi_output_is_json()) {
        dxi_json_object_begin(&changes->json, NULL);
        dxi_json_text(&changes->json, "name", name);
        dxi_json_text(&changes->json, "from", from);
        dxi_json_text(&changes->json, "to", to);
        dxi_json_boolean(&changes->json, "live", live);
        if (origin != NULL) {
            dxi_json_text(&changes->json, "origin", origin);
        }
        dxi_json_object_end(&changes->json);
        return;
    }
    dxi_table_cell(changes->table, "%s", name);
    dxi_table_cell(changes->table, "%s", from[0] == '\0' ? "(empty)" : from);
    dxi_table_cell(changes->table, "%s", to[0] == '\0' ? "(empty)" : to);
    dxi_table_cell(changes->table, "%s",
                   changes->has_happened ? "at once"
                   : live                ? "at a reload"
                                         : "at a start");
    if (origin != NULL) {
        dxi_table_cell(changes->table, "%s", origin);
    }
}

static void on_change(void *context, const dx_config_change_t *change)
{
    change_add(context, change->option->name, change->from, change->to, change->option->live);
}

static int changes_end(changes_t *changes)
{
    if (dxi_output_is_json()) {
        dxi_json_array_end(&changes->json);
        return dxi_json_finish(&changes->json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
    }
    if (changes->count > 0) {
        dxi_table_print(changes->table, stdout, 0, dxi_output_width(stdout));
    }
    dxi_table_destroy(changes->table);
    return DXI_EXIT_OK;
}

/* ----------------------------------------------------------------------------------- with files */

static int config_open(const char *speaker, const char *path, dx_config_t **config_out)
{
    dx_error_t error = {0};
    int result = dx_config_create(config_out, &error);
    if (result == DX_OK) {
        result = dx_config_load(*config_out, path, &error);
    }
    if (result != DX_OK) {
        dxi_complain_error(speaker, &error);
        dx_config_destroy(*config_out);
        *config_out = NULL;
    }
    return result;
}

/* Prints what differs between two configurations. `is_check`: and that the second one is good. */
static int difference_print(const char *speaker, const dx_config_t *from, const dx_config_t *to,
                            const char *from_title, const char *to_title, const char *checked)
{
    changes_t changes;
    if (changes_begin(&changes, speaker, from_title, to_title, checked != NULL ? to : NULL) !=
        DX_OK) {
        return DXI_EXIT_FAILED;
    }
    const int count = dx_config_diff(from, to, on_change, &changes);
    if (!dxi_output_is_json() && checked != NULL) {
        printf("%s: %sgood%s, %d option%s other than the default\n", checked,
               dxi_style(stdout, DXI_STYLE_GOOD), dxi_style(stdout, DXI_STYLE_PLAIN), count,
               count == 1 ? "" : "s");
    } else if (!dxi_output_is_json() && count == 0) {
        puts("No difference");
    }
    const int restarts = changes.restarts;
    const int exit_code = changes_end(&changes);
    if (!dxi_output_is_json() && checked == NULL && restarts > 0) {
        printf("%d of them need%s a restart.\n", restarts, restarts == 1 ? "s" : "");
    }
    return exit_code;
}

static int files_check(const char *speaker, const dx_config_t *config)
{
    dx_error_t error = {0};
    const int result = dxi_config_files_check(config, &error);
    if (result != DX_OK) {
        dxi_complain_error(speaker, &error);
    }
    return result;
}

static int defaults_make(const char *speaker, dx_config_t **config_out)
{
    dx_error_t error = {0};
    const int result = dxi_config_defaults(config_out, &error);
    if (result != DX_OK) {
        dxi_complain_error(speaker, &error);
    }
    return result;
}

static void warning_print(void *context, const char *sentence)
{
    dxi_complain(context, "warning: %s", sentence);
}

static int check_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx config check",
        .operands = "FILE",
        .description =
            "Reads a configuration as dx server does, environment included, and the files\n"
            "that it names (token, users, certificates, logs), and says what is wrong, with\n"
            "file and line; else what differs from the defaults. No file is made or changed.\n"
            "What is allowed and may surprise is a warning.\n",
        .examples = "  dx config check node.yaml\n",
        .operands_max = 1,
        .question = "which file?",
    };
    dxi_operands_t operands;
    dx_config_t *defaults = NULL;
    dx_config_t *config = NULL;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    int exit_code = DXI_EXIT_FAILED;
    if (config_open(usage.command, operands.texts[0], &config) == DX_OK &&
        files_check(usage.command, config) == DX_OK &&
        defaults_make(usage.command, &defaults) == DX_OK) {
        dxi_config_warnings(config, warning_print, (char *)(uintptr_t)usage.command);
        if (dx_config_list(config, "listen.addresses", 0) ==
            NULL) { /* fine for who embeds a node */
            dxi_complain(usage.command,
                         "warning: listen.addresses is empty: nobody can connect to dx server");
        }
        exit_code = difference_print(usage.command, defaults, config, "default", "value",
                                     operands.texts[0]);
    }
    dx_config_destroy(defaults);
    dx_config_destroy(config);
    return exit_code;
}

static int diff_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx config diff",
        .operands = "OLD NEW",
        .description =
            "Shows in which options two configurations differ, and which of the changes a\n"
            "node takes over at a reload and which at its next start.\n",
        .examples = "  dx config diff node.yaml node.yaml.new\n",
        .operands_max = 2,
    };
    dxi_operands_t operands;
    dx_error_t error = {0};
    dx_config_t *from = NULL;
    dx_config_t *to = NULL;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (operands.count < 2) {
        dxi_fail(&error, DX_EINVAL, "which two files?");
        return dxi_usage_error(&usage, &error);
    }
    int exit_code = DXI_EXIT_FAILED;
    if (config_open(usage.command, operands.texts[0], &from) == DX_OK &&
        config_open(usage.command, operands.texts[1], &to) == DX_OK) {
        exit_code = difference_print(usage.command, from, to, "old", "new", NULL);
    }
    dx_config_destroy(from);
    dx_config_destroy(to);
    return exit_code;
}

static int sample_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx config sample",
        .description =
            "Prints a configuration of all options, each with its default, its bounds and\n"
            "what it does: to begin a file with.\n",
        .examples = "  dx config sample > node.yaml\n",
        .prints = "YAML",
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    dxi_config_sample_write(stdout);
    return DXI_EXIT_OK;
}

/* ---------------------------------------------------------------------------------- with a node */

static int options_table(const char *speaker, json_t *options)
{
    static const dxi_column_t columns[] = {{"option", DXI_ALIGN_LEFT, 0},
                                           {"value", DXI_ALIGN_LEFT, 0},
                                           {"from", DXI_ALIGN_LEFT, 1},
                                           {"takes effect", DXI_ALIGN_LEFT, 2}};
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    size_t index = 0;
    json_t *option = NULL;
    if (dxi_table_create(columns, 4, &table, &error) != DX_OK) {
        dxi_complain_error(speaker, &error);
        return DXI_EXIT_FAILED;
    }
    json_array_foreach(options, index, option)
    {
        const char *const value = dxi_answer_text(option, "value");
        dxi_table_cell(table, "%s", dxi_answer_text(option, "name"));
        dxi_table_cell(table, "%s", value[0] == '\0' ? "(empty)" : value);
        dxi_table_cell(table, "%s", dxi_answer_text(option, "origin"));
        dxi_table_cell(table, "%s",
                       json_is_true(json_object_get(option, "reload_only")) ? "at a reload"
                       : json_is_true(json_object_get(option, "live"))      ? "at once"
                                                                            : "at a start");
    }
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    return DXI_EXIT_OK;
}

static int get_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx config get",
        .operands = "[SECTION|OPTION]",
        .description =
            "Asks a node for the values it has, where they come from, and whether a change\n"
            "takes effect at once. One option alone prints its value and nothing else.\n",
        .examples = "  dx config get\n  dx config get limits\n  dx config get log.level\n",
        .operands_max = 1,
        .uses_node = 1,
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    const char *const name = operands.count > 0 ? operands.texts[0] : "";
    int exit_code = DXI_EXIT_OK;
    json_t *const root = dxi_node_question(usage.command, "config", name, &exit_code);
    if (root == NULL) {
        return exit_code;
    }
    json_t *const options = json_object_get(root, "options");
    if (dxi_output_is_json()) {
        exit_code = dxi_answer_print(usage.command, root);
    } else if (json_array_size(options) == 1 && strchr(name, '.') != NULL) {
        puts(dxi_answer_text(json_array_get(options, 0), "value"));
    } else {
        exit_code = options_table(usage.command, options);
    }
    json_decref(root);
    return exit_code;
}

static int changes_print(const char *speaker, json_t *root, const char *what)
{
    changes_t changes;
    size_t index = 0;
    json_t *change = NULL;
    if (changes_begin(&changes, speaker, "before", "now", NULL) != DX_OK) {
        return DXI_EXIT_FAILED;
    }
    changes.has_happened = true;
    json_array_foreach(json_object_get(root, "changes"), index, change)
    {
        change_add(&changes, dxi_answer_text(change, "name"), dxi_answer_text(change, "from"),
                   dxi_answer_text(change, "to"), true);
    }
    if (!dxi_output_is_json()) {
        printf("%s, %d option%s changed\n", what, changes.count, changes.count == 1 ? "" : "s");
    }
    return changes_end(&changes);
}

static int set_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx config set",
        .operands = "OPTION VALUE",
        .description =
            "Changes an option of a node that runs, until it ends: the file stays as it is,\n"
            "and a reload keeps what was set. Only options that take effect at once can be\n"
            "set; those that name files of the node's host change by its file and a reload.\n",
        .examples = "  dx config set limits.connections_max 2000\n"
                    "  dx config set log.level=debug\n",
        .operands_max = 2,
        .uses_node = 1,
    };
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    char setting[DX_CONFIG_NAME_BYTES_MAX + DX_CONFIG_TEXT_BYTES_MAX + 3];
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (operands.count == 0 || (operands.count == 1 && strchr(operands.texts[0], '=') == NULL)) {
        dxi_fail(&error, DX_EINVAL, "which option and which value?");
        return dxi_usage_error(&usage, &error);
    }
    const int bytes =
        snprintf(setting, sizeof setting, "%s%s%s", operands.texts[0],
                 operands.count > 1 ? "=" : "", operands.count > 1 ? operands.texts[1] : "");
    if (bytes < 0 || (size_t)bytes >= sizeof setting) {
        dxi_fail(&error, DX_EINVAL, "the value has more than %d bytes", DX_CONFIG_TEXT_BYTES_MAX);
        return dxi_usage_error(&usage, &error);
    }
    int exit_code = DXI_EXIT_OK;
    json_t *const root = dxi_node_question(usage.command, "config.set", setting, &exit_code);
    if (root != NULL) {
        exit_code = changes_print(usage.command, root, "Set");
        json_decref(root);
    }
    return exit_code;
}

static int reload_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx config reload",
        .description =
            "Makes a node read its file again, as SIGHUP does: all or nothing. Certificates\n"
            "are read again, too.\n",
        .examples = "  dx config reload\n",
        .uses_node = 1,
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    int exit_code = DXI_EXIT_OK;
    json_t *const root = dxi_node_question(usage.command, "config.reload", "", &exit_code);
    if (root != NULL) {
        exit_code = changes_print(usage.command, root, "Read again");
        json_decref(root);
    }
    return exit_code;
}

static const dxi_command_t ACTIONS[] = {
    {"sample", "print a file of all options with their defaults", sample_run},
    {"check", "say what is wrong with a file", check_run},
    {"diff", "show in which options two files differ", diff_run},
    {"get", "ask a node for the values it has", get_run},
    {"set", "change an option of a node that runs", set_run},
    {"reload", "make a node read its file again", reload_run},
    {NULL, NULL, NULL},
};

int dxi_cli_config(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx config",
        .operands = "ACTION ...",
        .description =
            "The configuration of a node: as files (sample, check, diff), and in a node that\n"
            "runs (get, set, reload).\n",
        .examples = "  dx config sample > node.yaml\n  dx config check node.yaml\n"
                    "  dx config get limits\n",
        .stops_at_operands = 1,
        .actions = ACTIONS,
    };
    return dxi_command_group(&usage, argc, argv);
}
