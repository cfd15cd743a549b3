#!/usr/bin/env bash
# Builds the Debian packages of a build, installs them into an empty root with dpkg, uses what is
# there (a node from its unit's command, dx pub and dx sub, a program against the library), removes
# and purges them, and looks at what is left. The system itself is not touched.
#
#     tests/install/packages.sh [<build folder>]       default build/release
#
# The last line is `N passed, N failed`.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/../.."

build=${1:-build/release}
seconds=${DX_TEST_TIMEOUT_S:-180}
work=$(mktemp -d)
root=$work/root
node=
passed=0 failed=0
trap '[ -z "$node" ] || kill -9 "$node" 2>/dev/null; rm -rf "$work"' EXIT

# try <name> <command>...: one test. A function of ours is a command.
try() {
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $name"
    else
        failed=$((failed + 1))
        echo "not ok  $name"
        tail -n 20 "$work/log"
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

if ! command -v dpkg >/dev/null || ! command -v dpkg-shlibdeps >/dev/null ||
    ! command -v file >/dev/null; then
    echo "not ok  dpkg-dev or file is not there: run tools/setup.sh test"
    failed=1
    finish
fi

# dpkg in the empty root: its scripts run here, and are told of the root by DPKG_ROOT. What the
# packages depend on is this system's.
packaged() {
    timeout "$seconds" dpkg --root="$root" --force-script-chrootless --force-not-root \
        --force-depends --log="$work/dpkg.log" "$@"
}
empty_root() {
    mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers} "$root"/etc "$root"/var/log
    : >"$root/var/lib/dpkg/status"
    : >"$root/etc/passwd"
    : >"$root/etc/group"
}
left() { # everything in the root but dpkg's own and users' databases
    (cd "$root" && find . \( -type f -o -type l \) ! -path './var/lib/dpkg/*' \
        ! -name 'passwd*' ! -name 'group*' ! -name 'shadow*' ! -name 'gshadow*' \
        ! -name '.pwd.lock' | sort)
}

try "cpack" timeout 300 cpack --config "$build/CPackConfig.cmake" -B "$work/packages" -D \
    CPACK_DEBIAN_COMPRESSION_TYPE=gzip
shopt -s nullglob
packages=("$work"/packages/*.deb)
try "there are three" test "${#packages[@]}" -eq 3
[ "$failed" -eq 0 ] || finish

# What lintian would say, as far as it matters here.
well_made() {
    local package=$1 fields contents missing=0
    fields=$(dpkg-deb --field "$package")
    contents=$(dpkg-deb --contents "$package")
    for field in Package Version Architecture Maintainer Section Description Depends; do
        # Headers depend on their library, everything else on what dpkg-shlibdeps found.
        grep -q "^$field: ." <<<"$fields" || { echo "no $field"; missing=1; }
    done
    ! grep -vE '^([-d]r[w-][x-]r-[x-]r-[x-]|lrwxrwxrwx) (root/root|0/0) ' <<<"$contents" ||
        { echo "modes"; missing=1; }
    grep -q './usr/share/doc/[^/]*/copyright$' <<<"$contents" ||
        { echo "no copyright"; missing=1; }
    ! grep -vE ' \./(usr/(bin|lib|include|share)/|etc/disruptorx/|etc/$|usr/$|$)' <<<"$contents" ||
        { echo "foreign folders"; missing=1; }
    return $missing
}
for package in "${packages[@]}"; do
    try "$(basename "$package" | cut -d_ -f1) is well made" well_made "$package"
done

empty_root
try "dpkg installs them" packaged --install "${packages[@]}"
try "dpkg finds nothing missing or changed" bash -c '[ -z "$("$@")" ]' audit \
    dpkg --root="$root" --verify
try "the node has a user" grep -q '^disruptorx:' "$root/etc/passwd"
try "the configuration is one" "$root/usr/bin/dx" config check "$root/etc/disruptorx/node.yaml"

export LD_LIBRARY_PATH=$root/usr/lib
dx() { DX_ADDRESS=unix://$work/dx.sock HOME=$work timeout "$seconds" "$root/usr/bin/dx" "$@"; }

# As the unit starts it, but for where it listens.
node_starts() {
    local command=()
    read -ra command < <(sed -n 's/^ExecStart=//p' \
        "$root/usr/lib/systemd/system/disruptorx.service")
    [ "${command[0]}" = /usr/bin/dx ] || return 1
    command=("${command[@]//\/etc/$root/etc}")
    "$root/usr/bin/dx" "${command[@]:1}" --listen "unix://$work/dx.sock" </dev/null \
        >"$work/node.log" 2>&1 &
    node=$!
    for _ in $(seq 3000); do
        dx node info >/dev/null 2>&1 && return 0
        kill -0 "$node" 2>/dev/null || break
        sleep 0.01
    done
    cat "$work/node.log"
    return 1
}
events_pass() {
    dx topic create orders.new || return 1
    dx sub orders.new --from earliest --count 3 --timeout 30s >"$work/events" &
    local reader=$!
    dx pub orders.new 'order {{.Count}}' --count 3 --ack || return 1
    wait "$reader" && grep -q 'order 3' "$work/events"
}
# program_builds <example> <library>: only our .pc files are there, so no other -dev is needed.
program_builds() {
    PKG_CONFIG_LIBDIR=$root/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR= bash -c '
        flags=$(pkg-config --cflags --libs "$3") &&
            ${CC:-cc} "examples/$2.c" $flags -pthread -o "$1/first" && "$1/first"' \
        build "$work" "$@"
}
node_stops() {
    kill "$node" && wait "$node"
    local status=$?
    node=
    return $status
}
try "the node starts as its unit says" node_starts
try "dx pub and dx sub talk with it" events_pass
try "a program builds against the rings and runs" program_builds 01_first_event disruptorx
try "and one against the node" program_builds 22_embedded_node disruptorx-node
try "the node stops" node_stops
try "there are pages of the manual" test -e "$root/usr/share/man/man1/dx.1"
try "there are completions" test -e "$root/usr/share/bash-completion/completions/dx"

echo "# mine" >>"$root/etc/disruptorx/node.yaml"
try "dpkg installs them again, over a changed configuration" packaged --force-confold --install \
    "${packages[@]}"
try "the change is still there" grep -q '^# mine$' "$root/etc/disruptorx/node.yaml"

try "dpkg removes them" packaged --remove disruptorx libdisruptorx-dev libdisruptorx0
try "the configuration is left, and nothing else" bash -c '
    [ "$1" = ./etc/disruptorx/node.yaml ] || { echo "$1"; exit 1; }' left "$(left)"
try "dpkg purges them" packaged --purge disruptorx libdisruptorx-dev libdisruptorx0
try "nothing is left" bash -c '[ -z "$1" ] || { echo "$1"; exit 1; }' left "$(left)"
finish
