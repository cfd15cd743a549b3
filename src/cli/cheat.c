/* cheat.c - `dx cheat`: short recipes by subject. A new one is a row of SHEETS; a test runs --help
 * of each command that stands in one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"

typedef struct sheet {
    const char *name;
    const char *about;
    const char *text; /* lines */
} sheet_t;

static const sheet_t SHEETS[] = {
    {"server", "start and stop a node",
     "# nothing to configure, data in a temporary folder\n"
     "dx server --dev\n"
     "# with a file, and one option over it\n"
     "dx config sample > node.yaml\n"
     "dx config check node.yaml\n"
     "dx server -c node.yaml --set limits.connections_max=1000\n"
     "# on a socket of this machine\n"
     "dx server --dev --listen unix:///tmp/dx.sock\n"
     "# stop: Ctrl-C or SIGTERM drains; read the file again: SIGHUP\n"},
    {"pub", "publish events",
     "dx pub orders.new '{\"id\": 7}'\n"
     "# many, numbered, at a rate, and wait for the node's word\n"
     "dx pub orders.new '{\"id\": {{.Count}}}' --count 1000 --rate 100 --ack\n"
     "# lines of a file or of another program\n"
     "dx pub logs.app --file app.log\n"
     "tail -f app.log | dx pub logs.app\n"
     "# with a key (its events keep their order) and headers\n"
     "dx pub prices 187.2 --key AAPL -H source=test\n"},
    {"sub", "see events",
     "dx sub 'orders.*'\n"
     "dx sub '>' --headers\n"
     "# what the node still has, then end\n"
     "dx sub orders.new --from earliest --count 10 --timeout 1s\n"
     "# share the work: each event goes to one of the group\n"
     "dx sub 'orders.>' --group billing --ack\n"
     "# only some, decided by the node\n"
     "dx sub prices --filter 'key = \"AAPL\"'\n"
     "dx sub 'orders.>' -o json | jq .data\n"},
    {"request", "ask and answer",
     "dx reply time.now '{{.Time}}'\n"
     "dx reply math.square --command 'read n; echo $((n * n))' --group workers\n"
     "dx request math.square 12 --timeout 500ms\n"},
    {"topic", "look after topics",
     "dx topic create orders.new --retain-events 100k --retain-age 10m\n"
     "dx topic ls\n"
     "dx topic info orders.new\n"
     "dx topic tail orders.new -n 5 -f\n"
     "dx topic change orders.new --retain-events 1M\n"
     "dx topic rm orders.new\n"},
    {"bench", "measure",
     "# the machine first: what it costs without us\n"
     "dx latency --intrinsic --seconds 10\n"
     "# round trip through a node\n"
     "dx latency --rate 10k --seconds 10 --hgrm latency.hgrm\n"
     "# as many events as it can, publisher to subscriber\n"
     "dx bench e2e --bytes 128 --seconds 5\n"
     "dx bench e2e --clients 4 --subscribers 4 --topics 4 --rate 200k\n"
     "# in one process, without a network\n"
     "dx bench bus --rate 1M --seconds 10\n"},
    {"watch", "see how a node does",
     "dx top\n"
     "dx top --once --screen subscriptions --sort lag\n"
     "dx top -o json -n 60 | jq .node.published_per_s\n"
     "# everything that Prometheus gets, and the newest lines of the log\n"
     "dx node metrics\n"
     "dx node log -n 100\n"},
    {"operate", "a node as a service",
     "# is this machine fit? with the commands that make it so\n"
     "dx doctor -c node.yaml\n"
     "# files for the programs around it\n"
     "dx generate systemd\n"
     "dx generate alerts\n"
     "dx generate grafana overview\n"
     "dx generate completion bash\n"
     "# an archive for those who help, without secrets\n"
     "dx bundle -c node.yaml\n"},
    {"context", "more than one node",
     "dx context add dev --address unix:///tmp/dx.sock\n"
     "dx context add prod --address tls://a:7400,tls://b:7400 --token @token.txt\n"
     "dx context select dev\n"
     "dx --context prod topic ls\n"
     "DX_ADDRESS=tcp://10.0.0.7:7400 dx sub '>'\n"},
    {"config", "change a node that runs",
     "dx config get limits.connections_max\n"
     "dx config set limits.connections_max 2000\n"
     "dx config diff old.yaml new.yaml\n"
     "dx config reload\n"},
};

#define SHEET_COUNT (sizeof SHEETS / sizeof SHEETS[0])

static void text_print(const char *text)
{
    while (*text != '\0') {
        const int bytes = (int)strcspn(text, "\n");
        const bool remark = *text == '#';
        printf("  %s%.*s%s\n", remark ? dxi_style(stdout, DXI_STYLE_QUIET) : "", bytes, text,
               remark ? dxi_style(stdout, DXI_STYLE_PLAIN) : "");
        text += bytes + (text[bytes] == '\n');
    }
}

static void sheet_print(const sheet_t *sheet)
{
    printf("%s%s%s: %s\n\n", dxi_style(stdout, DXI_STYLE_HEADING), sheet->name,
           dxi_style(stdout, DXI_STYLE_PLAIN), sheet->about);
    text_print(sheet->text);
}

static int sheets_json(const sheet_t *sheets, size_t count)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_array_begin(&json, NULL);
    for (size_t i = 0; i < count; i++) {
        dxi_json_object_begin(&json, NULL);
        dxi_json_text(&json, "name", sheets[i].name);
        dxi_json_text(&json, "about", sheets[i].about);
        dxi_json_text(&json, "text", sheets[i].text);
        dxi_json_object_end(&json);
    }
    dxi_json_array_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int list_print(void)
{
    if (dxi_output_is_json()) {
        return sheets_json(SHEETS, SHEET_COUNT);
    }
    for (size_t i = 0; i < SHEET_COUNT; i++) {
        printf("  dx cheat %-9s %s\n", SHEETS[i].name, SHEETS[i].about);
    }
    return DXI_EXIT_OK;
}

int dxi_cli_cheat(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx cheat",
        .operands = "[SUBJECT]",
        .description = "Short recipes to copy, by subject; without one, lists the subjects.\n",
        .examples = "  dx cheat\n  dx cheat pub\n",
        .operands_max = 1,
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (operands.count == 0) {
        return list_print();
    }
    dxi_nearest_t nearest = {.word = operands.texts[0]};
    for (size_t i = 0; i < SHEET_COUNT; i++) {
        if (strcmp(SHEETS[i].name, operands.texts[0]) == 0) {
            if (dxi_output_is_json()) {
                return sheets_json(&SHEETS[i], 1);
            }
            sheet_print(&SHEETS[i]);
            return DXI_EXIT_OK;
        }
        dxi_nearest_offer(&nearest, SHEETS[i].name);
    }
    dxi_complain(usage.command, "there are no recipes for \"%.60s\"%s%s%s", operands.texts[0],
                 nearest.best != NULL ? "; did you mean " : "; dx cheat lists the subjects",
                 nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
    return DXI_EXIT_USAGE;
}
