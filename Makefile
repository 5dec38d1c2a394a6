# Perennial: `make` lists the targets. Everything runs from .venv, which is made (and remade when requirements.txt
# changes) with PYTHON, or with the first Python 3.12, 3.11 or 3.13 that is found.
.DEFAULT_GOAL := help
.PHONY: help venv run tour night rollback unfreeze monitor quarantine predictions new-model lint-models try-model backtest gate-power monitor-power card stop status test test-stack test-units test-full lint format types bench lock clean
SHELL := /bin/sh

VENV := .venv/bin
# Bytecode is kept even if the environment disables it: without it every import takes two to four times as long.
unexport PYTHONDONTWRITEBYTECODE
unexport MAKEFLAGS
# Values typed after a target (REASON='costs $5') reach Python unchanged: make itself would expand "$5" as a variable.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),\
  $(eval override $(name) := $$(value $(name)))$(eval export $(name))))

# The Python that creates .venv. Each candidate is run to check it, because a pyenv shim can exist and still not run.
FIND_PYTHON = for python in $(PYTHON) $(if $(PYTHON),,.venv/bin/python python3.12 python3.11 python3.13 python3 python); do \
	if "$$python" -c '' >/dev/null 2>&1; then echo "$$python"; \
	  if [ -n "$(PYTHON)" ] || "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then exit 0; fi; \
	fi; done

help:  ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PERENNIAL_HOME (./var), AIRFLOW_PORT (8080), MLFLOW_PORT (5000) and SERVING_PORT (8000) can be set."

venv:  ## make .venv from requirements.txt (every target does this when needed; EXTRAS="lightgbm xgboost catboost")
	@found=$$($(FIND_PYTHON)); found=$$(echo "$$found" | tail -n 1); \
	if [ -z "$$found" ]; then \
	  echo "error: no $(or $(PYTHON),python3) that runs: install Python 3.11, 3.12 or 3.13, or name one: make run PYTHON=python3.12" >&2; exit 1; \
	fi; \
	exec "$$found" include/stack/bootstrap.py --extras "$$EXTRAS"

run: venv  ## start everything, load the data, train, release; Ctrl-C stops it (MODELS="a b": first champions for these only)
	@exec $(VENV)/python -m include.stack run $(foreach model,$(MODELS),--model $(model))

tour: venv  ## a few minutes on the running stack: a champion, a rejection, a corrupted day, a rollback, drift; removed at the end
	@exec $(VENV)/python -m include.stack tour

# Values reach Python through the environment, so that a reason with spaces or an apostrophe stays one value.
night: venv  ## run a whole night of MODEL now, on the running stack: collect, retrain, release (SEED=; FORCE=1: even if nothing is new)
	@exec $(VENV)/python -m include.stack night --model "$$MODEL" --seed "$$SEED" --force "$$FORCE"

rollback: venv  ## put MODEL back to its previous champion, or to VERSION; freezes promotion (REASON=)
	@exec $(VENV)/python -m include.stack rollback --model "$$MODEL" --version "$$VERSION" --reason "$$REASON"

unfreeze: venv  ## allow the promotion of MODEL again after a rollback (REASON=)
	@exec $(VENV)/python -m include.stack unfreeze --model "$$MODEL" --reason "$$REASON"

monitor: venv  ## measure the newest day of MODEL, or the days from FIRST to LAST, without Airflow
	@exec $(VENV)/python -m include.stack monitor --model "$$MODEL" --first "$$FIRST" --last "$$LAST"

quarantine: venv  ## print the newest rows of MODEL in quarantine, or those of DAY, and why they are there
	@exec $(VENV)/python -m include.perennial quarantine --model "$$MODEL" --day "$$DAY"

predictions: venv  ## print the newest predictions of MODEL, with the labels that are known
	@exec $(VENV)/python -m include.perennial predictions --model "$$MODEL"

try-model: venv  ## run one night of MODEL on its newest days, without a stack (DAYS, MAX_ROWS)
	@exec $(VENV)/python -m include.backtest try $(if $(MODEL),--model $(MODEL)) $(if $(DAYS),--days $(DAYS)) $(if $(MAX_ROWS),--max-rows $(MAX_ROWS))

backtest: venv  ## replay MODEL night by night and plot the result (FIRST, LAST, EVERY, WORKERS; BROKEN=0.15 breaks nights, DRAWS, EVERYWHERE=1)
	@exec $(VENV)/python -m include.backtest run $(if $(MODEL),--model $(MODEL)) $(if $(FIRST),--first $(FIRST)) $(if $(LAST),--last $(LAST)) \
	  $(if $(EVERY),--every $(EVERY)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(BROKEN),--broken $(BROKEN)) \
	  $(if $(DRAWS),--draws $(DRAWS)) $(if $(EVERYWHERE),--everywhere)

gate-power: venv  ## measure what the margins of MODEL's gate cost, on its own history (FIRST, LAST, EVERY, WORKERS, CANDIDATE)
	@exec $(VENV)/python -m include.power $(if $(MODEL),--model $(MODEL)) $(if $(FIRST),--first $(FIRST)) \
	  $(if $(LAST),--last $(LAST)) $(if $(EVERY),--every $(EVERY)) $(if $(WORKERS),--workers $(WORKERS)) \
	  $(if $(CANDIDATE),--candidate $(CANDIDATE))

monitor-power: venv  ## measure what the monitoring of MODEL finds, on its own history (FIRST: a champion is frozen; LAST, MONTHS, WORKERS)
	@exec $(VENV)/python -m include.monitor_power $(if $(MODEL),--model $(MODEL)) $(if $(FIRST),--first $(FIRST)) \
	  $(if $(LAST),--last $(LAST)) $(if $(MONTHS),--months $(MONTHS)) $(if $(WORKERS),--workers $(WORKERS))

card: venv  ## print the path of MODEL's model card: of the champion, or of VERSION
	@exec $(VENV)/python -m include.cards $(if $(MODEL),--model "$(MODEL)") $(if $(VERSION),--version "$(VERSION)")

# NAME, SOURCE, TARGET and TIME are required; the others are inferred if they are not given. Values reach Python through
# the environment, so that a name with spaces or an apostrophe stays one value. NULLS= (empty) is not the same as no NULLS.
new-model: venv  ## create a model's folder from NAME= SOURCE= TARGET= TIME= (a CSV or Parquet file, or sql:<connection>/<table>)
	@exec $(VENV)/python -m include.authoring new --name "$$NAME" --source "$$SOURCE" --target "$$TARGET" --time "$$TIME" \
	  --timezone "$$TIMEZONE" --delay "$$DELAY" --task "$$TASK" --positive "$$POSITIVE" --key "$$KEY" \
	  --time-format "$$TIME_FORMAT" --encoding "$$ENCODING" --decimal "$$DECIMAL" --merge-labels "$$MERGE_LABELS" \
	  $${NULLS+--nulls="$$NULLS"} --owner "$$OWNER" --into "$$INTO"

stop: venv  ## stop the stack of this PERENNIAL_HOME, however it was started
	@exec $(VENV)/python -m include.stack stop

# Exit status 3 (no stack runs) is not an error here. Scripts can call include.stack directly.
status: venv  ## show what runs, and which versions serve
	@$(VENV)/python -m include.stack status || [ $$? -eq 3 ]

# The tests on a real stack have the machine to themselves. The other tests run on all processors, one file at a time.
test: lint types test-stack test-units  ## format check, lint, types and tests

test-stack: venv  ## only the tests on a real stack
	$(VENV)/python -m pytest $(FULL) tests/end_to_end

test-units: venv  ## only the other tests
	$(VENV)/python -m pytest $(FULL) --numprocesses auto --dist loadfile --ignore tests/end_to_end

test-full: FULL := --full
test-full: test  ## like `make test`, with the exhaustive variants of tests (an hour)

lint: venv  ## ruff: format check and lint
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .

format: venv  ## ruff: format, and fix what can be fixed
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

types: venv  ## mypy
	$(VENV)/mypy

bench: venv  ## measure everything, next to its peer in the same run, as one table (ONLY=start,idle: some parts; ROUNDS)
	$(VENV)/python -m tests.bench $(if $(ONLY),--only "$(ONLY)") $(if $(ROUNDS),--rounds $(ROUNDS))

lint-models: venv  ## report every mistake in the model folders, with file, line and fix (MODELS="a b"; default: all)
	@exec $(VENV)/python -m include.linting $(foreach model,$(MODELS),--model $(model))

.PHONY: docs
docs: venv  ## write the reference in include/models/README.md from the code
	@$(VENV)/python -m include.authoring.reference

lock: venv  ## write requirements.txt from pyproject.toml (UPGRADE=1: newest versions that fit)
	$(VENV)/python -m include.stack lock $(if $(UPGRADE),--upgrade)

clean: venv  ## delete PERENNIAL_HOME without confirmation (refuses while its stack runs)
	@exec $(VENV)/python -m include.stack clean
