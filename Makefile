# Everything a person needs: `make demo`, `make test`. The rest are parts of those two.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CACHE ?= $(HOME)/.cache/recstack
VENV := $(CACHE)/venvs/dev-$(shell cat requirements/dev.lock requirements/tools.lock | sha256sum | cut -c1-16)
PY := $(VENV)/bin/python
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/controllers:$(CURDIR)/crds:$(CURDIR)/triton_templates:$(CURDIR)/gateway:$(CURDIR)/lab:$(CURDIR)/demo
SOURCES := $(wildcard operator controllers crds triton_templates gateway lab demo)
PACKAGES := $(foreach p,operator/recstack_operator controllers/recstack_controllers crds/recstack_crds triton_templates/recstack_triton_templates gateway/recstack_gateway lab/recstack_lab demo/recstack_demo,$(wildcard $(p)))

.PHONY: help install test lint unit demo generate verify
help:  ## This text
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.done: requirements/dev.lock requirements/tools.lock
	@echo "==> Python environment in $(VENV)"
	@rm -rf $(VENV) && python3.11 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --require-hashes -r requirements/tools.lock
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements/dev.lock
	@touch $@

# Environments of two images, with pytest on top: their code is tested with the packages that it runs with.
SERVING := $(CACHE)/venvs/serving-$(shell cat gateway/requirements.lock requirements/pytest.lock | sha256sum | cut -c1-16)
TRAINING := $(CACHE)/venvs/training-$(shell cat training_images/merlin/requirements.lock requirements/pytest.lock | sha256sum | cut -c1-16)
$(SERVING)/.done: LOCK := gateway/requirements.lock
$(TRAINING)/.done: LOCK := training_images/merlin/requirements.lock
$(SERVING)/.done $(TRAINING)/.done: | $(VENV)/.done
	@echo "==> Python environment in $(@D)"
	@rm -rf $(@D) && python3.11 -m venv $(@D)
	@$(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python --require-hashes -r $(LOCK)
	@$(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python --require-hashes -r requirements/pytest.lock
	@touch $@

install: $(VENV)/.done  ## Install what the other targets need (idempotent, cached outside the tree)

lint: install  ## ruff and mypy --strict
	@echo "==> ruff"; $(VENV)/bin/ruff check $(SOURCES) tests; $(VENV)/bin/ruff format --check $(SOURCES) tests
	@echo "==> mypy"; $(VENV)/bin/mypy $(PACKAGES)

unit: install  ## Unit and golden tests
	@echo "==> unit and golden tests"; $(PY) -m pytest tests/unit $(wildcard tests/golden)

demo: install  ## The main job on a real local cluster; CONTEXT=name uses yours; KEEP=1 leaves it up
	@$(PY) -m recstack_demo

generate: install  ## CRDs and field tables from the pydantic models
	@$(PY) -m recstack_crds.generate && $(PY) -m recstack_crds.docs

verify: install  ## Generated files are up to date, imports point down
	@echo "==> generated files"; $(PY) -m recstack_crds.generate --check && $(PY) -m recstack_crds.docs --check

test: lint verify unit  ## Everything CI runs
