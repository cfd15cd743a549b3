# Verbs only: what each does stands in tools/ and in CMake.
#
# SPDX-License-Identifier: Apache-2.0
.DEFAULT_GOAL := help
.PHONY: help run test build release check format tidy coverage load bench bench-peers soak crash \
        fuzz mutation arm64 install clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: ## build the release and run the demonstration
	@tools/run.sh

test: ## everything a change must pass: all builds, all tests, sanitizers, installation
	@tools/setup.sh test
	@tools/test.sh

build: ## build with assertions into build/dev
	@tools/setup.sh build
	@cmake --preset dev >/dev/null && cmake --build --preset dev

release: ## build the optimised libraries and programs into build/release
	@tools/setup.sh build
	@cmake --preset release >/dev/null && cmake --build --preset release

check: ## the quick part of test: style, clang-tidy and the tests of build/dev
	@tools/setup.sh test
	@tools/test.sh dev lint

format: ## format the C files
	@tools/format.sh

tidy: build ## small rules of style, and clang-tidy
	@tools/tidy.py && tools/clang_tidy.sh

coverage: ## line coverage of src/ and include/; fails below 90 %
	@tools/setup.sh test
	@tools/coverage.sh

load: ## what 1,000 connections and 10,000 topics cost a node
	@tools/setup.sh build
	@tools/load.sh

bench: ## run our benchmarks
	@tools/setup.sh build
	@tools/bench.sh

bench-peers: release ## compare with other queues and brokers, on this machine
	@tools/setup.sh bench
	@bench/peers/run.sh

soak: ## a node under load, then the unit tests again and again, DX_SOAK_MINUTES (30) each
	@tools/setup.sh test
	@tools/soak.sh

mutation: ## break the ring in one place at a time, and expect a test to fail
	@tools/setup.sh test
	@python3 tools/mutation.py

crash: ## kill participants of shared rings everywhere, DX_CRASH_KILLS times at random (5000)
	@tools/setup.sh test
	@tools/crash.sh

fuzz: ## run the fuzz targets for DX_FUZZ_SECONDS each (60)
	@tools/setup.sh test
	@tools/fuzz.sh

arm64: ## build for arm64, and run the tests by QEMU (Debian)
	@tools/setup.sh arm64
	@tools/arm64.sh

install: release ## install into PREFIX (default: CMake's, /usr/local)
	@cmake --install build/release $(if $(PREFIX),--prefix "$(PREFIX)")

clean: ## delete build/
	@rm -rf build
