# `make run` and `make test` set up .venv by themselves; `make help` lists everything.

PYTHON ?= python3
ARGS ?=
# Processes that test side by side; each computes with one thread.
WORKERS ?= 2
# Examples of each test of make fuzz.
EXAMPLES ?= 2000
# Index of the build of torch; PyPI's is one for CUDA on Linux. For the CPU: https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check
OLDEST_PIP := .venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check
# The tests of a file stay in one process, which then makes what they share once; files go out in the order of conftest.py.
SHARE := --dist=loadfile --no-loadscope-reorder
PYTEST := .venv/bin/python -m pytest --numprocesses=$(WORKERS) $(SHARE)

.PHONY: help run test test-all test-oldest fuzz tune bench gpu-check lint format docs wheel clean
.DEFAULT_GOAL := help

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile
	@echo 'PYTHON=python3.11 picks another Python for .venv; ARGS="--epochs=5" goes to the program that the target runs;'
	@echo 'WORKERS=4 tests in four processes; EXAMPLES=5000 is the number of examples of each test of make fuzz.'

run: .venv/ready  ## Train SAMRec on ml-100k until it converges, and evaluate it.
	.venv/bin/python run_recbole.py --model=SAMRec --dataset=ml-100k $(ARGS)

test: .venv/ready-dev  ## Run the tests that a change should pass before it is pushed, in some minutes.
	$(PYTEST) -m 'not slow' $(ARGS)

test-all: .venv/ready-dev  ## Run all tests, the slow ones too.
	$(PYTEST) $(ARGS)

test-oldest: .venv-oldest/ready  ## Run all tests with the oldest packages that setup.py allows, in .venv-oldest.
	.venv-oldest/bin/python -m pytest --numprocesses=$(WORKERS) $(SHARE) $(ARGS)

fuzz: .venv/ready-dev  ## Try thousands of generated files, tables and settings; failures are kept and tried first next time.
	FUZZ_EXAMPLES=$(EXAMPLES) $(PYTEST) tests/fuzz $(ARGS)

tune: .venv/ready  ## Search SAMRec's settings on ml-100k for some five minutes, to see what a search is.
	.venv/bin/python -m recbole_samrec tune --model=SAMRec --dataset=ml-100k --trials=6 --grace=2 --epochs=9 \
	    --out=runs/tune/taste-$$(date +%Y%m%d-%H%M%S) $(ARGS)

bench: .venv/ready  ## Measure speed and memory beside RecBole's; takes some forty minutes and can be resumed.
	.venv/bin/python -m benchmarks.speed $(ARGS)

gpu-check:  ## Check training on a GPU and measure its speed, in eight minutes, with the torch of PYTHON.
	$(PYTHON) -m benchmarks.gpu_check $(ARGS)

lint: .venv/ready-dev  ## Check style, format, the direction of imports and types.
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/lint-imports --no-logo
	.venv/bin/python -m mypy

format: .venv/ready-dev  ## Format the code, and repair what ruff can repair.
	.venv/bin/python -m ruff check --fix .
	.venv/bin/python -m ruff format .

docs: .venv/ready-docs  ## Build the documentation site in build/docs/, and check its links; needs no network.
	.venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going -b html -c docs/_site . build/docs
	.venv/bin/python -m tools.check_site build/docs

wheel: .venv/ready  ## Build the wheel in dist/.
	@rm -rf build  # what is left of an earlier build would go into the wheel
	.venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .

clean:  ## Remove .venv, caches and whatever was built; data, runs and checkpoints stay.
	rm -rf .venv .venv.lock .venv-oldest build dist *.egg-info .hypothesis .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find recbole_samrec tests benchmarks tools -name __pycache__ -prune -exec rm -rf {} +

# One make at a time sets .venv up, where there is flock; whoever waited finds the stamps of the other one then.
ifndef HAS_LOCK
.venv/ready: setup.py
.venv/ready-dev: setup.py requirements-dev.lock
.venv/ready-docs: setup.py requirements-docs.lock
.venv/ready .venv/ready-dev .venv/ready-docs: requirements.lock $(if $(wildcard .venv/packages),,.venv/packages)
	@exec 9>.venv.lock; \
	if command -v flock >/dev/null && ! flock --nonblock 9; then \
	    echo 'Another make is setting up .venv; waiting for it.'; flock 9; \
	fi; \
	$(MAKE) --silent --no-print-directory HAS_LOCK=yes $@
.venv/packages: ;
else
# Each stamp is written last. Without it .venv is made anew: an interrupted pip leaves halves of packages that it
# takes for whole ones afterwards. The order of the steps matters: RecBole's own requirements cannot be installed.
.venv/packages: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || \
	    { echo 'recbole_samrec runs on Python 3.11 to 3.14; name one: make PYTHON=python3.11 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	    { echo 'This Python lacks venv; on Debian or Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@test -e $@ && .venv/bin/python -c '' 2>/dev/null || \
	    { echo 'Making .venv; the first set-up takes some minutes.'; $(PYTHON) -m venv --clear .venv; }
	@rm -f $@
	@echo '1/4 torch; a CUDA build, which PyPI has for Linux, is about 3 GB to download and 6 GB on the disk.'
	@test -n '$(TORCH_INDEX)' || \
	    echo '    For the CPU build of 200 MB instead: make TORCH_INDEX=https://download.pytorch.org/whl/cpu ...'
	@$(PIP) --constraint requirements.lock $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$$(head -n 1 requirements.lock)"
	@echo '2/4 the packages of requirements.lock'
	@$(PIP) -r requirements.lock
	@echo '3/4 RecBole 1.2.1, without the requirements of its day'
	@$(PIP) --no-deps recbole==1.2.1
	@touch $@

.venv/ready: .venv/packages setup.py
	@echo '4/4 recbole_samrec, from this folder'
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Few and small, so that they are simply installed once more whenever their stamp is missing.
.venv/ready-dev: .venv/ready requirements-dev.lock
	@echo 'Tools for tests and style'
	@$(PIP) --no-deps --force-reinstall -r requirements-dev.lock
	@touch $@

# The pages are generated by tools/ and run what tests/helpers has, but need none of the packages for tests.
.venv/ready-docs: .venv/ready requirements-docs.lock
	@echo 'Tools for the documentation'
	@$(PIP) --no-deps --force-reinstall -r requirements-docs.lock
	@touch $@
endif

.venv-oldest/ready: requirements-oldest.lock requirements-dev.lock setup.py
	@echo 'Making .venv-oldest: a CUDA build of torch 2.6, about 3 GB to download, and the oldest other packages.'
	@$(PYTHON) -m venv --clear .venv-oldest
	@$(OLDEST_PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$$(head -n 1 requirements-oldest.lock)"
	@$(OLDEST_PIP) -r requirements-oldest.lock
	@$(OLDEST_PIP) --no-deps recbole==1.2.1 -r requirements-dev.lock
	@$(OLDEST_PIP) --no-deps --no-build-isolation --editable .
	@touch $@
