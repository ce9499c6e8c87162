# What people type. Each target first makes the environment it needs, from the hashed locks; that takes
# Python >= 3.11 and a package index, nothing else.

PYTHON ?= python3
ARGS ?=

# Without bytecode on disk every start of the gateway compiles its libraries anew, which takes a second.
unexport PYTHONDONTWRITEBYTECODE

RUN := .venv-run
DEV := .venv

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-clients test-image fuzz chaos soak lint lock clean run-env dev-env

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: run-env ## simulated upstream, gateway and real prompts; prints what was spent and saved (ARGS=--once: then ends)
	@$(RUN)/bin/gateway demo $(ARGS)

serve: run-env ## run the gateway (ARGS="-c FILE --port N")
	@$(RUN)/bin/gateway serve $(ARGS)

# A process of tests for each core. Each has a redis-server and a Postgres of its own; who is done first takes tests over.
test: lint ## ruff, mypy and pytest on all cores (ARGS="-k NAME": some of it; ARGS=-n0: in one process, for a debugger)
	$(DEV)/bin/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

test-clients: dev-env ## other people's clients with and without the gateway (CLIENTS="node openai-1": only these)
	@$(DEV)/bin/python .ci/install_clients.py $(CLIENTS)
	$(DEV)/bin/python -m pytest -m clients tests/clients $(ARGS)

test-image: dev-env ## the Dockerfile's steps, run without Docker
	$(DEV)/bin/python -m pytest -m image tests/deploy/test_image.py $(ARGS)

lint: dev-env ## ruff and mypy
	$(DEV)/bin/ruff check
	$(DEV)/bin/ruff format --check
	$(DEV)/bin/mypy

fuzz: dev-env ## damaged requests through both lanes, damaged answers from upstreams, some minutes (ARGS="--count N --seed S")
	@$(DEV)/bin/python -m tests.fuzz.requests $(ARGS)
	@$(DEV)/bin/python -m tests.fuzz.replies $(ARGS)

chaos: dev-env ## upstreams that fail, processes that die, hostile clients; what is promised and what was measured (ARGS=NAME: one)
	@$(DEV)/bin/python -m tests.chaos $(ARGS)

soak: dev-env ## half an hour of mixed load with faults: memory, descriptors, latency, log (ARGS="--minutes N --rate N")
	@$(DEV)/bin/python -m tests.soak $(ARGS)

bench: dev-env ## CPU per request beside nginx, a few minutes (ARGS=--quick; docs/performance.md; wants nginx and wrk)
	@$(DEV)/bin/python -m tests.bench.compare $(ARGS)

lock: dev-env ## write the locks anew after a change of dependencies (UPGRADE=1: the newest versions)
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --all-extras --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) pyproject.toml $(IMAGE) -c requirements-dev.lock -o requirements-image.lock
	$(COMPILE) --group build -c requirements-dev.lock -o .ci/build.lock
	$(COMPILE) --group installer -o .ci/installer.lock
	for set in tests/clients/*/requirements.in; do $(COMPILE) $$set -o $${set%.in}.lock || exit 1; done
	$(DEV)/bin/python .ci/install_clients.py node
	PATH="$(CURDIR)/.venv-clients/node/bin:$$PATH" npm --prefix tests/clients/node \
		$(if $(UPGRADE),update --save,install) --package-lock-only --ignore-scripts --no-audit --no-fund
	@! grep -n '://' requirements*.lock .ci/*.lock tests/clients/*/*.lock || \
		{ echo 'A lock names a host.'; exit 1; }
	@! grep -n '"resolved"' tests/clients/node/package-lock.json || { echo 'package-lock.json names a host.'; exit 1; }

# Pins stay as they are unless UPGRADE says otherwise; one file serves every platform and Python version.
COMPILE = $(DEV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

# The container has what serves, in Postgres as well, and not the 150 MB that only `gateway router train` needs.
IMAGE = --extra fast --extra otel --extra postgres --extra reload $(foreach name,scikit-learn scipy joblib threadpoolctl narwhals,--no-emit-package $(name))

clean: ## remove environments, caches and builds; never var/, where the data is
	rm -rf $(RUN) $(DEV) .venv-clients .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

run-env:
	@$(PYTHON) .ci/install.py $(RUN) requirements.lock

dev-env:
	@$(PYTHON) .ci/install.py $(DEV) requirements-dev.lock
