# What one does with this repository. Needs Python 3.11 or newer with venv, and make; all else goes into .venv.
#
#   make demo    run the demo: an audit of the standard library on four device processes
#   make test    run the tests; ARGS="-k scheduling -x" goes to pytest
#   make check   lint, format, types, layers, and the documentation
#   make ci      check, test with coverage, and try the wheel in a fresh environment
#   make bench   measure the overhead per star; ARGS="--stars 1000 --peer none" goes to it
#   make simulate   run simulated worlds in which everything fails; SEEDS=10000 FROM=0 says which
#   make chaos   kill hubs and devices while 5,000 stars run; ARGS="--stars 500 --kills 10" goes to it
#   make fuzz   give the protocol a million spoilt frames, messages and connections; INPUTS=10000 FROM=0 says which
#   make node    install the servers and clients in JavaScript that tests of MCP use; needs Node.js 20 and npm
#   make clean   remove everything that was made here, the environment included

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help environment demo test check lint types layers docs cover wheel ci bench chaos simulate fuzz node clean

BIN := .venv/bin
NODE := tests/tools/mcp/node
PACKAGES := constellation constellation_protocol constellation_tools constellation_devices constellation_bench

SEEDS := 1000
INPUTS := 1000000
FROM := 0

# PYTHON=/path/to/python chooses the interpreter that .venv is made with.
export PYTHON

help:
	@sed -n 's/^#   //p' Makefile

environment:
	@python=$$(.ci/python) && "$$python" .ci/environment.py

demo: environment
	@$(BIN)/constellation demo $(ARGS)

test: environment
	@echo "test: pytest"
	@$(BIN)/python -m pytest $(ARGS)

check: lint types layers docs

lint: environment
	@echo "check: ruff"
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --check --quiet . || { echo "check: run '$(BIN)/ruff format .'"; exit 1; }

types: environment
	@echo "check: mypy"
	@$(BIN)/mypy --no-error-summary $(addprefix -p ,$(PACKAGES))
	@$(BIN)/mypy --no-error-summary examples/*.py

layers: environment
	@echo "check: import-linter"
	@$(BIN)/lint-imports --no-logo >.import-linter.log 2>&1 || { cat .import-linter.log; exit 1; }

docs: environment
	@echo "check: documentation and examples"
	@$(BIN)/python -m pytest -q tests/docs

cover: environment
	@echo "test: pytest with coverage"
	@$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=95 $(ARGS)
	@$(BIN)/coverage report --include='*/constellation/graph/*,*/constellation/scheduling/*' --skip-covered --fail-under=98

wheel: environment
	@$(BIN)/python .ci/smoke.py

# The tests include the documentation; what is cheap and fails often comes first, also under make -j.
ci:
	@$(MAKE) --no-print-directory lint types layers
	@$(MAKE) --no-print-directory wheel
	@$(MAKE) --no-print-directory cover

bench: environment
	@$(BIN)/constellation bench overhead $(ARGS)

chaos: environment
	@$(BIN)/constellation bench chaos $(ARGS)

simulate: environment
	@$(BIN)/python -m constellation.testing.simulate --seeds $(SEEDS) --from $(FROM) $(ARGS)

fuzz: environment
	@$(BIN)/python -m constellation.testing.fuzz --inputs $(INPUTS) --from $(FROM) $(ARGS)

node: $(NODE)/node_modules/.package-lock.json

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	@echo "node: npm"
	@npm install --prefix $(NODE) --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf .venv .venv.lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .import-linter.log \
		.coverage* htmlcov build dist $(NODE)/node_modules constellation/constellation/graph/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
