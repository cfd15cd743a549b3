#!/usr/bin/env bash
# What needs time to show, in two parts of DX_SOAK_MINUTES (default 30) each; `tools/soak.sh node`
# and `tools/soak.sh tests` run one of them. Stops at the first failure.
#
#     node   a release node under mixed load: does it lose, does it grow? (tools/node_soak.py)
#     tests  the unit tests and the stress test in the race checker's build and in the release, in
#            random order: rare interleavings need many tries. Each stress test takes
#            DX_STRESS_SECONDS (default 60) with seeds of its own.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${DX_SOAK_MINUTES:-30}
jobs=${DX_JOBS:-2}
part=${1:-all}
if [[ ! $part =~ ^(all|node|tests)$ ]]; then
    echo "tools/soak.sh: \"$part\" is no part; use: node tests" >&2
    exit 2
fi
if [ "$part" != tests ]; then
    cmake --preset release >/dev/null
    cmake --build build/release --target dx -j "$jobs" >/dev/null
    DX=$PWD/build/release/src/cli/dx python3 tools/node_soak.py
    [ "$part" = all ] || exit 0
fi
end=$((SECONDS + minutes * 60))
export DX_STRESS_SECONDS=${DX_STRESS_SECONDS:-60}
export TSAN_OPTIONS=${TSAN_OPTIONS:-suppressions=$PWD/tests/tsan.supp}
for preset in tsan release; do
    cmake --preset "$preset" >/dev/null
    cmake --build --preset "$preset" -j "$jobs" >/dev/null
done
rounds=0
while [ "$SECONDS" -lt "$end" ]; do
    for preset in tsan release; do
        export DX_STRESS_SEED=$((RANDOM * 32768 + RANDOM))
        ctest --test-dir "build/$preset" -L 'unit|stress' -j "$jobs" --schedule-random \
            --no-tests=error --output-on-failure -Q || {
            ctest --test-dir "build/$preset" --rerun-failed --output-on-failure || true
            echo "Round $((rounds + 1)) of $preset failed; its output is in build/$preset/Testing."
            exit 1
        }
    done
    rounds=$((rounds + 1))
done
echo "$rounds rounds of each build in $minutes minutes, no failure"
