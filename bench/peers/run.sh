#!/usr/bin/env bash
# `make bench-peers`: everything is in tools/bench_peers.py, which says its options with --help.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
exec python3 "$(dirname "$0")/../../tools/bench_peers.py" "$@"
