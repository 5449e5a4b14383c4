# Every command that a user needs; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

CATALOG ?= catalog
SOURCE ?= folder:ads
# of the demonstration
DEMO ?= demo
ADS ?= 40
# real adverts and pictures with known words, for the measurements of words and re-uploads
DATA ?= ../shared/data

.PHONY: help setup setup-programs setup-browser demo test docs lint dataset train reproduce annotate catalog deploy sandbox bench clean

help:  ## list the commands
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create .venv and install everything into it

$(READY): pyproject.toml constraints.txt
	@echo "installing into $(VENV): about 7 GB on disk, two minutes on a fast line"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "Python 3.11 to 3.14 is needed; set PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

setup-programs:  ## install what tests and measurements need: Tesseract, ffmpeg, Java, PostgreSQL, nginx, Caddy, strace, a C compiler (Debian, as root)
	@apt-get -qq update
	@DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends \
		tesseract-ocr ffmpeg default-jdk-headless postgresql nginx-light caddy strace gcc libc6-dev >/dev/null

setup-browser:  ## install the browser in which the tests drive the annotation's page (Debian's chromium, as root)
	@apt-get -qq update
	@DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends \
		chromium fonts-dejavu-core fonts-noto-color-emoji >/dev/null

demo: $(READY)  ## render a small sample, build a dataset from it, train on it, print the result
	@$(BIN)/ytb-ads sample $(DEMO)/ads --ads $(ADS)
	@$(BIN)/ytb-ads build --source folder:$(DEMO)/ads --catalog $(DEMO)/catalog
	@$(BIN)/ytb-ads train --catalog $(DEMO)/catalog --config $$($(BIN)/python -m fgmfn.packaged)

test: $(READY)  ## run all tests, the slow ones too
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

docs: $(READY)  ## build the documentation into docs/_build/html; warnings are errors
	@$(BIN)/python docs/generate.py
	@$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html

lint: $(READY)  ## style, who imports whom, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

dataset: $(READY)  ## bring the dataset up to date: make dataset SOURCE=youtube|folder:DIR [CATALOG=DIR]
	@$(BIN)/ytb-ads build --source "$(SOURCE)" --catalog "$(CATALOG)"

train: $(READY)  ## train FGMFN and its text-only row: make train [RELEASE=VERSION] [CONFIG=tiny]
	@$(BIN)/ytb-ads train --catalog "$(CATALOG)" $(if $(RELEASE),--release "$(RELEASE)") $(if $(CONFIG),--config "$(CONFIG)")

reproduce: $(READY)  ## the paper's tables, figures and one report: make reproduce DATA="twitter2015 ..." [DATA_DIR=DIR] [IMAGES="twitter2015=DIR ..."] [CONFIG=light] [SEEDS=5] [ONLY=table4,...] [OUTPUT=DIR] [CHECK=1]
	@$(BIN)/fgmfn paper reproduce $(foreach one,$(if $(filter file,$(origin DATA)),$(CATALOG)/releases,$(DATA)),--data "$(one)") \
		$(foreach one,$(IMAGES),--images "$(one)") $(if $(DATA_DIR),--data-dir "$(DATA_DIR)") \
		$(if $(CONFIG),--config "$(CONFIG)") $(if $(SEEDS),--seeds "$(SEEDS)") $(if $(ONLY),--only "$(ONLY)") \
		--output "$(or $(OUTPUT),reproduction)" $(if $(CHECK),--check)

annotate: $(READY)  ## serve the page on which people settle the labels: make annotate [CATALOG=DIR] [HOST=H] [PORT=P]
	@$(BIN)/ytb-ads annotate serve --catalog "$(CATALOG)" $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

catalog: $(READY)  ## list the tables and releases
	@$(BIN)/ytb-ads status --catalog "$(CATALOG)"
	@$(BIN)/ytb-ads catalog tables --catalog "$(CATALOG)"
	@$(BIN)/ytb-ads catalog releases --catalog "$(CATALOG)"

deploy: $(READY)  ## register rebuild, refresh, release and training with a running Prefect server: make deploy SOURCE=youtube|folder:DIR [CATALOG=DIR]
	@$(BIN)/ytb-ads deploy --source "$(if $(filter command%,$(origin SOURCE)),$(SOURCE),$(or $(YTB_ADS_SOURCE),$(SOURCE)))" $(if $(filter file,$(origin CATALOG)),,--catalog "$(CATALOG)")

sandbox: $(READY)  ## serve a stand-in of YouTube on this machine, to try a whole crawl without a key
	@$(BIN)/python -m tests.youtube_sandbox --dir sandbox

bench: $(READY)  ## measure what the README states
	@$(BIN)/python -m benchmarks.pipeline
	@$(BIN)/python -m benchmarks.row_groups --rows 20000
	-@$(BIN)/python -m benchmarks.scale
	@$(BIN)/python -m benchmarks.comments
	@$(BIN)/python -m benchmarks.sentiment
	@$(BIN)/python -m benchmarks.frames
	@if [ -d "$(DATA)" ]; then \
		$(BIN)/python -m benchmarks.ocr --data "$(DATA)" --set mixed --workers $$(nproc) && \
		$(BIN)/python -m benchmarks.frames_and_words --data "$(DATA)/ads" --growth 27 54 108 && \
		$(BIN)/python -m benchmarks.reuploads --data "$(DATA)/ads"; \
	else echo "left out: words and re-uploads; $(DATA) is not there, name a folder by DATA="; fi

clean:  ## remove the demonstration and the caches, never a catalog
	rm -rf $(DEMO) sandbox docs/_build .pytest_cache .mypy_cache .ruff_cache build *.egg-info
