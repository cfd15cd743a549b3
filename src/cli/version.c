/* version.c - `dx version`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"

#if defined(__x86_64__)
#define PROCESSOR "x86-64"
#elif defined(__aarch64__)
#define PROCESSOR "arm64"
#else
#define PROCESSOR "unknown"
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#ifdef NDEBUG
#define ASSERTIONS false
#else
#define ASSERTIONS true
#endif

int dxi_cli_version(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx version",
        .description = "Prints the version, the processor and the compiler of this program.\n",
        .examples = "  dx version\n  dx version -o json\n",
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (!dxi_output_is_json()) {
        printf("dx %s (DisruptorX, %s, %s%s)\n", DX_VERSION_STRING, PROCESSOR, COMPILER,
               ASSERTIONS ? ", with assertions" : "");
        return DXI_EXIT_OK;
    }
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "version", DX_VERSION_STRING);
    dxi_json_text(&json, "processor", PROCESSOR);
    dxi_json_text(&json, "compiler", COMPILER);
    dxi_json_boolean(&json, "assertions", ASSERTIONS);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}
