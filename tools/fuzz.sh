#!/usr/bin/env bash
# Runs every fuzz target (tests/fuzz/fuzz_*.c, built by the fuzz preset with clang's libFuzzer) for
# DX_FUZZ_SECONDS each (default 60). What it found lies in build/fuzz/findings/.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

if ! compgen -G 'tests/fuzz/fuzz_*.c' >/dev/null; then
    echo "There is no fuzz target yet: the library reads no foreign bytes so far." >&2
    exit 1
fi
seconds=${DX_FUZZ_SECONDS:-60}
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -j "${DX_JOBS:-2}" >/dev/null
for program in build/fuzz/tests/fuzz/fuzz_*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    name=$(basename "$program")
    corpus=build/fuzz/corpus/$name
    mkdir -p "$corpus" build/fuzz/findings
    seeds=()
    [ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name")
    echo "== $name, $seconds s"
    "$program" -max_total_time="$seconds" -print_final_stats=1 \
        -artifact_prefix="build/fuzz/findings/$name-" "$corpus" "${seeds[@]}"
done
