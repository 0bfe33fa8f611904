# From a clean clone with Python >= 3.11 and make: `make lab` opens the guide, `make test` proves it.
# Everything is installed into .venv, once; a stamp there remembers it, so the second call starts at once.

VENV := .venv
BIN := $(VENV)/bin
LAB_ARGS ?=
DEMO_ARGS ?=
TEST_ARGS ?=
WORKERS ?= auto
SOAK ?= 120
CONSTRAINTS ?= -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help lab test matrix demo soak docs lite lint notebooks javascript constraints debian clean
.DELETE_ON_ERROR:

help: ## show these lines
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

lab: $(VENV)/lab.stamp ## open the guide in JupyterLab (LAB_ARGS="--no-browser --port 8899" is passed on)
	$(BIN)/pyraft-lab lab $(LAB_ARGS)

test: $(VENV)/all.stamp debian lint ## lint, then run every test, notebooks included (TEST_ARGS="-x tests/engine" WORKERS=0)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder $(TEST_ARGS)

matrix: $(VENV)/all.stamp debian ## the fast rooms on the other Pythons found here, and with the lowest dependencies
	$(BIN)/python -m pytest tests/test_matrix.py $(TEST_ARGS)

soak: $(VENV)/all.stamp debian ## torment three and five processes for two minutes each, and report (SOAK=600)
	SOAK=$(SOAK) $(BIN)/python -m pytest tests/runtime/test_soak.py --log-cli-level=INFO

demo: $(VENV)/lab.stamp ## watch a live cluster over MQTT elect, write, fail and recover (DEMO_ARGS is passed on)
	$(BIN)/pyraft-lab demo $(DEMO_ARGS)

docs: $(VENV)/all.stamp ## build the site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lite: $(VENV)/all.stamp ## build the guide as a JupyterLite site into site-lite/ (needs npm)
	$(BIN)/python .ci/lite/build.py

lint: $(VENV)/all.stamp ## format check, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

notebooks: $(VENV)/all.stamp ## execute every chapter into its paired notebook
	$(BIN)/python -m pyraft_lab.lab.notebook chapters/*.md
	$(BIN)/python -m pyraft_lab.lab.picture chapters/images/lab.svg

javascript: ## format and bundle the Lab's JavaScript (needs node and npm)
	@tests/javascript-tools --bundle

constraints: ## pin the newest versions that Python 3.11 can install (needs uv)
	uv pip compile pyproject.toml --all-extras --python-version 3.11 --upgrade --no-header --no-annotate --quiet --output-file constraints.txt

debian:
	@tests/debian-packages mosquitto chromium fonts-dejavu
	@tests/axe-core
	@tests/javascript-tools

clean: ## forget everything that was installed, built or cached
	rm -rf $(VENV) site site-lite build dist .cache .coverage .hypothesis .jupyter .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- installing

$(VENV)/lab.stamp: EXTRAS := lab,mqtt
$(VENV)/all.stamp: EXTRAS := all

# uv where it is on the path, otherwise venv and pip. `all` contains `lab`, so its stamp serves both.
$(VENV)/%.stamp: pyproject.toml constraints.txt
	@echo "Installing pyraft-lab[$(EXTRAS)] into $(VENV) (a minute or two, once) ..."
	@if command -v uv >/dev/null; then \
	    [ -x $(BIN)/python ] || uv venv --python '>=3.11' $(VENV); \
	    uv pip install --python $(BIN)/python $(CONSTRAINTS) --editable '.[$(EXTRAS)]'; \
	else \
	    $(PICK_PYTHON) && \
	    { [ -x $(BIN)/pip ] || "$$python" -m venv --clear $(VENV); } && \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) --editable '.[$(EXTRAS)]'; \
	fi
	@touch $@ $(if $(filter all,$*),$(VENV)/lab.stamp)

# The first of these that is new enough; PYTHON=... decides otherwise.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python
define PICK_PYTHON
python=; for name in $(PYTHON); do \
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$name"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "pyraft-lab needs Python 3.11 or newer; none of these is: $(PYTHON). Install one, or say PYTHON=/where/it/is" >&2; exit 1; \
	fi
endef
