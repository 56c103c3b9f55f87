# One command to see it work, one to check it. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo dashboard test test-slow e2e lint clean
.DEFAULT_GOAL := help

help:
	@echo "make demo        install and forecast the embedded S&P 500 and NASDAQ prices"
	@echo "make dashboard   install and serve the dashboard on http://127.0.0.1:8501"
	@echo "make test        install the checks too, then ruff, mypy and pytest"
	@echo "make e2e         the dashboard's main paths in a real browser, which it installs on Debian as root"
	@echo "make test-slow   the long runs as well: wheel, kill loops, simulations"
	@echo "PYTHON=python3.12 make ...   chooses the interpreter (3.11 or later)"

demo: $(VENV)/.installed
	$(BIN)/tickercast run --source sample

dashboard: $(VENV)/.installed
	$(BIN)/tickercast dashboard

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not e2e"

e2e: $(VENV)/.checks
	CHROMIUM="$$(sh tools/browser.sh)" && export CHROMIUM && $(BIN)/python -m pytest -m e2e tests/e2e

lint: $(VENV)/.checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The stamps are the last thing written, so an interrupted installation is taken up again.
$(VENV)/.installed: pyproject.toml
	@sh tools/install.sh "$(PYTHON)" "$(VENV)" .
	@touch $@

$(VENV)/.checks: pyproject.toml
	@sh tools/install.sh "$(PYTHON)" "$(VENV)" ".[dev]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
