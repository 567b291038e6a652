# Every chore has a name. `make demo` and `make test` do all of their own set-up.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first Python here that is new enough and can make virtual environments; `make PYTHON=... test` overrules.
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUITABLE)' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Test processes: one more than the two cores of the reference machine, for many tests wait for programs that they
# started. `make test JOBS=0` runs in one process. Files go out as they are collected: ordered by how many tests they have, those
# with few that take long would come last, and the other processes would wait for them.
JOBS ?= 3
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
# Kernels are compiled once, before several processes of tests would each do so.
WARM := from spica.kernels.warm import KERNELS, compile_all; \
	print(f"{len(KERNELS)} kernels ready after {compile_all():.0f} s")
# Aladin Lite that HiPS are looked at with.
ALADIN := 3.8.2
TESTS ?=
GROUP ?=

.PHONY: help demo test system aladin lint format types bench docs check-all lock wheel clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 12

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 with venv found: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps remember what was installed; a change of pyproject.toml or of the lock file installs anew.
$(VENV)/.run: $(VENV)/bin/python pyproject.toml requirements.lock
	$(PIP) install -q -c requirements.lock -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) install -q -c requirements.lock -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) install -q -c requirements.lock -e '.[dev]'
	@touch $@

demo: $(VENV)/.run  ## a small survey from simulated sky to catalogues, judged against the truth
	@$(BIN)/spica demo build/demo

test: $(VENV)/.test  ## the test suite, without the long drills
	@$(BIN)/python -c '$(WARM)'
	@$(PYTEST) -m "not slow" $(TESTS)

system:  ## install the system programs that the whole suite needs (Debian packages; root or sudo)
	@bash .ci/system

aladin:  ## fetch Aladin Lite (npm) for the test of HiPS in a browser
	@mkdir -p build/aladin
	cd build/aladin && npm pack --silent --ignore-scripts aladin-lite@$(ALADIN) && tar xf aladin-lite-$(ALADIN).tgz

lint: $(VENV)/.dev  ## ruff: rules and format; import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev  ## let ruff write the format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

bench: $(VENV)/.test  ## benchmarks, all or GROUP=name; table here, figures in build/bench.json
	$(BIN)/python -m benchmarks.run $(GROUP)

docs: $(VENV)/.test  ## build the documentation into build/docs, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

check-all: lint types docs  ## everything: lint, types, docs, all tests with the long drills, benchmarks
	@$(BIN)/python -c '$(WARM)'
	$(PYTEST)
	$(MAKE) bench

lock: $(VENV)/.dev  ## write requirements.lock anew (needs the network)
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --all-extras --upgrade --no-annotate \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock

wheel: $(VENV)/.test  ## build the wheel into dist
	$(PIP) wheel -q --no-deps --no-build-isolation -w dist .
	@ls dist/*.whl

clean:  ## remove what was built (the virtual environment stays)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
