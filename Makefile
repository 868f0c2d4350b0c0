# The two commands are `make run` and `make test`. Both make what they need on a machine with Python 3.11 and venv.

PYTHON ?= python3
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
# What waits more than it computes shares the cores; journeys do by twos, each file with a browser and a dashboard of its
# own; processes that wait 50 ms for one another do not.
SIDE_BY_SIDE := -n 3 --dist worksteal
BY_TWOS := -n 2 --dist loadfile
ALONE := tests/test_quota_hosts.py

.PHONY: run test check format bench soak clean browser postgres

run: $(VENV)/installed  ## the dashboard on 127.0.0.1:8501 (PORT=... for another), with the sandbox
	$(BIN)/streamlit run dashboard/app.py --server.port $(PORT)

test: check browser postgres  ## everything: format, lint, types, import rules, unit tests, browser journeys
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --ignore=tests/browser --ignore=$(ALONE)
	$(BIN)/python -m pytest $(ALONE)
	$(BIN)/python -m pytest $(BY_TWOS) tests/browser

check: $(VENV)/installed-tests  ## format, lint and strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/installed-tests
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-tests  ## the measurements of docs/performance.md
	$(BIN)/python -m tests.bench

soak: $(VENV)/installed-tests browser postgres  ## the long ones
	FANOUT_SOAK=1 $(BIN)/python -m pytest tests

browser: $(VENV)/installed-tests
	@.ci/browser

postgres:
	@.ci/postgres

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis tests/browser/shots

$(VENV)/installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/installed-tests: $(VENV)/installed tests/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@
