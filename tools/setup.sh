#!/usr/bin/env bash
# Installs what a task needs, by Debian package name, and says nothing when nothing is missing.
#
#     tools/setup.sh [build|test|bench|arm64]...     default: build, which the others include
#
# For Debian 12 and 13 and Ubuntu 22.04 and 24.04. A command that is there already (a rustup cargo,
# a JDK of your own) counts, whatever package it came from. Exits with 0 when everything is there.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
export LC_ALL=C
readonly OS_RELEASE=${DX_OS_RELEASE:-/etc/os-release} # another file: for the test of this script

# One requirement per line: <group> <how to see that it is there> <packages to install>
#   command:a,b    all of these commands are in PATH (all of them, comma separated)
#   server:s       the command s is in PATH or in a folder of administration
#   file:f         the file f exists
#   package:p      dpkg says p is installed
#   java:N         a JDK of at least version N answers
#   browser        Chromium and its driver, and Python's Selenium. Ubuntu packs Chromium as a snap
#                  only, which is no package for apt: there the tests of the dashboard are skipped
# `clang-rt` stands for the run-time package of the clang that is, or will be, installed.
readonly REQUIREMENTS='
build command:gcc                gcc
build command:g++                g++
build file:/usr/include/stdio.h  libc6-dev
build command:make               make
build command:cmake              cmake
build command:ninja              ninja-build
build command:pkg-config         pkg-config
build command:python3            python3
build file:/usr/include/xxhash.h libxxhash-dev
build file:/usr/include/lz4.h    liblz4-dev
build file:/usr/include/zstd.h   libzstd-dev
build file:/usr/include/uv.h     libuv1-dev
build file:/usr/include/openssl/ssl.h libssl-dev
build file:/usr/include/yaml.h   libyaml-dev
build file:/usr/include/jansson.h libjansson-dev
build file:/usr/include/microhttpd.h libmicrohttpd-dev
build file:/usr/include/gnutls/gnutls.h libgnutls28-dev
build package:libcurl4-openssl-dev libcurl4-openssl-dev
build file:/usr/include/ncurses.h libncurses-dev
build file:/usr/include/zlib.h   zlib1g-dev
test  command:git                git
test  command:clang,clang++      clang
test  command:clang-format       clang-format
test  command:clang-tidy         clang-tidy
test  command:llvm-symbolizer    llvm
test  command:gcovr              gcovr
test  command:groff              groff-base
test  command:zsh                zsh
test  command:fish               fish
test  command:systemd-analyze    systemd
test  package:libcmocka-dev      libcmocka-dev
test  file:/usr/include/relacy/relacy.hpp relacy-dev
test  command:spin               spin
test  package:clang-rt           clang-rt
test  browser                    chromium chromium-driver python3-selenium
test  command:prometheus,promtool prometheus
test  command:dpkg-shlibdeps     dpkg-dev
test  command:file               file
test  command:openssl            openssl
bench java:17                    default-jdk-headless
bench command:mvn                maven
bench command:cargo,rustc        cargo rustc
bench package:libboost-dev       libboost-dev
bench package:libck-dev          libck-dev
bench package:libdpdk-dev        libdpdk-dev
bench server:nats-server         nats-server
bench server:redis-server        redis-server
bench server:mosquitto           mosquitto
bench file:/usr/include/zmq.h    libzmq3-dev
bench file:/usr/include/nats/nats.h libnats-dev
arm64 command:aarch64-linux-gnu-g++ gcc-aarch64-linux-gnu g++-aarch64-linux-gnu
arm64 file:/usr/aarch64-linux-gnu/include/stdio.h libc6-dev-arm64-cross
arm64 command:qemu-aarch64-static qemu-user-static
arm64 command:mmdebstrap         mmdebstrap
'

wanted=" build "
for group in "$@"; do
    case $group in
    build | test | bench | arm64) wanted+="$group " ;;
    *)
        echo "tools/setup.sh: \"$group\" is no group; use build, test, bench or arm64" >&2
        exit 2
        ;;
    esac
done

# The installed packages, asked for once. A virtual or removed package does not count.
declare -A installed
if command -v dpkg-query >/dev/null; then
    while read -r status package; do
        [ "$status" = ii ] && installed[${package%%:*}]=1
    done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' \
        libcurl4-openssl-dev \
        libcmocka-dev 'libclang-rt-*-dev' libboost-dev libck-dev libdpdk-dev 2>/dev/null || true)
fi

# A distribution without dpkg may have the library all the same: then its header or .pc decides.
have_library() {
    [ -n "${installed[$1]:-}" ] && return 0
    case $1 in
    libcurl4-openssl-dev)
        compgen -G '/usr/include/*/curl/curl.h' >/dev/null || [ -e /usr/include/curl/curl.h ]
        ;;
    libcmocka-dev) [ -e /usr/local/include/cmocka.h ] || pkg-config --exists cmocka 2>/dev/null ;;
    libboost-dev) [ -e /usr/include/boost/version.hpp ] ;;
    libck-dev) [ -e /usr/include/ck_ring.h ] ;;
    libdpdk-dev) pkg-config --exists libdpdk 2>/dev/null ;;
    *) return 1 ;;
    esac
}

# The sanitizers' run time lies in clang's own folder (some versions pack it with clang itself).
have_clang_rt() {
    local folder
    folder=$(clang -print-resource-dir 2>/dev/null) || return 1
    compgen -G "$folder/lib/linux/libclang_rt.asan*.a" >/dev/null ||
        compgen -G "$folder/lib/*/libclang_rt.asan*.a" >/dev/null
}

have_java() {
    local version
    command -v javac >/dev/null || return 1
    # A JDK says its version in the file `release` of its folder: quicker than starting it.
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' \
        "$(dirname "$(readlink -f "$(command -v javac)")")/../release" 2>/dev/null) || true
    [ -n "$version" ] || version=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
    [ -n "$version" ] && [ "$version" -ge "$1" ]
}

have_browser() {
    local release=
    [ -r "$OS_RELEASE" ] && release=$'\n'$(<"$OS_RELEASE")$'\n'
    [[ $release != *$'\nID=ubuntu\n'* ]] || return 0
    command -v chromium >/dev/null && command -v chromedriver >/dev/null &&
        [ -d /usr/lib/python3/dist-packages/selenium ]
}

have() {
    local name
    case $1 in
    command:*)
        for name in ${1#command:}; do
            command -v "$name" >/dev/null || return 1
        done
        ;;
    server:*)
        command -v "${1#server:}" >/dev/null || [ -x "/usr/sbin/${1#server:}" ] ||
            [ -x "/usr/local/sbin/${1#server:}" ]
        ;;
    file:*) [ -e "${1#file:}" ] ;;
    package:clang-rt) have_clang_rt ;;
    package:*) have_library "${1#package:}" ;;
    java:*) have_java "${1#java:}" ;;
    browser) have_browser ;;
    esac
}

missing=()
while read -r group check packages; do
    [[ -n $group && $wanted == *" $group "* ]] || continue
    have "${check//,/ }" || missing+=($packages)
done <<<"$REQUIREMENTS"

[ "${#missing[@]}" -gt 0 ] || exit 0

# From here on something has to be installed: time no longer matters, clarity does.
fail() {
    printf 'DisruptorX needs packages that are not installed: %s\n%s\n' "${missing[*]}" "$1" >&2
    exit 1
}

command -v apt-get >/dev/null ||
    fail "This is no Debian or Ubuntu: install the same with your package manager, then retry."
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null; then
        as_root=(sudo)
    else
        fail "There is no sudo here: run tools/setup.sh once as root, then retry."
    fi
fi
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
    apt "$@" >"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        fail "apt-get $1 failed (its last lines are above): check the network and apt's sources."
    }
}

# The package that carries the run time of this clang: libclang-rt-<N>-dev, or where that split had
# not been made (Ubuntu 22.04) libclang-common-<N>-dev.
clang_rt_package() {
    local major name
    if command -v clang >/dev/null; then
        major=$(clang -dumpversion | cut -d. -f1)
    else
        major=$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    fi
    for name in "libclang-rt-$major-dev" "libclang-common-$major-dev"; do
        if [ -n "$(apt-cache madison "$name" 2>/dev/null)" ]; then
            echo "$name"
            return
        fi
    done
    return 1
}

echo "Installing: ${missing[*]}"
quietly update
packages=()
for package in "${missing[@]}"; do
    if [ "$package" = clang-rt ]; then
        package=$(clang_rt_package) ||
            fail "apt knows no package with clang's sanitizer run time (libclang-rt-<version>-dev)."
    fi
    packages+=("$package")
done
quietly install --no-install-recommends "${packages[@]}"
