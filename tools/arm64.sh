#!/usr/bin/env bash
# Builds for arm64 on another processor, and runs the unit tests, fuzz corpora and examples there by
# QEMU: other sizes of lines, other atomics, other compilers' code. QEMU keeps the order of memory
# that this machine's processor has, so what a weaker order would do is not seen: that is what the
# simulated machine is for (tests/relacy).
#
#     tools/arm64.sh [<options of ctest>...]      into build/arm64; about ten minutes on 2 cores
#
# Debian only. The libraries come from its packages for arm64, unpacked into build/arm64-root.
# Options of ctest choose others: tools/arm64.sh -R unit.park
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/.."

readonly ROOT=$PWD/build/arm64-root BUILD=build/arm64
readonly LIBRARIES='libc6-dev libxxhash-dev liblz4-dev libzstd-dev libuv1-dev libssl-dev libyaml-dev
    libjansson-dev libmicrohttpd-dev libgnutls28-dev libcurl4-openssl-dev libncurses-dev zlib1g-dev
    libcmocka-dev'
jobs=${DX_JOBS:-2}

# What QEMU's emulation of system calls has not: the state and the start of another process in /proc
# (evict, share_life), ptrace() (net_shm_sweep), MADV_DONTDUMP (secret), and word that a message's
# descriptors were too many (net_descriptors). A child it starts is no arm64 program to the kernel
# (26_shared_memory).
readonly NOT_UNIT='evict|share_life|net_shm_sweep|secret|net_descriptors'
readonly NOT_IN_QEMU="^(unit\.($NOT_UNIT)|example\.26_shared_memory)\$"

if [ ! -d "$ROOT" ]; then
    mmdebstrap --quiet --arch=arm64 --variant=extract --include="$LIBRARIES" \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$ROOT.part"
    mv "$ROOT.part" "$ROOT"
fi
packages=/usr/lib/aarch64-linux-gnu/pkgconfig
export PKG_CONFIG_SYSROOT_DIR=$ROOT PKG_CONFIG_LIBDIR=$ROOT$packages:$ROOT/usr/share/pkgconfig
cmake -S . -B "$BUILD" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/arm64.cmake" \
    -DCMAKE_SYSROOT="$ROOT" -DCMAKE_BUILD_TYPE=Debug -DDX_TEST_HOOKS=ON >/dev/null
cmake --build "$BUILD" -j "$jobs"
[ $# -gt 0 ] || set -- -L 'unit|fuzz|example' -E "$NOT_IN_QEMU"
ctest --test-dir "$BUILD" -j $((jobs + 1)) --no-tests=error --output-on-failure "$@"
