# The whole of the project's handling. `make drill` is the first thing to try, `make test` is what CI runs.
# Everything is made once and kept: .venv for work, build/venv with the built wheel for tests.

PYTHON  ?= python3
NETWORK ?= inventories/dual-homed
ROOT    := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=CI,NO_COLOR)
# Root writes no byte code or caches into the checkout, so that its files stay the user's own.
# What takes minutes to build is kept in the user's own cache, and root finds it there.
export NETRESILIENCE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/netresilience
AS_ROOT := $(ROOT) env PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=/tmp/resilience-hypothesis \
           NETRESILIENCE_CACHE=$(NETRESILIENCE_CACHE)
BIN     := .venv/bin
WHEEL   := build/venv/bin
# Tests mostly wait for routers, so three share two cores; tests/conftest.py says which stay together and come first.
PYTEST  := RESILIENCE_TESTS=wheel $(WHEEL)/pytest -p no:cacheprovider \
           --numprocesses 3 --dist loadgroup --no-loadscope-reorder
CODE    := resilience tests benchmarks docs simulations
SHIPPED := $(shell find resilience templates inventories schema simulations -type f -not -name '*.pyc' 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: drill test test-all ready test-unit lint format types docs bench programs containers print-tests clean

drill: programs .venv/run.stamp  ## declare, render, build, break and measure the ten-line network
	$(AS_ROOT) $(BIN)/resilience drill $(NETWORK)

test: ready  ## everything; the tests run against the built wheel
	$(AS_ROOT) $(PYTEST)

test-all: ready containers  ## more than everything: every case where `test` tries those that stand for the rest
	$(AS_ROOT) RESILIENCE_EVERY=1 $(PYTEST)

ready: programs lint types build/wheel.stamp  ## all of `test` but pytest itself

test-unit: .venv/dev.stamp  ## what needs neither root nor daemons, against the checkout
	$(BIN)/pytest -m "not lab and not containers and not machine and not daemons and not wheel"

lint: .venv/dev.stamp
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: .venv/dev.stamp
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: .venv/dev.stamp
	$(BIN)/mypy

docs: .venv/dev.stamp  ## write the generated pages of docs/reference and the schemas anew
	$(BIN)/python docs/generate.py

bench: programs .venv/dev.stamp build/netlab.stamp  ## print the figures; BENCH="reading rendering" selects
	$(AS_ROOT) $(BIN)/python -m benchmarks $(BENCH)

programs:
	@PYTHON=$(PYTHON) .ci/install-programs

containers:  ## Docker's daemon, containerlab, the image of routers and a machine with systemd: what some tests need beyond that
	@.ci/install-containerlab
	@PYTHON=$(PYTHON) simulations/images/build
	@simulations/images/build-machine

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[deploy,vault]" --group dev
	@touch $@ .venv/run.stamp

build/venv.stamp: pyproject.toml
	$(PYTHON) -m venv --clear build/venv
	$(WHEEL)/python -m pip install --quiet "pip>=25.1"
	$(WHEEL)/python -m pip install --quiet --group dev
	@touch $@

build/wheel.stamp: build/venv.stamp .venv/dev.stamp $(SHIPPED)
	rm -rf build/dist
	$(BIN)/python -m build --wheel --outdir build/dist . > build/wheel.log || { cat build/wheel.log; exit 1; }
	$(WHEEL)/python -m pip install --quiet --force-reinstall --no-deps build/dist/*.whl
	$(WHEEL)/python -m pip install --quiet "$$(ls build/dist/*.whl)[deploy,vault]"
	@touch $@

# The peer that rendering is compared with, in an environment of its own. Where it cannot be installed, the
# benchmark says so and goes on.
build/netlab.stamp:
	@mkdir -p build
	$(PYTHON) -m venv --clear build/netlab
	build/netlab/bin/python -m pip install --quiet networklab || echo "netlab could not be installed"
	@touch $@

print-tests:
	@echo $(AS_ROOT) $(PYTEST)

clean:
	rm -rf build dist .venv .mypy_cache .pytest_cache .ruff_cache
