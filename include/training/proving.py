"""What a release model must pass: conversion, parity, size and latency; and the rows that it is probed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.errors import ReleaseError
from include.scoring.columns import columns_for
from include.spec import ColumnType, Model, Task
from include.training import candidates, dataset, evaluation, export, operability

PROBE_ROWS = 23
PARITY_ROWS = 5_000


@dataclass(frozen=True)
class Proven:
    """A release model as files, after all that a bundle must pass: see `prove`."""

    onnx: bytes
    skops: bytes
    parity: float
    probe: dict[str, Any]
    size: str
    row_milliseconds: float


def prove(model: Model, name: str, fitted: candidates.Fitted, rows: pd.DataFrame, newest: pd.DataFrame) -> Proven:
    """Everything that the release model of candidate ``name`` must pass, in a night and in a trial.

    Parameters
    ----------
    rows : what it was fitted on; ``newest``: the newest days of them, which the probe rows are taken from.

    Raises
    ------
    ReleaseError : it cannot be stored or converted, ONNX and scikit-learn disagree, or it is too large or too slow.
    """
    skops = export.proven_skops(fitted.pipeline, f"candidate {name!r} of {model.name}")
    onnx, parity = proven_onnx(model, name, fitted, rows)
    size = operability.guard_size(model, onnx)
    asked = probe(model, fitted, onnx, newest)
    latency = operability.guard_latency(model, onnx, evaluation.output_columns(model, fitted.pipeline), asked["rows"])
    return Proven(onnx, skops, parity, asked, size, latency)


def proven_onnx(model: Model, name: str, fitted: candidates.Fitted, rows: pd.DataFrame) -> tuple[bytes, float]:
    """The fit of candidate ``name`` as ONNX, and by how much its scores differ from scikit-learn's at most.

    Raises
    ------
    ReleaseError : it cannot be converted, or differs by more than ``release.parity``.
    """
    onnx = export.to_onnx(fitted, model)
    parity = export.parity(model, onnx, fitted.pipeline, _spread(rows, PARITY_ROWS))
    if not parity <= model.release.parity:
        raise ReleaseError(
            f"the ONNX model of {name} differs from scikit-learn by up to {parity:.3g} (release.parity is "
            f"{model.release.parity:g}): it is not released. Trees on features with missing or scaled values, and "
            "native categorical features, do not convert: put SimpleImputer or OrdinalEncoder before them, no scaler."
        )
    return onnx, parity


def input_schema(model: Model, fitted: candidates.Fitted, onnx: bytes) -> dict[str, Any]:
    """What the server needs to know about the ONNX model and its inputs.

    Binary: ``positive_index`` is the output column of the positive class. Several classes: ``classes`` are the declared
    ones, and ``class_columns`` says of each which output column is its own, null where the fit did not have it.
    """
    label = model.data.label
    classification = label.task is Task.CLASSIFICATION
    columns = evaluation.output_columns(model, fitted.pipeline)
    if label.classes is not None:
        classes: dict[str, Any] = {"positive": None, "classes": list(label.classes)}
        classes |= {"positive_index": None, "class_columns": columns}
    else:
        classes = {
            "positive": label.positive if classification else None,
            "classes": [int(c) for c in fitted.pipeline.classes_] if classification else None,
            "positive_index": columns[0] if classification else None,
        }
    return {
        "model": model.name,
        "task": label.task.value,
        **classes,
        "columns": [{"name": c.name, "type": c.type.value, "nullable": c.nullable} for c in model.data.inputs],
        "key": list(model.data.key),
        "event_time": model.data.event_time,
        "event_times": {
            "past_days": model.serving.max_past_days,
            "ahead_days": model.serving.max_ahead_days,
        },
        "timezone": model.timezone,
        "features": [{"name": n, "type": t} for n, t in zip(fitted.feature_names, fitted.feature_types, strict=True)],
        "output": export.output_name(onnx),
        "output_kind": "probabilities" if classification else "value",
    }


def probe(model: Model, fitted: candidates.Fitted, onnx: bytes, rows: pd.DataFrame) -> dict[str, Any]:
    """Real rows as JSON with the scores of the ONNX model: one more with all that may be missing, one with unseen
    texts.

    ``scores`` has a number for each row, or a mapping of class to probability; ``scale`` is what a difference of a
    score is relative to, where the score itself is smaller (`export.score_scale`).
    """
    inputs = [c.name for c in model.data.inputs]
    real = _spread(rows, PROBE_ROWS)[[n for n in inputs if n in rows.columns]]
    found = [_json_row(model, row) for row in _records(real)]
    bare = {c.name: None if c.nullable else found[0][c.name] for c in model.data.inputs}
    found += [bare, {**found[-1], **dict.fromkeys(_free_texts(model, found[-1]), export.UNSEEN)}]
    scorer = export.OnnxScorer(onnx, evaluation.output_columns(model, fitted.pipeline))
    scores = scorer.score(_features_of(model, found))
    if not np.isfinite(scores).all():
        raise ReleaseError(
            f"the ONNX model of {model.name} gives {int((~np.isfinite(scores)).sum())} of {scores.size} scores of the "
            "probe rows that are not finite."
        )
    names = dataset.class_names(model)
    told = [dict(zip(names, row, strict=True)) for row in scores.tolist()] if names else scores.tolist()
    return {"rows": found, "scores": told, "scale": export.score_scale(model, scores)}


def _features_of(model: Model, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Features of JSON rows, as the server makes them."""
    arrays = columns_for([(c.name, c.type.value) for c in model.data.inputs], rows)
    return dataset.frame_of(model, dataset.builder(model)(arrays), len(rows))


def _free_texts(model: Model, row: Mapping[str, Any]) -> list[str]:
    """The text inputs that may hold a value never seen: all but those that features.build parses (a time of day).

    A text that cannot be parsed is a ValueError. Any other error means that `build` cannot take a new category, and the
    server would fail on the first one: ReleaseError.
    """
    free = []
    for column in model.data.inputs:
        if column.type is ColumnType.STRING:
            try:
                _features_of(model, [{**row, column.name: export.UNSEEN}])
            except ValueError:
                continue
            except Exception as problem:
                raise ReleaseError(
                    f"features.build of {model.name} fails on a value of {column.name!r} that it has never seen "
                    f"({type(problem).__name__}: {problem}); new values do arrive: give them a default."
                ) from problem
            free.append(column.name)
    return free


def _json_row(model: Model, row: Mapping[str, Any]) -> dict[str, Any]:
    """A raw row as the server would receive it."""
    plain: dict[str, Any] = {}
    for column in model.data.inputs:
        value = row.get(column.name)
        if value is None or pd.isna(value):
            plain[column.name] = None
        elif column.type is ColumnType.TIMESTAMP:
            plain[column.name] = pd.Timestamp(value).tz_convert("UTC").isoformat().replace("+00:00", "Z")
        else:
            kinds = {
                ColumnType.STRING: str,
                ColumnType.INTEGER: int,
                ColumnType.NUMBER: float,
                ColumnType.BOOLEAN: bool,
                ColumnType.DATE: str,
            }
            plain[column.name] = kinds[column.type](value)
    return plain


def _spread(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most ``most`` rows, evenly spread over all."""
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[np.linspace(0, len(rows) - 1, num=min(most, len(rows)), dtype=int)] = True
    return rows.loc[chosen]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict(orient="records")]
