# The short names of the work; `make help` lists them. README and .ci/run use nothing else.

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-requirements.lock
PROFILE ?= quick
BROWSER ?= yes
PORT ?= 8000
LOWEST ?= _build/lowest
# Where uv is: on the path, or where `env` put it.
UV = $(or $(shell uv --version >/dev/null 2>&1 && echo uv),$(BIN)/uv)

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first Python that the course supports; PYTHON=/path/to/python chooses another.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python,\
	$(if $(shell $(p) -c '$(SUPPORTED)' 2>/dev/null && echo yes),$(p))))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book test env lint types unit notebooks site browser serve clean lock mutants test-lowest dist

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PROFILE=smoke|quick|full  PYTHON=...  BROWSER=no (make test without a Chromium)  PORT=8000"

book: env ## execute and render the book (PROFILE=full on a GPU; STRICT=--strict: drift fails)
	@$(BIN)/vae-course book --profile $(PROFILE) $(STRICT)

test: lint types unit notebooks site browser ## check everything: style, types, units, notebooks, pages

env: $(STAMP) ## make the environment from requirements.lock, when it changed

# uv takes 20 seconds where pip takes two minutes; without it pip does the same work.
$(STAMP): requirements.lock pyproject.toml
	@if ! "$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null; then \
		echo "Python 3.11, 3.12 or 3.13 is needed and '$(or $(PYTHON),python3)' is none of them:" \
			"install one, or say where it is with 'make PYTHON=/path/to/python3.12'" >&2; exit 1; fi
	@$(BIN)/python -c '$(SUPPORTED)' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing requirements.lock into $(VENV)"
	@uv=uv; uv --version >/dev/null 2>&1 || { uv=$(BIN)/uv; \
		$(BIN)/python -m pip install --quiet uv >/dev/null 2>&1; }; \
	$$uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock || { \
		echo "uv could not do it: installing with pip, which takes longer"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check \
			--require-hashes -r requirements.lock; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# The hook of .pre-commit-config.yaml runs this too.
lint: env ## check style, in notebooks too, and which outputs are stored
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/vae-course strip --verify

types: env ## check types, strictly
	@$(BIN)/mypy

unit: env ## run the unit and property tests
	@$(BIN)/pytest -q -m "not browser" -n 2 --dist loadfile

notebooks: env ## run the smoke copy of every chapter and compare its checked outputs (nbval)
	@$(BIN)/vae-course prepare --profile smoke
	@TQDM_DISABLE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile \
		--nbval-lax --nbval-current-env _build/nbval

site: env ## execute and render the book in seconds; a warning is an error
	@$(BIN)/vae-course book --profile smoke

# Run after `site`, whose pages it opens.
browser: env ## open every page in Chromium and check it
ifeq ($(BROWSER),no)
	@echo "*** BROWSER=no: THE BROWSER TESTS DID NOT RUN ***"
else
	@test -f "$${SITE:-_build/site/smoke}/index.html" || \
		{ echo "there is no rendered book to open: run 'make site' first" >&2; exit 1; }
	@$(BIN)/python tests/browser/chromium.py >/dev/null
	@$(BIN)/pytest -q -m browser tests/browser
endif

serve: ## show the rendered book at http://127.0.0.1:8000 (PROFILE=..., PORT=...)
	@test -f _build/site/$(PROFILE)/index.html || \
		{ echo "no book of profile $(PROFILE) yet: run 'make book PROFILE=$(PROFILE)' first" >&2; exit 1; }
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/site/$(PROFILE) $(PORT)

clean: ## remove everything that was built; the environment stays
	rm -rf _build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

lock: env ## write requirements.lock anew, with the newest versions for Python 3.11 to 3.13
	@uv=uv; uv --version >/dev/null 2>&1 || uv=$(BIN)/uv; \
	$$uv pip compile --quiet --universal --upgrade --python-version 3.11 --all-extras \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--output-file requirements.lock pyproject.toml

mutants: env ## break each rule that tests keep, and see a test turn red (minutes)
	@$(BIN)/python tests/mutants.py

# The newest of everything is locked; this is the other end of what pyproject.toml allows.
test-lowest: env ## run the unit tests with the lowest versions that pyproject.toml allows
	@$(UV) venv --quiet --clear --no-python-downloads --python 3.11 $(LOWEST)
	@$(UV) pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		--editable ".[book,cluster,dev]"
	@OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest -q -m "not browser" -n 2 --dist loadfile

# The checks happen where nothing of this checkout can help: a new environment with the wheel in it,
# and the tests of the unpacked sdist.
dist: env ## build wheel and sdist in dist/ and check them (TAG=v0.1.0: the tag is the version)
	@own=v$$($(BIN)/python -c "import vae_course; print(vae_course.__version__)"); \
	test "$${TAG:-$$own}" = "$$own" || { \
		echo "the tag is $$TAG, and the version in vae_course/__init__.py is $$own" >&2; exit 1; }
	@rm -rf dist _build/dist
	@$(UV) build --quiet
	@$(UV) tool run --quiet twine check --strict dist/*.whl dist/*.tar.gz
	@$(UV) venv --quiet --python $(BIN)/python _build/dist
	@$(UV) pip install --quiet --python _build/dist/bin/python "$$(ls dist/*.whl)[book,cluster,dev]"
	@mkdir _build/dist/source
	@tar -xzf dist/*.tar.gz --strip-components=1 -C _build/dist/source
	@cd _build/dist/source && OMP_NUM_THREADS=1 ../bin/pytest -q -m "not browser" -n 2 --dist loadfile
