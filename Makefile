# Set-up happens where it is needed: every target below works on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JUDGES := $(VENV)/.judges
DOCS := $(VENV)/.docs
RAY := .venv-ray
NEXT := .venv-hydra

.DEFAULT_GOAL := help
.PHONY: help train course test test-all test-hydra judges lock coverage check dashboard benchmark docs

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): some minutes, the first time."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	touch $@

train: $(READY) ## train a VAE on images in the package: half a minute on two cores, after the set-up
	$(BIN)/scalian-train model=vae

course: $(READY) ## train the course's networks, half an hour, and build its page outputs/course/index.html
	$(BIN)/scalian-course

test: $(READY) ## run the tests, some minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

$(JUDGES): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[judges]' --constraint constraints.txt
	touch $@

judges: $(JUDGES) ## compare metrics and models with values that others computed or published
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m '' -rs tests/judges

coverage: $(READY) ## run the tests and list what none of them reaches
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal --cov --cov-report=term

$(RAY)/.ready: pyproject.toml
	@echo "Installing into $(RAY): Ray's launcher wants another cloudpickle than joblib's."
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip install --quiet --editable '.[ray]' pytest pytest-timeout
	touch $@

test-all: $(READY) $(RAY)/.ready ## run the tests and the slow trainings, some hours
	$(BIN)/python -m pytest -m ''
	$(RAY)/bin/python -m pytest -m '' tests/sweep/test_launchers.py

$(NEXT)/.ready: $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --pre --target $(NEXT) 'hydra-core>=1.4.0rc3' 'omegaconf>=2.4.1rc1'
	touch $@

test-hydra: $(NEXT)/.ready ## run the tests of configs and commands on the next Hydra and OmegaConf
	PYTHONPATH=$(NEXT) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/test_configs.py tests/test_build.py tests/vocabulary tests/commandline tests/sweep

lock: ## write requirements.lock: versions and hashes for every platform and Python (pip install uv)
	uv pip compile pyproject.toml --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command 'make lock' --output-file requirements.lock

check: $(READY) ## lint, format and types
	$(BIN)/python -m pip check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(DOCS): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[docs]' --constraint constraints.txt
	touch $@

docs: $(DOCS) ## build the documentation into site/
	$(BIN)/python scripts/write_docs.py
	$(BIN)/zensical build --clean --strict

dashboard: $(READY) ## show all runs in TensorBoard
	$(BIN)/scalian-report dashboard outputs

benchmark: $(READY) ## measure what the frame costs, and networks against others' (pip install '.[crf,peers,smp,surprise]' for all)
	$(BIN)/python scripts/benchmark.py
	$(BIN)/python scripts/benchmark_segmentation.py
	$(BIN)/python scripts/benchmark_boltzmann.py
	$(BIN)/python scripts/benchmark_peers.py
	$(BIN)/python scripts/benchmark_ratings.py
	$(BIN)/python scripts/benchmark_sequential.py
	$(BIN)/python scripts/benchmark_draw.py
	$(BIN)/python scripts/benchmark_folders.py
	$(BIN)/python scripts/benchmark_sweeps.py
	-$(BIN)/python scripts/benchmark_crf.py
