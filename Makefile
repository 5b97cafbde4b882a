# Every target sets up .venv when it is missing. README says what each takes.
PROFILE ?= quick
# on a GPU one node at a time, unless JOBS says that more fit
JOBS ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo 1 || nproc 2>/dev/null || sysctl -n hw.ncpu)
PYTHON ?= python3
NOTEBOOK ?= notebooks/10_explore_thresholds.ipynb
PY := .venv/bin/python
READY := .venv/ready

.PHONY: setup study test test-rest test-all lint lab app bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $(READY)

study: $(READY)
	@$(PY) -m lusnb.study run $(PROFILE) --jobs $(JOBS)

test: $(READY)
	$(PY) -m pytest -m "not slow" --numprocesses 2 --dist loadfile

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

# browsers by themselves: beside whole studies they would wait on a busy machine
test-rest: lint
	$(PY) -m pytest -m slow --ignore tests/browser --numprocesses 2 --dist worksteal
	$(PY) -m pytest -m slow tests/browser

test-all: test test-rest

bench: $(READY)
	$(PY) -m tests.benchmarks

lab: $(READY)
	$(PY) -m jupyterlab notebooks

app: $(READY)
	$(PY) -m voila --no-browser --token --show_tracebacks=True $(NOTEBOOK)

clean: $(READY)
	@$(PY) -m lusnb.study clean $(PROFILE)
