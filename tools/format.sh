#!/usr/bin/env bash
# Formats our C (make format), or with --check says which lines differ (ctest: style.format).
#
# Formatting differs a little between versions of clang-format. The reference is REFERENCE; with
# another version a difference is shown but does not fail (exit 77, which ctest reports as skipped).
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

readonly REFERENCE=14

if ! command -v clang-format >/dev/null; then
    echo "clang-format is not installed: run tools/setup.sh test" >&2
    exit 77
fi
major=$(clang-format --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')

mapfile -t files < <(find include src tests examples bench -name '*.[ch]' -type f \
    -not -path '*/build/*' -not -path '*/target/*' -not -path '*/third_party/*' 2>/dev/null | sort)
if [ "${#files[@]}" -eq 0 ]; then
    exit 0
fi

if [ "${1:-}" != --check ]; then
    clang-format -i "${files[@]}"
    exit 0
fi
if clang-format --dry-run -Werror "${files[@]}"; then
    exit 0
fi
echo "Fix: make format (clang-format $REFERENCE is the reference, this is $major)"
[ "$major" = "$REFERENCE" ] || exit 77
exit 1
