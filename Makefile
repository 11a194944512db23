# `make` lists what one can do. Each target sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
UV_LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help gate gate-full test lint types bench endurance picture up selftest docs lock clean

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

gate: $(VENV)/.gate ## Judge the new stack against the hub: a verdict, a report in out/, an exit status
	@$(BIN)/hubgate gate $(ARGS)

gate-full: $(VENV)/.gate ## The same with the full profile (up to 15 minutes)
	@$(BIN)/hubgate gate --profile full $(ARGS)

selftest: $(VENV)/.gate ## Run the gate against every seeded defect: each must be caught
	@$(BIN)/hubgate selftest $(ARGS)

up: $(VENV)/.gate ## Run the new stack on this machine: Valkey, API, workers, dashboard
	@$(BIN)/hubgate up $(ARGS)

# Tests wait for half of their time: on two cores, three processes of them.
test: $(VENV)/.dev ## All tests
	$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

lint: $(VENV)/.dev ## Ruff, silent when all is well
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .

types: $(VENV)/.dev ## Mypy, strict
	@$(BIN)/mypy

bench: $(VENV)/.dev ## The queue beside the queues people would pick instead, in one table
	@$(BIN)/python -m loadtests.bench $(ARGS)

endurance: $(VENV)/.dev ## A long run that kills workers, APIs and Redis, and counts what is lost
	@$(BIN)/python -m loadtests.endurance $(ARGS)

picture: $(VENV)/.dev ## Take the README's picture of the newest report (needs chromium)
	@$(BIN)/python -m reports.screenshot $(ARGS)

docs: $(VENV)/.dev ## The documentation as a site that opens offline: out/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet $(ARGS)
	@echo out/site/index.html

lock: $(VENV)/.dev ## Pin every dependency again, with hashes and without hosts
	@$(PIP) uv
	$(UV_LOCK) --all-extras requirements/build.in pyproject.toml --output-file requirements/dev.txt
	$(UV_LOCK) --extra gate --extra docker --constraint requirements/dev.txt requirements/build.in pyproject.toml --output-file requirements/gate.txt
	$(UV_LOCK) --constraint requirements/dev.txt requirements/build.in pyproject.toml --output-file requirements/stack.txt

clean: ## Remove what the targets made
	rm -rf $(VENV) out build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hubgate needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "python cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 2; }

$(VENV)/.gate: requirements/gate.txt pyproject.toml | $(VENV)/bin/python
	@$(PIP) --require-hashes --requirement requirements/gate.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/.gate
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@touch $@
