# The only door. `make` alone lists what there is; every target installs what it needs and says so.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export CARGO_TERM_COLOR ?= auto

DEMO_ARGS ?=
BENCH_ARGS ?=
E2E_ARGS ?=
CARGO ?= cargo

# Counts instructions. Built with the features of controlplane, so that it shares what `make demo` has built.
COUNTER := -p controlplane -p dataplane --features dataplane/internals --bin instructions
MARKS := dataplane/benches/instructions.tsv

.PHONY: help setup setup-test setup-ratchet setup-dashboard setup-e2e setup-deploy setup-dist lint check test faults api-cases \
  dashboard dashboard-check e2e e2e-soak release demo ratchet ratchet-update bench bench-suite peers bench-table \
  tf deploy-check deploy-render dist dist-check audit fmt clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  DEMO_ARGS="--for 20s --rate max --json out.json" goes to `millrace demo`'
	@echo '  BENCH_ARGS="--rounds 3 --tls" goes to the harness of bench, bench-suite and peers'
	@echo '  E2E_ARGS="demo accessibility" runs these walks of e2e only'

setup: ## install what the build needs (Debian packages)
	@tests/install.sh build

setup-test: ## install what the tests need: Java, Maven, Kafka's and ElasticMQ's jars, moto
	@tests/install.sh test

setup-ratchet: ## install what the ratchet needs: valgrind
	@tests/install.sh ratchet

setup-dashboard: ## install what the dashboard needs: Node's packages
	@tests/install.sh dashboard

setup-e2e: ## install what the browser's walks need: Chromium
	@tests/install.sh e2e

e2e-soak: release setup-e2e dashboard ## leave the dashboard open for ten minutes at the demo's highest rate: heap, processor, long tasks
	MILLRACE=target/release/millrace npm --prefix dashboard run --silent e2e -- load

release: setup ## build what ships: target/release/millrace
	$(CARGO) build --release --locked -p controlplane

demo: release ## build Millrace and run its whole job on this machine
	target/release/millrace demo $(DEMO_ARGS)

test: setup setup-test ## run all tests, against a real Kafka, ElasticMQ and moto too
	$(CARGO) build --locked --workspace --features controlplane/failpoints
	$(CARGO) test --locked --workspace --features controlplane/failpoints

lint: setup ## format and lints
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --locked --workspace --all-targets --features controlplane/failpoints,dataplane/internals -- -D warnings

check: lint ## the quick gate: format, lints, unit tests, tidy
	$(CARGO) test --locked --workspace --lib --features controlplane/failpoints
	$(CARGO) test --locked --workspace --features controlplane/failpoints --test tidy

faults: setup setup-test ## play every fault for longer: scenarios against real servers, a five-minute reload, simulations with more cases
	$(CARGO) build --locked --workspace --features controlplane/failpoints
	PROPTEST_CASES=4096 $(CARGO) test --locked -p dataplane --lib --features failpoints
	PROPTEST_CASES=4096 $(CARGO) test --locked -p controlplane --lib --features failpoints -- token_edits_tests
	MILLRACE_RELOAD_S=300 $(CARGO) test --locked -p tests --test scenarios

api-cases: setup setup-test ## send generated requests as each role to a running appliance (CASES="--cases 50000 --seed 2")
	@tests/install.sh cases
	$(CARGO) build --locked -p controlplane --features failpoints
	target/venv-cases/bin/python tests/conformance/cases.py target/debug/millrace $(CASES)

dashboard: setup-dashboard dashboard/dist/files.tsv ## build the dashboard, which the next build of Millrace embeds

# Only when a source is newer: what embeds it is compiled again otherwise.
dashboard/dist/files.tsv: $(shell find dashboard/src dashboard/public dashboard/scripts -type f) \
  dashboard/index.html dashboard/vite.config.ts dashboard/package-lock.json | setup-dashboard
	npm --prefix dashboard run --silent build

dashboard-check: dashboard ## check the dashboard: types, lints, unit tests, size
	npm --prefix dashboard run --silent check

e2e: setup setup-test setup-e2e dashboard ## walk through the dashboard in Chromium, against the real binary and a real Kafka
	$(CARGO) build --locked --workspace --features controlplane/failpoints
	npm --prefix dashboard run --silent e2e -- $(E2E_ARGS)

ratchet: setup setup-ratchet ## count the instructions of the hot path; fail where they rose by more than 5 %
	$(CARGO) build --release --locked $(COUNTER)
	target/release/instructions check $(MARKS)

ratchet-update: setup setup-ratchet ## write the counts as the new marks, to be committed with the change that moved them
	$(CARGO) build --release --locked $(COUNTER)
	target/release/instructions update $(MARKS)

bench: setup ## measure Millrace beside a floor, an SDK program and Python; a quarter of an hour
	@bench/peers/install.sh python
	$(CARGO) build --release --locked -p controlplane -p bench
	target/release/bench run --targets millrace,floor,limit,sdk,python --syscalls $(BENCH_ARGS)

bench-suite: setup ## measure sizes, attributes, TLS, compression, FIFO, round trips, shards; an hour
	$(CARGO) build --release --locked -p controlplane -p bench
	target/release/bench suite --seconds 4 --warmup 2 --results bench/results/suite.jsonl $(BENCH_ARGS)

peers: setup setup-test ## build Redpanda Connect and mq-bridge, and measure beside them with a real Kafka
	@bench/peers/install.sh all
	$(CARGO) build --release --locked -p controlplane -p bench
	target/release/bench run --kafka real --targets millrace,floor,sdk,python,connect,mq-bridge \
	  --results bench/results/peers.jsonl $(BENCH_ARGS)

bench-table: ## put the tables of bench/results into README.md and docs/performance.md
	target/release/bench table --readme $$(ls -d bench/results/{latest,peers,suite}.jsonl 2>/dev/null)

setup-deploy: setup-test ## install what tf and deploy-check need: linters, moto, Helm, tflint
	@deploy/tests/install.sh check

setup-dist: ## install what dist needs: cargo-deb, cargo-cyclonedx, lintian, debootstrap
	@deploy/tests/install.sh dist

# A layer that cannot run is a failure in CI unless ALLOW_SKIPPED names it: ALLOW_SKIPPED="tflint,checkov terraform".
tf: release setup-deploy ## check terraform/: format, tests, policies, scanners, and each example on an emulator with the appliance in it
	target/deploy-venv/bin/python terraform/tests/check.py
	target/deploy-venv/bin/python terraform/tests/emulated/run.py

deploy-check: release setup-deploy ## check deploy/: image, chart, unit, seccomp profile, alerts, dashboard, CloudFormation
	target/deploy-venv/bin/python deploy/tests/check.py

deploy-render: setup-deploy ## write what has one source: the chart's files, deploy/kubernetes, tables of terraform's READMEs
	deploy/helm/render.sh target/go/helm
	python3 terraform/tests/readme.py

dist: release setup-dist ## assemble the release in target/dist: tarball, .deb, SBOM, checksums
	deploy/dist/dist.sh

dist-check: dist setup-deploy ## check target/dist: same bytes twice, lintian, and the .deb in a fresh Debian
	target/deploy-venv/bin/python deploy/tests/dist.py

audit: setup ## check the dependencies: licences, sources, bans; AUDIT=advisories asks the advisory database too, which needs GitHub
	@deploy/tests/install.sh audit
	$(CARGO) deny --locked check licenses bans sources $(AUDIT)

fmt: ## format the code
	$(CARGO) fmt --all

clean: ## remove everything that was built
	$(CARGO) clean
