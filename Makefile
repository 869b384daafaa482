# One spelling of each command: README, CI and docs call these and nothing else.
VENV   := .venv
PYTHON := $(VENV)/bin/python
RUN    := $(VENV)/.run
DEV    := $(VENV)/.dev
LOCK   := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.PHONY: run test test-slow check fuzz chaos docs texts shots demo bench load lock audit sbom clean

run: $(RUN)            ## everything: database, web on :8140, workers; Ctrl-C stops all of it
	@exec $(PYTHON) manage.py up

test: $(DEV)           ## the tests that are not slow, on a real PostgreSQL and a real browser
	@sh tests/install_system.sh
	$(PYTHON) -m pytest -m "not slow" $(ARGS)

test-slow: $(DEV)      ## the tests that take more than two seconds each
	@sh tests/install_system.sh
	$(PYTHON) -m pytest -m slow $(ARGS)

check: $(DEV)          ## lint, format, types, layers, settings, migrations, generated docs
	@sh tests/install_system.sh
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	HTTPS=1 $(PYTHON) manage.py check --deploy --fail-level WARNING
	$(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(PYTHON) manage.py write_docs --check

fuzz: $(DEV)            ## properties and the API with 20 times as many examples, 22,000 damaged files
	FUZZ=20 $(PYTHON) -m pytest -m fuzz --timeout 3600 $(ARGS)
	@if $(PYTHON) -c "import atheris" 2>/dev/null; \
	then for target in pictures lists; do $(PYTHON) -m tests.guided_fuzzing $$target || exit 1; done; \
	else echo "Without atheris (.venv/bin/pip install atheris) no fuzzing is led by coverage."; fi

chaos: $(DEV)          ## kill 200 processes of a working service, and check that nothing is lost or doubled
	$(PYTHON) -m tests.chaos $(ARGS)

docs: $(DEV)           ## write the generated parts of docs/
	$(PYTHON) manage.py write_docs

texts: $(DEV)          ## write the catalogs of translated texts (needs GNU gettext)
	@sh tests/install_system.sh
	$(PYTHON) manage.py write_texts

shots: $(DEV)          ## a picture of each page at three widths, light and dark, in docs/img/all (ARGS="--only images")
	@sh tests/install_system.sh
	$(PYTHON) -m tests.shoot_pages $(ARGS)

demo: $(RUN)           ## fill a running service with sample pictures and videos
	$(PYTHON) manage.py demo

bench: $(DEV)          ## measure, print tables, write docs/benchmarks.md (ARGS=--quick)
	$(PYTHON) -m benchmarks $(ARGS)

load: $(DEV)            ## ten minutes of mixed traffic at saturation, and what must hold (ARGS=--minutes 2)
	$(PYTHON) -m benchmarks.load $(ARGS)

lock: $(DEV)            ## choose versions and hashes of all packages again (needs a network)
	$(VENV)/bin/uv pip compile $(LOCK) requirements.txt -o requirements.lock
	$(VENV)/bin/uv pip compile $(LOCK) requirements-dev.txt -o requirements-dev.lock
	for extra in requirements-milvus tests/peers/milvus; do $(VENV)/bin/uv pip compile $(LOCK) -c requirements.lock $$extra.txt -o $$extra.lock; done
	for peer in s3 synapse; do $(VENV)/bin/uv pip compile $(LOCK) tests/peers/$$peer.txt -o tests/peers/$$peer.lock; done
	$(VENV)/bin/uv pip compile $(LOCK) --no-deps tests/peers/threatexchange.txt -o tests/peers/threatexchange.lock

audit: $(DEV)           ## look for known vulnerabilities of the packages (needs a network)
	$(VENV)/bin/uv tool run pip-audit@2.10.1 --strict --require-hashes --disable-pip -r requirements.lock

sbom: $(DEV)            ## write var/sbom.json, a CycloneDX list of the packages (needs a network)
	@mkdir -p var
	$(VENV)/bin/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements \
		--output-reproducible -o var/sbom.json requirements.lock

$(VENV)/bin/python:
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --upgrade pip

$(RUN): requirements.lock | $(VENV)/bin/python
	@sh install_packages.sh $(PYTHON) requirements.lock
	@touch $@

$(DEV): requirements-dev.lock requirements.lock | $(VENV)/bin/python
	@sh install_packages.sh $(PYTHON) requirements-dev.lock
	@touch $(RUN) $@

clean:                 ## forget the environment and all local data
	@place=$$(dirname "$$(readlink -f var/pg)"); \
	if [ "$$(cat "$$place/data_dir" 2>/dev/null)" = "$(CURDIR)/var" ]; then rm -rf "$$place"; fi
	rm -rf $(VENV) var
