#!/usr/bin/env bash
# `make run`: builds the release, says nothing while it works, and runs the demonstration.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh build
mkdir -p build
log=build/run.log
if [ ! -e src/cli/main.c ]; then
    echo "The dx program does not exist yet (src/cli/main.c): use make build and make test." >&2
    exit 1
fi
if ! { cmake --preset release && cmake --build --preset release --target dx -j "$(nproc)"; } \
    >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "The build failed; all of its output is in $log." >&2
    exit 1
fi
exec build/release/src/cli/dx demo "${@:-orders}"
