"""One step of the night of `tests.bench.memory`: ``python -m tests.bench.steps STEP FOLDER [CANDIDATE or ROWS]``.

Each step writes its result to the folder as JSON, as Airflow passes it from task to task. The last line of the output
holds the measurements.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include import catalog
from include.records import Record
from include.registry.ledger import Ledger
from include.spec import Model
from tests.bench import memory

if TYPE_CHECKING:
    from include.gate.evaluation import Evaluation
    from include.retraining.selection import Selection
    from include.training.plan import Plan

PARQUET = "trips.parquet"


def main(step: str, folder: Path, *more: str) -> None:
    """Run a step and print its seconds and peaks."""
    work = STEPS[step](folder, *more)
    imports, began = memory.peak(), time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "imports": imports, "peak": memory.peak()}))


def _table(folder: Path, rows: str) -> Callable[[], None]:
    return lambda: memory.table(int(rows)).to_parquet(folder / PARQUET, index=False)


def _new_model(folder: Path) -> Callable[[], None]:
    from include.authoring.findings import Request
    from include.authoring.new import new_model

    source = str(folder / PARQUET)
    request = Request(name=memory.NAME, source=source, target="delay", time="scheduled_at", into=folder / "models")
    return lambda: print(new_model(request))


def _collect(folder: Path) -> Callable[[], None]:
    """Collect all days in one process, as a load does."""
    from include.backtest.lab import Lab
    from include.settings import Settings

    lab = Lab(_model(), Settings.from_environment().lake.parent)

    def work() -> None:
        first, last = _days(lab.model)
        stopped = lab.collect(first, last)
        assert not stopped, stopped

    return work


def _snapshot(folder: Path) -> Callable[[], None]:
    from include.partitions import partition
    from include.retraining.planning import take

    Ledger.default().migrate()
    model = _model()
    about = partition(_days(model)[1].isoformat(), model.timezone)
    return lambda: _write(folder / "plan.json", take(model, about, {}, catalog.digest(model.name), None))


def _train(folder: Path, candidate: str) -> Callable[[], None]:
    from include.retraining.train import train

    model, plan = _model(), _plan(folder)
    target = folder / f"train.{plan.candidates.index(candidate)}.json"
    return lambda: _write(target, train(model, plan, candidate, memory.RUN))


def _select(folder: Path) -> Callable[[], None]:
    from include.retraining.select import select
    from include.training.recipes import Trial

    model, plan = _model(), _plan(folder)
    trials = [Trial.of(_read(folder / f"train.{n}.json")) for n in range(len(plan.candidates))]
    return lambda: _write(folder / "select.json", select(model, plan, trials, memory.RUN))


def _evaluate(folder: Path) -> Callable[[], None]:
    from include.retraining.evaluate import evaluate

    model, plan, selected = _model(), _plan(folder), _selection(folder)
    return lambda: _write(folder / "evaluate.json", evaluate(model, plan, selected))


def _gate(folder: Path) -> Callable[[], None]:
    from include.retraining.decide import decide

    model, plan, selected, evaluated = _model(), _plan(folder), _selection(folder), _evaluation(folder)
    return lambda: _write(folder / "gate.json", decide(model, plan, selected, evaluated, memory.RUN))


def _package(folder: Path) -> Callable[[], None]:
    from include.retraining.decide import Decided
    from include.retraining.package import package

    model, plan, selected, evaluated = _model(), _plan(folder), _selection(folder), _evaluation(folder)
    decided = Decided.of(_read(folder / "gate.json"))
    return lambda: _write(folder / "package.json", package(model, plan, selected, evaluated, decided, memory.RUN))


STEPS: dict[str, Callable[..., Callable[[], None]]] = {
    "table": _table,
    "new-model": _new_model,
    "collect": _collect,
    "snapshot": _snapshot,
    "train": _train,
    "select": _select,
    "evaluate": _evaluate,
    "gate": _gate,
    "package": _package,
}


def _model() -> Model:
    return catalog.load(memory.NAME)


def _days(model: Model) -> tuple[date, date]:
    """Return the first and last day that a night needs; the table is replayed, so these are recent days."""
    from include.partitions import newest_closed, utc_now

    last = newest_closed(utc_now(), model.timezone, model.data.label.delay).date
    return last - timedelta(days=model.training.days_needed - 1), last


def _plan(folder: Path) -> Plan:
    from include.training.plan import Plan

    return Plan.of(_read(folder / "plan.json"))


def _selection(folder: Path) -> Selection:
    from include.retraining.selection import Selection

    return Selection.of(_read(folder / "select.json"))


def _evaluation(folder: Path) -> Evaluation:
    from include.gate.evaluation import Evaluation

    return Evaluation.of(_read(folder / "evaluate.json"))


def _write(path: Path, record: Record) -> None:
    path.write_text(json.dumps(record.as_dict(), allow_nan=False))


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
