# make demo            train a small model until it groks, analyze it, open its report (APP=0: without opening it)
# make test            lint, type-check, run every test: what CI runs
# make setup           the environment in .venv and the system packages; the others call it
# make lint            ruff and mypy alone
# make docs            the pages made from docstrings and from the command line, and the files that other pages show
# make tutorial        docs/writing-a-plugin.md as a stranger would follow it: from an empty folder to a report, timed
# make pyright         the files of the tutorial under pyright (needs basedpyright, which brings its node)
# make examples        the packages in examples/plugins, installed and tested as strangers would; part of make test
# make faults          kill a training 200 times at random moments; it must end bitwise as if it had not been (N=200)
# make bench           the figures of docs/benchmarks.md, but those that want a browser, a GPU or a workspace: bench-ui, bench-export
#                      (ONLY="startup training": these; ROUNDS=1: quickly)
# make bench-analyzers CPU and bytes of every analyzer, printed and written into docs/measures.md
# make frontend        build the board's scripts (core/strobe/page/*.js) from apps/streamlit/frontend; needs node
# make frontend-check  the same into a temporary folder: they must be the committed ones; part of make test
# make bench-ui        18 panels: browser time per step of the board, beside plain charts
# make bench-export    ms and bytes of pictures and frames, beside chart.save; memory from 50 to 500 frames
# make bench-export DATA=DIR [RUN=NAME]  that, and a standalone file of 18 panels: bytes, requests, ms per step; DIR: a workspace in which the run is analyzed
# make notebooks       those of examples/notebooks, executed from their sources, a minute
# make screenshots DATA=DIR  the pictures of the shipped reports in docs/images, of a workspace in which the real run is analyzed
# make check-real DATA=DIR   every reference value of a folder of real checkpoints
# make check-story DATA=DIR  the story of a real run, read off its tables

PYTHON ?= $(shell for p in python3.11 python3 python; do $$p -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null && echo $$p && break; done)
JOBS ?= 2
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: setup environment system-packages demo test tutorial pyright faults lint docs bench bench-training bench-analyzers check-real check-story bench-ui bench-export screenshots \
  frontend frontend-check notebooks examples

setup: environment system-packages

environment: $(INSTALLED)

# Editable: source files are used as they are. Only what is written into the environment's metadata calls for another installation.
$(INSTALLED): pyproject.toml constraints.txt entrypoints.toml hatch_build.py
	@test -n "$(PYTHON)" || { echo 'Strobe needs Python 3.11 or newer. Debian and Ubuntu: apt-get install python3.11 python3.11-venv. Elsewhere: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

system-packages:
	@scripts/system-packages.sh

demo: environment
	$(BIN)/strobe demo $(if $(filter 0,$(APP)),--no-app)

lint: environment
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# One file stays in one process, so that what its tests share is made once; the long ones come first (tests/conftest.py).
test: setup lint frontend-check examples
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

# Into an environment of their own over ours: ours must not have more plugins than Strobe brings.
EXAMPLES := $(sort $(wildcard examples/plugins/*))

examples: environment
	@scripts/examples.sh $(BIN)/python $(JOBS) $(EXAMPLES)

tutorial: environment
	$(BIN)/python scripts/tutorial.py

pyright: environment
	@command -v $(BIN)/basedpyright >/dev/null || { echo 'no basedpyright here: $(BIN)/python -m pip install basedpyright' >&2; exit 2; }
	@rm -rf .tutorial && $(BIN)/python scripts/tutorial.py .tutorial && $(BIN)/basedpyright --level error --pythonpath $(BIN)/python .tutorial/work/strobe-participation/strobe_participation; status=$$?; rm -rf .tutorial; exit $$status

faults: environment
	$(BIN)/python -m pytest tests/core/test_trainer.py -k kill --kills $(or $(N),200)

docs: environment
	$(BIN)/python docs/generate.py

bench: environment
	@for name in $(or $(ONLY),startup weights_only shared_pass analyzers training isolation); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py $(if $(ROUNDS),--rounds $(ROUNDS)) || exit 1; done

bench-training: environment
	@for p in 31 59 113; do echo "== p=$$p"; $(BIN)/python benchmarks/training.py --set p=$$p || exit 1; done

bench-analyzers: environment
	$(BIN)/python benchmarks/analyzers.py --markdown docs/measures.md

check-story: environment
	@test -n "$(DATA)" || { echo 'which data? make check-story DATA=path/to/modadd_p113_seed999' >&2; exit 2; }
	$(BIN)/python benchmarks/check_story.py $(DATA)

FRONTEND := apps/streamlit/frontend

frontend:
	cd $(FRONTEND) && npm ci --no-audit --no-fund && npm run build

# Two reasons to skip, both said: no node that could be installed, and packages that can neither be found nor fetched.
frontend-check: system-packages
	@command -v npm >/dev/null || { echo 'frontend-check: skipped, there is no npm here and none could be installed'; exit 0; }; \
	cd $(FRONTEND) && { npm ci --silent --no-audit --no-fund --prefer-offline >/dev/null 2>&1 || \
	  { echo 'frontend-check: skipped, the packages of package-lock.json could not be fetched (npm ci)'; exit 0; }; } && \
	out=$$(mktemp -d) && node build.mjs $$out && for file in board.js scene.js; do \
	  cmp $$out/$$file ../../../core/strobe/page/$$file || { echo "core/strobe/page/$$file is not what its sources give: make frontend" >&2; exit 1; }; \
	done && echo 'frontend-check: the scripts of the board are what their sources give'

bench-ui: environment
	$(BIN)/python benchmarks/ui.py

bench-export: environment
	$(BIN)/python benchmarks/export.py
	@if test -n "$(DATA)"; then $(BIN)/python benchmarks/export_html.py $(DATA) $(RUN); \
	else echo 'standalone HTML: skipped, which workspace? make bench-export DATA=path/to/workspace [RUN=name]'; fi

notebooks: environment
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,notebooks]'
	$(BIN)/python examples/notebooks/make.py

screenshots: environment
	@test -n "$(DATA)" || { echo 'which workspace? make screenshots DATA=path/to/workspace' >&2; exit 2; }
	$(BIN)/python benchmarks/screenshots.py $(DATA)

check-real: environment
	@test -n "$(DATA)" || { echo 'which data? make check-real DATA=path/to/modadd_p113_seed999' >&2; exit 2; }
	$(BIN)/python benchmarks/check_real.py $(DATA)
