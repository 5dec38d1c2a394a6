"""Which candidate becomes the challenger, and the two fits that the gate needs: its twin and the baseline's."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from include.data.lake import Lake
from include.errors import DataError, IntegrityError
from include.gate import change, rivals
from include.gate.rivals import Recipe
from include.registry import mlflow_versions
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.spec import Model
from include.statistics import metrics
from include.training import candidates, evaluation, export, snapshot

log = logging.getLogger(__name__)


def best(model: Model, names: Sequence[str], results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The result with the best selection metric among ``names``; of equal ones the first named.

    Raises
    ------
    DataError : no candidate has a metric.
    """
    metric = model.training.metric
    compared = evaluation.metric(model, metric)
    known = {r["candidate"]: r for r in results if r and (r.get("metrics") or {}).get(metric) is not None}
    winner: Mapping[str, Any] | None = None
    for name in names:
        if name in known:
            value = known[name]["metrics"][metric]
            if value == value and (winner is None or metrics.gain(compared, value, winner["metrics"][metric]) > 0):
                winner = known[name]
    if winner is None:
        raise DataError(
            f"no candidate of {model.name} has a {metric} on the selection days: look at the logs of the train "
            f"tasks ({', '.join(names)})."
        )
    return winner


def select(model: Model, plan: Mapping[str, Any], results: Sequence[Mapping[str, Any]], run_id: str) -> dict[str, Any]:
    """Choose the challenger, fit its twin and the baseline's up to the day before the holdout, and register a version.

    The challenger is the winner of the selection, or the champion's recipe fitted afresh (`change.choose`); where both
    are tried, the other one has a twin, too.

    Returns
    -------
    ``candidate, version, recipe, twin`` and ``baseline_twin`` {name, digest, first, last, rows, dropped}, ``other``
    {role (rival or incumbent), recipe, twin} or None, ``mlflow_run_id``, ``selection`` {metric, first, last, table}.
    Idempotent: the same run again gets the same version.
    """
    stored = rivals.OnDisk(Lake.of(model).root / rivals.FOLDER)
    choice = change.choose(model, plan, results, winner_of(model, plan, results), _incumbent(model), stored)
    recipe = choice.recipe
    name = str(recipe["candidate"])
    store = BundleStore.default()
    twin = _keep_twin(model, plan, name, store, recipe["iterations"])
    baseline = twin if name == plan["baseline"] else _keep_twin(model, plan, plan["baseline"], store, None)
    other = None
    if choice.other is not None:
        beside = _keep_twin(model, plan, choice.other["candidate"], store, choice.other["iterations"])
        other = {"role": choice.role, "recipe": choice.other, "twin": beside}
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
    version = mlflow_versions.allocate(model.name, run_id, choice.result["mlflow_run_id"])
    Ledger.default().add_version(
        model.name,
        version,
        run_id=run_id,
        candidate=name,
        recipe=recipe,
        twin=twin["digest"],
        twin_first=twin["first"],
        twin_last=twin["last"],
        metrics={"selection": choice.result["metrics"]},
    )
    mlflow_versions.register(model.name, version, tags)
    metric = model.training.metric
    log.info(
        "The challenger is version %d, %s. %s On %s to %s, %s: %s. Its twin was fitted on %d rows up to %s.",
        version, name, choice.sentence, first, last, metric,
        ", ".join(f"{r['candidate']} {_shown(r['metrics'].get(metric))}" for r in table), twin["rows"], twin["last"],
    )  # fmt: skip
    return {
        "candidate": name,
        "version": version,
        "recipe": recipe,
        "twin": twin,
        "baseline_twin": baseline,
        "other": other,
        "mlflow_run_id": choice.result["mlflow_run_id"],
        "selection": {"metric": metric, "first": first, "last": last, "table": table},
    }


def winner_of(model: Model, plan: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The result that wins the selection."""
    # The trivial baseline is what the gate measures by and cannot beat itself: it stands only where nothing else does.
    real = [name for name in plan["candidates"] if name != plan["baseline"]]
    return best(model, real or plan["candidates"], results)


def _incumbent(model: Model) -> Recipe | None:
    """The champion's recipe, by the ledger; None where there is none (or no row of it: `evaluate` says so)."""
    ledger = Ledger.default()
    version = ledger.standing(model.name).version
    row = None if version is None else ledger.version(model.name, version)
    return Recipe.of(row.recipe) if row else None


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
    """Fit the twin and keep it.

    Raises
    ------
    ReleaseError : it cannot be stored and read back.
    """
    fitted = fit_twin(model, plan, name, iterations)
    digest = store.put_twin(model.name, export.proven_skops(fitted.pipeline, f"candidate {name!r} of {model.name}"))
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
