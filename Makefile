# `make demo` and `make test` need Python >= 3.11, git and make; they bring the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export UV_COMPILE_BYTECODE := 1
export UV_COMPILE_BYTECODE_TIMEOUT := 600
export UV_PROJECT_ENVIRONMENT := $(VENV)
# Python writes no bytecode where this is set, and everything starts at half the speed.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: mlflow mlflow-torch flavors demo test check format lint types layers coverage screenshots vendor benchmark clean

demo: $(VENV)/.installed  ## Run the example project on this machine: its environment, its flow, its runs.
	$(BIN)/toolkit run examples/wine-quality
	@echo
	$(BIN)/toolkit runs list -n 5

# Whole runs of projects, and faults: they take half of the time, and happen in other processes.
SLOW := tests/journeys tests/faults

test: $(VENV)/.installed  ## Run the tests; those that `make check` has run on this very commit are not run again.
	@set --; checked=$$(cat .checked 2>/dev/null); \
	if [ -n "$$checked" ] && [ "$$checked" = "$$(git rev-parse HEAD 2>/dev/null)" ] && [ -z "$$(git status --porcelain)" ]; \
	then echo "make check has run the others on this commit: $(SLOW)"; set -- $(SLOW); fi; \
	echo pytest "$$@"; $(BIN)/pytest -q -n 2 --dist loadfile "$$@"

check: lint types layers coverage  ## Everything that must be green at each commit.

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed
	$(BIN)/mypy

layers: $(VENV)/.installed
	$(BIN)/lint-imports

# Other processes are not measured: what happens in them is for `make test`.
coverage: $(VENV)/.installed
	@rm -f .checked
	$(BIN)/coverage erase
	$(BIN)/pytest -q -n 2 --dist loadfile $(SLOW:%=--ignore=%) --cov --cov-report=term:skip-covered --cov-fail-under=85
	@[ -n "$$(git status --porcelain 2>/dev/null)" ] || git rev-parse HEAD > .checked 2>/dev/null || rm -f .checked

screenshots: $(VENV)/.installed  ## Write pictures of all pages to build/screenshots.
	TEST_SCREENSHOTS=build/screenshots $(BIN)/pytest -q tests/pages

vendor:  ## Fetch what the pages use of others again, with npm; after a version was changed in update.sh.
	toolkit/server/static/vendor/update.sh

format: $(VENV)/.installed  ## Format the code and mend what can be mended by itself.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: $(VENV)/.installed  ## Measure what a run costs, beside MLflow's own.
	$(BIN)/python benchmarks/run_overhead.py --with-mlflow
	$(BIN)/python benchmarks/tracking.py --with-mlflow
	$(BIN)/python benchmarks/models.py --with-mlflow
	$(BIN)/python benchmarks/server.py --with-mlflow
	$(BIN)/python benchmarks/serving.py --with-mlflow
	$(BIN)/python benchmarks/ui.py --with-mlflow

$(VENV)/.installed: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is $$($(PYTHON) --version): wanted Python 3.11 or newer; give another with make PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@test -x $(UV) || { echo "installing uv"; $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8,<0.14'; }
	@echo "installing the locked dependencies"
	@$(UV) sync --quiet --locked --python $(BIN)/python
	@touch $@

mlflow: .venv-mlflow/.installed .venv-mlflow2/.installed  ## Install stock MLflow beside ours: some tests let its clients loose on ours.

# Its own environment: MLflow's requirements and ours do not fit together.
.venv-mlflow/.installed: $(VENV)/.installed
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv-mlflow
	@$(UV) pip install --quiet --python .venv-mlflow/bin/python \
	  'mlflow==3.17.2' scikit-learn matplotlib pillow pyarrow 'psycopg[binary]' psycopg2-binary boto3 psutil \
	  xgboost-cpu lightgbm catboost statsmodels onnx onnxruntime
	@touch $@

# The oldest client of 2.x, with what was there in its day. Those are not built for Python from 3.12 on: it is not needed.
.venv-mlflow2/.installed: | $(VENV)/.installed
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv-mlflow2
	@$(UV) pip install --quiet --only-binary :all: --python .venv-mlflow2/bin/python 'mlflow-skinny==2.0.1' \
	  'setuptools<81' 'numpy<2' 'pandas<2' 'scikit-learn<1.3' 'scipy<1.12' 'matplotlib<3.9' pillow && touch $@ || \
	  echo "the oldest client of MLflow 2 cannot be installed here: its tests are skipped"

mlflow-torch: .venv-torch/.installed  ## Install libraries on torch that log to MLflow: some tests need them.

# The build of torch without CUDA, a twentieth of the other: where pip knows no place that has it, there is nothing.
.venv-torch/.installed: | $(VENV)/.installed
	@$(BIN)/python -m venv --clear .venv-torch
	@.venv-torch/bin/python -m pip install -qq --disable-pip-version-check 'torch==2.13.0+cpu'
	@$(UV) pip install --quiet --python .venv-torch/bin/python 'torch==2.13.0+cpu' \
	  lightning==2.6.6 transformers==5.23.0 accelerate==1.15.0 mlflow-skinny==3.17.2 pandas
	@touch $@

flavors: .venv-flavors/.installed  ## Install the large libraries whose models are kept beside ours and MLflow: their tests need them.

# Three gigabytes, which make check can do without. Without torch, the tests of what stands on it are skipped.
.venv-flavors/.installed: pyproject.toml | $(VENV)/.installed
	@test -x .venv-flavors/bin/python || $(BIN)/python -m venv .venv-flavors
	@UV_COMPILE_BYTECODE=0 $(UV) pip install --quiet --python .venv-flavors/bin/python -e .
	@UV_COMPILE_BYTECODE=0 $(UV) pip install --quiet --python .venv-flavors/bin/python mlflow-skinny==3.17.2 \
	  tensorflow-cpu==2.21.0 keras==3.15.1 pyspark==4.3.0 scikit-learn pandas pyarrow cloudpickle
	@.venv-flavors/bin/python -m pip install -qq --disable-pip-version-check --no-compile 'torch==2.13.0+cpu' && \
	  UV_COMPILE_BYTECODE=0 $(UV) pip install --quiet --python .venv-flavors/bin/python 'torch==2.13.0+cpu' \
	  lightning==2.6.6 transformers==5.23.0 accelerate==1.15.0 safetensors==0.8.0 || \
	  echo "torch cannot be installed here: the tests of its models are skipped"
	@touch $@

clean:  ## Remove what make has made.
	rm -rf .checked $(VENV) .venv-mlflow .venv-mlflow2 .venv-torch .venv-flavors .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist *.egg-info
