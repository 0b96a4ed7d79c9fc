# Everything happens in the checkout, in .venv and for two targets in .venv-engine and .venv-oldest; python3, make and git
# are all that must be there before.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ENGINE := .venv-engine
OLDEST := .venv-oldest
# What meets other libraries, and so tells at once of another release: the engine's doors, a training, the plugin as
# FiftyOne loads it (and mines with it), what it reads and writes.
OLDEST_TESTS := tests/core/io tests/core/verify tests/core/evidence tests/core/export tests/core/samples \
  tests/core/test_realtime.py \
  tests/core/training/test_trainer.py::test_a_warm_up_as_long_as_the_training_mines_at_its_end \
  tests/plugin/test_loader.py tests/plugin/store
PYTEST := -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

export FIFTYONE_DO_NOT_TRACK := true
# Containers often set it. Then each of the tests' many processes would compile all of torch and FiftyOne anew.
unexport PYTHONDONTWRITEBYTECODE
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-engine test-oldest coverage check docs docs-reference format bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## build .venv with everything in it, MongoDB too (does nothing when nothing changed)

demo: $(STAMP) ## mine the bundled demo with a real detector and open the App (HNM_DEMO_HEADLESS=1: only check it)
	$(BIN)/hnm demo

test: $(STAMP) ## run all tests but the slow ones (ARGS="-k name" for some)
	$(BIN)/python $(PYTEST) -m "not slow" $(ARGS)

test-slow: $(STAMP) ## run the slow tests: App in a browser, trainings, kills (ARGS="tests/browser" for some)
	$(BIN)/python $(PYTEST) -m slow $(ARGS)

test-engine: $(ENGINE)/.installed ## run the engine's tests where numpy is the only library
	$(ENGINE)/bin/python $(PYTEST) --doctest-ignore-import-errors hnm_core tests/core $(ARGS)

# Old releases meet new ones of what they need in turn, and warn of them: that is not what is tested here.
test-oldest: $(OLDEST)/.installed ## run tests with the oldest releases that pyproject.toml allows
	$(OLDEST)/bin/python $(PYTEST) -W ignore::DeprecationWarning $(OLDEST_TESTS) $(ARGS)

coverage: $(STAMP) ## run the engine's tests, not the slow ones, and fail below 95 % of its lines and branches
	$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST) -m "not slow" hnm_core tests/core $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: $(STAMP) ## format, lint, types, spelling: changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell

docs: $(STAMP) ## build the documentation into build/site, without a network
	$(BIN)/python -m tools.reference --check
	$(BIN)/mkdocs build --quiet

docs-reference: $(STAMP) ## write the pages of the reference that come from the code
	$(BIN)/python -m tools.reference

format: $(STAMP) ## let ruff format the code and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## measure the tables of the documents anew (ARGS="--what engine" for one)
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove environments, caches and build output
	rm -rf $(VENV) $(ENGINE) $(OLDEST) build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# uv installs in seconds what takes pip minutes; pip is only there to fetch uv.
$(STAMP): pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1): make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
	  echo "$(PYTHON) cannot make a virtual environment: install its venv package (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	$(BIN)/python -m fiftyone_plugin.setup.database
	@touch $@

# With the package itself, numpy and pytest: whatever else the engine imports is not there.
$(ENGINE)/.installed: $(STAMP)
	test -x $(ENGINE)/bin/python || $(PYTHON) -m venv $(ENGINE)
	$(BIN)/uv pip install --quiet --python $(ENGINE)/bin/python --editable '.[test]'
	@touch $@

$(OLDEST)/.installed: $(STAMP)
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(BIN)/uv pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct --editable '.[demo,plots,test]'
	$(OLDEST)/bin/python -m fiftyone_plugin.setup.database
	@touch $@
