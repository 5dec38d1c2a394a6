"""Champions of earlier nights, scored on tonight's holdout, so that many small steps down are noticed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from include.errors import PerennialError, TransientError
from include.gate.evaluation import Anchor, finite
from include.partitions import earlier
from include.spec import Model
from include.training import measures

log = logging.getLogger(__name__)


class Past(Protocol):
    """A champion of an earlier night; ``twin_last`` is the last day that its twin has seen."""

    @property
    def version(self) -> int: ...
    @property
    def twin_last(self) -> str: ...


P = TypeVar("P", bound=Past)


def pick(nights: Sequence[int], past: Iterable[P], champion: int | None, last: str) -> list[tuple[int, P | None]]:
    """For each number of nights the newest earlier champion whose twin ends at least that many days before ``last``.

    Parameters
    ----------
    nights : ``gate.anchors``.
    past : every version that has served and has not failed.
    champion : the version that serves now: the challenger is compared with it anyway.
    last : the last day of the challenger's twin.

    Returns
    -------
    A pair of nights ago and champion for each, the nearest first; None if nothing else served by then.
    """
    others = sorted((p for p in past if p.version != champion), key=lambda p: (p.twin_last, p.version), reverse=True)
    found: list[tuple[int, P | None]] = []
    for ago in sorted(set(nights)):
        latest = earlier(last, ago)
        found.append((ago, next((p for p in others if p.twin_last <= latest), None)))
    return found


def absent(ago: int) -> Anchor:
    """The result for a night by which no other version had served."""
    return Anchor(
        nights_ago=ago, version=None, name=None, last=None, rows=0, value=None, error="nothing else served by then"
    )


def scored(model: Model, labels: np.ndarray, ago: int, past: P, score: Callable[[P], np.ndarray]) -> Anchor:
    """The ``training.metric`` of an anchor on the holdout; one that cannot be scored gets a reason, not an error.

    Parameters
    ----------
    score : the scores of its twin on the holdout rows; raises a `PerennialError` if that is not possible, above all
        because the twin has seen one of these days.
    """
    value, error = None, None
    try:
        value = finite(measures.metric(model, model.training.metric).compute(labels, score(past)))
    except TransientError:
        raise
    except PerennialError as problem:
        error = str(problem)
    if value is None and error is None:
        error = f"its {model.training.metric} is not defined on these rows"
    if error:
        log.warning("Version %d of %s, of %d nights ago, is not an anchor: %s", past.version, model.name, ago, error)
    name = f"version {past.version}"
    return Anchor(
        nights_ago=ago, version=past.version, name=name, last=past.twin_last, rows=len(labels), error=error, value=value
    )
