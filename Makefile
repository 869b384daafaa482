# One spelling of each command: README, CI and docs call these and nothing else.
VENV   := .venv
PYTHON := $(VENV)/bin/python
RUN    := $(VENV)/.run
DEV    := $(VENV)/.dev

.PHONY: run test check fuzz docs demo bench clean

run: $(RUN)            ## everything: database, web on :8140, workers; Ctrl-C stops all of it
	@exec $(PYTHON) manage.py up

test: $(DEV)           ## the whole suite, on a real PostgreSQL and a real browser
	@sh tests/install_system.sh
	$(PYTHON) -m pytest $(ARGS)

check: $(DEV)          ## lint, format, types, layers, settings, migrations, generated docs
	@sh tests/install_system.sh
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) manage.py check --fail-level WARNING
	$(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(PYTHON) manage.py write_docs --check

fuzz: $(DEV)            ## properties and the API with 20 times as many examples, new ones each time
	FUZZ=20 $(PYTHON) -m pytest -m fuzz --timeout 3600 $(ARGS)

docs: $(DEV)           ## write the generated parts of docs/
	$(PYTHON) manage.py write_docs

demo: $(RUN)           ## fill a running service with sample pictures and videos
	$(PYTHON) manage.py demo

bench: $(DEV)          ## measure, print tables, write docs/benchmarks.md (ARGS=--quick)
	$(PYTHON) -m benchmarks $(ARGS)

$(VENV)/bin/python:
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --upgrade pip

$(RUN): requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m pip install --quiet -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt requirements.txt | $(VENV)/bin/python
	$(PYTHON) -m pip install --quiet -r requirements-dev.txt
	@touch $(RUN) $@

clean:                 ## forget the environment and all local data
	@place=$$(dirname "$$(readlink -f var/pg)"); \
	if [ "$$(cat "$$place/data_dir" 2>/dev/null)" = "$(CURDIR)/var" ]; then rm -rf "$$place"; fi
	rm -rf $(VENV) var
