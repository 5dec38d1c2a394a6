"""A whole run in one plain Python process: what the DAG is measured against, and the shortest way to debug a model."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from include import catalog
from include.gate.decision import Verdict
from include.gate.evaluation import Evaluation
from include.partitions import partition
from include.retraining import aftermath
from include.retraining.decide import Decided, decide
from include.retraining.evaluate import evaluate
from include.retraining.package import Packaged, package
from include.retraining.planning import take
from include.retraining.select import select
from include.retraining.selection import Selection
from include.retraining.train import train
from include.spec import Model
from include.training.plan import Plan
from include.training.recipes import Trial

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What each task of a run returned.

    Attributes
    ----------
    package : None unless promoted.
    seconds : by task.
    """

    run_id: str
    plan: Plan
    trials: tuple[Trial, ...]
    selection: Selection
    evaluation: Evaluation
    decision: Decided
    package: Packaged | None
    seconds: Mapping[str, float]

    @property
    def packaged(self) -> Packaged:
        """`package` of a run that promoted."""
        assert self.package is not None, self.decision.reason
        return self.package


@dataclass
class Stopwatch:
    """The seconds of each task."""

    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, task: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        done = work()
        self.seconds[task] = round(self.seconds.get(task, 0.0) + time.perf_counter() - began, 4)
        return done


def plan_of(model: Model, as_of_key: str, params: Mapping[str, object] | None = None) -> Plan:
    """What the task `snapshot` returns."""
    about, last = partition(as_of_key, model.timezone), aftermath.read(model.name)
    return take(model, about, params or {}, catalog.digest(model.name), last)


def in_one_process(
    model: Model, as_of_key: str, params: Mapping[str, object] | None = None, run_id: str | None = None
) -> Outcome:
    """Run snapshot, train, select, evaluate, gate and package one after the other, as the retrain DAG does.

    Unlike the DAG it continues if nothing is new (`plan_of`, ``nothing_new``).

    Parameters
    ----------
    run_id : the run that versions, decision and MLflow runs are recorded for; ``None``: a new one.
    """
    run_id = run_id or f"in_process__{as_of_key}__{uuid.uuid4().hex[:8]}"
    timed = Stopwatch()
    plan = timed("snapshot", lambda: plan_of(model, as_of_key, params))
    trials = timed("train", lambda: tuple(train(model, plan, name, run_id) for name in plan.candidates))
    selection = timed("select", lambda: select(model, plan, trials, run_id))
    evaluation = timed("evaluate", lambda: evaluate(model, plan, selection))
    decision = timed("gate", lambda: decide(model, plan, selection, evaluation, run_id))
    packaged = None
    if decision.verdict is Verdict.PROMOTE:
        packaged = timed("package", lambda: package(model, plan, selection, evaluation, decision, run_id))
    log.info("Run %s of %s took %.1f s: %s.", run_id, model.name, sum(timed.seconds.values()), timed.seconds)
    return Outcome(run_id, plan, trials, selection, evaluation, decision, packaged, timed.seconds)
