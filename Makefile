# Everything is run from .venv, which the first target that needs it makes.
# On a fresh machine only Python (3.11 to 3.13, with venv and pip), make and git are needed.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
READY := .venv/.ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow soak fuzz lint format ci bench kernels picture lock clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

setup: $(READY) ## make .venv with all that the targets below need

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(READY): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

define SHOW
import gzip, pathlib, sys
print("\nWhat lies where:\n")
files = sorted(p for top in ("out", "_cefline") for p in pathlib.Path(top).rglob("*") if p.is_file())
print("".join(f"  {path}\n" for path in files))
print("The first line of each part:", flush=True)
for part in sorted(pathlib.Path("out").rglob("*.cef.gz")):
    with gzip.open(part) as lines:
        sys.stdout.buffer.write(b"\n" + lines.readline())
endef
export SHOW

demo: setup ## export the sample timeline into ./out, show what lies where and the first lines
	@rm -rf out _cefline
	$(BIN)/cefline export tests/data/sample.parquet ./out
	@$(BIN)/python -c "$$SHOW"

test: setup ## run the tests that are quick
	$(PYTEST) -n auto

slow: setup ## run the slow tests, at their short length
	$(PYTEST) -m slow -n auto --timeout=1200

soak: setup ## run the slow tests at full length
	CEFLINE_SOAK=1 $(PYTEST) -m slow --timeout=3600

fuzz: setup ## feed damaged and hostile bytes to reading and parsing (FUZZ_SECONDS=600 in all)
	$(BIN)/python -m tests.fuzz

lint: setup ## check style, types, import rules, packaging and that no file names a registry
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(PYTEST) -q tests/test_packaging.py

format: setup ## format the code and sort its imports
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

ci: ## all checks, as CI runs them
	.ci/run

# Not in the lock: 560 MB, and for Linux on x86_64 alone. Only its binary is wanted, which needs
# nothing else; where it can't be had, its ways are left out.
TENZIR := tenzir>=6.20

bench: setup kernels ## measure the kernels, and whole runs beside DuckDB, Tenzir and others (BENCH="--rounds 1")
	@$(BIN)/python -m pip install --quiet --no-deps "$(TENZIR)" || echo "Tenzir can't be installed here"
	$(BIN)/python benchmarks/whole.py $(BENCH)

kernels: setup ## measure the kernels alone: reading, escaping, rendering, parsing, compressing
	$(PYTEST) -p benchmark -p no:randomly -q benchmarks/test_kernels.py

picture: setup ## make docs/report.png anew: the report of the sample timeline, in Chromium
	$(BIN)/python -m tests.chromium docs/report.png

# Not gcs and azure: their tests run where CEFLINE_STORES names a store. Not spark: its tests
# install each Spark that they run on.
EXTRAS := --extra otel --extra test --extra lint --extra bench --extra fuzz

# An environment of its own: Airflow's packages are many, and bind the versions of others.
AIRFLOW := --extra airflow --extra airflow-pod

lock: $(BIN)/python ## resolve the locks anew from pyproject.toml (LOCK=--upgrade: newest versions)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --no-header --no-emit-index-url --python-version 3.11 \
		$(EXTRAS) $(LOCK) --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --no-header --no-emit-index-url --python-version 3.11 \
		$(AIRFLOW) $(LOCK) --output-file requirements-airflow.lock pyproject.toml

clean: ## remove .venv and all that the targets made
	rm -rf .venv out _cefline dist build .hypothesis .coverage .coverage.* .benchmarks
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find pipelines schemas tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
