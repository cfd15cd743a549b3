#!/usr/bin/env bash
# Everything a change must pass, stage by stage, stopping at the first stage that fails.
#
#     tools/test.sh              all stages
#     tools/test.sh once asan    only these
#     tools/test.sh dev          all tests of build/dev, which the others run with sanitizers or
#                                optimised: no stage of the whole, but the quickest for a change
#
# A test that says the same in every build has the label style, tool, relacy, model or once, and
# runs in the stage `once` alone; benchmarks (bench) are tried in `release` alone.
#
# Each stage prints one line with its duration; what it printed lies in build/test-logs/<stage>.log.
# The last line is `N passed, N failed`, with `, N skipped` where tests were skipped: the sum over
# the stages, where a test that runs in three builds counts three times. A stage that breaks before
# it has counted (a build that fails) counts as one failed test.
#
# DX_JOBS sets how many compilers work at a time (default 2); tests, one more.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/.."

readonly STAGES=(once lint asan tsan release install)
readonly ONCE='style|tool|relacy|model|once'
readonly LOGS=build/test-logs
jobs=${DX_JOBS:-2}

# Leaks are on by default where the machine allows it.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
tsan=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp
export TSAN_OPTIONS=${TSAN_OPTIONS:-$tsan}

# What a stage counted; each stage_* function sets them.
passed=0 failed=0 skipped=0

# Reads the JUnit file of ctest: the numbers of its <testsuite>.
count_junit() {
    local head
    head=$(tr '\n' ' ' <"$1" | sed -n 's/.*<testsuite \([^>]*\)>.*/\1/p')
    number() { sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" <<<" $head"; }
    failed=$(number failures)
    skipped=$(($(number skipped) + $(number disabled)))
    passed=$(($(number tests) - failed - skipped))
}

# Reads a last line `N passed, N failed[, N skipped]`.
count_last_line() {
    read -r passed failed skipped < <(tail -n 1 "$1" |
        sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)\{0,1\}$/\1 \2 \4/p')
    passed=${passed:-0} failed=${failed:-0} skipped=${skipped:-0}
}

# build <preset> [<target>]
build() {
    cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs" ${2:+--target "$2"}
}

# gcc's and clang's older race checkers do not know the address layout of kernels that randomise
# more than 28 bits of it; without randomisation they do.
runner() {
    local bits=0
    read -r bits 2>/dev/null </proc/sys/vm/mmap_rnd_bits
    if [[ $1 == tsan* && $bits -gt 28 ]] && setarch "$(uname -m)" -R true 2>/dev/null; then
        echo setarch "$(uname -m)" -R
    fi
}

# run_preset <preset> <target> [<ctest arguments>...]: builds a target of one preset, and tests.
# Tests wait now and then: one more at a time than there are processors to work.
run_preset() {
    local preset=$1 target=$2 junit=$PWD/$LOGS/$1.xml status=0
    shift 2
    rm -f "$junit"
    build "$preset" "$target" || return 1
    $(runner "$preset") ctest --test-dir "build/$preset" -j $((jobs + 1)) --no-tests=error \
        --output-on-failure --output-junit "$junit" "$@" || status=1
    [ -f "$junit" ] && count_junit "$junit"
    return $status
}

stage_once() { run_preset dev once -L "$ONCE"; }
stage_dev() { run_preset dev all; }
stage_asan() { run_preset asan all -LE "$ONCE|bench"; }
stage_tsan() { run_preset tsan all -LE "$ONCE|bench"; }
stage_release() { run_preset release all -LE "$ONCE"; }
stage_lint() {
    local status=0
    cmake --preset dev >/dev/null && DX_TIDY_NODES=60000 tools/clang_tidy.sh || status=1
    count_last_line "$LOGS/lint.log"
    return $status
}
stage_install() {
    local status=0
    local all_passed=0 all_failed=0 program
    build release || return 1
    for program in run.sh packages.sh first_five_minutes.py; do
        tests/install/$program build/release >"$LOGS/install.part" || status=1
        cat "$LOGS/install.part"
        count_last_line "$LOGS/install.part"
        all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed))
    done
    passed=$all_passed failed=$all_failed skipped=0
    return $status
}

stages=("$@")
[ "$#" -gt 0 ] || stages=("${STAGES[@]}")
for stage in "${stages[@]}"; do
    if ! declare -F "stage_$stage" >/dev/null; then
        echo "tools/test.sh: \"$stage\" is no stage; use: ${STAGES[*]} dev" >&2
        exit 2
    fi
done

mkdir -p "$LOGS"
total_passed=0 total_failed=0 total_skipped=0 broken=
for stage in "${stages[@]}"; do
    passed=0 failed=0 skipped=0 verdict=ok
    SECONDS=0
    if ! "stage_$stage" >"$LOGS/$stage.log" 2>&1; then
        verdict=FAILED
        [ "$failed" -gt 0 ] || failed=1
    fi
    printf '%-8s %-6s %3d passed, %d failed, %d skipped, %d s\n' \
        "$stage" "$verdict" "$passed" "$failed" "$skipped" "$SECONDS"
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    total_skipped=$((total_skipped + skipped))
    if [ "$verdict" != ok ]; then
        broken=$stage
        break
    fi
done

# What the failed tests of a stage printed, of each the begin and the end: what failed first is the
# cause, what failed last is where it ended. ctest puts it behind the line that says so, and the
# list of all tests behind that would hide it. What passed inside of a test says nothing.
failures_in() {
    awk '/\*\*\*(Failed|Timeout|Exception|Not Run)/ { shown = 1; count = 0 }
         /^ *Start +[0-9]+:|^ *[0-9]+\/[0-9]+ Test .* Passed/ { if (shown) print_part(); shown = 0 }
         shown && !/^\[ +(RUN|OK) +\]/ { line[count++] = $0 }
         function print_part(   i) {
             for (i = 0; i < count; i++) {
                 if (i < 30 || i >= count - 20) print line[i]
                 else if (i == 30) print "[... " count - 50 " lines ...]"
             }
         }
         END { if (shown) print_part() }' "$1"
}

if [ -n "$broken" ]; then
    echo "--- the end of $LOGS/$broken.log"
    tail -n 30 "$LOGS/$broken.log"
    echo "--- what failed"
    failures_in "$LOGS/$broken.log" | head -n 120
    echo "---"
    echo "Stage $broken failed; later stages did not run. Again: tools/test.sh $broken"
fi
closing="$total_passed passed, $total_failed failed"
[ "$total_skipped" -eq 0 ] || closing+=", $total_skipped skipped"
echo "$closing"
[ "$total_failed" -eq 0 ]
