#!/usr/bin/env bash
# What 1,000 idle connections and 10,000 topics cost a node, how fast it starts, and its memory when
# idle: tests/cli/node_load.py with the release build. Ends with 1 when a target is missed.
# Options are those of node_load.py (--connections, --topics, --seconds, --admin, -o json).
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release >/dev/null
cmake --build build/release --target dx -j "${DX_JOBS:-2}" >/dev/null
DX=$PWD/build/release/src/cli/dx python3 tests/cli/node_load.py "$@"
