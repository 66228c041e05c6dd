# `make run` and `make test` set up .venv by themselves; `make help` lists everything.

PYTHON ?= python3
ARGS ?=
# Processes that test side by side; each computes with one thread.
WORKERS ?= 2
# Examples of each test of make fuzz.
EXAMPLES ?= 2000
# Tag of the release that release-check compares with the version; empty for none.
TAG ?=
# Index of the build of torch; PyPI's is one for CUDA on Linux. For the CPU: https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

# Windows has the programs of an environment in another folder.
BIN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
RUN := .venv/$(BIN)/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check
OLDEST_PIP := .venv-oldest/$(BIN)/python -m pip install --quiet --disable-pip-version-check
NEWEST_PIP := .venv-newest/$(BIN)/python -m pip install --quiet --disable-pip-version-check
RELEASE_PIP := .venv-release/$(BIN)/python -m pip install --quiet --disable-pip-version-check
# The tests of a file stay in one process, which then makes what they share once; files go out in the order of conftest.py.
SHARE := --dist=loadfile --no-loadscope-reorder
PYTEST := $(RUN) -m pytest --numprocesses=$(WORKERS) $(SHARE)
# Everything that trains in one process; compare, tune and sharpness are tested on Linux.
PORTABLE := $(addprefix tests/,analysis cli compat config data evaluator integration layers model optim quick_start \
    trainer utils test_import.py)
WORKFLOWS := $(wildcard .github/workflows/*.yml)
FORMS := $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))

.PHONY: help run test test-all test-portable test-oldest test-newest fuzz tune bench gpu-check lint format docs \
    wheel release-check clean
.DEFAULT_GOAL := help

help:  ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile
	@echo 'PYTHON=python3.11 picks another Python for .venv; ARGS="--epochs=5" goes to the program that the target runs;'
	@echo 'WORKERS=4 tests in four processes; EXAMPLES=5000 is the number of examples of each test of make fuzz.'

run: .venv/ready  ## Train SAMRec on ml-100k until it converges, and evaluate it.
	$(RUN) run_recbole.py --model=SAMRec --dataset=ml-100k $(ARGS)

test: .venv/ready-dev  ## Run the tests that a change should pass before it is pushed, in some minutes.
	$(PYTEST) -m 'not slow' $(ARGS)

test-all: .venv/ready-dev  ## Run all tests, the slow ones too.
	$(PYTEST) $(ARGS)

test-portable: .venv/ready-dev  ## Run the quick tests of what works on Linux, macOS and Windows.
	$(PYTEST) -m 'not slow and not ray and not browser and not gpu' $(PORTABLE) $(ARGS)

test-oldest: .venv-oldest/ready  ## Run all tests with the oldest packages that setup.py allows, in .venv-oldest.
	.venv-oldest/$(BIN)/python -m pytest --numprocesses=$(WORKERS) $(SHARE) $(ARGS)

test-newest: .venv-newest  ## Run all tests with the newest packages there are today, in .venv-newest, made anew.
	.venv-newest/$(BIN)/python -m pip list
	.venv-newest/$(BIN)/python -m pytest --numprocesses=$(WORKERS) $(SHARE) $(ARGS)

fuzz: .venv/ready-dev  ## Try thousands of generated files, tables and settings; failures are kept and tried first next time.
	FUZZ_EXAMPLES=$(EXAMPLES) $(PYTEST) tests/fuzz $(ARGS)

tune: .venv/ready  ## Search SAMRec's settings on ml-100k for some five minutes, to see what a search is.
	$(RUN) -m recbole_samrec tune --model=SAMRec --dataset=ml-100k --trials=6 --grace=2 --epochs=9 \
	    --out=runs/tune/taste-$$(date +%Y%m%d-%H%M%S) $(ARGS)

bench: .venv/ready  ## Measure speed and memory, ours and RecBole's; takes about 40 minutes and can be resumed.
	$(RUN) -m benchmarks.speed $(ARGS)

gpu-check:  ## Check training on a GPU and measure its speed, in eight minutes, with the torch of PYTHON.
	$(PYTHON) -m benchmarks.gpu_check $(ARGS)

lint: .venv/ready-dev  ## Check style, format, docstrings, the direction of imports, types and the workflows.
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m tools.check_docstrings
	$(RUN) -m check_jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	$(RUN) -m check_jsonschema --builtin-schema vendor.github-issue-forms $(FORMS)
	$(RUN) -m check_jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	.venv/$(BIN)/zizmor --offline --quiet .github
	.venv/$(BIN)/lint-imports --no-logo
	$(RUN) -m mypy

format: .venv/ready-dev  ## Format the code, and repair what ruff can repair.
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs: .venv/ready-docs  ## Build the documentation site in build/docs/, and check its links; needs no network.
	$(RUN) -m sphinx --quiet --fail-on-warning --keep-going -b html -c docs/_site . build/docs
	$(RUN) -m tools.check_site build/docs

wheel: .venv/ready  ## Build the wheel in dist/.
	@rm -rf build  # what is left of an earlier build would go into the wheel
	$(RUN) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .

release-check: .venv/ready .venv-release/ready  ## Build a release, check it, install it into an empty environment and train; compare with TAG.
	$(RUN) -m tools.release_check --twine=.venv-release/$(BIN)/python --tag=$(TAG) --torch_index=$(TORCH_INDEX) $(ARGS)

clean:  ## Remove .venv, caches and whatever was built; data, runs and checkpoints stay.
	rm -rf .venv .venv.lock .venv-oldest .venv-newest .venv-release build dist *.egg-info .hypothesis .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
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
	@test -e $@ && $(RUN) -c '' 2>/dev/null || \
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

# Without a stamp: the newest packages are others every week. RecBole's requirements are ignored, as above.
.PHONY: .venv-newest
.venv-newest: requirements-dev.lock
	@echo 'Making .venv-newest, with the newest torch, NumPy, pandas, Ray and all others.'
	@$(PYTHON) -m venv --clear .venv-newest
	@$(NEWEST_PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch setuptools
	@$(NEWEST_PIP) --no-build-isolation --editable '.[report,tune]'
	@$(NEWEST_PIP) --no-deps recbole==1.2.1 -r requirements-dev.lock

.venv-release/ready: requirements-release.lock
	@echo 'Making .venv-release, for twine.'
	@$(PYTHON) -m venv --clear .venv-release
	@$(RELEASE_PIP) --no-deps -r requirements-release.lock
	@touch $@
