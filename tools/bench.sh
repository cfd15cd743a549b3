#!/usr/bin/env bash
# Builds the release and runs our benchmarks one after the other (or those named), alone on the
# machine as far as we can tell: never two at a time. Their output is kept in build/bench/.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release >/dev/null
cmake --build --preset release -j "${DX_JOBS:-2}" >/dev/null
mkdir -p build/bench
programs=("$@")
if [ "$#" -eq 0 ]; then
    mapfile -t programs < <(find build/release/bench -maxdepth 1 -type f -executable \
        -name 'bench_*' 2>/dev/null | sort)
fi
if [ "${#programs[@]}" -eq 0 ]; then
    echo "There is no benchmark yet: bench/ has no program bench_*." >&2
    exit 1
fi
for program in "${programs[@]}"; do
    name=$(basename "$program")
    echo "== $name"
    "build/release/bench/$name" | tee "build/bench/$name.txt"
done
