# make benchmarks | test | check      ARGS="-k mammography" passes arguments on to pytest
# INSTALL=no PYTHON=/path/to/python   uses an interpreter that has everything already

PYTHON ?= python3
INSTALL ?= yes
ARGS ?=

ifeq ($(INSTALL),no)
python := $(PYTHON)
ready :=
else
python := .venv/bin/python
ready := .venv/installed
endif

# Where the linters' programs lie, which their packages install beside the interpreter.
scripts = $(shell $(python) -c 'import sysconfig; print(sysconfig.get_path("scripts"))')

.DEFAULT_GOAL := help
.PHONY: help benchmarks docs test check format mutation bench bench-accelerator clean

help:
	@echo 'make benchmarks             judge every claim of the embedded tier'
	@echo 'make benchmarks ARGS="-k mammography --report report"'
	@echo 'make docs                   the pages of docs as a site, into build/site (open build/site/index.html)'
	@echo 'make test                   the tests of medbench itself'
	@echo 'make check                  ruff, mypy, and linters of scripts, workflows and the container file'
	@echo 'make format                 ruff, writing'
	@echo 'make mutation               mutation testing of the judging code'
	@echo 'make bench                  speed beside PyTorch (extra oracle), into build/bench.json; docs/performance.md'
	@echo 'make bench-accelerator      the same on a GPU or TPU, beside timm'
	@echo 'make clean                  remove .venv and build outputs; .medbench/ (the store) stays'
	@echo 'PYTHON=/path/to/python3.12  the interpreter to build .venv with; with INSTALL=no the one to use as it is'

benchmarks: $(ready)
	$(python) -m pytest benchmarks $(ARGS)

docs: $(ready)
	$(python) -m sphinx -W --keep-going -q -c docs/site docs build/site $(ARGS)

# A module stays with one worker, for its fixtures are dear; loadgroup groups nothing under pytest 9.2
# (pytest-dev/pytest-xdist issue 1386).
test: $(ready)
	$(python) -m pytest tests -n 2 --dist loadfile $(ARGS)

check: $(ready)
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(scripts)/shellcheck ci/*.sh
	$(scripts)/hadolint ci/Containerfile
	$(scripts)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: $(ready)
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

mutation: $(ready)
	$(python) -m mutmut run
	$(python) -m mutmut results

bench: $(ready)
	$(python) -m bench $(ARGS)

bench-accelerator: $(ready)
	$(python) -m bench.accelerator $(ARGS)

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'medbench needs Python 3.11 or newer, $(PYTHON) is older. Name one: make PYTHON=/path/to/python3.11 …'; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --upgrade pip
	.venv/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
