/* context.c - `dx context`: saved nodes, so that nobody types an address twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/context.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "net/address.h"

typedef struct settings {
    const char *address;
    const char *token;
    const char *tls_authority_file;
    const char *tls_certificate_file;
    const char *tls_key_file;
    const char *tls_server_name;
    bool tls_insecure;
    bool select;
} settings_t;

/* The saved contexts and where they stand. */
typedef struct store {
    char path[DXI_CONTEXT_PATH_BYTES];
    dxi_contexts_t contexts;
} store_t;

static int store_open(const char *speaker, store_t **store_out)
{
    dx_error_t error = {0};
    store_t *const store = dxi_alloc_zeroed(1, sizeof *store);
    *store_out = NULL;
    if (store == NULL) {
        dxi_complain(speaker, "no memory for the contexts");
        return DX_ENOMEM;
    }
    int result = dxi_contexts_path(store->path, sizeof store->path, &error);
    if (result == DX_OK) {
        result = dxi_contexts_load(store->path, &store->contexts, &error);
    }
    if (result != DX_OK) {
        dxi_complain_error(speaker, &error);
        dxi_free(store);
        return result;
    }
    *store_out = store;
    return DX_OK;
}

/* Saves, frees, and turns what happened, to the context `name` and in the word `done`, into an exit
 * code. */
static int store_close(const char *speaker, store_t *store, int result, const char *name,
                       const char *done, dx_error_t *error)
{
    if (result == DX_OK) {
        result = dxi_contexts_save(store->path, &store->contexts, error);
    }
    if (result != DX_OK) {
        dxi_complain_error(speaker, error);
    }
    dxi_free(store);
    if (result == DX_OK && dxi_output_is_json()) {
        result = dxi_json_result("context", name, done);
    }
    return result == DX_OK ? DXI_EXIT_OK : result == DX_EINVAL ? DXI_EXIT_USAGE : DXI_EXIT_FAILED;
}

/* ------------------------------------------------------------------------------------------ add */

static const dxi_option_t ADD_OPTIONS[] = {
    {.name = "address",
     .letter = 'a',
     .kind = DXI_OPTION_TEXT,
     .value_name = "ADDRESS",
     .offset = offsetof(settings_t, address),
     .help = "tcp://host:port, tls://host:port, unix:///path or shm:///path; several with commas"},
    {.name = "token",
     .kind = DXI_OPTION_TEXT,
     .value_name = "TOKEN",
     .offset = offsetof(settings_t, token),
     .help = "to be let in with; @FILE is read at each use"},
    {.name = "tls-authority",
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, tls_authority_file),
     .help = "certificates (PEM) that the node's must be signed by"},
    {.name = "tls-certificate",
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, tls_certificate_file),
     .help = "our own certificate (PEM), for nodes that want one"},
    {.name = "tls-key",
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, tls_key_file),
     .help = "its key (PEM)"},
    {.name = "tls-server-name",
     .kind = DXI_OPTION_TEXT,
     .value_name = "NAME",
     .offset = offsetof(settings_t, tls_server_name),
     .help = "that the node's certificate must have; default: the host"},
    {.name = "tls-insecure",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, tls_insecure),
     .help = "don't check the node's certificate: for tests only"},
    {.name = "select",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, select),
     .help = "and use it from now on"},
};

static const dxi_usage_t ADD_USAGE = {
    .command = "dx context add",
    .operands = "NAME --address ADDRESS",
    .description =
        "Saves a node under a name, or replaces what was saved. The file is for you alone\n"
        "(mode 0600): $XDG_CONFIG_HOME/disruptorx/contexts.json, else below ~/.config.\n",
    .options = ADD_OPTIONS,
    .option_count = sizeof ADD_OPTIONS / sizeof ADD_OPTIONS[0],
    .examples = "  dx context add dev --address unix:///run/dx.sock --select\n"
                "  dx context add prod --address tls://a:7400,tls://b:7400 --token @token.txt\n",
    .operands_max = 1,
    .question = "which name should it have?",
};

static int text_put(char *room, const char *text, const char *option, dx_error_t *error)
{
    if (text == NULL) {
        return DX_OK;
    }
    if (strlen(text) > DXI_CONTEXT_TEXT_MAX) {
        return dxi_fail(error, DX_EINVAL, "%s has %zu bytes, must have at most %d", option,
                        strlen(text), DXI_CONTEXT_TEXT_MAX);
    }
    memcpy(room, text, strlen(text) + 1);
    return DX_OK;
}

/* Each of "a,b,c" must be an address. */
static int addresses_check(const char *text, dx_error_t *error)
{
    int result = DX_OK;
    while (result == DX_OK) {
        char one[DXI_ADDRESS_TEXT_MAX + 1];
        dxi_address_t address;
        const size_t bytes = strcspn(text, ",");
        if (bytes >= sizeof one) {
            return dxi_fail(error, DX_EINVAL, "--address: an address has %zu bytes, at most %d",
                            bytes, DXI_ADDRESS_TEXT_MAX);
        }
        memcpy(one, text, bytes);
        one[bytes] = '\0';
        result = dxi_address_parse(one, &address, error);
        if (text[bytes] == '\0') {
            break;
        }
        text += bytes + 1;
    }
    return result;
}

static int context_fill(const char *name, const settings_t *settings, dxi_context_t *context,
                        dx_error_t *error)
{
    const struct {
        char *room;
        const char *text;
        const char *option;
    } texts[] = {
        {context->address, settings->address, "--address"},
        {context->token, settings->token, "--token"},
        {context->tls_authority_file, settings->tls_authority_file, "--tls-authority"},
        {context->tls_certificate_file, settings->tls_certificate_file, "--tls-certificate"},
        {context->tls_key_file, settings->tls_key_file, "--tls-key"},
        {context->tls_server_name, settings->tls_server_name, "--tls-server-name"},
    };
    if (settings->address == NULL) {
        return dxi_fail(error, DX_EINVAL, "--address is missing: a context needs one");
    }
    int result = addresses_check(settings->address, error);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && result == DX_OK; i++) {
        result = text_put(texts[i].room, texts[i].text, texts[i].option, error);
    }
    context->tls_insecure = settings->tls_insecure;
    /* Cut: a name this long is refused by dxi_context_put() as it would be whole. */
    if (strlen(name) > DXI_CONTEXT_NAME_MAX && result == DX_OK) {
        result = dxi_fail(error, DX_EINVAL, "the name has %zu bytes, must have at most %d",
                          strlen(name), DXI_CONTEXT_NAME_MAX);
    }
    snprintf(context->name, sizeof context->name, "%s", name);
    return result;
}

static int add_run(int argc, char **argv)
{
    settings_t settings = {0};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&ADD_USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    dxi_context_t context = {0};
    if (context_fill(operands.texts[0], &settings, &context, &error) != DX_OK) {
        return dxi_usage_error(&ADD_USAGE, &error);
    }
    store_t *store = NULL;
    if (store_open(ADD_USAGE.command, &store) != DX_OK) {
        return DXI_EXIT_FAILED;
    }
    const int result = dxi_context_put(&store->contexts, &context, &error);
    if (result == DX_OK && settings.select) {
        memcpy(store->contexts.selected, context.name, sizeof context.name);
    }
    return store_close(ADD_USAGE.command, store, result, context.name, "saved", &error);
}

/* ------------------------------------------------------------------------------------------- ls */

static int list_json(const dxi_contexts_t *contexts)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_array_begin(&json, NULL);
    for (int32_t i = 0; i < contexts->count; i++) {
        const dxi_context_t *const context = &contexts->items[i];
        dxi_json_object_begin(&json, NULL);
        dxi_json_text(&json, "name", context->name);
        dxi_json_text(&json, "address", context->address);
        dxi_json_boolean(&json, "selected", strcmp(context->name, contexts->selected) == 0);
        dxi_json_boolean(&json, "token", context->token[0] != '\0');
        dxi_json_boolean(&json, "tls_insecure", context->tls_insecure);
        dxi_json_object_end(&json);
    }
    dxi_json_array_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int list_table(const dxi_contexts_t *contexts)
{
    static const dxi_column_t columns[] = {{"", DXI_ALIGN_LEFT, 0},
                                           {"name", DXI_ALIGN_LEFT, 0},
                                           {"address", DXI_ALIGN_LEFT, 0},
                                           {"token", DXI_ALIGN_LEFT, 1}};
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    if (contexts->count == 0) {
        puts("No context is saved. Next: dx context add NAME --address ADDRESS");
        return DXI_EXIT_OK;
    }
    if (dxi_table_create(columns, 4, &table, &error) != DX_OK) {
        dxi_complain_error("dx context ls", &error);
        return DXI_EXIT_FAILED;
    }
    for (int32_t i = 0; i < contexts->count; i++) {
        const dxi_context_t *const context = &contexts->items[i];
        dxi_table_cell(table, "%s", strcmp(context->name, contexts->selected) == 0 ? "*" : "");
        dxi_table_cell(table, "%s", context->name);
        dxi_table_cell(table, "%s", context->address);
        dxi_table_cell(table, "%s", context->token[0] != '\0' ? "yes" : "no");
    }
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    return DXI_EXIT_OK;
}

static int ls_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx context ls",
        .description = "Lists the saved nodes; * is the one in use. Tokens are not shown.\n",
        .examples = "  dx context ls\n  dx context ls -o json\n",
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    store_t *store = NULL;
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (store_open(usage.command, &store) != DX_OK) {
        return DXI_EXIT_FAILED;
    }
    const int exit_code =
        dxi_output_is_json() ? list_json(&store->contexts) : list_table(&store->contexts);
    dxi_free(store);
    return exit_code;
}

/* ------------------------------------------------------------------------------- select and rm */

static int select_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx context select",
        .operands = "[NAME]",
        .description = "Uses a saved node from now on, wherever neither --address, --context nor\n"
                       "DX_ADDRESS say another. Without a name, none is used.\n",
        .examples = "  dx context select prod\n  dx context select\n",
        .operands_max = 1,
    };
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    store_t *store = NULL;
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (store_open(usage.command, &store) != DX_OK) {
        return DXI_EXIT_FAILED;
    }
    const char *const name = operands.count > 0 ? operands.texts[0] : "";
    int result = DX_OK;
    if (operands.count > 0 && dxi_context_find(&store->contexts, name) == NULL) {
        result = dxi_fail(&error, DX_ENOTFOUND,
                          "there is no context \"%.60s\"; dx context ls lists them", name);
    } else {
        snprintf(store->contexts.selected, sizeof store->contexts.selected, "%s", name);
    }
    return store_close(usage.command, store, result, name, "selected", &error);
}

static int rm_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx context rm",
        .operands = "NAME",
        .description = "Forgets a saved node.\n",
        .examples = "  dx context rm dev\n",
        .operands_max = 1,
        .question = "which context?",
    };
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    store_t *store = NULL;
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (store_open(usage.command, &store) != DX_OK) {
        return DXI_EXIT_FAILED;
    }
    const int result = dxi_context_remove(&store->contexts, operands.texts[0], &error);
    return store_close(usage.command, store, result, operands.texts[0], "removed", &error);
}

static const dxi_command_t ACTIONS[] = {
    {"add", "save a node under a name", add_run},
    {"ls", "list the saved nodes", ls_run},
    {"select", "use one from now on", select_run},
    {"rm", "forget one", rm_run},
    {NULL, NULL, NULL},
};

int dxi_cli_context(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx context",
        .operands = "ACTION ...",
        .description =
            "Saved nodes: an address under a name, with its token and TLS files.\n"
            "\n"
            "Which address a command uses: --address, else --context, else DX_ADDRESS, else\n"
            "the selected context, else tcp://127.0.0.1:7400. A token is only sent to the\n"
            "node it was saved with; --token and DX_TOKEN are for the others.\n",
        .examples = "  dx context add dev --address unix:///run/dx.sock --select\n"
                    "  dx --context prod topic ls\n",
        .stops_at_operands = 1,
        .actions = ACTIONS,
    };
    return dxi_command_group(&usage, argc, argv);
}
