"""Champions of earlier nights, scored on tonight's holdout, so that many small steps down do not go unseen."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from include.errors import PerennialError, TransientError
from include.partitions import earlier
from include.spec import Model
from include.training import evaluation

log = logging.getLogger(__name__)


class Past(Protocol):
    """A champion of an earlier night; ``twin_last`` is the last day that its twin has seen."""

    @property
    def version(self) -> int: ...
    @property
    def twin_last(self) -> str: ...


P = TypeVar("P", bound=Past)


def pick(nights: Sequence[int], past: Iterable[P], champion: int | None, last: str) -> list[tuple[int, P | None]]:
    """For each number of nights the newest earlier champion whose twin ends at least so many days before ``last``.

    Parameters
    ----------
    nights : ``gate.anchors``.
    past : every version that has served and has not failed.
    champion : the version that serves now: the challenger meets it anyway.
    last : the last day of the challenger's twin.

    Returns
    -------
    A pair of nights ago and champion for each, the nearest first; None where nothing else served by then.
    """
    others = sorted((p for p in past if p.version != champion), key=lambda p: (p.twin_last, p.version), reverse=True)
    found: list[tuple[int, P | None]] = []
    for ago in sorted(set(nights)):
        latest = earlier(last, ago)
        found.append((ago, next((p for p in others if p.twin_last <= latest), None)))
    return found


def scored(
    model: Model,
    labels: np.ndarray,
    picked: Iterable[tuple[int, P | None]],
    score: Callable[[P], np.ndarray],
) -> list[dict[str, Any]]:
    """Each anchor's ``training.metric`` on the holdout; one that cannot be scored says why and stops nothing.

    Parameters
    ----------
    score : the scores of its twin on the holdout rows; raises a `PerennialError` where that cannot be, above all where
        the twin has seen one of these days.

    Returns
    -------
    ``nights_ago, version, name, last, rows, error, value`` of each; value is None where there is an error, and one
    that is the answer to several numbers of nights is scored once.
    """
    found: list[dict[str, Any]] = []
    for ago, one in picked:
        if one is None:
            found.append(nobody(ago))
            continue
        known = next((other for other in found if other["version"] == one.version), None)
        if known is not None:
            found.append({**known, "nights_ago": ago})
            continue
        about = {"nights_ago": ago, "version": one.version, "name": f"version {one.version}", "last": one.twin_last}
        value, error = None, None
        try:
            value = float(evaluation.metric(model, model.training.metric).compute(labels, score(one)))
        except TransientError:
            raise
        except PerennialError as problem:
            error = str(problem)
        if value is not None and not math.isfinite(value):
            value, error = None, f"its {model.training.metric} is not defined on these rows"
        if error:
            log.warning("Version %d of %s, of %d nights ago, is no anchor: %s", one.version, model.name, ago, error)
        found.append({**about, "rows": len(labels), "error": error, "value": value})
    return found


def nobody(ago: int) -> dict[str, Any]:
    """What is said of a night by which nothing else had served: asked, and answered."""
    absent = {"version": None, "name": None, "last": None, "rows": 0, "value": None}
    return {"nights_ago": ago, **absent, "error": "nothing else served by then"}
