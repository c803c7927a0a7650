# Everything a newcomer needs; each target works on a fresh machine with Python 3.11 or newer.
FAMILIES ?= 20000
SEED ?= 2026
FAULTS ?= 1000
BROKERS ?= 3
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-everything lint format up down bench chaos contract lock

demo: .venv/run  ## the whole flow on generated families, with the report
	$(BIN)/salur demo --families $(FAMILIES) --seed $(SEED)

test: lint  ## linters, type checker, import contracts and all tests
	$(BIN)/pytest

test-everything: lint  ## the same, and those that take minutes: a restored backup, keys retired, the monitor killed, the portal rebuilt
	SALUR_EVERYTHING=1 $(BIN)/pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

up: .venv/run  ## start the stack and leave it running
	$(BIN)/salur up

down: .venv/run
	$(BIN)/salur down

bench: .venv/dev .venv/baselines/filled  ## how fast, beside others; bench/README.md says how to read it
	$(BIN)/python -m bench

chaos: .venv/run  ## the whole flow under 1,000 faults on three brokers, compared with an undisturbed run
	$(BIN)/salur chaos --families $(FAMILIES) --faults $(FAULTS) --brokers $(BROKERS) --seed $(SEED)

contract: .venv/run  ## write docs/contract from the code
	$(BIN)/salur contract

# ---- set-up: a virtual environment filled from locks with hashes ----
# Compiled once: where PYTHONDONTWRITEBYTECODE keeps Python from writing what it compiles, each service took three times
# as long to start, and each command twice.
INSTALL := VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode

.venv/tools: requirements/tools.lock
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.lock
	@touch $@

.venv/run: .venv/tools requirements/run.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements/run.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q salur services shared simulators
	@touch $@

.venv/dev: .venv/run requirements/dev.lock
	$(INSTALL) --require-hashes -r requirements/dev.lock
	@touch $@

# What others are measured in: faust-streaming wants an older click than typer gets above; the rest is the same.
.venv/baselines/filled: .venv/dev requirements/bench.lock
	$(PYTHON) -m venv --clear .venv/baselines
	VIRTUAL_ENV=.venv/baselines $(BIN)/uv pip install --quiet --require-hashes -r requirements/bench.lock
	@touch $@

lock: .venv/tools  ## refresh the locks; they carry hashes and no registry address
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -U --extra embedded pyproject.toml -o requirements/run.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -U -c requirements/run.lock pyproject.toml -o requirements/image.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -U --extra embedded --group dev -c requirements/run.lock pyproject.toml -o requirements/dev.lock
	sed -n '/^click==/d; s/ \\$$//; /^[a-z].*==/p' requirements/run.lock | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -U --group bench -c - pyproject.toml -o requirements/bench.lock
	printf 'uv\nhatchling\neditables\n' | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -U - -o requirements/tools.lock
