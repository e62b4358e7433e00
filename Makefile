.PHONY: install demo test test-all check bench docs format
.DEFAULT_GOAL := help

export OMP_WAIT_POLICY := passive
PYTHON ?= python3
BIN := .venv/bin

help:
	@echo "make demo      draw procedural faces, train on them, look at the generated faces"
	@echo "make test      the test suite            make test-all   with the slow tests"
	@echo "make check     style, types, structure   make bench      the benchmarks (nothing else running)"
	@echo "make docs      the documentation site    make install    what all of these do first"

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: install
	$(BIN)/nijigan demo

# Two workers of one thread each: two threads in two workers fight over two cores.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m 'not slow'

# The slow tests include an import on Ray.
test-all: install
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[cluster]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: install
	$(BIN)/python benchmarks/all.py

docs: install
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict
