# Every target creates .venv if it is missing. README says how long each one takes.
PROFILE ?= quick
# on a GPU one node at a time, unless JOBS says that more fit
JOBS ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo 1 || nproc 2>/dev/null || sysctl -n hw.ncpu)
PYTHON ?= python3
ENCODER ?= mobilenet_v2
WEIGHTS ?= lusnb/segment/weights
NOTEBOOK ?= notebooks/10_explore_thresholds.ipynb
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
READY := .venv/ready
READY_TEST := .venv/ready-test

.DEFAULT_GOAL := help
.PHONY: help setup study lab app clean test test-rest test-all lint types bench pretrain

# the text behind two hashes is what `make` prints
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## create .venv: the package and what it needs to run a study

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $(READY)

$(READY_TEST): $(READY)
	$(PIP) --editable '.[test]'
	@touch $(READY_TEST)

study: $(READY) ## run a study: PROFILE=quick (a folder of params/), JOBS=2 (nodes at a time)
	@$(PY) -m lusnb.study run $(PROFILE) --jobs $(JOBS)

lab: $(READY) ## open JupyterLab on the notebooks
	$(PY) -m jupyterlab notebooks

app: $(READY) ## serve the explorer as a page; NOTEBOOK=notebooks/11_annotate.ipynb for the brush
	$(PY) -m voila --no-browser --token --show_tracebacks=True $(NOTEBOOK)

clean: $(READY) ## remove the runs of a PROFILE, and the cohorts that it alone made
	@$(PY) -m lusnb.study clean $(PROFILE)

test: $(READY_TEST) ## run the tests, a whole small study among them
	$(PY) -m pytest -m "not slow" --numprocesses 2 --dist loadfile

lint: types ## check style, format and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(READY_TEST) ## check types, but in the modules that pyproject.toml excepts
	$(PY) -m mypy

# the browser tests run alone: next to whole studies they would time out on a busy machine
test-rest: lint ## run the slow tests: whole studies, and the widgets in Chromium
	$(PY) -m pytest -m slow --ignore tests/browser --numprocesses 2 --dist worksteal
	$(PY) -m pytest -m slow tests/browser

test-all: test test-rest ## run all tests

pretrain: $(READY) ## make start weights from phantoms: ENCODER=resnet34 WEIGHTS=weights
	$(PY) -m lusnb.tasks.pretrain --encoder $(ENCODER) --out $(WEIGHTS)

bench: $(READY_TEST) ## time lusnb against common implementations
	$(PY) -m tests.benchmarks
