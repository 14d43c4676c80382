# Everything starts from Python 3.11 and this folder: `make demo`, `make test`. The virtual environment is
# .venv; what is installed in it is pinned, with hashes, in constraints.txt and constraints-dev.txt.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
NODE := tests/interop/node
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install dev serve demo test check lint format data bench memory crash loadtest proto pins clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here: make PYTHON=/path/to/python (3.11 or newer)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: constraints.txt pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) --require-hashes -r constraints.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: constraints-dev.txt $(VENV)/.installed
	$(PIP_INSTALL) --require-hashes -r constraints-dev.txt
	@touch $@

install: $(VENV)/.installed ## banditd in .venv, from nothing but Python 3.11

dev: $(VENV)/.dev ## install, and what tests, checks and benchmarks need

serve: install ## the sidecar on its embedded example configuration, loopback only
	$(BIN)/banditd serve

demo: install ## serve, simulate shoppers against it, print what was learned, stop
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh $(ARGS)

test: dev $(NODE)/node_modules/.package-lock.json ## every test; ARGS='-k token' for some
	$(BIN)/python -m pytest $(ARGS)

$(NODE)/node_modules/.package-lock.json: $(NODE)/package.json
	@if command -v npm >/dev/null; then cd $(NODE) && npm install --silent --no-package-lock --no-audit --no-fund; \
	else echo "Node is not here: the tests of its client are skipped"; fi

check: dev lint ## lint, format, types, generated code up to date, buf lint
	$(BIN)/python -m mypy
	$(BIN)/python proto/generate.py --check
	$(BIN)/python proto/generate.py --lint

lint: dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

data: data/.obd ## fetch the Open Bandit sample (six CSV files, CC BY 4.0) into data/

data/.obd: constraints-data.txt | $(VENV)/bin/python
	@mkdir -p data
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
		--only-binary :all: --dest data -r constraints-data.txt
	cd data && ../$(BIN)/python -m zipfile -e obp-*.whl wheel
	rm -rf data/obd && mv data/wheel/obp/dataset/obd data/obd && rm -rf data/wheel data/obp-*.whl
	find data/obd -name .DS_Store -delete
	@touch $@

bench: dev ## the transport, a start, the core, a campaign and durability; all of them, then the verdict
	@failed=0; for part in transport_bench start bench measuring_bench days_bench durability_bench; do \
		echo; $(BIN)/python -m loadtest.$$part || failed=1; \
	done; exit $$failed

memory: dev ## resident memory over two million Chooses
	$(BIN)/python -m loadtest.transport_memory $(ARGS)

crash: dev ## kill a sidecar 200 times under load, and prove that nothing was lost or counted twice
	$(BIN)/python -m loadtest.crash $(ARGS)

loadtest: dev ## a locust run of ten seconds against a sidecar of its own
	$(BIN)/python -m loadtest.locust_run $(ARGS)

proto: dev ## regenerate server/pb from proto/
	$(BIN)/python proto/generate.py

pins: dev ## newest versions that fit, with hashes, into constraints*.txt
	$(PIP_INSTALL) --upgrade --target $(VENV)/uv uv
	sh .ci/pins $(VENV)/uv/bin/uv

clean: ## remove what the other targets made, except data/: a server may have learned in it
	rm -rf $(VENV) $(NODE)/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
