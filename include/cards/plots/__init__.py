"""Pictures of a holdout: how the challenger did, next to the champion and the baseline, as SVG files.

The same data gives the same bytes: no date, no random id, a fixed sample if there are more rows than can be seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from include.cards.plots import binary, classes, days, regression, slices
from include.cards.plots.canvas import Drawn, Figure, drawing, svg
from include.gate.evaluation import Evaluation
from include.spec import Model, Task

log = logging.getLogger(__name__)

Drawing = Callable[[Drawn], Figure]

_BINARY: dict[str, Drawing] = {
    "calibration": binary.calibration,
    "ranking": binary.ranking,
    "scores": binary.distribution,
}
_CLASSES: dict[str, Drawing] = {
    "confusion": classes.confusion,
    "ranking": classes.ranking,
    "calibration": classes.calibration,
}
_REGRESSION: dict[str, Drawing] = {
    "predicted": regression.predicted,
    "residuals": regression.residuals,
    "errors": regression.errors,
}
_ALL: dict[str, Drawing] = {"by_day": days.metric_by_day, "difference": days.difference_by_day}

TELLING = ("difference", "by_day", "slices", "confusion", "ranking", "calibration", "predicted", "residuals")
"""The pictures that a model card shows, in this order, those of the model's task."""


def draw(
    model: Model,
    y: np.ndarray,
    scores: Mapping[str, np.ndarray],
    by_day: Mapping[str, pd.DataFrame],
    evaluation: Evaluation | None = None,
) -> dict[str, bytes]:
    """SVG files by name, for the task of the model; less than a second.

    Parameters
    ----------
    y : labels of the holdout (`dataset.labels`).
    scores : of ``challenger`` and, if they could be scored, ``baseline`` and ``champion`` (`measures.score`).
    by_day : `measures.by_day` of each of them.
    evaluation : without it there are no limits, and no slices.

    What is not defined on these rows (a ranking of one class) is stated in the picture. A picture that cannot be drawn
    is left out with a warning: it does not stop a night.
    """
    if "challenger" not in scores:
        return {}
    holdout = Drawn(model, y, scores, by_day, evaluation)
    if model.data.label.task is Task.REGRESSION:
        wanted = _REGRESSION
    else:
        wanted = _CLASSES if model.data.label.multiclass else _BINARY
    wanted = {**wanted, **_ALL, **({"slices": slices.gains} if evaluation and evaluation.slices else {})}
    found = {}
    with drawing():
        for name, picture in wanted.items():
            try:
                found[f"{name}.svg"] = svg(picture(holdout))
            except Exception:
                log.warning("The picture %r of %s could not be drawn.", name, model.name, exc_info=True)
    return found
