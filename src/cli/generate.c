/* generate.c - `dx generate`: files for the programs around a node, on standard output.
 *
 * Dashboards, rules and units lie in deploy/ of the repository and are inside the program
 * (cli/embedded.h); the rest is made of tables when it is asked for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/generate.h"

#include <string.h>

#include "base/fail.h"
#include "cli/embedded.h"
#include "cli/options.h"
#include "cli/output.h"
#include "node/config_internal.h"

const dxi_embedded_t *dxi_embedded_find(const char *name)
{
    for (const dxi_embedded_t *row = DXI_EMBEDDED; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

static int file_print(const dxi_usage_t *usage, const char *name)
{
    const dxi_embedded_t *const file = dxi_embedded_find(name);
    if (file == NULL) {
        dxi_complain(usage->command, "%s is not in this program", name);
        return DXI_EXIT_FAILED;
    }
    fwrite(file->bytes, 1, file->count, stdout); /* main looks at standard output in the end */
    return DXI_EXIT_OK;
}

static int file_run(const dxi_usage_t *usage, const char *name, int argc, char **argv)
{
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(usage, argc, argv, NULL, &operands);
    return begun == DXI_GO_ON ? file_print(usage, name) : begun;
}

static int grafana_check(const void *target, const dxi_operands_t *operands, dx_error_t *error)
{
    (void)target;
    const char *const name = operands->count > 0 ? operands->texts[0] : "overview";
    if (strcmp(name, "overview") != 0 && strcmp(name, "internals") != 0) {
        return dxi_fail(error, DX_EINVAL, "the dashboard is %.40s, must be overview or internals",
                        name);
    }
    return DX_OK;
}

static int grafana_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate grafana",
        .operands = "[overview|internals]",
        .description = "A dashboard for Grafana, as JSON to import; without a name, overview.\n"
                       "\n"
                       "  overview   health, throughput, latency, lag, connections, resources\n"
                       "  internals  rings, loops, what waits and what was refused, each topic\n",
        .examples = "  dx generate grafana > overview.json\n"
                    "  dx generate grafana internals > internals.json\n",
        .operands_max = 1,
        .check = grafana_check,
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    const bool internals = operands.count > 0 && strcmp(operands.texts[0], "internals") == 0;
    return file_print(&usage,
                      internals ? "deploy/grafana/internals.json" : "deploy/grafana/overview.json");
}

static int prometheus_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate prometheus",
        .description = "A configuration of Prometheus that asks a node of this machine for its\n"
                       "metrics, and reads the rules of `dx generate alerts`.\n",
        .examples = "  dx generate prometheus > prometheus.yml\n",
        .prints = "YAML",
    };
    return file_run(&usage, "deploy/prometheus/prometheus.yml", argc, argv);
}

static int alerts_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate alerts",
        .description = "Rules of alerts for Prometheus, each with what it means and what to do.\n",
        .examples = "  dx generate alerts > alerts.yml && promtool check rules alerts.yml\n",
        .prints = "YAML",
    };
    return file_run(&usage, "deploy/prometheus/alerts.yml", argc, argv);
}

static int systemd_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate systemd",
        .description = "A unit of systemd that runs a node as a user of its own, and gives it no\n"
                       "more than it needs.\n",
        .examples = "  dx generate systemd > /etc/systemd/system/disruptorx.service\n",
        .prints = "a unit",
    };
    return file_run(&usage, "deploy/systemd/disruptorx.service", argc, argv);
}

static int config_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate config",
        .description = "A configuration of a node with every option and its default, commented.\n",
        .examples = "  dx generate config > node.yaml && dx config check node.yaml\n",
        .prints = "YAML",
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun == DXI_GO_ON) {
        dxi_config_sample_write(stdout);
        return DXI_EXIT_OK;
    }
    return begun;
}

static const dxi_command_t FILES[] = {
    {"grafana", "a dashboard for Grafana: overview or internals", grafana_run},
    {"prometheus", "a configuration that collects a node's metrics", prometheus_run},
    {"alerts", "rules of alerts for Prometheus", alerts_run},
    {"systemd", "a unit for a node as a service", systemd_run},
    {"completion", "completion for bash, zsh and fish", dxi_generate_completion},
    {"man", "pages of the manual", dxi_generate_man},
    {"config", "a configuration with every option", config_run},
    {NULL, NULL, NULL},
};

int dxi_cli_generate(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx generate",
        .operands = "FILE ...",
        .description = "Prints files for the programs around a node, to standard output.\n",
        .examples = "  dx generate alerts > alerts.yml\n"
                    "  dx generate systemd > /etc/systemd/system/disruptorx.service\n"
                    "  source <(dx generate completion bash)\n",
        .stops_at_operands = 1,
        .actions = FILES,
        .noun = "file",
    };
    return dxi_command_group(&usage, argc, argv);
}
