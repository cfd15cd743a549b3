#!/usr/bin/env bash
# Runs clang-tidy over the files of src/ (or over those named). Needs the compile commands of a
# configured preset: $DX_BUILD, default build/dev.
# The last line is `N passed, N failed`, a file being a test.
#
# DX_TIDY_NODES bounds how many states the analyzer looks at in a function. `make test` looks at
# fewer than the analyzer would by itself, in half of the time; `make tidy` at as many.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

build=${DX_BUILD:-build/dev}
if [ ! -f "$build/compile_commands.json" ]; then
    echo "$build has no compile_commands.json: run cmake --preset dev first" >&2
    exit 2
fi
if [ "$#" -gt 0 ]; then
    files=("$@")
else
    mapfile -t files < <(find src -name '*.c' | sort)
fi

# Each file's output is kept apart, so that two at a time don't mix.
check_one() {
    local output
    local nodes=()
    if [ -n "${DX_TIDY_NODES:-}" ]; then
        nodes=(-Xclang -analyzer-config -Xclang "max-nodes=$DX_TIDY_NODES")
    fi
    if output=$(clang-tidy -p "$1" --quiet "${nodes[@]/#/--extra-arg=}" "$2" 2>&1); then
        echo "ok $2"
    else
        printf 'not ok %s\n%s\n' "$2" "$output"
    fi
}
export -f check_one

output=$(printf '%s\0' "${files[@]}" |
    xargs -0 -r -n 1 -P "$(nproc)" bash -c 'check_one "$1" "$2"' check "$build")
printf '%s\n' "$output" | grep -v '^ok ' || true
passed=$(grep -c '^ok ' <<<"$output" || true)
failed=$(grep -c '^not ok ' <<<"$output" || true)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
