# `make` lists the targets. Each installs what it needs into .venv first.
PYTHON ?= python3.11
BIN := .venv/bin
MARKERS := not slow and not network and not gpu and not slurm and not ray and not browser

.DEFAULT_GOAL := help
.PHONY: help demo test test-browser test-all check bench gallery clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/installed  ## Set up, then run the main job: one weak/strong pair on the embedded world
	$(BIN)/python train.py

test: .venv/installed  ## Set up, then run the tests that need no network, GPU, cluster or browser
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "$(MARKERS)"

test-all: .venv/installed  ## Every test that this machine can run, slow ones too
	$(BIN)/python -m pytest

test-browser: .venv/installed  ## The tests that open the report in Chromium
	$(BIN)/python -m pytest -m browser

check: .venv/installed  ## Format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

gallery: .venv/installed  ## Run the embedded sweeps, take pictures of their pages (needs Chromium)
	$(BIN)/python docs/gallery/make.py

bench: .venv/installed  ## Speed as ratios, measured in one run (MODEL=FOLDER: generation with a real model too)
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.rewards
	$(if $(MODEL),$(BIN)/python -m benchmarks.generation --model $(MODEL))

clean:  ## Remove the environment; the store and the outputs stay
	rm -rf .venv
