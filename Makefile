# Everything a newcomer needs: `make demo`, `make test`. `make help` lists the rest.

PYTHON ?= python3
FOR ?= 60s
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.demo ## Run the whole pipeline for a minute and draw a contact sheet
	@$(BIN)/traboule run --for $(FOR)

.PHONY: test
test: .venv/.dev ## Run every test that can run on this machine
	@$(BIN)/pytest --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: lint
lint: .venv/.dev ## Check style, types and import rules
	@$(BIN)/ruff check --no-cache --quiet
	@$(BIN)/ruff format --no-cache --check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: .venv/.dev ## Format the code
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: lock
lock: .venv/.venv ## Renew the exact versions in constraints.txt
	@$(BIN)/pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--no-header --no-annotate pyproject.toml --output-file constraints.txt

.PHONY: clean
clean: ## Remove the virtual environment and caches; your data stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .coverage *.egg-info

.venv/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Traboule needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`. Name another: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing. Install it: sudo apt install python3-venv" >&2; exit 1; }
	@echo "Making a virtual environment in .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.demo: .venv/.venv pyproject.toml constraints.txt
	@echo "Installing what Traboule needs (about 500 MB, a minute or two)"
	@$(INSTALL) '.[cli]'
	@touch $@

.venv/.dev: .venv/.venv pyproject.toml constraints.txt
	@echo "Installing what the tests need"
	@$(INSTALL) '.[dev]'
	@touch $@ .venv/.demo
