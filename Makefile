# Two commands do everything on a fresh machine with Python >= 3.11: `make quickstart` and `make test`.
PYTHON ?= python3
VENV ?= .venv
IMAGES ?= ../shared/images
SCALE ?= lite
TRIALS ?= 5
SIZE ?= cpu
BIN := $(VENV)/bin
# torch by its exact version first: a range would fetch several gigabytes of CUDA where a CPU build is at hand.
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: quickstart test lint unit browser emulator lite bench growth reliability reproduce-unterthiner reproduce-comvex reproduce-hyperrep submissions leaderboard-check page schema coverage pin clean

$(VENV)/.quickstart: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt "$(TORCH)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[build,baselines]'
	touch $@

$(VENV)/.dev: $(VENV)/.quickstart
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

quickstart: $(VENV)/.quickstart  ## Build a zoo, train four baselines, score and rank them.
	$(BIN)/zoobench quickstart

test: lint unit  ## Lint, types, every test.

# The root folders under the names that they are installed and imported by, for type checkers.
build/typing: $(VENV)/.dev
	mkdir -p $@
	for room in baselines dataset_scripts leaderboard; do ln -sfn ../../$$room $@/zoobench_$$room; done

lint: $(VENV)/.dev build/typing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

# Speed is measured with nothing else running.
unit: $(VENV)/.dev browser emulator
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadfile --ignore tests/test_speed.py
	$(BIN)/pytest tests/test_speed.py

# The page's tests drive a real browser; Debian's is installed where there is none and apt-get may be used.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no Chromium here and no way to install one: the browser tests will be skipped"

# What is compiled for another processor runs in an emulator.
emulator:
	@command -v qemu-aarch64 >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq qemu-user >/dev/null; } || \
	  echo "no qemu-user here and no way to install it: the tests of other processors will be skipped"

lite: $(VENV)/.dev  ## Every zoo at the scale lite, from images beside the checkout; hours. Fails in the end where some are missing.
	failed=0; for repo in small-cnn-zoo cnn-zoo-2 tetris-zoo mnist-zoo; do \
	  $(BIN)/zoobench build $$repo --scale lite --images $(IMAGES) || failed=2; \
	done; exit $$failed

bench: $(VENV)/.dev  ## The table of docs/benchmarks.md, in one run; a quarter of an hour of an idle machine.
	$(BIN)/python -m benchmarks.bench --write

growth: $(VENV)/.dev  ## How cost grows with runs, rows and weights; a zoo of 30 GB within 4 GB (root, 40 GB of disk).
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.larger_than_memory

reliability: $(VENV)/.dev  ## Every verb killed, and the disk full, at each call that changes a file: docs/reliability.md; an hour or two.
	$(BIN)/python -m tests.kills

reproduce-unterthiner: $(VENV)/.dev  ## Tables of Unterthiner et al. on the zoos that are built; hours.
	$(BIN)/python -m reproductions.unterthiner --scale $(SCALE) --trials $(TRIALS)

reproduce-comvex: $(VENV)/.dev  ## Tables and pictures of Liu on the zoos that are built; hours.
	$(BIN)/python -m reproductions.comvex --scale $(SCALE) --trials $(TRIALS)

reproduce-hyperrep: $(VENV)/.dev  ## Tables of Schürholt et al.; hours (SIZE=paper for a GPU).
	$(BIN)/python -m reproductions.hyperrep --scale $(SCALE) --size $(SIZE)

submissions: $(VENV)/.dev  ## Every baseline on every built zoo, pinned, scored; hours.
	$(BIN)/python -m reproductions.submissions

leaderboard-check: $(VENV)/.dev  ## Score every committed submission again; the values must be the committed ones.
	$(BIN)/zoobench leaderboard check

page: $(VENV)/.dev browser  ## The page of the committed results, leaderboard/index.html, and the README's picture of it.
	$(BIN)/zoobench leaderboard page
	$(BIN)/pytest -q -k pictures tests/leaderboard/test_page_browser.py
	cp build/screenshots/board.png docs/leaderboard.png

schema: $(VENV)/.dev  ## The JSON schema of results, for the docs.
	$(BIN)/python -c 'import json; from zoobench.scoring.results import Result; print(json.dumps(Result.model_json_schema(), indent=1, ensure_ascii=False))' > docs/result.schema.json

coverage: $(VENV)/.dev  ## How often intervals cover, and equal methods are told apart: docs/intervals.md; half an hour.
	$(BIN)/python -m benchmarks.coverage

pin:  ## Write constraints.txt anew from the newest versions.
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install --quiet "$(TORCH)"
	build/constraints/bin/pip install --quiet --editable '.[all,dev]'
	( echo "# Every version that CI and the README's two commands install. Made by: make pin"; \
	  build/constraints/bin/pip freeze --exclude-editable | sed 's/+cpu//' ) > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache zoobench-quickstart
