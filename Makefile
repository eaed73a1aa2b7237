# Rampart's tasks. Each installs what it needs first and says so (scripts/setup.sh).
#
#   make run      build and start on embedded defaults, data in ./data
#   make test     everything CI runs: format, lints, architecture rules, unit tests, end-to-end tests
#   make check    the fast part of it
#   make bench    measure against a direct connection, print the ratios
#   make fuzz     run every fuzz target for FUZZ_SECONDS (default 60) each
#   make dist     release archive with checksums and the list of what is inside
#   make setup    only install what is missing

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run build test check fmt-check clippy rules unit e2e deny bench fuzz dist

export CARGO_INCREMENTAL ?= 0
DATA ?= ./data
E2E ?= tests/e2e
FUZZ_SECONDS ?= 60
RAMPART := target/release/rampart

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@scripts/setup.sh test

build:
	@scripts/setup.sh build
	cargo build --release --locked -p server

run: build
	@echo "console and API on https://localhost:8443, SSH on port 2222, data in $(DATA); end it with Ctrl-C"
	@exec $(RAMPART) serve --data $(DATA)

# One after the other even under -j: two cores, and the first failure should be the last thing on the screen.
test:
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory fmt-check
	@$(MAKE) --no-print-directory clippy
	@$(MAKE) --no-print-directory rules
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory e2e

check:
	@scripts/setup.sh build
	@$(MAKE) --no-print-directory fmt-check
	@$(MAKE) --no-print-directory clippy
	@$(MAKE) --no-print-directory rules
	@$(MAKE) --no-print-directory deny

fmt-check:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings

rules:
	cargo xtask deps
	cargo xtask lint-size

deny:
	@if command -v cargo-deny >/dev/null; then cargo deny --all-features check; \
	else echo "check: cargo-deny is not installed, advisories and licences were not looked at (cargo install --locked cargo-deny)"; fi

# The real shells wait for their ptys, not for a core.
unit:
	@if command -v cargo-nextest >/dev/null; then \
	  cargo nextest run --workspace --locked --profile ci -E 'not binary(shells)' && \
	  cargo nextest run -p terminal --locked --profile ci --test shells --test-threads 10; \
	else cargo test --workspace --locked --quiet; fi

e2e:
	cargo build --release --locked -p server
	.venv/bin/python -m pytest $(E2E) $(PYTEST_ARGS)

bench:
	@scripts/setup.sh bench
	cargo build --release --locked -p server
	bench/run.sh $(BENCH_ARGS)

fuzz:
	@scripts/setup.sh build
	@scripts/fuzz.sh $(FUZZ_SECONDS)

dist: build
	@packaging/dist.sh
