# Two commands matter: `make demo` and `make test`. Each sets up what it needs.
SHELL := /bin/bash
PYTHON := .venv/bin/python
# a virtual screen where there is none
ifeq ($(shell uname -s)$(DISPLAY)$(WAYLAND_DISPLAY),Linux)
SCREEN := STEMLEARN_VIRTUAL_SCREEN=1 xvfb-run -a -s "-screen 0 1700x1400x24"
endif

.PHONY: help setup demo demo-train test tests lint format docs pictures models benchmarks clean

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## virtual environment, system packages, the package itself
	@tools/setup.sh

demo: setup ## from acquired images to found and scored defects, with the shipped model
	$(SCREEN) $(PYTHON) demo/demo.py --out demo-output

demo-train: setup ## the whole way with small presets: a CycleGAN learns the look of a stack, a network learns from translated images
	$(SCREEN) $(PYTHON) demo/demo_train.py --out demo-output/train

test: setup lint tests ## everything that must be green

tests: setup
	$(PYTHON) -m pytest

lint: setup ## ruff, mypy, import-linter
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: setup ## the documentation as web pages in site/
	.venv/bin/mkdocs build --strict

pictures: setup ## the pictures of the documentation, from the real docks
	$(SCREEN) $(PYTHON) docs/make_pictures.py

models: setup ## train the shipped models again (hours on a CPU, minutes on a GPU)
	$(PYTHON) -m napari_stemlearn.learning tmd-defects --out runs/tmd-defects
	$(PYTHON) tools/ship_model.py runs/tmd-defects/result
	$(PYTHON) -m napari_stemlearn.learning columns --out runs/columns
	$(PYTHON) tools/ship_model.py runs/columns/result

benchmarks: setup ## the figures of docs/benchmarks.md
	$(SCREEN) $(PYTHON) benchmarks/run_all.py

clean:
	rm -rf .venv site demo-output .pytest_cache .mypy_cache .ruff_cache
