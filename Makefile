# make run: the gateway.  make test: all that proves it.  make: the list of what else there is.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PYTEST ?=
COVERED := 90

PY := $(VENV)/bin/python
# Without docstrings and columns a worker takes 3 MB less; what is compiled already starts sooner, and needs no memory
# for it.
LEAN := PYTHONOPTIMIZE=2 PYTHONNODEBUGRANGES=1 PYTHONPYCACHEPREFIX='$(abspath $(VENV))/lean'
COMPILE = env -u PYTHONDONTWRITEBYTECODE $(LEAN) $(PY) tools/compile
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
APT := tools/need

.DEFAULT_GOAL := help
.PHONY: help run venv test lint pytest test-clients bench faults failover grid crash docs clean

help:
	@sed -n 's/^#: /  make /p' Makefile

#: run            start the gateway; more with ARGS, as in: make run ARGS="--port 9000"
run: $(VENV)/.run
	@echo "starting: $(PY) kirogw.py $(ARGS)"
	@exec env $(LEAN) $(PY) kirogw.py $(ARGS)

#: venv           only make $(VENV), as for a service; again after each update
venv: $(VENV)/.run
	@$(COMPILE)

#: test           lint, types and all tests, with coverage; a few minutes
test: $(VENV)/.test
	@$(APT) systemd-analyze=systemd redis-server=redis-server chromium=chromium
	@$(MAKE) --no-print-directory lint pytest

lint: $(VENV)/.test
	$(VENV)/bin/ruff check kirogw tests bench kirogw.py
	$(VENV)/bin/mypy

#: pytest         only the tests; some of them with PYTEST="tests/flow -x"
pytest: $(VENV)/.test
	@rm -f .coverage .coverage.*
	$(VENV)/bin/coverage run -m pytest $(PYTEST)
	@find . -maxdepth 1 -name '.coverage.*' -empty -delete
	@$(VENV)/bin/coverage combine --quiet
	@$(VENV)/bin/coverage report --skip-covered --sort=cover $(if $(PYTEST),,--fail-under=$(COVERED))

#: test-clients   real clients (Claude Code, Codex, OpenCode, Cline, the SDKs) on either provider; installs them
test-clients: $(VENV)/.test
	@$(APT) npm=npm node=nodejs
	@$(PY) tests/clients/install.py
	tests/clients/offline $(PY) -m pytest tests/clients -m clients $(PYTEST)

#: bench          the speed of it beside nginx and a naive gateway, in one table
bench: $(VENV)/.test
	@$(APT) nginx=nginx-light
	@$(COMPILE)
	@$(PY) bench/run.py $(ARGS)

#: faults         what a client gets for each fault of the upstream, in one table
faults: $(VENV)/.test
	@$(PY) -m tests.system.faults $(ARGS)

#: failover       what becomes of requests and accounts when one of three accounts fails, in one table
failover: $(VENV)/.test
	@$(PY) -m tests.system.failover $(ARGS)

#: grid           each helper of the openai and anthropic SDKs with each kind of content on each provider, in one table
grid: $(VENV)/.test
	@$(PY) -m tests.grid $(ARGS)

#: crash          six processes share one store and are killed under load: what was lost. ARGS="--seconds 120 --redis"
crash: $(VENV)/.test
	@$(PY) -m tests.system.crash $(ARGS)

#: docs           write docs/settings.md and .env.example from the settings
docs: $(VENV)/.run
	$(PY) kirogw.py settings --markdown > docs/settings.md
	$(PY) kirogw.py settings --env > .env.example

#: clean          remove all that make made
clean:
	rm -rf $(VENV) .venv-* .clients .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: requirements.txt
	@tools/venv $(VENV) $(PYTHON)
	@echo "installing requirements.txt into $(VENV)"
	@$(PIP) -r requirements.txt
	@$(COMPILE)
	@touch $@

$(VENV)/.test: tests/requirements.txt $(VENV)/.run
	@echo "installing tests/requirements.txt into $(VENV)"
	@$(PIP) -r tests/requirements.txt
	@touch $@
