# make run    set everything up and start the server        make test   everything that CI runs
# make bench  side by side with redis-server                make lint   ruff, cython-lint and mypy

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find rotomdb -name '*.pyx' -o -name '*.pxd' -o -name '*.h') setup.py pyproject.toml

.PHONY: run test test-fast lint bench sanitize clean

run: .make/built
	$(BIN)/rotomdb-server $(ARGS)

test: .make/built lint
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

test-fast: .make/built
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(PYTEST_ARGS)

lint: .make/built
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cython-lint --no-pycodestyle rotomdb
	$(BIN)/mypy

bench: .make/built
	$(BIN)/python -m benchmarks $(ARGS)

# The native decoders under AddressSanitizer, over the damaged corpus and random bytes.
sanitize: .make/installed
	sh tests/sanitize.sh

.make/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	ROTOMDB_NATIVE=later $(BIN)/python -m pip install --quiet --editable '.[dev]' --config-settings editable_mode=compat
	mkdir -p .make && touch $@

.make/built: .make/installed $(SOURCES)
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel $(shell getconf _NPROCESSORS_ONLN)
	@# Tests start a thousand processes. Where PYTHONDONTWRITEBYTECODE is set, each would compile every module again.
	$(BIN)/python -m compileall -q rotomdb tests
	mkdir -p .make && touch $@

clean:
	rm -rf $(VENV) .make build dist *.egg-info
	find rotomdb \( -name '*.so' -o -name '*.c' \) -delete
