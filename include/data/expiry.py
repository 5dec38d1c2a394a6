"""Deletes predictions that are older than `Monitoring.keep`: whole days, at most once a day for each model.

A note next to the table says when this was done last, and up to which day. So a model is looked at once a day, and its
table is opened only if a day has become too old since.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from include.data import predictions
from include.data.lake import Lake
from include.partitions import newest_closed
from include.spec import Model

log = logging.getLogger(__name__)

NOTE = "predictions_expired.json"
PARTITION = "partition="


@dataclass(frozen=True)
class _Note:
    """The day on which old predictions were deleted last, and the newest partition that was deleted then."""

    day: str = ""
    newest: str = ""


def due(lakes: Path, now: datetime) -> list[str]:
    """The models with predictions whose turn has not been today (in UTC); names of folders in ``lakes``."""
    today = _day(now)
    try:
        with os.scandir(lakes) as found:
            names = sorted(entry.name for entry in found if entry.is_dir())
    except FileNotFoundError:
        return []
    return [name for name in names if (lakes / name / "predictions").is_dir() and _read(lakes / name).day != today]


def expire(model: Model, now: datetime, rejected: Sequence[Path] = ()) -> int:
    """Delete the predictions of a model that are too old; returns how many days were deleted.

    Parameters
    ----------
    rejected : the folders with lines that could not be loaded; files that are older than predictions are kept go, too.
    """
    lake = Lake.of(model)
    oldest = now - model.monitoring.keep
    newest = newest_closed(oldest, model.timezone).key
    days, before = 0, _read(lake.root).newest
    if any(before < key <= newest for key in _keys(lake.root / "predictions")):
        lake.create()  # in an older layout, partitions are days of events
        days = predictions.expire(lake, newest)
    for folder in rejected:
        _remove_before(folder, oldest)
    # not synced: without the note, the same is done again
    (lake.root / NOTE).write_text(json.dumps({"day": _day(now), "newest": newest}))
    if days:
        log.info(
            "Deleted %d days of predictions of %s, up to %s: they are older than %s (monitoring.keep).",
            days,
            model.name,
            newest,
            model.monitoring.keep,
        )
    return days


def _keys(table: Path) -> list[str]:
    """The partitions that have a folder; one remains after the partition was deleted, until the table is vacuumed."""
    with os.scandir(table) as found:
        return [entry.name.removeprefix(PARTITION) for entry in found if entry.name.startswith(PARTITION)]


def _remove_before(folder: Path, oldest: datetime) -> None:
    for file in folder.glob("*"):
        if file.stat().st_mtime < oldest.timestamp():
            file.unlink(missing_ok=True)


def _read(root: Path) -> _Note:
    try:
        return _Note(**json.loads((root / NOTE).read_text()))
    except (OSError, ValueError, TypeError):
        return _Note()


def _day(now: datetime) -> str:
    return now.date().isoformat()
