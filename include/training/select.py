"""Which candidate becomes the challenger, and the two fits that the gate needs: its twin and the baseline's."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from include.errors import DataError, IntegrityError
from include.registry import tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.spec import Model
from include.training import candidates, evaluation, export, snapshot

log = logging.getLogger(__name__)


def best(model: Model, names: Sequence[str], results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The result with the best selection metric among ``names``; of equal ones the first named.

    Raises
    ------
    DataError : no candidate has a metric.
    """
    metric = model.training.metric
    known = {r["candidate"]: r for r in results if r and (r.get("metrics") or {}).get(metric) is not None}
    winner: Mapping[str, Any] | None = None
    for name in names:
        if name in known:
            value = known[name]["metrics"][metric]
            if value == value and (winner is None or evaluation.gain(metric, value, winner["metrics"][metric]) > 0):
                winner = known[name]
    if winner is None:
        raise DataError(
            f"no candidate of {model.name} has a {metric} on the selection days: look at the logs of the train "
            f"tasks ({', '.join(names)})."
        )
    return winner


def select(model: Model, plan: Mapping[str, Any], results: Sequence[Mapping[str, Any]], run_id: str) -> dict[str, Any]:
    """Choose the challenger, fit its twin and the baseline's up to the day before the holdout, and register a version.

    Returns
    -------
    ``candidate, version, recipe, twin`` and ``baseline_twin`` {name, digest, first, last, rows, dropped},
    ``mlflow_run_id``,
    ``selection`` {metric, first, last, table}. Idempotent: the same run again gets the same version.
    """
    winner, recipe = challenger(model, plan, results)
    name = str(recipe["candidate"])
    store = BundleStore.default()
    twin = _keep_twin(model, plan, name, store, recipe["iterations"])
    baseline = twin if name == plan["baseline"] else _keep_twin(model, plan, plan["baseline"], store, None)
    first, last = snapshot.spans_of(plan, name).selection
    table = [
        {k: r[k] for k in ("candidate", "mlflow_run_id", "metrics", "rows", "first", "last", "seconds")}
        for r in sorted((r for r in results if r), key=lambda r: plan["candidates"].index(r["candidate"]))
    ]
    tags = {
        "perennial.as_of": plan["as_of"],
        "perennial.candidate": name,
        "perennial.snapshot": plan["snapshot"]["digest"],
    }
    version = tracking.create_version(model.name, run_id, winner["mlflow_run_id"], tags)
    Ledger.default().add_version(
        model.name,
        version,
        run_id=run_id,
        candidate=name,
        recipe=recipe,
        twin=twin["digest"],
        twin_first=twin["first"],
        twin_last=twin["last"],
        metrics={"selection": winner["metrics"]},
    )
    metric = model.training.metric
    log.info(
        "The challenger is version %d, %s: best %s of %d candidates on %s to %s (%s). Its twin was fitted on %d "
        "rows up to %s.",
        version, name, metric, len(table), first, last,
        ", ".join(f"{r['candidate']} {_shown(r['metrics'].get(metric))}" for r in table), twin["rows"], twin["last"],
    )  # fmt: skip
    return {
        "candidate": name,
        "version": version,
        "recipe": recipe,
        "twin": twin,
        "baseline_twin": baseline,
        "mlflow_run_id": winner["mlflow_run_id"],
        "selection": {"metric": metric, "first": first, "last": last, "table": table},
    }


def challenger(
    model: Model, plan: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The result that wins the selection, and its recipe {candidate, window_days, seed, iterations}."""
    # The trivial baseline is what the gate measures by and cannot beat itself: it stands only where nothing else does.
    real = [name for name in plan["candidates"] if name != plan["baseline"]]
    winner = best(model, real or plan["candidates"], results)
    name = str(winner["candidate"])
    return winner, {
        "candidate": name,
        "window_days": candidates.window_of(candidates.load(model)[name], plan["window_days"]),
        "seed": plan["seed"],
        "iterations": winner.get("iterations"),
    }


def fit_twin(
    model: Model, plan: Mapping[str, Any], name: str, iterations: int | None, lake: snapshot.Rows | None = None
) -> candidates.Fitted:
    """Fit the recipe up to the day before the holdout.

    Raises
    ------
    IntegrityError : the fit has seen a day of the holdout.
    """
    spans = snapshot.spans_of(plan, name)
    rows = snapshot.read(model, plan, spans.twin, lake)
    fitted = candidates.fit(model, candidates.load(model)[name], rows, plan["seed"], iterations)
    if fitted.last >= spans.holdout[0]:
        raise IntegrityError(
            f"the twin of {name} has seen {fitted.last}, a day of the holdout that begins on {spans.holdout[0]}."
        )
    return fitted


def _keep_twin(
    model: Model, plan: Mapping[str, Any], name: str, store: BundleStore, iterations: int | None
) -> dict[str, Any]:
    """Fit the twin and keep it."""
    fitted = fit_twin(model, plan, name, iterations)
    digest = store.put_twin(model.name, export.to_skops(fitted.pipeline))
    return {
        "name": name,
        "digest": digest,
        "first": fitted.first,
        "last": fitted.last,
        "rows": fitted.rows,
        "dropped": list(fitted.dropped),
    }


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
