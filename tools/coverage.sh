#!/usr/bin/env bash
# Builds with line counters, runs the unit tests and the examples, and prints the line coverage of
# src/ and include/ per file and in total. Fails below DX_COVERAGE_MIN percent (default 90).
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

jobs=${DX_JOBS:-2}
cmake --preset coverage >/dev/null
cmake --build --preset coverage -j "$jobs" >/dev/null
find build/coverage -name '*.gcda' -delete
if ! ctest --test-dir build/coverage -j "$jobs" -LE 'style|tool' --no-tests=error -Q; then
    echo "Tests fail in build/coverage: run ctest --test-dir build/coverage" >&2
    exit 1
fi
gcovr --root . --filter 'src/' --filter 'include/' --object-directory build/coverage \
    --gcov-executable "${GCOV:-gcov}" \
    --fail-under-line "${DX_COVERAGE_MIN:-90}" --print-summary build/coverage
