"""A whole run in one plain Python process: what the DAG is measured against, and the shortest way to debug a model."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from typing import Any

from include import catalog
from include.partitions import partition
from include.retraining import aftermath
from include.retraining import decide as decisions
from include.retraining.evaluate import evaluate
from include.retraining.package import package
from include.retraining.planning import take
from include.retraining.select import select
from include.retraining.train import train
from include.spec import Model

log = logging.getLogger(__name__)


def in_one_process(
    model: Model, as_of_key: str, params: Mapping[str, Any] | None = None, run_id: str | None = None, skip: bool = False
) -> dict[str, Any]:
    """Run snapshot, train, select, evaluate, gate and package one after the other, as the retrain DAG does.

    Parameters
    ----------
    run_id : the run that versions, decision and MLflow runs are recorded for; ``None``: a new one.
    skip : end after the snapshot where nothing is new since the last decision, as the DAG does.

    Returns
    -------
    ``run_id, plan, results, selected, evaluation, decision, package`` (None unless promoted), ``seconds`` by step.
    """
    run_id = run_id or f"reference__{as_of_key}__{uuid.uuid4().hex[:8]}"
    seconds: dict[str, float] = {}

    def timed(step: str, started: float) -> None:
        seconds[step] = round(seconds.get(step, 0.0) + time.perf_counter() - started, 4)

    at = time.perf_counter()
    about, last = partition(as_of_key, model.timezone), aftermath.read(model.name)
    plan = take(model, about, params or {}, catalog.digest(model.name), last)
    timed("snapshot", at)
    outcome: dict[str, Any] = {"run_id": run_id, "plan": plan, "seconds": seconds}
    if skip and plan["nothing_new"]:
        return outcome
    results = []
    for name in plan["candidates"]:
        at = time.perf_counter()
        results.append(train(model, plan, name, run_id))
        timed("train", at)
    at = time.perf_counter()
    selected = select(model, plan, results, run_id)
    timed("select", at)
    at = time.perf_counter()
    evaluation = evaluate(model, plan, selected)
    timed("evaluate", at)
    at = time.perf_counter()
    decision = decisions.decide(model, plan, selected, evaluation, run_id)
    timed("gate", at)
    at = time.perf_counter()
    packaged = (
        package(model, plan, selected, evaluation, decision, run_id) if decision["verdict"] == "promote" else None
    )
    timed("package", at)
    log.info("Run %s of %s took %.1f s: %s.", run_id, model.name, sum(seconds.values()), seconds)
    return {
        **outcome,
        "results": results,
        "selected": selected,
        "evaluation": evaluation,
        "decision": decision,
        "package": packaged,
    }
