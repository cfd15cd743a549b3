#!/usr/bin/env bash
# Kills participants of shared rings: after each instruction of each operation (crash_sweep), and
# DX_CRASH_KILLS times (default 5000) at random moments under load (crash_storm), in the debug build
# and in the release; and as many clients of a node over shared memory (crash_clients), after
# each instruction that touches it as well (test_net_shm_sweep).
# DX_CRASH_SEED chooses the moments; a failure says how to run it again.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

jobs=${DX_JOBS:-2}
export DX_CRASH_FULL=1
export DX_CRASH_KILLS=${DX_CRASH_KILLS:-5000}
export DX_CRASH_SEED=${DX_CRASH_SEED:-$((RANDOM * 32768 + RANDOM))}
for preset in dev release; do
    cmake --preset "$preset" >/dev/null
    cmake --build --preset "$preset" -j "$jobs" \
        --target crash_sweep crash_storm crash_clients test_net_shm_sweep >/dev/null
    echo "$preset, seed $DX_CRASH_SEED:"
    "build/$preset/tests/crash/crash_storm"
    "build/$preset/tests/crash/crash_sweep"
    "build/$preset/tests/crash/crash_clients"
    "build/$preset/tests/unit/test_net_shm_sweep"
done
