/* latency_intrinsic.c - `dx latency --intrinsic`: what this machine alone costs.
 *
 * A thread that does nothing but read the clock sees every moment in which it did not run: other
 * threads, interrupts, the hypervisor. No program on this machine can be better than that, whatever
 * it measures, so look here before blaming a node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/format.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/latency.h"
#include "cli/output.h"
#include "cli/picture.h"
#include "disruptorx/clock.h"

#define COMMAND "dx latency --intrinsic"

void dxi_intrinsic_run(int64_t ns, const dx_atomic32_t *stop, dxi_intrinsic_t *intrinsic)
{
    const int64_t begin_ns = dx_clock_ns();
    int64_t before_ns = begin_ns;
    int64_t least_ns = INT64_MAX;
    int64_t looks = 0;
    while (before_ns - begin_ns < ns && dx_load32_relaxed(stop) == 0) {
        const int64_t now_ns = dx_clock_ns();
        const int64_t gap_ns = now_ns - before_ns;
        least_ns = gap_ns < least_ns ? gap_ns : least_ns;
        if (gap_ns >= intrinsic->threshold_ns) {
            dx_histogram_record(intrinsic->gaps, gap_ns);
            intrinsic->interruptions++;
            intrinsic->interrupted_ns += gap_ns;
        }
        before_ns = now_ns;
        looks++;
    }
    intrinsic->elapsed_ns = before_ns - begin_ns;
    intrinsic->looks = looks;
    intrinsic->least_ns = looks > 0 ? least_ns : 0;
}

static void print(const dxi_intrinsic_t *intrinsic)
{
    const int64_t max_ns = dx_histogram_max(intrinsic->gaps);
    printf("%sThis machine alone%s, a thread that reads the clock for %s\n",
           dxi_style(stdout, DXI_STYLE_HEADING), dxi_style(stdout, DXI_STYLE_PLAIN),
           dxi_format_ns(&(dxi_text_t){0}, intrinsic->elapsed_ns));
    printf("%-14s%s, %s at the quickest\n", "readings",
           dxi_format_count(&(dxi_text_t){0}, intrinsic->looks),
           dxi_format_ns(&(dxi_text_t){0}, intrinsic->least_ns));
    printf("%-14s%s of at least %s, %s of the time in all\n", "interruptions",
           dxi_format_count(&(dxi_text_t){0}, intrinsic->interruptions),
           dxi_format_ns(&(dxi_text_t){0}, intrinsic->threshold_ns),
           dxi_format_share(&(dxi_text_t){0}, intrinsic->interrupted_ns, intrinsic->elapsed_ns));
    if (intrinsic->interruptions == 0) {
        puts("Nothing interrupted it.");
        return;
    }
    printf("%-14s", "lengths");
    dxi_picture_percentiles(stdout, intrinsic->gaps, dxi_output_width(stdout));
    putchar('\n');
    dxi_picture_bars(stdout, intrinsic->gaps, dxi_output_width(stdout));
    printf("\nNo program on this machine can promise less than %s.\n",
           dxi_format_ns(&(dxi_text_t){0}, max_ns));
}

static int print_json(const dxi_intrinsic_t *intrinsic)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "latency", "intrinsic");
    dxi_json_integer(&json, "elapsed_ns", intrinsic->elapsed_ns);
    dxi_json_integer(&json, "readings", intrinsic->looks);
    dxi_json_integer(&json, "reading_least_ns", intrinsic->least_ns);
    dxi_json_integer(&json, "threshold_ns", intrinsic->threshold_ns);
    dxi_json_integer(&json, "interruptions", intrinsic->interruptions);
    dxi_json_integer(&json, "interrupted_ns", intrinsic->interrupted_ns);
    dxi_picture_json(&json, "interruption_ns", intrinsic->gaps);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

int dxi_intrinsic_command(int64_t ns, int64_t threshold_ns, const char *hgrm)
{
    dxi_intrinsic_t intrinsic = {.threshold_ns = threshold_ns};
    dx_error_t error = {0};
    if (dx_histogram_create(&intrinsic.gaps, &error) != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    int exit_code = DXI_EXIT_OK;
    dxi_intrinsic_run(ns, dxi_interrupt_word(), &intrinsic);
    if (dxi_output_is_json()) {
        exit_code = print_json(&intrinsic);
    } else {
        print(&intrinsic);
    }
    if (hgrm != NULL && dxi_picture_hgrm(intrinsic.gaps, hgrm, &error) != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        exit_code = DXI_EXIT_FAILED;
    }
    dx_histogram_destroy(intrinsic.gaps);
    return exit_code;
}
