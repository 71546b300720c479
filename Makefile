# Two commands do everything: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export HF_HUB_OFFLINE ?= 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo test fast lint audit clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Whyscore needs Python 3.11 or newer; say: make PYTHON=python3.11 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/whyscore demo

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest

fast: $(READY)
	$(BIN)/python -m pytest -m 'not slow'

# Needs the network: known faults of the exact versions in constraints.txt, asked of PyPI's service.
audit:
	@PYTHON=$(PYTHON) .ci/audit --required

clean:
	rm -rf $(VENV) .venv-audit build *.egg-info
