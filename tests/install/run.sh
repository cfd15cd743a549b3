#!/usr/bin/env bash
# Installs a build into a temporary folder and builds every example against what was installed, as a
# user would: once through pkg-config (shared library) and once through find_package (both). Each
# example built in one of these ways and run with status 0 is one test.
#
#     tests/install/run.sh [<build folder>]       default build/release
#
# The last line is `N passed, N failed`.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
cd "$(dirname "$0")/../.."

build=${1:-build/release}
seconds=${DX_TEST_TIMEOUT_S:-180}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
passed=0 failed=0

# try <name> <command>...: one test.
try() {
    local name=$1
    shift
    if timeout "$seconds" "$@" >"$root/log" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $name"
    else
        failed=$((failed + 1))
        echo "not ok  $name"
        tail -n 20 "$root/log"
    fi
}

try "cmake --install" cmake --install "$build" --prefix "$root/first"
# An installed tree may be moved: everything below uses the place it was moved to.
mv "$root/first" "$root/usr"
libdir=$(dirname "$(find "$root/usr" -name libdisruptorx.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig
export LD_LIBRARY_PATH=$libdir

try "no file names this machine's folders" \
    bash -c '! grep -rqF -e "$1" -e "$2" "$3"' grep "$PWD" "$root/first" "$root/usr"
try "pkg-config knows the version" \
    bash -c '[ "$(pkg-config --modversion disruptorx)" = "$1" ]' version \
    "$(sed -n 's/^project(DisruptorX VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)"
for library in libdisruptorx libdisruptorx-node; do
    try "$library.so exports names of ours only" bash -c '
        foreign=$(nm -D --defined-only "$1" | sed "s/.* //" |
            grep -v -e "^dxi\{0,1\}_" -e "^_init$" -e "^_fini$")
        echo "$foreign"
        [ -z "$foreign" ]' nm "$libdir/$library.so"
done
try "libdisruptorx.so needs the C library only" bash -c '
    needed=$(LC_ALL=C readelf -d "$1" | sed -n "s/.*(NEEDED).*\[\(.*\)\]/\1/p")
    echo "$needed"
    ! grep -v -e "^libc\.so" -e "^libpthread\.so" -e "^ld-linux" <<<"$needed"' \
    readelf "$libdir/libdisruptorx.so"
if [ -x "$root/usr/bin/dx" ]; then
    try "dx --version" "$root/usr/bin/dx" --version
fi

# One-file examples only: the folder is what a user copies from.
shopt -s nullglob
examples=(examples/[0-9]*_*.c)
# Includes of more than the rings, as examples/CMakeLists.txt lists them.
node_headers=$(sed -n 's/^set(DX_NODE_HEADERS "\(.*\)")$/\1/p' examples/CMakeLists.txt)
for source in "${examples[@]}"; do
    name=$(basename "$source" .c)
    package=disruptorx
    grep -qE "^#include <disruptorx/($node_headers)\.h>" "$source" && package=disruptorx-node
    try "pkg-config: $name" bash -c '
        ${CC:-cc} -O2 "$1" -o "$2" $(pkg-config --cflags --libs "$3") -pthread && "$2"' \
        build "$source" "$root/$name" "$package"
done

if [ "${#examples[@]}" -gt 0 ]; then
    seconds=$((seconds * 5)) try "find_package: configure and build" bash -c '
        cmake -G Ninja -S tests/install -B "$1/consumer" -DCMAKE_PREFIX_PATH="$1/usr" \
            -DEXAMPLES="$PWD/examples" -DNODE_HEADERS="$2" &&
            cmake --build "$1/consumer" -j 2' build "$root" "$node_headers"
    for source in "${examples[@]}"; do
        name=$(basename "$source" .c)
        try "find_package, shared: $name" "$root/consumer/${name}_shared"
        try "find_package, static: $name" "$root/consumer/${name}_static"
    done
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
