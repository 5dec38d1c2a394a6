"""The twins of challenger, baseline and champion, scored on the same holdout rows, which none of them has seen."""

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

from include.errors import DataError, IntegrityError, PerennialError, TransientError
from include.registry import tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.spec import Model, Task
from include.training import dataset, evaluation, evidence, export, intervals, plots, snapshot

log = logging.getLogger(__name__)

PLOTS = "holdout"
SCORES = "holdout/scores.parquet"
BY_DAY = "holdout/by_day.json"


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
    """What `measure` found, and what it found it on: rows, labels and the scores by side."""

    result: dict[str, Any]
    rows: pd.DataFrame
    labels: np.ndarray
    scores: dict[str, np.ndarray]


def evaluate(model: Model, plan: Mapping[str, Any], selected: Mapping[str, Any]) -> dict[str, Any]:
    """Measure everything that the gate wants to know, and keep it beside the challenger's MLflow run.

    A twin whose last day of training is not before the first day of the holdout is never scored: for the champion's
    that
    is reported (``champion_unusable``), for the challenger's or the baseline's it is an error.

    Returns
    -------
    ``holdout`` {first, last, days, rows, label_mean, label_shares (of several classes; label_mean is None then)};
    ``challenger``, ``baseline`` {name, last, rows, error, metrics};
    ``champion`` the same with version, digest and epoch, or None; ``champion_exists``; ``champion_epoch`` (of the
    ledger, 0 where there never was
    one); ``champion_unusable`` (why, or None); ``by_day`` (where the scores and metrics by day are kept); ``intervals``
    (`intervals.of_sides`); ``plots`` (their artifact paths, each with the SHA-256 of the picture). What is undefined is
    None.
    """
    store, standing = BundleStore.default(), Ledger.default().standing(model.name)
    champion = None
    if standing.version is not None:
        version, digest = standing.version, str(standing.digest)

        def score(rows: pd.DataFrame, first: str) -> tuple[str, str, np.ndarray]:
            row, scores = _score_champion(model, store, version, digest, rows, first)
            return row.candidate, row.twin_last, scores

        champion = Incumbent(version, digest, score)
    measured = measure(
        model,
        plan,
        selected,
        lambda twin: export.from_skops(store.get_twin(model.name, twin["digest"])),
        champion,
    )
    result = {
        **measured.result,
        "champion_epoch": standing.epoch,
        "by_day": {"mlflow_run_id": selected["mlflow_run_id"], "scores": SCORES, "metrics": BY_DAY},
        "intervals": intervals_of(model, measured),
    }
    told = _tell(model, selected["mlflow_run_id"], measured.rows, measured.labels, measured.scores, result)
    return {**result, "plots": told}


def intervals_of(model: Model, measured: Measured) -> dict[str, Any]:
    """`intervals.of_sides` of what was measured: for the card and the pictures, so no back-test pays for it."""
    block = evidence.blocks(measured.rows["partition"].astype(str).to_numpy(), model.gate.block_days)
    return intervals.of_sides(model, measured.labels, measured.scores, block)


def measure(
    model: Model,
    plan: Mapping[str, Any],
    selected: Mapping[str, Any],
    pipeline_of: Callable[[Mapping[str, Any]], Any],
    standing: Incumbent | None,
    lake: snapshot.Rows | None = None,
) -> Measured:
    """Score the twins on the holdout; nothing is recorded. The result is that of `evaluate`, but for ``champion_epoch``
    and ``by_day``.

    Parameters
    ----------
    selected : ``candidate``, ``twin`` and ``baseline_twin`` {name, last}.
    pipeline_of : the pipeline of one of these twins.
    """
    first, last = snapshot.spans_of(plan, selected["candidate"]).holdout
    rows = dataset.labelled(model, snapshot.read(model, plan, (first, last), lake))
    if rows.empty:
        raise DataError(
            f"no row of the holdout {first} to {last} has a label: there is nothing to judge {model.name} on."
        )
    rows = dataset.sort(model, rows)
    y = dataset.labels(model, rows)
    features = dataset.features_frame(model, rows)
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
            "last": last,
            "days": int(rows["partition"].nunique()),
            "rows": len(rows),
            **_label_summary(model, y),
        },
        **sides,
        "champion": champion,
        "champion_exists": champion is not None,
        "champion_unusable": unusable,
        "kind": "refresh" if champion else "first",
        "change": None,
        "anchors": [{"nights_ago": n, "version": None, "error": "nothing served then"} for n in model.gate.anchors],
        **(evidence.of_sides(model, rows, features, y, kept) if "challenger" in kept else {}),
    }
    return Measured(result, rows, y, kept)


def _label_summary(model: Model, y: np.ndarray) -> dict[str, Any]:
    if model.data.label.multiclass:
        return {"label_mean": None, "label_shares": evaluation.label_shares(model, y)}
    return {"label_mean": float(y.mean())}


def seen(twin_last: str, holdout_first: str) -> str | None:
    """Why a twin fitted up to ``twin_last`` may not be judged on a holdout that begins on ``holdout_first``, or
    None."""
    if twin_last < holdout_first:
        return None
    return f"was fitted up to {twin_last}, so it has seen days of the holdout, which begins on {holdout_first}"


def _score_champion(
    model: Model, store: BundleStore, version: int, digest: str, rows: pd.DataFrame, first: str
) -> tuple[Any, np.ndarray]:
    """The champion's version row and the scores of its twin, made with the features code of its own bundle."""
    row = Ledger.default().version(model.name, version)
    if row is None:
        raise IntegrityError(f"the ledger has no row of version {version}")
    refuse = seen(row.twin_last, first)
    if refuse:
        raise DataError(f"its twin {refuse}")
    bundle = store.open(model.name, digest)
    schema = bundle.json("input_schema.json")
    then = _as_it_was_asked(model, schema)
    build = dataset.builder_from_source(bundle.read("source/features.py"), f"{bundle.path}/source/features.py")
    pipeline = export.from_skops(store.get_twin(model.name, row.twin))
    try:
        scores = evaluation.score(then, pipeline, rows, build)
    except PerennialError:
        raise
    except Exception as problem:
        raise DataError(
            f"its twin cannot be scored on today's columns ({type(problem).__name__}: {problem})"
        ) from problem
    return row, _in_todays_classes(then, model, scores)


def _as_it_was_asked(model: Model, schema: Mapping[str, Any]) -> Model:
    """The model with the classes that a champion was fitted for: their indices mean something else after a change.

    Raises
    ------
    DataError : the champion answers another question: another task, or another positive class.
    """
    label = model.data.label
    several = schema.get("class_columns") is not None
    then = (schema["task"], several, schema.get("positive"))
    now = (label.task.value, label.multiclass, None if several or label.task is Task.REGRESSION else label.positive)
    if then != now:
        asked = f"one of {schema['classes']}" if several else f"the positive class {schema.get('positive')!r}"
        raise DataError(
            f"it answers another question than the model of today: a {then[0]} of "
            f"{'a value' if then[0] == Task.REGRESSION.value else asked}"
        )
    if not several:
        return model
    declared = label.model_copy(update={"classes": tuple(schema["classes"])})
    return model.model_copy(update={"data": model.data.model_copy(update={"label": declared})})


def _in_todays_classes(then: Model, now: Model, scores: np.ndarray) -> np.ndarray:
    """Scores in the order of the classes that are declared today; a class that was not there has probability 0."""
    before, today = then.data.label.classes, now.data.label.classes
    if before == today:
        return scores
    place = {value: at for at, value in enumerate(before or ())}
    return evaluation.arranged(scores, [place.get(value) for value in today or ()])


def _tell(
    model: Model,
    mlflow_run_id: str,
    rows: pd.DataFrame,
    y: np.ndarray,
    kept: Mapping[str, np.ndarray],
    result: Mapping[str, Any],
) -> dict[str, str]:
    """Keep scores, metrics by day and pictures beside the challenger's MLflow run, and say the outcome in the log.

    Labels and scores in `SCORES` are those of `dataset.labels` and `evaluation.named`. Returns the digests of the
    pictures by artifact path.
    """
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
