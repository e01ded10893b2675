# Everything runs from a virtual environment in this folder. Paths are relative, so the folder's name may hold spaces.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := bench/peers
NPM_SERVERS := $(addprefix tests/servers/,fauxqs azurite postgresql)
AIRFLOW := tests/servers/airflow

.PHONY: help demo dev test test-slow test-cluster simulate simulate-mutants soak bench check generate servers kube format lock clean

help: ## What there is to make
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | sort

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2]) if sys.version_info < (3, 11) else None'
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $(READY)

demo: $(READY) ## Run the main job on embedded defaults and show it
	@$(BIN)/python -m agentd demo

dev: $(READY) ## Keep the same stack up, with commands to try
	@$(BIN)/python -m agentd dev

test: $(READY) check ## Check and test, within minutes
	@$(BIN)/python -m pytest -n 4 -m "not slow"

test-slow: $(READY) servers ## The suites that take longer: kill points, fuzzing, replicas, load
	@$(BIN)/python -m pytest -m slow --timeout 900 -n 2 --dist loadfile tests/unit tests/conformance tests/servers tests/simulation
	@$(BIN)/python -m pytest -m slow --timeout 900 tests/e2e

test-cluster: $(READY) servers ## The cluster's suites and the story on a real Kubernetes API server
	@eval "$$(tests/servers/kube/build)" && $(BIN)/python -m pytest --timeout 900 \
		tests/conformance/kubernetes tests/conformance/cluster tests/conformance/rights tests/conformance/chart tests/servers tests/e2e/test_real_cluster.py

simulate: $(READY) ## 10,000 seeds of the deterministic simulation, failed ones first (SEEDS=N for another number)
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000) --fresh

simulate-mutants: $(READY) ## Plant bugs in the code, one at a time, and show which invariant catches each
	@$(BIN)/python -m tests.simulation.mutants

soak: $(READY) ## 300 kills and 100 orderly ends under load, one after the other (half an hour)
	@SOAK_KILLS=$(or $(KILLS),300) SOAK_SIGTERMS=$(or $(SIGTERMS),100) $(BIN)/python -m pytest tests/e2e/test_soak.py

bench: $(READY) servers $(PEERS)/node_modules/.package-lock.json $(PEERS)/.venv/.ready ## Measure throughput, latency, memory and hand-over, with ratios to bare loops and to peers
	@$(BIN)/python -m bench $(BENCH)

$(PEERS)/.venv/.ready: $(PEERS)/requirements.txt
	@$(PYTHON) -m venv $(PEERS)/.venv
	@$(PEERS)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(PEERS)/requirements.txt
	@touch $@

check: $(READY) ## Lint, types, rooms, .proto files, generated files
	@$(BIN)/python -m ruff format --check --quiet .
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/buf lint proxy/protos
	@$(BIN)/python -m agentd.cli.generate --check

generate: $(READY) ## Write the files that follow from the code
	@$(BIN)/python -m agentd.cli.generate

servers: $(addsuffix /node_modules/.package-lock.json,$(NPM_SERVERS)) $(AIRFLOW)/.venv/.ready ## Install the test servers: from npm (node 20 or newer), and Airflow

%/node_modules/.package-lock.json: %/package-lock.json
	@cd $* && npm ci --silent --ignore-scripts --no-fund --no-audit
	@touch $@

$(AIRFLOW)/.venv/.ready: $(AIRFLOW)/requirements.txt
	@$(PYTHON) -m venv $(AIRFLOW)/.venv
	@$(AIRFLOW)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		-r $(AIRFLOW)/requirements.txt
	@touch $@

kube: ## Build a Kubernetes control plane for the tests, outside this folder (needs Go; a quarter of an hour)
	@tests/servers/kube/build

format: $(READY) ## Format and mend what can be mended
	@$(BIN)/python -m ruff format --quiet .
	@$(BIN)/python -m ruff check --fix --quiet .

lock: ## Resolve the dependencies anew (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
		pyproject.toml --all-extras --group dev -o requirements-dev.txt
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
		pyproject.toml --extra azure --extra external-database --extra otel -c requirements-dev.txt -o requirements.txt
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
		$(AIRFLOW)/requirements.in -o $(AIRFLOW)/requirements.txt

clean: ## Remove what was set up and built
	@rm -rf $(VENV) .agentd dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
