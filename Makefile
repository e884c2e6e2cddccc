# `make demo` and `make test` work on a fresh machine: each sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.13.0
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint bench clean

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==$(TORCH)  # by itself: a CPU build where there is one
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(VENV)/.base $@

demo: $(VENV)/.base  ## the main job, offline, in the closed-world lab
	$(BIN)/vlsbench demo

test: lint  ## everything that must hold
	$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: $(VENV)/.dev  ## minutes, not seconds
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## performance, printed as tables (docs/performance.md)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.kill

clean:
	rm -rf $(VENV) demo runs
