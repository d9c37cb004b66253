# make help says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TONEARM_HOME ?= .tonearm
LABEL ?= folder
# Tests go to two processes, a file at a time, in the order of tests/conftest.py.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help demo check test lint page serve mlflow bench gpu install
.DEFAULT_GOAL := demo

install: $(VENV)/.installed

# One thing is installed: this project, in place, with everything it needs at the versions that were tested.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned dependencies into $(VENV); a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,dev]'
	@touch $@

help:
	@echo 'make demo                               from scores to a served answer; also what make alone does'
	@echo 'make demo AUDIO=~/Music LABEL=genre     the same with your recordings; LABEL=folder, artist, album or genre'
	@echo 'make serve                              serve the last champion over HTTP'
	@echo 'make mlflow                             the experiments in a browser'
	@echo 'make check                              lint, and the tests that start no process'
	@echo 'make test                               all tests'
	@echo 'make lint                               style, types, layers'
	@echo 'make bench NAME=training                a benchmark; make bench lists them'
	@echo 'make gpu                                check and measure the GPU paths; needs torch, NumPy and SciPy only'
	@echo 'make install                            the pinned dependencies and the command tonearm, in $(VENV)'
	@echo
	@echo 'ARGS="..."                              further options of the job, of pytest or of the benchmark'
	@echo 'PYTHON=python3.12                       the Python that $(VENV) is made with; now $(PYTHON)'
	@echo 'TONEARM_HOME=/data/tonearm              where everything is kept; now $(TONEARM_HOME)'
	@echo
	@echo '$(BIN)/tonearm --help                 every job by itself'

demo: install
	@$(BIN)/python -m jobs.demo $(if $(AUDIO),--audio "$(AUDIO)" --label "$(LABEL)") $(ARGS)

check: lint
	$(BIN)/python -m pytest $(PARALLEL) -m "not integration" tests/unit tests/architecture tests/failures $(ARGS)

test: install
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy platform/tonearm jobs search_spaces serve
	PYTHONPATH=platform $(BIN)/lint-imports
	@$(MAKE) --no-print-directory page

# Types of the page's modules. Node is for development alone: without it that is said, and CI fails.
page:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(VENV)/browser/.installed && \
	  $(VENV)/browser/node_modules/.bin/tsc -p tests/browser/tsconfig.json && echo "the page's types are right"; \
	elif test -n "$$TONEARM_CI"; then echo "npm is needed to check the page: apt-get install nodejs npm"; exit 1; \
	else echo "the page's types are not checked: that needs npm (apt-get install nodejs npm)"; fi

$(VENV)/browser/.installed: tests/browser/package.json
	@mkdir -p $(@D) && cp $< $(@D) && npm install --prefix $(@D) --no-package-lock --no-audit --no-fund --silent && touch $@

serve: install
	@$(BIN)/python -m jobs.serve $(ARGS)

mlflow: install
	@$(BIN)/python -m jobs.mlflow_ui $(ARGS)

bench: install
	@test -n "$(NAME)" || { echo "name a benchmark: make bench NAME=training, one of:"; ls tests/benchmarks/*.py | xargs -n1 basename -s .py | grep -v -e __init__ -e scale_ -e serving_; exit 2; }
	@$(BIN)/python -m tests.benchmarks.$(NAME) $(ARGS)

# Without install: a machine with a card may have torch, NumPy and SciPy only, and no registry.
gpu:
	@PYTHONPATH=platform $(PYTHON) -m tests.gpu $(ARGS)
