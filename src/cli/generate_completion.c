/* generate_completion.c - `dx generate completion`: completions for bash, zsh and fish, from the
 * tables of commands and options.
 *
 * All three find out where they are in the same way: the words before the cursor that are names of
 * commands make a place, "dx topic ls". By the place they know the actions and options; an option
 * with a choice, or a file, is completed behind it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdbool.h>
#include <string.h>

#include "cli/command_tree.h"
#include "cli/generate.h"

/* Calls `visit` for each option that a command knows. */
static void options_each(const dxi_usage_t *usage,
                         void (*visit)(void *context, const dxi_usage_t *usage,
                                       const dxi_option_t *option),
                         void *context)
{
    size_t count = 0;
    for (size_t i = 0; i < usage->option_count; i++) {
        visit(context, usage, &usage->options[i]);
    }
    const dxi_option_t *options = dxi_options_of_node(&count);
    for (size_t i = 0; usage->uses_node && i < count; i++) {
        visit(context, usage, &options[i]);
    }
    options = dxi_options_of_all(&count);
    for (size_t i = 0; i < count; i++) {
        visit(context, usage, &options[i]);
    }
}

static bool takes_file(const dxi_option_t *option)
{
    return option->value_name != NULL && (strstr(option->value_name, "FILE") != NULL ||
                                          strstr(option->value_name, "DIR") != NULL);
}

/* dx itself is where everything begins, and what follows `dx help` is completed as what follows dx,
 * so that its words lead on: dx help topic create. */
static bool is_beginning(const dxi_usage_t *usage)
{
    return strcmp(usage->command, "dx") == 0 || strcmp(usage->command, "dx help") == 0;
}

/* What may stand behind the words so far: actions, and in the beginning all commands. */
static const dxi_command_t *words_of(const dxi_usage_t *usage)
{
    return is_beginning(usage) ? dxi_commands() : dxi_command_actions(usage);
}

/* A text between single quotes; `escape` is what a quote becomes. */
static void quoted_write(FILE *stream, const char *text, const char *escape)
{
    fputc('\'', stream);
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs(escape, stream);
        } else {
            fputc(*text, stream);
        }
    }
    fputc('\'', stream);
}

/* ---------------------------------------------------------------------------- bash, zsh as well */

/* "dx topic"|"dx topic ls"|...: every place but the beginning. */
static void place_write(void *context, const char *summary, const dxi_usage_t *usage)
{
    (void)summary;
    if (!is_beginning(usage)) {
        fprintf(context, " |\\\n        \"%s\"", usage->command);
    }
}

static void places_write(FILE *stream)
{
    fputs("        (\"\"", stream);
    dxi_command_walk(place_write, stream);
    fputs(") place=\"$place $word\" ;;\n", stream);
}

typedef struct shell {
    FILE *stream;
    const char *choices_format; /* how a list of words is offered */
    const char *files;          /* how files are */
} shell_t;

/* The option as it stands on a command line, "dx pub:-n"|"dx pub:--count". */
static void value_write(void *context, const dxi_usage_t *usage, const dxi_option_t *option)
{
    const shell_t *const shell = context;
    FILE *const stream = shell->stream;
    if (option->kind == DXI_OPTION_FLAG) {
        return;
    }
    fprintf(stream, "    (\"%s:--%s\"", usage->command, option->name);
    if (option->letter != '\0') {
        fprintf(stream, " | \"%s:-%c\"", usage->command, option->letter);
    }
    fputs(") ", stream);
    if (option->kind == DXI_OPTION_CHOICE) {
        char words[256] = "";
        size_t used = 0;
        for (size_t i = 0; option->choices[i] != NULL && used < sizeof words; i++) {
            used += (size_t)snprintf(words + used, sizeof words - used, "%s%s", i > 0 ? " " : "",
                                     option->choices[i]);
        }
        fprintf(stream, "%s%s%s", shell->choices_format, words, "\" ;;\n");
    } else if (takes_file(option)) {
        fprintf(stream, "%s ;;\n", shell->files);
    } else {
        fputs("return ;;\n", stream); /* a value that nobody but the user knows */
    }
}

static void values_write(void *context, const char *summary, const dxi_usage_t *usage)
{
    (void)summary;
    options_each(usage, value_write, context);
}

static void bash_option_write(void *context, const dxi_usage_t *usage, const dxi_option_t *option)
{
    (void)usage;
    fprintf(context, " --%s", option->name);
    if (option->letter != '\0') {
        fprintf(context, " -%c", option->letter);
    }
}

static void bash_command_write(void *context, const char *summary, const dxi_usage_t *usage)
{
    FILE *const stream = context;
    (void)summary;
    fprintf(stream, "    (\"%s\") found=\"", usage->command);
    for (const dxi_command_t *row = words_of(usage); row->name != NULL; row++) {
        fprintf(stream, "%s ", row->name);
    }
    fputs("\" options=\"", stream);
    options_each(usage, bash_option_write, stream);
    fputs("\" ;;\n", stream);
}

void dxi_completion_bash(FILE *stream)
{
    fputs("# Completion of dx for bash; written by dx generate completion bash.\n"
          "_dx() {\n"
          "    local place=dx word found= options= i\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        word=${COMP_WORDS[i]}\n"
          "        case \"$place $word\" in\n",
          stream);
    places_write(stream);
    fputs("        esac\n"
          "    done\n"
          "    word=${COMP_WORDS[COMP_CWORD]}\n"
          "    COMPREPLY=()\n"
          "    case \"$place:${COMP_WORDS[COMP_CWORD - 1]}\" in\n",
          stream);
    shell_t shell = {stream, "found=\"",
                     "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$word\")); return"};
    dxi_command_walk(values_write, &shell);
    fputs("    esac\n"
          "    if [[ -n $found ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$found\" -- \"$word\"))\n"
          "        return\n"
          "    fi\n"
          "    case \"$place\" in\n",
          stream);
    dxi_command_walk(bash_command_write, stream);
    fputs("    esac\n"
          "    [[ $word == -* ]] && found=$options\n"
          "    COMPREPLY=($(compgen -W \"$found\" -- \"$word\"))\n"
          "}\n"
          "complete -o bashdefault -o default -F _dx dx\n",
          stream);
}

static void zsh_option_write(void *context, const dxi_usage_t *usage, const dxi_option_t *option)
{
    FILE *const stream = context;
    char row[512];
    (void)usage;
    snprintf(row, sizeof row, "--%s:%s", option->name, option->help);
    fputs("\n            ", stream);
    quoted_write(stream, row, "'\\''");
    if (option->letter != '\0') {
        snprintf(row, sizeof row, "-%c:%s", option->letter, option->help);
        fputs("\n            ", stream);
        quoted_write(stream, row, "'\\''");
    }
}

static void zsh_command_write(void *context, const char *summary, const dxi_usage_t *usage)
{
    FILE *const stream = context;
    char row[256];
    (void)summary;
    fprintf(stream, "    (\"%s\")\n        found=(", usage->command);
    for (const dxi_command_t *action = words_of(usage); action->name != NULL; action++) {
        snprintf(row, sizeof row, "%s:%s", action->name, action->summary);
        fputs("\n            ", stream);
        quoted_write(stream, row, "'\\''");
    }
    fputs(")\n        options=(", stream);
    options_each(usage, zsh_option_write, stream);
    fputs(") ;;\n", stream);
}

void dxi_completion_zsh(FILE *stream)
{
    fputs("#compdef dx\n"
          "# Completion of dx for zsh; written by dx generate completion zsh.\n"
          "_dx() {\n"
          "    local place=dx word choices=\n"
          "    local -a found options\n"
          "    for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
          "        case \"$place $word\" in\n",
          stream);
    places_write(stream);
    fputs("        esac\n"
          "    done\n"
          "    case \"$place:${words[CURRENT-1]}\" in\n",
          stream);
    shell_t shell = {stream, "choices=\"", "_files; return"};
    dxi_command_walk(values_write, &shell);
    fputs("    esac\n"
          "    if [[ -n $choices ]]; then\n"
          "        compadd -- ${=choices}\n"
          "        return\n"
          "    fi\n"
          "    case \"$place\" in\n",
          stream);
    dxi_command_walk(zsh_command_write, stream);
    fputs("    esac\n"
          "    if [[ $PREFIX == -* ]]; then\n"
          "        _describe -o option options\n"
          "    elif (( $#found )); then\n"
          "        _describe command found\n"
          "    else\n"
          "        _files\n"
          "    fi\n"
          "}\n"
          "if [[ $funcstack[1] == _dx ]]; then\n"
          "    _dx \"$@\"\n"
          "else\n"
          "    compdef _dx dx\n"
          "fi\n",
          stream);
}

/* ----------------------------------------------------------------------------------------- fish */

static void fish_place_write(void *context, const char *summary, const dxi_usage_t *usage)
{
    (void)summary;
    if (!is_beginning(usage)) {
        fprintf(context, " \\\n                '%s'", usage->command);
    }
}

static void fish_option_write(void *context, const dxi_usage_t *usage, const dxi_option_t *option)
{
    FILE *const stream = context;
    fprintf(stream, "complete -c dx -n 'test (__dx_place) = \"%s\"' -l %s", usage->command,
            option->name);
    if (option->letter != '\0') {
        fprintf(stream, " -s %c", option->letter);
    }
    if (option->kind == DXI_OPTION_CHOICE) {
        fputs(" -x -a '", stream);
        for (size_t i = 0; option->choices[i] != NULL; i++) {
            fprintf(stream, "%s%s", i > 0 ? " " : "", option->choices[i]);
        }
        fputc('\'', stream);
    } else if (option->kind != DXI_OPTION_FLAG) {
        fputs(takes_file(option) ? " -r -F" : " -x", stream);
    }
    fputs(" -d ", stream);
    quoted_write(stream, option->help, "\\'");
    fputc('\n', stream);
}

static void fish_command_write(void *context, const char *summary, const dxi_usage_t *usage)
{
    FILE *const stream = context;
    (void)summary;
    for (const dxi_command_t *row = words_of(usage); row->name != NULL; row++) {
        fprintf(stream, "complete -c dx -n 'test (__dx_place) = \"%s\"' -a %s -d ", usage->command,
                row->name);
        quoted_write(stream, row->summary, "\\'");
        fputc('\n', stream);
    }
    options_each(usage, fish_option_write, stream);
}

void dxi_completion_fish(FILE *stream)
{
    fputs("# Completion of dx for fish; written by dx generate completion fish.\n"
          "function __dx_place\n"
          "    set -l place dx\n"
          "    for word in (commandline -opc)[2..-1]\n"
          "        switch \"$place $word\"\n"
          "            case",
          stream);
    dxi_command_walk(fish_place_write, stream);
    fputs("\n                set place \"$place $word\"\n"
          "        end\n"
          "    end\n"
          "    echo $place\n"
          "end\n"
          "complete -c dx -f\n",
          stream);
    dxi_command_walk(fish_command_write, stream);
}

/* -------------------------------------------------------------------------------------- command */

static int shell_run(const dxi_usage_t *usage, void (*write)(FILE *), int argc, char **argv)
{
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(usage, argc, argv, NULL, &operands);
    if (begun == DXI_GO_ON) {
        write(stdout);
        return DXI_EXIT_OK;
    }
    return begun;
}

static int bash_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate completion bash",
        .description = "For bash. Packages put it into bash-completion's folder; for one's own\n"
                       "account, a line in ~/.bashrc does it.\n",
        .examples = "  source <(dx generate completion bash)\n",
        .prints = "a program of the shell",
    };
    return shell_run(&usage, dxi_completion_bash, argc, argv);
}

static int zsh_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate completion zsh",
        .description = "For zsh: a file _dx in a folder of $fpath, or a line in ~/.zshrc.\n",
        .examples = "  source <(dx generate completion zsh)\n",
        .prints = "a program of the shell",
    };
    return shell_run(&usage, dxi_completion_zsh, argc, argv);
}

static int fish_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate completion fish",
        .description = "For fish.\n",
        .examples = "  dx generate completion fish > ~/.config/fish/completions/dx.fish\n",
        .prints = "a program of the shell",
    };
    return shell_run(&usage, dxi_completion_fish, argc, argv);
}

static const dxi_command_t SHELLS[] = {
    {"bash", "for bash", bash_run},
    {"zsh", "for zsh", zsh_run},
    {"fish", "for fish", fish_run},
    {NULL, NULL, NULL},
};

int dxi_generate_completion(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate completion",
        .operands = "SHELL",
        .description =
            "Prints what a shell needs to complete commands, options and their values.\n",
        .examples = "  source <(dx generate completion bash)\n",
        .stops_at_operands = 1,
        .actions = SHELLS,
        .noun = "shell",
    };
    return dxi_command_group(&usage, argc, argv);
}
