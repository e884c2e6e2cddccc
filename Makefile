# `make demo` and `make test` work on a fresh machine: each sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.13.0
BIN := $(VENV)/bin

.PHONY: demo reproduce check test test-slow lint docs bench clean

# torch by itself and first: a CPU build where there is one.
$(VENV)/.lab: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==$(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[align]'
	touch $@

$(VENV)/.dev: $(VENV)/.lab
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/.lab  ## the main job, offline: the paper's experiment in the closed-world lab
	$(BIN)/vlsbench demo
	@echo "The command is $(BIN)/vlsbench; 'source $(BIN)/activate' puts it on your path."

reproduce: $(VENV)/.lab  ## the whole of it: every arm, five seeds (about 45 minutes)
	$(BIN)/vlsbench lab reproduce

test: lint  ## everything that must hold
	$(BIN)/python -m pytest -n auto -m "not slow"

check: lint  ## the quick lane: no torch, Chromium or tesseract, no test that takes seconds
	$(BIN)/python -m pytest -n auto -m "not slow and not browser and not torch and not long"

test-slow: $(VENV)/.dev  ## minutes, not seconds
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.dev  ## the site, in site/; a page missing from mkdocs.yml or a dead link fails it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.dev  ## performance, printed as tables (docs/performance.md)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.kill

clean:
	rm -rf $(VENV) demo runs site
