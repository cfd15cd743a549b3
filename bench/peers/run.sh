#!/usr/bin/env bash
# `make bench-peers`: the rings (tools/bench_peers.py), then the brokers (tools/bench_brokers.py).
#
#     bench/peers/run.sh [rings|brokers] [OPTION]...     without a word: both, same options
#
# Each says its options with --help.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
tools=$(dirname "$0")/../../tools

case ${1:-} in
rings) exec python3 "$tools/bench_peers.py" "${@:2}" ;;
brokers) exec python3 "$tools/bench_brokers.py" "${@:2}" ;;
esac
status=0
python3 "$tools/bench_peers.py" "$@" || status=$?
python3 "$tools/bench_brokers.py" "$@" || status=$?
exit "$status"
