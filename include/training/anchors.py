"""Champions of earlier nights, scored on tonight's holdout, so that many small steps down do not go unseen."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Any, Protocol, TypeVar

import numpy as np

from include.errors import PerennialError, TransientError
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


def pick(nights: Sequence[int], past: Iterable[P], champion: int | None, last: str) -> list[tuple[int, P]]:
    """For each number of nights the newest earlier champion whose twin ends at least so many days before ``last``.

    Parameters
    ----------
    nights : ``gate.anchors``.
    past : every version that has served and has not failed.
    champion : the version that serves now: the challenger meets it anyway.
    last : the last day of the challenger's twin.

    Returns
    -------
    Pairs of nights ago and champion, the nearest first; none twice.
    """
    others = sorted((p for p in past if p.version != champion), key=lambda p: (p.twin_last, p.version), reverse=True)
    found: dict[int, tuple[int, P]] = {}
    for ago in sorted(set(nights)):
        latest = (date.fromisoformat(last) - timedelta(days=ago)).isoformat()
        one = next((p for p in others if p.twin_last <= latest), None)
        if one is not None:
            found.setdefault(one.version, (ago, one))
    return list(found.values())


def scored(
    model: Model,
    labels: np.ndarray,
    picked: Iterable[tuple[int, P]],
    score: Callable[[P], np.ndarray],
) -> list[dict[str, Any]]:
    """Each anchor's ``training.metric`` on the holdout; one that cannot be scored says why and stops nothing.

    Parameters
    ----------
    score : the scores of its twin on the holdout rows; raises a `PerennialError` where that cannot be, above all where
        the twin has seen one of these days.

    Returns
    -------
    ``nights_ago, version, name, last, rows, error, value`` of each; value is None where there is an error.
    """
    found = []
    for ago, one in picked:
        about = {"nights_ago": ago, "version": one.version, "name": f"version {one.version}", "last": one.twin_last}
        value, error = None, None
        try:
            value = float(evaluation.metric(model.training.metric).compute(labels, score(one)))
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
