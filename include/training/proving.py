"""What a release model must pass: conversion, parity, size and latency; and the rows that it is probed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.errors import ReleaseError
from include.scoring import latency
from include.scoring.columns import columns_for
from include.scoring.contract import InvalidRows
from include.scoring.documents import InputSchema, Probe
from include.scoring.messages import Row
from include.scoring.predictor import ModelFailure, Predictor
from include.spec import ColumnType, Model
from include.training import candidates, dataset, export, parity

PROBE_ROWS = 23
PARITY_ROWS = 5_000


@dataclass(frozen=True)
class Proven:
    """A release model as files, after all the checks that a bundle must pass: see `prove`."""

    onnx: bytes
    skops: bytes
    schema: InputSchema
    probe: Probe
    parity: float
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
    who = f"candidate {name!r} of {model.name}"
    skops = export.proven_skops(fitted.pipeline, who, model.training.trusted_types)
    onnx, predictor, differs = proven_onnx(model, name, fitted, rows)
    size = guard_size(model, onnx)
    asked = probe(model, predictor, newest)
    slowest = latency.guard(predictor, asked.rows, model.release.max_row_milliseconds, model.name)
    return Proven(onnx, skops, predictor.schema, asked, differs, size, slowest)


def proven_onnx(
    model: Model, name: str, fitted: candidates.Fitted, rows: pd.DataFrame
) -> tuple[bytes, Predictor, float]:
    """The fit of candidate ``name`` as ONNX, its predictor, and by how much its scores differ from scikit-learn's.

    Raises
    ------
    ReleaseError : it cannot be converted, or differs by more than ``release.parity``.
    """
    onnx = export.to_onnx(fitted, model)
    predictor = export.predictor(model, fitted, onnx)
    differs = parity.difference(model, predictor, fitted.pipeline, _spread(rows, PARITY_ROWS))
    if not differs <= model.release.parity:
        raise ReleaseError(
            f"the ONNX model of {name} differs from scikit-learn by up to {differs:.3g} (release.parity is "
            f"{model.release.parity:g}): it is not released. Trees on features with missing or scaled values, and "
            "native categorical features, do not convert: put SimpleImputer or OrdinalEncoder before them, no scaler."
        )
    return onnx, predictor, differs


def guard_size(model: Model, onnx: bytes) -> str:
    """A sentence about the size of the served file.

    Raises
    ------
    ReleaseError : it is larger than ``release.max_megabytes``.
    """
    size, limit = len(onnx) / 1e6, model.release.max_megabytes
    if size > limit:
        raise ReleaseError(
            f"the ONNX model of {model.name} has {size:.1f} MB, and release.max_megabytes is {limit:g}: fewer or "
            "smaller trees, fewer categories, or another limit."
        )
    return f"The served file has {size:.2f} MB (allowed {limit:g})."


def probe(model: Model, predictor: Predictor, rows: pd.DataFrame) -> Probe:
    """Real rows as JSON with their scores: one more with all that may be missing, one with unseen texts.

    Raises
    ------
    ReleaseError : the predictor refuses one of them, fails on it, or has no finite score for it.
    """
    inputs = [c.name for c in model.data.inputs]
    real = _spread(rows, PROBE_ROWS)[[n for n in inputs if n in rows.columns]]
    found = [_json_row(model, {str(name): value for name, value in row.items()}) for row in real.to_dict("records")]
    bare = {c.name: None if c.nullable else found[0][c.name] for c in model.data.inputs}
    found += [bare, {**found[-1], **dict.fromkeys(_free_texts(model, found[-1]), parity.UNSEEN)}]
    try:
        scored = predictor.predict(found)
    except (InvalidRows, ModelFailure) as problem:
        raise ReleaseError(f"the release model of {model.name} cannot score its probe rows: {problem}") from problem
    scale = parity.score_scale(model, np.asarray(scored.scores or (), dtype=np.float64))
    return Probe(found, list(scored.scores or scored.by_label or ()), scale)


def _features_of(model: Model, rows: list[Row]) -> pd.DataFrame:
    """Features of JSON rows, as the server makes them."""
    arrays = columns_for([(c.name, c.type.value) for c in model.data.inputs], rows)
    return dataset.frame_of(model, dataset.builder(model)(arrays), len(rows))


def _free_texts(model: Model, row: Row) -> list[str]:
    """The text inputs that may hold a value never seen: all but those that features.build parses (a time of day).

    A text that cannot be parsed is a ValueError. Any other error means that `build` cannot take a new category, and the
    server would fail on the first one: ReleaseError.
    """
    free = []
    for column in model.data.inputs:
        if column.type is ColumnType.STRING:
            try:
                _features_of(model, [{**row, column.name: parity.UNSEEN}])
            except ValueError:
                continue
            except Exception as problem:
                raise ReleaseError(
                    f"features.build of {model.name} fails on a value of {column.name!r} that it has never seen "
                    f"({type(problem).__name__}: {problem}); new values do arrive: give them a default."
                ) from problem
            free.append(column.name)
    return free


def _json_row(model: Model, row: Mapping[str, object]) -> Row:
    """A raw row as the server would receive it."""
    plain: Row = {}
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
    """At most ``most`` rows, evenly spaced."""
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[np.linspace(0, len(rows) - 1, num=min(most, len(rows)), dtype=int)] = True
    return rows.loc[chosen]
