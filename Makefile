# Two commands: `make reports` and `make test`. Each sets up whatever it needs; a second call does not do it again.

SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv || echo .uv/bin/uv)
export UV
READY := .venv/.ready
ENGINES := .venv/.engines
DEMO := data/demo/truth.json
# On a terminal uv shows what it is downloading; in a log the lines of this file are enough.
QUIET := $(shell test -t 2 || echo --quiet)
# The lock holds every extra; as a constraint it gives what is asked for its version, and installs no more.
INSTALL := $(QUIET) --compile-bytecode --python .venv --constraint requirements.lock

.PHONY: help setup demo reports test checks faults kills edge-test lab lint browser engines engines-test servers bench scale size lock clean
.DEFAULT_GOAL := help

help:
	@echo "make reports   set up, and publish the reports to reports/index.html"
	@echo "make test      set up, and run the checks and tests of every day"
	@echo "make lab       set up, and open JupyterLab on the notebooks"
	@echo "make edge-test run the notebooks on the demo company and on odd data, and long simulations"
	@echo "make kills      kill runs at random moments, and write docs/reliability.md (KILLS=200)"
	@echo "make faults    give every command and workbook what it must refuse, and count the kinds"
	@echo "make engines-test  ask PostgreSQL and Spark every question that the tests ask of DuckDB"
	@echo "make bench     measure time and memory (ratios in one run)"
	@echo "make scale     measure a company of 100 million events, and write docs/scale.md (an hour)"
	@echo "make size      count the lines of the house, by room"
	@echo "make lock      resolve the dependencies of pyproject.toml anew"
	@echo "make clean     remove what the commands above have made"

reports: setup demo
	@$(BIN)/tenure run

# A company of 2,000 customers.
SMALL := $(CURDIR)/.pytest_cache/small
PYTEST := $(BIN)/python -m pytest -q -n auto

test: setup engines demo browser servers
	@$(MAKE) --no-print-directory -j2 lint checks

checks:
	@$(PYTEST) --dist worksteal

# What takes too long for every time: notebooks on the demo company, on odd data, with odd parameters and as Jupyter runs
# them; and simulations.
edge-test: setup engines demo browser
	@$(PYTEST) --dist worksteal -m "edge or long" tests
	@test -e $(SMALL)/data/demo/truth.json || $(BIN)/tenure demo $(SMALL)/data/demo --customers 2000
	@mkdir -p $(SMALL)/reports/latest && echo '{"reports": {}}' >$(SMALL)/reports/latest/run.json
	@TENURE_ROOT=$(SMALL) TENURE_OUTPUT=$(SMALL)/exports $(PYTEST) --dist loadfile -p no:cacheprovider \
	  --nbval-lax --nbval-cell-timeout 300 notebooks

# How many runs to kill; an hour and a half for 200.
KILLS ?= 200
kills: setup
	@$(BIN)/python tests/faults/reliability.py --kills $(KILLS) --page

# One case of each kind is tested every day.
faults: setup demo
	@$(PYTEST) --dist worksteal -m "not benchmark" tests/faults
	@$(BIN)/python tests/faults/kinds.py

lab: setup demo
	@$(BIN)/jupyter lab notebooks

bench: setup demo
	@$(BIN)/python -m pytest -q -s -m benchmark tests/benchmarks

# What takes PostgreSQL and Spark too long for every time; each is a process of its own, and all are asked at once.
engines-test: setup engines servers
	@$(BIN)/python -m pytest -q -m engines tests/engines

scale: setup
	@$(BIN)/python tests/benchmarks/scale/run.py

size: setup
	@$(BIN)/python tests/size.py

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

setup: $(READY)

engines: $(ENGINES)

demo: $(DEMO)

$(READY): requirements.lock pyproject.toml | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version): about 150 packages (1 GB), a few minutes the first time"
	@test -x $(BIN)/python || $(UV) venv --quiet --seed --python "$$(command -v $(PYTHON))" .venv
	@$(UV) pip install $(INSTALL) --editable '.[dev,postgres]'
	@echo "Set up in .venv"
	@touch $@

# Spark is 400 MB, which only the tests on other engines need.
$(ENGINES): $(READY)
	@echo "Adding Spark to .venv (400 MB) for other engines and the tests on them"
	@$(UV) pip install $(INSTALL) --editable '.[spark,engines]'
	@touch $@

$(DEMO): lib/tenure/contract.py $(wildcard lib/tenure_demo/*) | $(READY)
	@$(BIN)/tenure demo data/demo
	@touch $@

.uv/bin/uv:
	@echo "Installing uv into .uv, which installs the packages"
	@$(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet uv || \
	  { echo "uv could not be installed; install uv or Python's venv module, and try again"; exit 1; }

# Tests that need a browser are skipped, with a word, where there is none and none can be installed.
browser:
	@command -v $${CHROMIUM:-chromium} >/dev/null || command -v chromium-browser >/dev/null \
	  || command -v google-chrome >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "Installing Chromium for the browser tests" \
	       && apt-get update -qq && apt-get install -qq -y chromium >/dev/null; } \
	  || echo "No Chromium found or installable: the browser tests are skipped."

# So are tests on PostgreSQL and on Spark, which needs Java; the tests start and stop the servers themselves.
servers:
	@for want in postgresql:postgres default-jre-headless:java; do \
	  program=$${want#*:}; package=$${want%:*}; \
	  command -v $$program >/dev/null || ls /usr/lib/postgresql/*/bin/$$program >/dev/null 2>&1 \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "Installing $$package for the tests" \
	       && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $$package >/dev/null; } \
	  || echo "No $$package found or installable: its tests are skipped."; \
	done

lock: | $(UV)
	@$(UV) pip compile --quiet --universal --all-extras --python-version 3.11 --upgrade --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml --output-file requirements.lock

clean:
	test ! -d data/demo || find data/demo -mindepth 1 ! -name company.yml -delete
	rm -rf .venv .uv reports/index.html reports/latest reports/runs reports/.state
