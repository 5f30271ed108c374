# The thin front door: each target is a verb of `cargo xtask`, which does the work and says what it does.
#
#   make demo              a fleet of three firewalled hosts on this machine, with real packets (Ctrl-C ends it)
#   make demo SECONDS=20   the same, ends by itself and prints one line of figures
#   make run               the server, and as root the agent of this machine
#   make test              everything that CI runs
#   make build             target/release/bartizan (with the web page) and target/release/bartizan-agent
#   make bench             figures beside their goals; bench-decode, bench-spool, bench-capture, bench-delivery,
#                          bench-latency, bench-syslog, bench-api, bench-page, bench-agents
#   make bench-lake        the store beside ClickHouse, DuckDB, VictoriaLogs and PostgreSQL, a quarter of an hour
#   make bench-lake EVENTS=1000000
#   make packages          .deb and .rpm of server and agent, sums and bills of material, into target/packages
#   make repository        of them, for apt and dnf, into target/repository; both sign with KEY=... of GPG's keyring
#   make packages PORTABLE=1   with the agent for old systems, also as a tar
#   make packages-check    installs, upgrades and removes them in systems of their own, as root; some minutes
#   make deny              licences, sources and what must not be in the tree, by cargo-deny
#   make soak              a fleet at work while everything fails around it, half an hour, as root
#   make soak SECONDS=120 SEED=7
#   make rounds, make fuzz the tests with many more rounds, and every fuzz target

SECONDS ?=
SEED ?=
EVENTS ?= 20000000
KEY ?=
PORTABLE ?=
.DEFAULT_GOAL := help
.PHONY: help ready build test run demo bench bench-lake soak rounds fuzz packages repository packages-check deny

help:
	@sed -n 's/^#   //p' Makefile

# What cargo itself needs. Everything else is checked by the verbs.
ready:
	@command -v cargo >/dev/null || { echo 'cargo is missing; type: curl --proto "=https" --tlsv1.2 -sSf https://sh.rustup.rs | sh' >&2; exit 2; }
	@command -v cc >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq build-essential >&2; } \
	  || { echo 'a C compiler is missing; type: sudo apt-get install build-essential' >&2; exit 2; }

build test run bench rounds fuzz packages-check deny: ready
	@cargo xtask $@

demo: ready
	@cargo xtask demo $(if $(SECONDS),--seconds $(SECONDS))

soak: ready
	@cargo xtask soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

bench-lake: ready
	@cargo xtask bench store --events $(EVENTS)

bench-%: ready
	@cargo xtask bench $*

packages: ready
	@cargo xtask packages $(if $(KEY),--key $(KEY)) $(if $(PORTABLE),--portable)

repository: ready
	@cargo xtask repository $(if $(KEY),--key $(KEY))
