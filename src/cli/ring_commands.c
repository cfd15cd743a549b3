/* ring_commands.c - `dx ring`: the list of its commands, `ls` and `rm`. A new one is a row in
 * COMMANDS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/ring_file.h"
#include "cli/table.h"

/* ------------------------------------------------------------------------------------ the list */

/* Files of a folder, as many as a table takes. */
typedef struct files {
    int32_t count;
    int32_t stored;
    dx_ring_file_t rows[DXI_TABLE_ROWS_MAX];
} files_t;

static void store(void *context, const dx_ring_file_t *file)
{
    files_t *const files = context;
    if (files->stored < DXI_TABLE_ROWS_MAX) {
        files->rows[files->stored++] = *file;
    }
    files->count++;
}

/* Reads the folder into memory that the caller frees; NULL after a complaint. */
static files_t *files_read(const char *speaker, const char *folder)
{
    dx_error_t error = {0};
    files_t *files = dxi_alloc_zeroed(1, sizeof *files);
    if (files == NULL) {
        dxi_complain(speaker, "no memory for a list of rings");
    } else if (dx_ring_list(folder, store, files, &error) < 0) {
        dxi_complain_error(speaker, &error);
        dxi_free(files);
        files = NULL;
    }
    return files;
}

/* One word for what can be done with a file. */
static const char *state_of(const dx_ring_file_t *file)
{
    if (file->unfinished) {
        return file->attached > 0 ? "being made" : "unfinished";
    }
    switch (file->code) {
    case DX_OK:
        return file->attached > 0 ? "in use" : "orphan";
    case DX_EVERSION:
        return "other version";
    case DX_EPERM:
        return "no permission";
    case DX_ECORRUPT:
        return "damaged";
    default:
        return dx_error_name(file->code);
    }
}

static bool is_orphan(const dx_ring_file_t *file)
{
    return file->attached == 0 && (file->unfinished || file->code == DX_OK);
}

/* ------------------------------------------------------------------------------------------ ls */

typedef struct ls_settings {
    const char *folder;
} ls_settings_t;

/* "rw-------" for 0600. */
static const char *mode_text(uint32_t mode, dxi_text_t *text)
{
    static const char letters[] = "rwxrwxrwx";
    for (int i = 0; i < 9; i++) {
        text->bytes[i] = letters[i];
        if ((mode >> (8 - i) & 1) == 0) {
            text->bytes[i] = '-';
        }
    }
    text->bytes[9] = '\0';
    return text->bytes;
}

static int ls_json(const files_t *files, const char *folder)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "folder", folder);
    dxi_json_array_begin(&json, "rings");
    for (int32_t i = 0; i < files->stored; i++) {
        const dx_ring_file_t *const file = &files->rows[i];
        dxi_json_object_begin(&json, NULL);
        dxi_json_text(&json, "name", file->name);
        dxi_json_text(&json, "state", state_of(file));
        dxi_json_text(&json, "code", dx_error_name(file->code));
        dxi_json_integer(&json, "file_bytes", (int64_t)file->file_bytes);
        dxi_json_text(&json, "owner", dxi_user_name(file->user_id));
        dxi_json_integer(&json, "user_id", file->user_id);
        dxi_json_integer(&json, "mode", file->mode);
        dxi_json_integer(&json, "attached", file->attached);
        dxi_json_boolean(&json, "orphan", is_orphan(file));
        dxi_json_object_end(&json);
    }
    dxi_json_array_end(&json);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int ls_table(const files_t *files, const char *folder)
{
    static const dxi_column_t columns[] = {
        {"name", DXI_ALIGN_LEFT, 0}, {"size", DXI_ALIGN_RIGHT, 2},     {"owner", DXI_ALIGN_LEFT, 1},
        {"mode", DXI_ALIGN_LEFT, 3}, {"attached", DXI_ALIGN_RIGHT, 0}, {"state", DXI_ALIGN_LEFT, 0},
    };
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    if (files->count == 0) {
        printf("No shared ring in %s.\n", folder);
        return DXI_EXIT_OK;
    }
    if (dxi_table_create(columns, sizeof columns / sizeof columns[0], &table, &error) != DX_OK) {
        dxi_complain_error("dx ring ls", &error);
        return DXI_EXIT_FAILED;
    }
    bool orphans = false;
    for (int32_t i = 0; i < files->stored; i++) {
        const dx_ring_file_t *const file = &files->rows[i];
        orphans = orphans || is_orphan(file);
        dxi_table_style(table, file->code != DX_OK ? DXI_STYLE_ERROR
                               : is_orphan(file)   ? DXI_STYLE_WARNING
                                                   : DXI_STYLE_PLAIN);
        dxi_table_cell(table, "%s", dxi_format_name(&(dxi_text_t){0}, file->name));
        dxi_table_cell(table, "%s", dxi_format_bytes(&(dxi_text_t){0}, file->file_bytes));
        dxi_table_cell(table, "%s", dxi_user_name(file->user_id));
        dxi_table_cell(table, "%s", mode_text(file->mode, &(dxi_text_t){0}));
        dxi_table_cell(table, "%d", file->attached);
        dxi_table_cell(table, "%s", state_of(file));
    }
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    if (files->count > files->stored) {
        printf("... and %d more\n", files->count - files->stored);
    }
    if (orphans) {
        printf("\n%sNobody is attached to an orphan: dx ring rm --orphans removes them all.%s\n",
               dxi_style(stdout, DXI_STYLE_QUIET), dxi_style(stdout, DXI_STYLE_PLAIN));
    }
    return DXI_EXIT_OK;
}

static int ring_ls(int argc, char **argv)
{
    static const dxi_option_t options[] = {DXI_FOLDER_OPTION(ls_settings_t, folder)};
    static const dxi_usage_t usage = {
        .command = "dx ring ls",
        .description = "Lists the files of shared rings in a folder, and looks at each:\n"
                       "\n"
                       "  in use         living processes are attached\n"
                       "  orphan         nobody is attached: left by a crash, or kept on purpose\n"
                       "  unfinished     left by a process that died while it made the ring\n"
                       "  damaged        not a ring, cut off, or its numbers can't be\n"
                       "  other version  made by a library with another layout\n"
                       "  no permission  this user may not read it\n",
        .options = options,
        .option_count = 1,
        .examples = "  dx ring ls\n"
                    "  dx ring ls --folder /mnt/huge\n"
                    "  dx ring ls -o json | jq -r '.rings[] | select(.orphan) | .name'\n",
    };
    ls_settings_t settings = {.folder = DX_RING_FOLDER};
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    files_t *const files = files_read("dx ring ls", settings.folder);
    if (files == NULL) {
        return DXI_EXIT_FAILED;
    }
    const int exit_code =
        dxi_output_is_json() ? ls_json(files, settings.folder) : ls_table(files, settings.folder);
    dxi_free(files);
    return exit_code;
}

/* ------------------------------------------------------------------------------------------ rm */

#define NAMES_MAX 256

typedef struct rm_settings {
    const char *folder;
    bool force;
    bool orphans;
} rm_settings_t;

/* What was removed: said one by one, or together as JSON. */
typedef struct removal {
    const rm_settings_t *settings;
    dxi_json_t *json; /* NULL: text */
    int exit_code;
} removal_t;

static void remove_one(removal_t *removal, const dxi_ring_place_t *place)
{
    dx_error_t error = {0};
    const int code = dx_ring_remove(place->name, place->folder, removal->settings->force, &error);
    if (code == DX_EBUSY && !removal->settings->force) {
        dxi_complain("dx ring rm",
                     "\"%s\" is in use; --force takes away its name, and those that are attached "
                     "go on without it (%s)",
                     place->name, dx_error_name(code));
        removal->exit_code = DXI_EXIT_FAILED;
    } else if (code != DX_OK) {
        removal->exit_code = dxi_ring_complain("dx ring rm", place, &error);
    } else if (removal->json != NULL) {
        dxi_json_text(removal->json, NULL, place->path);
    } else {
        printf("removed %s\n", place->path);
    }
}

/* True for a name that stands once more in the list, which is in order. */
static bool is_repeated(const files_t *files, int32_t index)
{
    for (int32_t i = 0; i < index; i++) {
        if (is_orphan(&files->rows[i]) &&
            strcmp(files->rows[i].name, files->rows[index].name) == 0) {
            return true;
        }
    }
    return false;
}

static void remove_orphans(removal_t *removal)
{
    const char *const folder = removal->settings->folder;
    files_t *const files = files_read("dx ring rm", folder);
    if (files == NULL) {
        removal->exit_code = DXI_EXIT_FAILED;
        return;
    }
    int removed = 0;
    for (int32_t i = 0; i < files->stored; i++) {
        dxi_ring_place_t place;
        if (is_orphan(&files->rows[i]) && !is_repeated(files, i) &&
            dxi_ring_place_parse(files->rows[i].name, folder, &place, NULL) == DX_OK) {
            remove_one(removal, &place);
            removed++;
        }
    }
    if (removed == 0 && removal->json == NULL) {
        printf("No orphan in %s.\n", folder);
    }
    dxi_free(files);
}

static int rm_run(const rm_settings_t *settings, const dxi_ring_place_t *places, int count)
{
    dxi_json_t json;
    removal_t removal = {.settings = settings, .exit_code = DXI_EXIT_OK};
    if (dxi_output_is_json()) {
        dxi_json_begin(&json, stdout);
        dxi_json_object_begin(&json, NULL);
        dxi_json_array_begin(&json, "removed");
        removal.json = &json;
    }
    for (int i = 0; i < count; i++) {
        remove_one(&removal, &places[i]);
    }
    if (settings->orphans) {
        remove_orphans(&removal);
    }
    if (removal.json != NULL) {
        dxi_json_array_end(&json);
        dxi_json_object_end(&json);
        return dxi_json_finish(&json) == DX_OK ? removal.exit_code : DXI_EXIT_FAILED;
    }
    return removal.exit_code;
}

static int ring_rm(int argc, char **argv)
{
    static const dxi_option_t options[] = {
        {.name = "force",
         .letter = 'f',
         .kind = DXI_OPTION_FLAG,
         .offset = offsetof(rm_settings_t, force),
         .help = "also a ring that is in use: nobody can attach any more, those that are attached "
                 "keep it and go on"},
        {.name = "orphans",
         .kind = DXI_OPTION_FLAG,
         .offset = offsetof(rm_settings_t, orphans),
         .help = "every ring of the folder to which nobody is attached, kept ones too"},
        DXI_FOLDER_OPTION(rm_settings_t, folder),
    };
    static const dxi_usage_t usage = {
        .command = "dx ring rm",
        .operands = "NAME|FILE ...",
        .description =
            "Removes shared rings: the file goes, and the name is free. A ring that is in use\n"
            "is only removed by force. What is damaged or of another version is removed when\n"
            "it is named, and left alone by --orphans.\n",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .examples = "  dx ring rm orders\n"
                    "  dx ring rm --orphans\n"
                    "  dx ring rm --force /mnt/huge/orders.dxring\n",
        .operands_max = NAMES_MAX,
    };
    rm_settings_t settings = {.folder = DX_RING_FOLDER};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&usage, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (operands.count == 0 && !settings.orphans) {
        dxi_fail(&error, DX_EINVAL, "which ring? Name some, or all with --orphans");
        return dxi_usage_error(&usage, &error);
    }
    /* All names before the first removal: a mistyped command does nothing. */
    static dxi_ring_place_t places[NAMES_MAX];
    for (int i = 0; i < operands.count; i++) {
        if (dxi_ring_place_parse(operands.texts[i], settings.folder, &places[i], &error) != DX_OK) {
            return dxi_usage_error(&usage, &error);
        }
    }
    return rm_run(&settings, places, operands.count);
}

/* ------------------------------------------------------------------------------------- dx ring */

static const dxi_command_t COMMANDS[] = {
    {"ls", "list the shared rings of a folder: size, owner, in use or left over", ring_ls},
    {"rm", "remove shared rings by name, or all that nobody is attached to", ring_rm},
    {"dump", "print the events of a ring as hex, or by a layout", dxi_ring_dump},
    {NULL, NULL, NULL},
};

static const dxi_usage_t USAGE = {
    .command = "dx ring",
    .operands = "COMMAND ...",
    .description = "Shared rings and their files. `dx help ring COMMAND` explains a command;\n"
                   "`dx stat` shows a ring at work.\n",
    .examples = "  dx ring ls\n  dx ring dump orders\n  dx help ring rm\n",
    .stops_at_operands = 1,
    .actions = COMMANDS,
    .noun = "command",
};

int dxi_cli_ring(int argc, char **argv)
{
    return dxi_command_group(&USAGE, argc, argv);
}
