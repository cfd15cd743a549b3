#!/usr/bin/env bash
# Repeats the unit tests and the stress test in the race checker's build and in the release, in
# random order, for DX_SOAK_MINUTES (default 30): rare interleavings need many tries. Each stress
# test takes DX_STRESS_SECONDS (default 60) with seeds of its own. Stops at the first failure.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${DX_SOAK_MINUTES:-30}
jobs=${DX_JOBS:-2}
end=$((SECONDS + minutes * 60))
export DX_STRESS_SECONDS=${DX_STRESS_SECONDS:-60}
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
