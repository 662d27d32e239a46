# Needs python3 and make, nothing else: everything is installed into .venv, again whenever pyproject.toml changes.

PYTHON ?= python3
PIP = .venv/bin/python -m pip -qq --disable-pip-version-check
RUN = .venv/bin/python -m

.PHONY: demo test test-all lint docs bench clean
.NOTPARALLEL:

demo: .venv/.installed
	@.venv/bin/steepest demo

test: lint
	$(RUN) pytest

test-all: lint
	$(RUN) pytest -m ""

lint: .venv/.installed-test
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

# Every block of README.md and docs/ is run, and must print what the page says.
docs: .venv/.installed-test
	$(RUN) pytest tests/test_docs.py

# Scripts whose name begins with an underscore are helpers. speed.py, epochs.py and solvers.py write
# docs/performance.md, the last with the figures of others: its page is written again when all have run. A script whose
# figures are missed does not keep the rest from running.
bench: .venv/.installed-test .venv-bench/.installed
	@failed=; for script in bench/[!_]*.py; do echo; echo "== $$script"; began=$$(date +%s); \
		.venv/bin/python "$$script" || failed="$$failed $$script"; \
		echo "== $$script: $$(( $$(date +%s) - began )) s"; done; \
		.venv/bin/python bench/solvers.py --only page; \
		if [ -n "$$failed" ]; then echo "missed or failed:$$failed" >&2; exit 1; fi

clean:
	rm -rf .venv .venv-bench build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml | .venv/bin/pip
	@echo "installing steepest into .venv"
	@$(PIP) install --editable .
	@touch $@

.venv/.installed-test: pyproject.toml | .venv/bin/pip
	@echo "installing steepest and what its tests need into .venv"
	@$(PIP) install --editable '.[test]'
	@touch .venv/.installed $@

# What steepest is measured beside, apart from its own environment; what does not install is left out, and named. R's
# nls is measured too where Rscript is found (Debian, Ubuntu: apt install r-base-core).
PEERS = numexpr numba jax optax torch==2.13.0 heyoka lmfit iminuit optimistix
.venv-bench/.installed: Makefile | .venv-bench/bin/pip
	@echo "installing the peers into .venv-bench: $(PEERS)"
	@for peer in $(PEERS); do \
		.venv-bench/bin/python -m pip -qq --disable-pip-version-check install $$peer || echo "not installed: $$peer"; done
	@touch $@

# Debian ships venv without pip's installer; a pip of the system can then put one in.
.venv/bin/pip .venv-bench/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "steepest needs Python 3.11 or newer: install one and run 'make PYTHON=python3.11 ...'." >&2; exit 1; }
	@$(PYTHON) -m venv $(@:/bin/pip=) >/dev/null 2>&1 || \
		{ rm -rf $(@:/bin/pip=) && $(PYTHON) -m venv --without-pip $(@:/bin/pip=) && \
		$(PYTHON) -m pip --python $(@D)/python install pip; } >/dev/null 2>&1 || \
		{ rm -rf $(@:/bin/pip=); echo "$(PYTHON) cannot make a virtual environment: install its venv module" \
		"(Debian, Ubuntu: apt install python3-venv) and run make again." >&2; exit 1; }
