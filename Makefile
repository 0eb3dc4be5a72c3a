# Needs Python 3.11 to 3.13, git and make; everything else is fetched into .tools/ and .venv/.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

UV_VERSION := 0.13.8
WORKERS ?= 2
# Optional parts to install as well, such as EXTRAS="feast aws".
EXTRAS ?=
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(IS_SUPPORTED)' 2>/dev/null && echo $$python && break; done)

UV := .tools/bin/uv
BIN := .venv/bin
STAMP := .venv/.synced

# Bytecode is compiled once, at installation: without it each `import dagster` costs three times as much.
export UV_COMPILE_BYTECODE := 1
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

.PHONY: help setup demo up ui test check fmt lock clean

help:  ## List what `make` can do
	@grep -E '^[a-z]+( [a-z]+)*:.*##' Makefile | sed -E 's/:[^#]*## */\t/' \
		| while IFS=$$'\t' read -r targets text; do printf '  %-8s %s\n' "$${targets// /, }" "$$text"; done

setup: $(STAMP)  ## Install uv into .tools/ and the locked dependencies into .venv/

demo: $(STAMP)  ## Train on real flights, replay the rest of 2013, show what happened
	$(BIN)/mlops demo

up ui: $(STAMP)  ## Start the Dagster UI, its daemon, the model server and the MLflow UI; Ctrl-C stops them
	$(BIN)/mlops up

test: $(STAMP)  ## Run all tests (WORKERS=2 processes)
	$(BIN)/pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --durations 15

check: $(STAMP)  ## Format, lint, types, import rules and definition files; tests are in `make test`
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports --no-logo
	$(BIN)/mlops check

fmt: $(STAMP)  ## Format the code and apply the safe fixes of the linter
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(UV)  ## Resolve the dependencies again and write uv.lock
	$(UV) lock --upgrade

clean:  ## Remove caches and the environment; what you trained stays in .mlops/
	rm -rf .venv .tools .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist htmlcov .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(UV):
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 on PATH. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen $(EXTRAS:%=--extra %) --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@touch $@
