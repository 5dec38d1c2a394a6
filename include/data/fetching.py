"""Fetches days from a model's source: many at once where it can (`fetch_range`), else one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from types import ModuleType

import pandas as pd

from include import catalog
from include.errors import ConfigurationError, PerennialError, TransientError
from include.partitions import Partition
from include.spec import Model

log = logging.getLogger(__name__)

RANGE = "fetch_range"
UNANSWERED = 3  # days in a row whose source did not answer, before the others are not asked for
UNREACHABLE = (TransientError, ConnectionError, TimeoutError)


def fetched_days(
    model: Model, abouts: Sequence[Partition], connections: Mapping[str, str]
) -> Iterator[tuple[Partition, pd.DataFrame | Exception]]:
    """The rows of each day, or why they could not be fetched.

    Consecutive days are asked for together, if `source.py` has ``fetch_range``. Days that it does not yield, because it
    leaves them out or fails, are asked for one by one, so that each has its own rows or its own error.
    """
    source = catalog.module(model.name, "source")
    for run in _consecutive(abouts):
        left = {about.key: about for about in run}
        if len(run) > 1 and hasattr(source, RANGE):
            yield from _range(model, source, run, left, connections)
        unanswered = 0
        for about in left.values():
            if unanswered == UNANSWERED:
                yield about, TransientError(f"the source did not answer for {UNANSWERED} days in a row before this one")
                continue
            try:
                frame = source.fetch(about, connections)
            except Exception as error:
                unanswered = unanswered + 1 if isinstance(error, UNREACHABLE) else 0
                yield about, error
            else:
                unanswered = 0
                yield about, frame


def _range(
    model: Model,
    source: ModuleType,
    run: Sequence[Partition],
    left: dict[str, Partition],
    connections: Mapping[str, str],
) -> Iterator[tuple[Partition, pd.DataFrame]]:
    """What ``fetch_range`` yields; the days are removed from ``left``. Nothing if it contradicts ``fetch``."""
    found: Iterator[tuple[Partition, pd.DataFrame]] | None = None
    while left:
        try:
            found = iter(source.fetch_range(run[0], run[-1], connections)) if found is None else found
            about, frame = next(found)
            agrees = len(left) < len(run) or _same_rows(model, frame, source.fetch(about, connections))
        except StopIteration:
            return
        except Exception as error:
            log.warning(
                "%s() of %s failed from %s on (%s): its days are fetched one by one.",
                RANGE, model.name, next(iter(left)), sentence(error),
            )  # fmt: skip
            return
        key = getattr(about, "key", None)
        if key not in left:
            raise ConfigurationError(
                f"{RANGE}() of {model.name} yielded {about!r}, which is not one of the days {run[0].key} to "
                f"{run[-1].key} that are still wanted; it must yield each Partition once, with its rows."
            )
        if not agrees:
            log.warning(
                "%s() of %s has other rows of %s than fetch(): the days from %s to %s are fetched one by one. Make "
                "the two functions agree, or remove %s().",
                RANGE, model.name, key, run[0].key, run[-1].key, RANGE,
            )  # fmt: skip
            return
        yield left.pop(key), frame


def _same_rows(model: Model, mine: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """Whether two frames have the same columns and rows, in any order of the rows."""
    try:
        one, other = (frame.sort_values(list(model.data.key), ignore_index=True) for frame in (mine, theirs))
    except (KeyError, TypeError):
        one, other = mine, theirs
    return one.equals(other)


def _consecutive(abouts: Sequence[Partition]) -> Iterator[list[Partition]]:
    """The days as runs of consecutive ones."""
    run: list[Partition] = []
    for about in abouts:
        if run and about.date - run[-1].date != timedelta(days=1):
            yield run
            run = []
        run.append(about)
    if run:
        yield run


def sentence(error: Exception) -> str:
    """An error as a sentence; one that is not ours with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, PerennialError) else f"{type(error).__name__}: {text}"
