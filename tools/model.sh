#!/usr/bin/env bash
# Checks the protocols' models in tests/model with spin, and that spin refuses each mutant of them.
#
#     tools/model.sh              all models
#     tools/model.sh wake         one
#
# A model's own text says what is checked and what its mutants are. A mutant is a macro; the rows
# below say which, and with which other macros. Prints one line per run and a last line
# `N passed, N failed`.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/../tests/model"

# <model> <holds|refused> <macros, comma separated, or ->
readonly RUNS='
wake holds -
wake refused NO_HEAVY_FENCE
wake refused NO_LOOK
wake refused LOOK_FIRST
wake refused NO_TOKEN
wake refused NO_WAKE_ALL
wake_producers holds -
wake_producers refused NO_HEAVY_FENCE
wake_producers refused EPOCH_LATE
wake_producers refused NO_EPOCH
wake_producers refused FLAG_LATE
wake_producers refused NO_WAKE_ALL
recover holds SLOTS=2
recover holds SLOTS=3
recover refused NO_RECORD
recover refused CLAIMED_LATE
recover refused NO_SECOND_LOOK
recover refused FAILED_STAYS
recover refused HULL_STAYS,SLOTS=3
'

if ! command -v spin >/dev/null; then
    echo "spin is missing: run tools/setup.sh test"
    exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
model=${1:-}
passed=0 failed=0

# build <optimisation> <option>...: compiles the verifier of the folder.
build() {
    gcc -w "$@" -o "$folder/pan" "$folder/pan.c"
}

# search <pan's options>: true when the whole space was searched without an error.
search() {
    (cd "$folder" && ./pan -m200000 "$@") >"$folder/out" 2>&1
    ! grep -q 'too small\|out of memory' "$folder/out" && grep -q 'errors: 0' "$folder/out"
}

while read -r name expected macros; do
    [[ -n $name && (-z $model || $model = "$name") ]] || continue
    options=()
    [ "$macros" = - ] || for macro in ${macros//,/ }; do options+=("-D$macro"); done
    rm -f "$folder"/pan* "$folder"/*.trail
    cp "$name.pml" "$folder"
    # Those that hold are searched to the end; an error is found soon.
    [ "$expected" = holds ] && level=-O2 || level=-O0
    verdict=broken
    if (cd "$folder" && spin -a "${options[@]}" "$name.pml") >"$folder/out" 2>&1 &&
        build "$level" -DSAFETY -DNOCLAIM; then
        search -w24 && verdict=holds || verdict=refused
        if [ $verdict = holds ] && grep -q '^ltl ' "$name.pml"; then
            build "$level" -DNFAIR=3 && search -a -f && verdict=holds || verdict=refused
        fi
        grep -q 'errors: [01]' "$folder/out" || verdict=broken
    fi
    if [ $verdict = "$expected" ]; then
        passed=$((passed + 1))
        printf '%-16s %-24s %s, %s states\n' "$name" "$macros" "$verdict" \
            "$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$folder/out" | tail -n 1)"
    else
        failed=$((failed + 1))
        printf '%-16s %-24s %s, must be %s\n' "$name" "$macros" "$verdict" "$expected"
        tail -n 20 "$folder/out"
        [ -f "$folder/$name.pml.trail" ] &&
            (cd "$folder" && spin -t -p -g "${options[@]}" "$name.pml" | tail -n 60)
    fi
done <<<"$RUNS"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
