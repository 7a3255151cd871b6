# Everything a checkout needs is put into .venv and .cache; the demo's model and ledger go where yours would.
# A second run costs seconds: what is installed is looked at again only when pyproject.toml has changed.

VENV      := .venv
BIN       := $(VENV)/bin
PYTHONS   := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3)
TEST_HOME := .cache
MODEL     := $(TEST_HOME)/models/smollm2-135m-instruct.gguf
QUICK     := notebooks/01_quickstart.ipynb
# What one notebook leaves behind would change the estimates in the next.
RECORDED  := $(addprefix $(TEST_HOME)/,ledger.* queue.* content.* budgets.* memory)
# By themselves where there is a browser: its driver's loop stays with the process for good, and asyncio refuses a second.
TESTS      = SEKHA_TEST_MODEL="$(CURDIR)/$(MODEL)" $(BIN)/python -m pytest -n 2 --dist loadfile
CHECKED   := sekha_magics tests tools benchmarks hatch_build.py
# What the front end for JupyterLab is made of: with a change of it, it is built and installed anew.
FRONT     := $(wildcard hatch_build.py labextension/*.json labextension/.npmrc labextension/s*/* labextension/src/*/* \
               sekha_magics/widgets/*.js sekha_magics/widgets/*.css sekha_magics/display/tex_commands.txt)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo lab test lint front docs bench record pictures twice clean

help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp  ## Run the quickstart with the embedded model, and sum up what happened
	@echo "==> Fetching the embedded model (98 MB, once)"
	@$(BIN)/sekha models pull
	@echo "==> Running $(QUICK)"
	@$(BIN)/python tools/demo.py $(QUICK) demo

lab: $(VENV)/demo.stamp  ## Open the quickstart in JupyterLab
	@$(BIN)/sekha models pull
	$(BIN)/jupyter lab $(QUICK)

test: lint front $(MODEL)  ## Check style, types and imports, then run every test
	@echo "==> Running the tests"
	@$(TESTS) --ignore tests/ui --cov --cov-report=term --cov-fail-under=90
	@echo "==> Running the tests in a browser"
	@$(TESTS) tests/ui

lint: $(VENV)/dev.stamp  ## Check style, types and imports
	@echo "==> Checking style, types and imports"
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

front: $(VENV)/front.stamp  ## Check and test the front end by itself, where there is Node.js

docs: $(VENV)/dev.stamp  ## Write the tables of docs/reference.md from the code
	@$(BIN)/python tools/reference.py docs/reference.md

bench: $(VENV)/dev.stamp  ## Run every benchmark
	@for script in benchmarks/*.py; do echo "==> $$script"; $(BIN)/python "$$script" || exit 1; done

record: $(VENV)/dev.stamp $(MODEL)  ## Run the notebooks on the embedded model, and keep their answers as cassettes
	@for notebook in notebooks/*.ipynb; do \
	  echo "==> $$notebook"; \
	  rm -rf $(RECORDED); \
	  SEKHA_HOME="$(CURDIR)/$(TEST_HOME)" SEKHA_MODE=record \
	  SEKHA_CASSETTE="$(CURDIR)/notebooks/cassettes/$$(basename "$$notebook" .ipynb).jsonl" \
	  $(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False \
	    --ExecutePreprocessor.store_widget_state=False "$$notebook" || exit 1; \
	done

pictures: $(VENV)/dev.stamp $(MODEL)  ## Take the pictures of docs/images anew, in a browser
	@SEKHA_TEST_MODEL="$(CURDIR)/$(MODEL)" SEKHA_PICTURES="$(CURDIR)/docs/images" SEKHA_REQUIRE_BROWSER=1 \
	  $(BIN)/python -m pytest tests/ui/test_quickstart.py::test_every_cell_of_the_quickstart_runs_and_is_drawn_once \
	    tests/ui/test_lab_live.py::test_pictures_of_spend_and_of_a_call_under_way

twice: $(VENV)/dev.stamp  ## Build the wheel twice, from nothing but the sources: the bytes must be the same
	@rm -rf .cache/wheels
	@for turn in first second; do \
	  rm -rf sekha_magics/labextension labextension/lib labextension/build.stamp; \
	  SEKHA_REQUIRE_LABEXTENSION=1 $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir .cache/wheels/$$turn . || exit 1; \
	done
	@cmp .cache/wheels/first/*.whl .cache/wheels/second/*.whl
	@ls -l .cache/wheels/second/*.whl

clean:  ## Remove the environment, the caches and the demo
	rm -rf $(VENV) .cache demo sekha_magics/labextension labextension/lib labextension/node_modules labextension/build.stamp

# --- what the targets above stand on ---------------------------------------------------------------

SAY_WHAT_IS_MISSING = [ -e sekha_magics/labextension/package.json ] || \
  echo "==> Installed without the front end for JupyterLab, which takes Node.js 20.19 or newer to build; all else works."

$(BIN)/python:
	@for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "==> Making $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(VENV) && exit 0; \
	    rm -rf $(VENV); \
	    echo "$$python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    exit 1; \
	  fi; \
	done; \
	echo "Python 3.11 or newer is needed and was not found. Name one: make PYTHON=/path/to/python ..." >&2; \
	exit 1

$(VENV)/demo.stamp: pyproject.toml $(FRONT) | $(BIN)/python
	@echo "==> Installing sekha-magics with the embedded model and JupyterLab (some minutes, once)"
	@$(BIN)/python -m pip install --quiet --editable ".[local,lab]"
	@$(SAY_WHAT_IS_MISSING)
	@touch $@

$(VENV)/dev.stamp: pyproject.toml $(FRONT) | $(BIN)/python
	@echo "==> Installing sekha-magics with all that the tests need (some minutes, once)"
	@$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@$(SAY_WHAT_IS_MISSING)
	@touch $(VENV)/demo.stamp $@

$(VENV)/front.stamp: $(VENV)/dev.stamp $(wildcard labextension/test/* labextension/*.mjs sekha_magics/live/*.json tests/live/messages/*)
	@if [ -d labextension/node_modules ] && command -v npm >/dev/null; then \
	  echo "==> Checking and testing the front end"; \
	  cd labextension && npm run --silent check && npm run --silent test; \
	fi
	@touch $@

$(MODEL): | $(VENV)/dev.stamp
	@echo "==> Fetching the embedded model for the tests (98 MB, once)"
	@SEKHA_HOME="$(CURDIR)/$(TEST_HOME)" $(BIN)/sekha models pull
