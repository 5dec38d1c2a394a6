"""How far the scores of the ONNX model are from those of scikit-learn: both must give the same scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from include.scoring.predictor import Predictor
from include.spec import Model, Task
from include.training import dataset, measures

UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"


def difference(model: Model, predictor: Predictor, pipeline: Any, raw_frame: pd.DataFrame) -> float:
    """The largest difference of a score between ONNX and scikit-learn; inf if only one of them is finite.

    Compared on the given real rows, on rows with each nullable input and then all of them missing, and on rows whose
    texts were never seen. A probability is compared as it is. A value of a regression is compared relative to its size
    or to the spread of the values of the real rows (`score_scale`), whichever is larger, because ONNX computes in
    float32: a value near 0 that is the difference of two large ones has no more precision than they have.
    """
    return difference_on(model, predictor, pipeline, list(_trials(model, raw_frame)))


def difference_on(model: Model, predictor: Predictor, pipeline: Any, frames: Sequence[pd.DataFrame]) -> float:
    """`difference` on feature frames, of which the first has the real rows."""
    real = len(frames[0])
    frame = pd.concat(frames, ignore_index=True)
    expected, found = measures.unchecked(model, pipeline, frame), scores(predictor, frame)
    if not (np.isfinite(expected[:real]).all() and np.isfinite(found[:real]).all()):
        return float("inf")
    # Made-up extremes may overflow (the exponential of a Poisson regression), if both do: the server answers 422.
    expected[np.abs(expected) > np.finfo(np.float32).max] = np.inf
    there = np.isfinite(expected)
    if not np.array_equal(there, np.isfinite(found)):
        return float("inf")
    expected, found, scale = expected[there], found[there], score_scale(model, expected[:real])
    return float(np.max(np.abs(found - expected) / np.maximum(scale, np.abs(expected)), initial=0.0))


def scores(predictor: Predictor, frame: pd.DataFrame) -> np.ndarray:
    """float64 scores of a feature frame, in the shape of `measures.score`."""
    features = {str(name): column.to_numpy() for name, column in frame.items()}
    return np.asarray(predictor.score_features(features, len(frame)), dtype=np.float64)


def score_scale(model: Model, scores: np.ndarray) -> float:
    """What differences of scores are relative to: 1 for probabilities, the standard deviation of a regression's values.

    If these are all the same, it is 1 as well.
    """
    spread = float(np.std(scores)) if model.data.label.task is Task.REGRESSION else 0.0
    return spread if spread > 0 else 1.0


def _trials(model: Model, raw_frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Feature frames to compare on: the real rows, and few of them with inputs and features made missing or unseen."""
    yield dataset.features_frame(model, raw_frame)
    few = raw_frame.iloc[np.unique(np.linspace(0, len(raw_frame) - 1, num=min(50, len(raw_frame)), dtype=int))]
    nullable = [c.name for c in model.data.inputs if c.nullable and c.name in few.columns]
    for names in ([name] for name in nullable):
        yield dataset.features_frame(model, few.drop(columns=names))
    yield dataset.features_frame(model, few.drop(columns=nullable))
    yield from unlike(dataset.features_frame(model, few))


def unlike(features: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The feature frame with all texts missing or never seen, and with all numbers missing or far away."""
    for text, number in (
        (UNSEEN, None),
        ("", np.nan),
        (UNSEEN, np.nan),
        ("", None),
        (UNSEEN, np.float32(1e6)),
        ("", np.float32(-1e6)),
    ):
        changed = features.copy()
        for name in changed.columns:
            if changed[name].dtype == object:
                changed[name] = pd.Series(text, index=changed.index, dtype=object)
            elif number is not None:
                changed[name] = np.full(len(changed), number, dtype=np.float32)
        yield changed
