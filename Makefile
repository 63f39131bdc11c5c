# Each target works alone in a fresh clone: it makes the project's own environment first if that is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS ?= .venv-peers
GOLDEN ?= .venv-golden
# They start the workflow or its stages, some on every core.
WORKFLOW_TESTS := tests/workflow tests/faults tests/security tests/slurm
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help figures figures-frozen freeze report test unit-test coverage slurm-test faults mutants lint format docs schemas readme lock benchmark golden truth audit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.ready: envs/requirements.txt envs/torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13: call make with PYTHON=/path/to/one" >&2; exit 2; }
	@echo "installing the locked environment into $(VENV) (about two minutes, once)"
	@$(PYTHON) -m venv --clear $(VENV) || \
		{ echo "error: $(PYTHON) cannot make a virtual environment: install its venv module (Debian: python3-venv)" >&2; exit 2; }
	@$(INSTALL) --require-hashes --requirement envs/requirements.txt
	@$(INSTALL) --retries 1 --requirement envs/torch.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready envs/requirements-dev.txt
	@echo "installing the test tools"
	@$(INSTALL) --require-hashes --requirement envs/requirements-dev.txt
	@touch $@

figures: $(VENV)/.ready ## run the whole workflow on the embedded model and text
	$(BIN)/snakemake --cores all

figures-frozen: $(VENV)/.ready ## redraw every figure from the committed scores: no model, no fits
	$(BIN)/snakemake --cores all --forceall --config frozen=true

freeze: $(VENV)/.ready ## keep the scores of this run in resources/frozen
	$(BIN)/snakemake --cores all freeze

report: $(VENV)/.ready ## collect every figure into one offline page, results/report.zip
	$(BIN)/snakemake --report results/report.zip

test: lint unit-test ## lint, types, unit tests, dry runs and one tiny end-to-end run
	$(BIN)/python -m pytest $(WORKFLOW_TESTS)

unit-test: $(VENV)/.ready-dev ## the tests that run no stage of the workflow, on every core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --dist loadfile $(addprefix --ignore ,$(WORKFLOW_TESTS))

coverage: $(VENV)/.ready-dev ## lines and branches of the package that the unit tests run: results/coverage
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest --numprocesses logical --dist loadfile \
		$(addprefix --ignore ,$(WORKFLOW_TESTS))
	$(BIN)/coverage combine --quiet && $(BIN)/coverage html --quiet && $(BIN)/coverage report

slurm-test: $(VENV)/.ready-dev ## run the workflow through a SLURM of one node on this machine (root, Debian)
	UNWEAVE_SLURM=1 $(BIN)/python -m pytest --capture=no tests/slurm

lint: $(VENV)/.ready-dev ## check style, types and the workflow's form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# The peers' declared ranges exclude each other's newest releases, not what we call of them: so no dependency resolution.
$(PEERS)/.ready: $(VENV)/.ready envs/requirements-peers.txt
	@echo "installing the published implementations that are compared with into $(PEERS)"
	@$(PYTHON) -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --requirement envs/torch.txt
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--requirement envs/requirements-peers.txt
	@touch $@

benchmark: $(PEERS)/.ready $(GOLDEN)/.ready ## time and memory beside published implementations: benchmarks/results.json
	$(BIN)/snakemake --cores all --configfile config/benchmark.yaml -- \
		results/activations/smollm2/benchmark/resid.h5
	PYTHONPATH=src:. $(PEERS)/bin/python -m benchmarks
	JAXTYPING_DISABLE=1 PYTHONPATH=src:. $(GOLDEN)/bin/python -m benchmarks evaluations

$(GOLDEN)/.ready: $(VENV)/.ready envs/requirements-golden.txt
	@echo "installing sae-bench and sae-probes into $(GOLDEN)"
	@$(PYTHON) -m venv --clear $(GOLDEN)
	@$(GOLDEN)/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --requirement envs/torch.txt
	@$(GOLDEN)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--requirement envs/requirements-golden.txt
	@touch $@

# Its shape checks bind dimensions across nested calls and fail on correct shapes: hence the variable.
golden: $(GOLDEN)/.ready ## our evaluations beside sae-bench and sae-probes on the same inputs
	JAXTYPING_DISABLE=1 PYTHONPATH=src $(GOLDEN)/bin/python -m pytest --confcutdir tests/golden tests/golden

truth: $(VENV)/.ready ## what was planted, and is it found: benchmarks/truth/truth.json
	PYTHONPATH=src:. $(BIN)/python -m benchmarks.truth

faults: $(VENV)/.ready-dev ## kill, corrupt, starve and cut off every kind of job, and count losses: tests/faults/results.json
	PYTHONPATH=src:. $(BIN)/python -m tests.faults

mutants: $(VENV)/.ready-dev ## change the numeric code a little at a time, and list what no test notices: tests/mutation/results.json
	@$(PYTHON) -m venv .venv-mutants && .venv-mutants/bin/python -m pip install --quiet --disable-pip-version-check cosmic-ray==8.7.0
	PYTHONPATH=src:. $(BIN)/python -m tests.mutation

format: $(VENV)/.ready-dev ## format Python and Snakemake files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

docs: $(VENV)/.ready-dev ## build the documentation into results/docs
	$(BIN)/unweave reference
	$(BIN)/mkdocs build --quiet

schemas: $(VENV)/.ready ## regenerate workflow/schemas after a change of settings
	$(BIN)/unweave schemas

readme: $(VENV)/.ready ## redraw the rule graph in README.md
	$(BIN)/unweave readme

lock: ## rewrite the locks in envs from pyproject.toml (needs uv)
	sh envs/lock.sh

audit: ## look up known vulnerabilities of the locked packages (asks pypi.org)
	@$(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.venv-audit/bin/pip-audit --strict --disable-pip --requirement envs/requirements.txt --requirement envs/requirements-dev.txt
	.venv-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement envs/torch.txt

clean: ## delete results and environment, keep figures
	rm -rf results logs $(VENV) $(PEERS) $(GOLDEN) .venv-audit .venv-mutants .snakemake
