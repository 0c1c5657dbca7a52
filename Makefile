# Each target that needs .venv makes it first if it is missing or stale.
# ARGS are passed on: make demo ARGS="--work-dir /tmp/w", make test ARGS="-k fma".
# PYTHON names the interpreter for .venv.

# Tests run in a process a core, four at most, a file in one of them (ARGS="-n 0": in this one).

ARGS ?=
WORKERS = -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help demo docs test test-slow test-next lint audit lock env image clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: env ## Run the whole pipeline on a synthetic corpus
	@.venv/bin/genreflow demo $(ARGS)

docs: env ## Build the documentation; a warning is an error
	@.venv/bin/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build
	@echo "docs/_build/index.html"

test: env ## Run the tests that take seconds
	@.venv/bin/pytest -m "not slow" $(WORKERS) $(ARGS)

# pytest's status 5 is "no tests": right as long as no test is slow, wrong for a mistyped -k.
test-slow: env ## Run the tests that take minutes
	@.venv/bin/pytest -m slow --timeout=1800 $(WORKERS) $(ARGS) || { status=$$?; \
	[ $$status -eq 5 ] && [ -z "$(ARGS)" ] || exit $$status; }

test-next: ## Run the tests with the other generation of TFX (Debian 13 root or Python 3.10)
	@scripts/next.sh make --no-print-directory test ARGS='$(ARGS)'

lint: env ## Check style, formatting, imports, types and the Dockerfile
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/lint-imports --no-cache --no-logo
	@.venv/bin/hadolint kubeflow/Dockerfile
	@.venv/bin/mypy

audit: env ## Look up the locked packages in the vulnerability database
	@scripts/audit.sh $(ARGS)

lock: env ## Resolve requirements/*/*.lock again (ARGS=--upgrade for newer versions)
	@scripts/lock.sh $(ARGS)

env: ## Make .venv if it is missing or stale
	@scripts/setup_env.sh

image: ## Build the container image (GENERATION=1.16, DEVICE=cuda, IMAGE=its name)
	@GENERATION="$(GENERATION)" DEVICE="$(DEVICE)" IMAGE="$(IMAGE)" scripts/image.sh $(ARGS)

clean: ## Delete .venv, caches and work folders
	@rm -rf .venv .venv.lock .venv-setup.log .tools build dist docs/_build *.egg-info \
	    .pytest_cache .hypothesis .mypy_cache .ruff_cache genreflow-work genreflow-demo
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
