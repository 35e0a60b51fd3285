# Gristmill. `make demo` shows it, `make test` runs every test; both install what they need and say so beforehand.

# One target directory for this tree, fresh clones, tests, demo and benchmarks: nothing is compiled twice.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/gristmill/target
export GRISTMILL_CACHE ?= $(HOME)/.cache/gristmill
# Bundled C libraries compile in 60 % of the time with clang; `make setup` installs it where it can.
ifneq ($(shell command -v clang 2>/dev/null),)
export CC := clang
export CXX := clang++
endif

BIN := $(CARGO_TARGET_DIR)/release/gristmill
CARGO_QUIET := $(if $(CI),,--quiet)

.PHONY: help setup build guests guests-c demo demo-kill tour test test-host test-guests hostile chaos crashpoints check bench clean

help: ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 14

setup: ## Install compilers for guests (Debian) where they are missing
	@scripts/setup.sh

build: setup ## Build the host
	@scripts/say.sh "building the host (first time about 40 minutes on 2 cores, seconds afterwards)"
	@cargo build --release --workspace

guests: setup ## Build the Rust guests: examples and those of the tests
	@scripts/say.sh "building the guests (first time about 3 minutes)"
	@cargo xtask guests $(GUESTS)

guests-c: setup ## Build the C guests, straight from the WIT files
	@scripts/guests-c.sh

demo: ## Stream 336 776 flights through Wasm operators and print the answer
	@scripts/demo.sh

demo-kill: ## The same, with the host killed in the middle of the year: the answer is the same
	@scripts/demo.sh --kill

tour: build guests ## Savepoint, fork, swap, migration, rollback, shadow, rescale, repair, replay: on a host of its own
	@scripts/swept.sh "$(dir $(BIN))tour"

test: ## Run every test
	@scripts/say.sh "make test: installs guest compilers (about 1 GB, once), builds host, guests and tests" \
	  "(first time about 75 minutes on 2 cores), then runs every test (about 5 minutes)"
	@$(MAKE) --no-print-directory guests guests-c
	@$(MAKE) --no-print-directory test-guests test-host

test-host: ## Tests of the host: units, properties, end to end
	scripts/swept.sh cargo test --release --workspace

test-guests: ## Tests of operators and the SDK, without Wasm
	cargo test --release --manifest-path sdk/Cargo.toml --workspace
	cargo test --release --manifest-path guest-examples/Cargo.toml --workspace
	@scripts/guests-c.sh --test

hostile: build guests ## Run every hostile guest against a real host; a line each
	@scripts/hostile.sh

chaos: ## Kill a host under load, 100 times or as said, also while modules are swapped: make chaos KILLS=20 SWAPS=1
	@scripts/chaos.sh "$(KILLS)" $(if $(SWAPS),--swaps)

crashpoints: setup ## Crash a host at every fail point of its sources, and compare what it commits
	@scripts/crashpoints.sh $(POINTS)

bench: ## Run the benchmarks, or one: make bench BENCH=filter
	@scripts/bench.sh $(BENCH)

# Workspaces of their own; linted for this machine, as their unit tests run.
GUEST_WORKSPACES := sdk guest-examples tests/guests

check: ## Format, lints, documentation, licences, floors
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --quiet
	set -e; for workspace in $(GUEST_WORKSPACES); do \
	  cargo fmt --manifest-path $$workspace/Cargo.toml --all --check; \
	  cargo clippy --release --manifest-path $$workspace/Cargo.toml --workspace --all-targets -- -D warnings; \
	done
	RUSTDOCFLAGS="-D warnings" cargo doc --release --manifest-path sdk/Cargo.toml --workspace --no-deps --quiet
	@command -v cargo-deny >/dev/null || { scripts/say.sh "installing cargo-deny (about 5 minutes, once)"; cargo install --quiet --locked cargo-deny@0.20.2; }
	cargo fetch --quiet --locked
	cargo deny --offline check bans licenses sources
	cargo test --release --quiet --workspace --test floors
