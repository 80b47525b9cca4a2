# Everything a newcomer needs: `make demo`, `make test`, and with Docker `make up`. `make help` lists the rest.

PYTHON ?= python3
FOR ?= 60s
BIN := .venv/bin
COMPOSE := docker compose --progress quiet
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-warn-conflicts --constraint constraints.txt --editable
# Without what it says that it needs: docs/decisions/0010.
INSTALL_SDK := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement labeling-sdk.txt

.DEFAULT_GOAL := help

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.demo ## Run the whole pipeline for a minute and draw a contact sheet
	@$(BIN)/traboule run --for $(FOR)

.PHONY: test
test: .venv/.dev ## Run the tests; ALL=1 adds those of the Docker services (40 minutes)
	@TRABOULE_TEST_ALL=$(ALL) $(BIN)/pytest --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: up
up: images ## Start everything as Docker services, and wait until all is healthy
	@echo "Starting"
	@$(COMPOSE) up --detach --wait
	@infra/docker/where

.PHONY: down
down: .docker ## Stop the Docker services; their data stays
	@$(COMPOSE) --profile simulation --profile fetch down

.PHONY: demo-compose
demo-compose: images ## The Docker services on a simulated city: needs no internet
	@echo "Starting"
	@$(COMPOSE) --profile simulation up --detach --wait
	@$(COMPOSE) run --rm cli summary --wait 12
	@infra/docker/where

.PHONY: images
images: .docker ## Build the Docker images
	@echo "Building the images (the first time a few minutes)"
	@$(COMPOSE) --profile simulation --profile cli build --quiet

.PHONY: chaos
chaos: .venv/.dev .docker ## Kill, cut off and fill up the Docker services; print what became of every image
	@TRABOULE_TEST_ALL=1 $(BIN)/pytest --quiet tests/e2e/test_chaos.py

.PHONY: backup
backup: .docker ## Copy catalog, object store, Label Studio and secrets to backups/
	@infra/backup/backup

.PHONY: restore
restore: images ## Put a backup into an empty stack: make restore FROM=backups/…
	@infra/backup/restore '$(FROM)'

.PHONY: rotate-secrets
rotate-secrets: .docker ## Change every password, everywhere
	@infra/init/rotate

.PHONY: .docker
.docker:
	@docker compose version >/dev/null 2>&1 \
		|| { echo "Docker with Compose 2.26 or newer is missing: see docs.docker.com/engine/install" >&2; exit 1; }
	@docker info >/dev/null 2>&1 \
		|| { echo "Docker does not answer. Is it running, and may you use it (group docker)?" >&2; exit 1; }
	@docker version --format '{{.Server.Version}}' | awk -F. '$$1 < 26 { exit 1 }' \
		|| { echo "Docker Engine 26 or newer is needed; this is `docker version --format '{{.Server.Version}}'`" >&2; exit 1; }

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

.PHONY: hooks
hooks: .venv/.dev ## Check style and types before every commit
	@$(BIN)/pre-commit install

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

.venv/.demo: .venv/.venv pyproject.toml constraints.txt labeling-sdk.txt
	@echo "Installing what Traboule needs (about 500 MB, a minute or two)"
	@$(INSTALL) '.[cli]'
	@$(INSTALL_SDK)
	@touch $@

.venv/.dev: .venv/.venv pyproject.toml constraints.txt labeling-sdk.txt
	@echo "Installing what the tests need"
	@$(INSTALL) '.[dev]'
	@$(INSTALL_SDK)
	@touch $@ .venv/.demo
