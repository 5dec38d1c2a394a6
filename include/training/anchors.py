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


def pick(nights: Sequence[int], past: Iterable[P], champion: int | None, last: str) -> list[tuple[int, P | str]]:
    """For each number of nights the newest earlier champion whose twin ends at least so many days before ``last``.

    Parameters
    ----------
    nights : ``gate.anchors``.
    past : every version that has served and has not failed.
    champion : the version that serves now: the challenger meets it anyway.
    last : the last day of the challenger's twin.

    Returns
    -------
    Pairs of nights ago and champion, the nearest first; in the place of one that is not there, or that is an anchor
    already, the reason.
    """
    others = sorted((p for p in past if p.version != champion), key=lambda p: (p.twin_last, p.version), reverse=True)
    found: list[tuple[int, P | str]] = []
    known: dict[int, int] = {}
    for ago in sorted(set(nights)):
        latest = (date.fromisoformat(last) - timedelta(days=ago)).isoformat()
        one = next((p for p in others if p.twin_last <= latest), None)
        if one is None:
            found.append((ago, "nothing served then"))
        elif one.version in known:
            found.append(
                (ago, f"it is version {one.version}, which stands for {known[one.version]} nights ago already")
            )
        else:
            known[one.version] = ago
            found.append((ago, one))
    return found


def scored(
    model: Model,
    labels: np.ndarray,
    picked: Iterable[tuple[int, P | str]],
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
    found: list[dict[str, Any]] = []
    for ago, one in picked:
        if isinstance(one, str):
            found.append(absent(ago, one))
            continue
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


def absent(ago: int, why: str) -> dict[str, Any]:
    """What `scored` gives for a number of nights without an anchor of its own."""
    return {"nights_ago": ago, "version": None, "name": None, "last": None, "rows": 0, "error": why, "value": None}
