"""The twins of challenger, baseline, champion, rival and anchors, scored on the same holdout, which none has seen."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.cards import intervals, plots
from include.data.lake import Lake
from include.errors import DataError, IntegrityError, PerennialError, TransientError
from include.gate import anchors, change, evidence, rivals
from include.gate.rivals import Recipe, Scored
from include.registry import tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.retraining.served import Served, seen
from include.spec import Model
from include.statistics import uncertainty
from include.training import dataset, evaluation, export, snapshot

log = logging.getLogger(__name__)

PLOTS = "holdout"
SCORES = "holdout/scores.parquet"
BY_DAY = "holdout/by_day.json"

PipelineOf = Callable[[Mapping[str, Any]], Any]
"""The pipeline of one of a run's twins."""


@dataclass(frozen=True)
class Held:
    """The holdout of a run: its first and last day, the rows with labels, and what an estimator sees of them."""

    first: str
    last: str
    rows: pd.DataFrame
    labels: np.ndarray
    features: pd.DataFrame


@dataclass(frozen=True)
class Incumbent:
    """What the challenger is measured against: a version and how to score its twin.

    ``score(rows, first)`` takes the holdout rows and the first day of the holdout, and gives the name of the candidate,
    the last day that the twin was fitted on and the scores; it raises a `PerennialError` where that cannot be.
    """

    version: int
    digest: str | None
    score: Callable[[pd.DataFrame, str], tuple[str, str, np.ndarray]]


@dataclass(frozen=True)
class Measured:
    """What `measure` found, and what it found it on: the holdout, and the scores by side."""

    result: dict[str, Any]
    held: Held
    scores: dict[str, np.ndarray]


def evaluate(model: Model, plan: Mapping[str, Any], selected: Mapping[str, Any]) -> dict[str, Any]:
    """Measure everything that the gate wants to know, and keep it beside the challenger's MLflow run.

    A twin whose last day of training is not before the first day of the holdout is never scored: for the champion's
    that is reported (``champion_unusable``), for an anchor's, too; for those of tonight it is an error. The scores of
    incumbent and rival (`select.select`) are kept below the lake, in the place of those of an earlier try.

    Returns
    -------
    ``holdout`` {first, last, days, rows, label_mean, label_shares (of several classes; label_mean is None then)};
    ``challenger``, ``baseline`` {name, last, rows, error, metrics};
    ``champion`` the same with version, digest and epoch, or None; ``champion_exists``; ``champion_epoch`` (of the
    ledger, 0 where there never was one); ``champion_unusable`` (why, or None); everything of `evidence.of_sides`;
    ``kind`` and ``change`` (`change.told`); ``anchors`` (`anchors.scored`); ``by_day`` (where the scores and metrics by
    day are kept); ``intervals`` (`intervals.of_sides`); ``plots`` (their artifact paths, each with the SHA-256 of the
    picture). What is undefined is None.
    """
    store, ledger = BundleStore.default(), Ledger.default()
    standing = ledger.standing(model.name)
    row = None if standing.version is None else ledger.version(model.name, standing.version)
    held = hold(model, plan, selected["candidate"])
    served = Served(model, store, held.rows, held.first)
    champion = None
    if standing.version is not None:
        version = standing.version

        def score(rows: pd.DataFrame, first: str) -> tuple[str, str, np.ndarray]:
            if row is None:
                raise IntegrityError(f"the ledger has no row of version {version}")
            return row.candidate, row.twin_last, served.score(row)

        champion = Incumbent(version, standing.digest, score)

    def pipeline_of(twin: Mapping[str, Any]) -> Any:
        return export.from_skops(store.get_twin(model.name, twin["digest"]))

    measured = measure(model, plan, selected, pipeline_of, champion, held=held)
    collected = beside(model, plan, selected, held, measured.scores.get("challenger"), pipeline_of)
    kept = rivals.OnDisk(Lake.of(model).root / rivals.FOLDER)
    if collected:
        kept.keep(model, *collected)
    pair = collected[0] if collected else None
    past = [v for v in ledger.versions(model.name) if v.state in ("champion", "retired")]
    picked = anchors.pick(model.gate.anchors, past, standing.version, selected["twin"]["last"])
    result = {
        **measured.result,
        **change.told(model, plan, selected["recipe"], Recipe.of(row.recipe) if row else None, pair, kept),
        "anchors": anchors.scored(model, held.labels, picked, served.score),
        "champion_epoch": standing.epoch,
        "by_day": {"mlflow_run_id": selected["mlflow_run_id"], "scores": SCORES, "metrics": BY_DAY},
        "intervals": intervals_of(model, measured),
    }
    told = _tell(model, selected["mlflow_run_id"], measured, result)
    return {**result, "plots": told}


def intervals_of(model: Model, measured: Measured) -> dict[str, Any]:
    """`intervals.of_sides` of what was measured: for the card and the pictures, so no back-test pays for it."""
    held = measured.held
    block = uncertainty.blocks(held.rows["partition"].astype(str).to_numpy(), model.gate.block_days)
    return intervals.of_sides(model, held.labels, measured.scores, block)


def hold(model: Model, plan: Mapping[str, Any], candidate: str, lake: snapshot.Rows | None = None) -> Held:
    """Read the holdout of a run.

    Raises
    ------
    DataError : no row of it has a label.
    """
    first, last = snapshot.spans_of(plan, candidate).holdout
    rows = dataset.labelled(model, snapshot.read(model, plan, (first, last), lake))
    if rows.empty:
        raise DataError(
            f"no row of the holdout {first} to {last} has a label: there is nothing to judge {model.name} on."
        )
    rows = dataset.sort(model, rows)
    return Held(first, last, rows, dataset.labels(model, rows), dataset.features_frame(model, rows))


def measure(
    model: Model,
    plan: Mapping[str, Any],
    selected: Mapping[str, Any],
    pipeline_of: PipelineOf,
    standing: Incumbent | None,
    lake: snapshot.Rows | None = None,
    held: Held | None = None,
) -> Measured:
    """Score the twins of challenger, baseline and champion on the holdout; nothing is recorded.

    The result is the part of that of `evaluate` that is about these three.

    Parameters
    ----------
    selected : ``candidate``, ``twin`` and ``baseline_twin`` {name, last}.
    held : the holdout, where it was read already.
    """
    held = held or hold(model, plan, selected["candidate"], lake)
    first, rows, y, features = held.first, held.rows, held.labels, held.features
    kept: dict[str, np.ndarray] = {}

    sides: dict[str, dict[str, Any]] = {}
    for side, twin in (("challenger", selected["twin"]), ("baseline", selected["baseline_twin"])):
        refuse = seen(twin["last"], first)
        if refuse:
            raise IntegrityError(f"the {side}'s twin ({twin['name']}) {refuse}.")
        sides[side] = {"name": twin["name"], "last": twin["last"], "rows": len(rows), "error": None, "metrics": {}}
        try:
            kept[side] = evaluation.score_features(model, pipeline_of(twin), features)
            sides[side]["metrics"] = _finite(evaluation.metrics(model, y, kept[side]))
        except DataError as problem:
            sides[side]["error"] = str(problem)
    champion: dict[str, Any] | None = None
    unusable = None
    if standing is not None:
        champion = {
            "name": f"champion version {standing.version}",
            "version": standing.version,
            "digest": standing.digest,
        }
        try:
            candidate, seen_until, scores = standing.score(rows, first)
            kept["champion"] = scores
            champion |= {"candidate": candidate, "last": seen_until, "rows": len(rows), "error": None}
            champion["metrics"] = _finite(evaluation.metrics(model, y, scores))
        except TransientError:
            raise
        except PerennialError as problem:
            unusable = str(problem)
            log.warning("Champion version %d of %s cannot be compared: %s", standing.version, model.name, unusable)
    result = {
        "holdout": {
            "first": first,
            "last": held.last,
            "days": int(rows["partition"].nunique()),
            "rows": len(rows),
            **_label_summary(model, y),
        },
        **sides,
        "champion": champion,
        "champion_exists": champion is not None,
        "champion_unusable": unusable,
        **(evidence.of_sides(model, rows, features, y, kept) if "challenger" in kept else {}),
    }
    return Measured(result, held, kept)


def beside(
    model: Model,
    plan: Mapping[str, Any],
    selected: Mapping[str, Any],
    held: Held,
    challenger: np.ndarray | None,
    pipeline_of: PipelineOf,
) -> tuple[rivals.Pair, Scored] | None:
    """What the challenger and the twin beside it (``selected["other"]``: its rival, or the incumbent) say of tonight.

    Parameters
    ----------
    challenger : its scores; None where it could not be scored.

    Returns
    -------
    None where nothing is beside it, or one of the two cannot be scored (which is told, and counts as no evidence).

    Raises
    ------
    IntegrityError : the twin has seen the holdout.
    """
    other = selected.get("other")
    if other is None or challenger is None:
        return None
    refuse = seen(other["twin"]["last"], held.first)
    if refuse:
        raise IntegrityError(f"the {other['role']}'s twin ({other['twin']['name']}) {refuse}.")
    try:
        scores = evaluation.score_features(model, pipeline_of(other["twin"]), held.features)
    except DataError as problem:
        log.warning("The %s (%s) is not scored tonight: %s", other["role"], other["twin"]["name"], problem)
        return None
    partitions = held.rows["partition"].astype(str).to_numpy(dtype=object)
    pair = change.pair_of(selected["recipe"], other["role"], other["recipe"])
    return pair, change.both(plan["as_of"], partitions, held.labels, other["role"], challenger, scores)


def _label_summary(model: Model, y: np.ndarray) -> dict[str, Any]:
    if model.data.label.multiclass:
        return {"label_mean": None, "label_shares": evaluation.label_shares(model, y)}
    return {"label_mean": float(y.mean())}


def _tell(model: Model, mlflow_run_id: str, measured: Measured, result: Mapping[str, Any]) -> dict[str, str]:
    """Keep scores, metrics by day and pictures beside the challenger's MLflow run, and say the outcome in the log.

    Labels and scores in `SCORES` are those of `dataset.labels` and `evaluation.named`. Returns the digests of the
    pictures by artifact path.
    """
    rows, y, kept = measured.held.rows, measured.held.labels, measured.scores
    buffer = io.BytesIO()
    columns: dict[str, np.ndarray] = {"partition": rows["partition"].astype(str).to_numpy(dtype=object), "label": y}
    for side, scores in kept.items():
        columns |= evaluation.named(model, side, scores)
    pd.DataFrame(columns).to_parquet(buffer, index=False)
    by_day = {side: evaluation.by_day(model, rows, scores) for side, scores in kept.items()}
    told_by_day = {side: _records(days) for side, days in by_day.items()}
    pictures = plots.draw(model, y, kept, by_day, result)
    files = {f"{PLOTS}/{name}": picture for name, picture in pictures.items()}
    files |= {SCORES: buffer.getvalue(), BY_DAY: json.dumps(told_by_day, indent=1).encode()}
    tracking.log_artifacts_bytes(mlflow_run_id, files)
    metrics = {
        f"holdout.{'' if side == 'challenger' else side + '.'}{name}": value
        for side in kept
        for name, value in result[side]["metrics"].items()
        if value is not None
    }
    tracking.log(mlflow_run_id, metrics={**metrics, **_gains(result)})
    metric, holdout = model.training.metric, result["holdout"]
    told = ", ".join(f"{side} {_shown(result[side]['metrics'].get(metric))}" for side in kept)
    log.info(
        "On %d holdout rows of %d days (%s to %s), %s: %s.",
        holdout["rows"],
        holdout["days"],
        holdout["first"],
        holdout["last"],
        metric,
        told,
    )
    if result["change"]:
        log.info("%s", change.justified(model, result["change"]).sentence)
    return {f"{PLOTS}/{name}": hashlib.sha256(picture).hexdigest() for name, picture in pictures.items()}


def _gains(result: Mapping[str, Any]) -> dict[str, float]:
    """The paired gains as metrics of MLflow, each with its ``.lower`` and ``.upper`` limit: over the champion as
    ``holdout.gain.log_loss``, over the baseline as ``holdout.baseline_gain.log_loss``."""
    found: dict[str, float] = {}
    for side, name in (("champion", "holdout.gain"), ("baseline", "holdout.baseline_gain")):
        for metric, gain in result.get("paired", {}).get(side, {}).items():
            limits = {"": gain["value"], ".lower": gain["lower"], ".upper": gain["upper"]}
            found |= {f"{name}.{metric}{end}": value for end, value in limits.items() if value is not None}
    return found


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in frame.to_dict(orient="records")
    ]


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
