"""What became of each day, for the ledger: a page about all models cannot open the tables of all of them.

The lake is the truth; the ledger follows it. A ledger that does not answer never fails a day: the day is published or
rejected as usual, and a note in the lake (`UNRECORDED`) remains. It is also written before each change, so a process
that is killed leaves it, too. `catch_up` records the days of all notes as the lake shows them, and once the days of
lakes that were filled before the ledger had a table for them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from operator import eq
from pathlib import Path
from typing import Any, Protocol

from include import catalog
from include.data.lake import Lake
from include.data.published import Published
from include.errors import PerennialError
from include.partitions import is_day
from include.registry.days import Days
from include.registry.rows import DayRow
from include.settings import Settings
from include.spec import Model

log = logging.getLogger(__name__)

UNRECORDED = "unrecorded"
WORK = 3600.0  # seconds for which a note may be that of a process that has not written the day yet
LONGEST_REASON = 2000


class DayBook(Protocol):
    """Keeps what became of the days of one model."""

    def expect(self, keys: Collection[str]) -> None:
        """Something is about to change about these days."""

    def enter(self, days: Sequence[DayRow]) -> None:
        """This became of them. Never raises because the ledger does not answer."""


class Unrecorded:
    """For lakes that are not those of the deployment: of a trial, a back-test or a test."""

    def expect(self, keys: Collection[str]) -> None:
        """Nothing is noted."""

    def enter(self, days: Sequence[DayRow]) -> None:
        """Nothing is recorded."""


class InLedger:
    """The days of the deployment, in its ledger."""

    def __init__(self, lake: Lake, run_id: str = "") -> None:
        self._lake, self._run_id = lake, run_id or None

    def expect(self, keys: Collection[str]) -> None:
        """Leave a note for each day, until it is recorded."""
        folder = _notes(self._lake.root)
        folder.mkdir(parents=True, exist_ok=True)
        for key in keys:
            (folder / key).touch()

    def enter(self, days: Sequence[DayRow]) -> None:
        """Record the days, and remove their notes."""
        try:
            Days.default().record([DayRow(**{**vars(day), "run_id": day.run_id or self._run_id}) for day in days])
        except PerennialError as error:
            log.warning(
                "The ledger does not have the newest state of %d days of %s yet (%s). The lake has it, and "
                "perennial_reconcile records it within ten minutes of the ledger's return.",
                len(days), self._lake.model.name, error,
            )  # fmt: skip
            return
        _forget(self._lake.root, (day.key for day in days))


def book(model: Model, lake: Lake | None, run_id: str = "") -> DayBook:
    """Where the days of a lake are recorded.

    Parameters
    ----------
    lake : one that is not the deployment's is not recorded; ``None``: the lake of the deployment.
    run_id : the run that acts, for the record.
    """
    if lake is not None or Settings.from_environment().database_url is None:
        return Unrecorded()
    return InLedger(Lake.of(model), run_id)


def published(model: Model, key: str, rows: int, quarantined: int | None, batch: str) -> DayRow:
    """The record of a day that was published, with or without rows."""
    return DayRow(model.name, key, "published" if rows else "empty", rows, quarantined, batch=batch)


def rejected(
    model: Model, key: str, reason: str, quarantined: int | None, batch: str, rows: int | None = None
) -> DayRow:
    """The record of a day whose batch failed validation; ``rows`` that are in the lake from an earlier batch."""
    return DayRow(model.name, key, "rejected", rows, quarantined, _short(reason), batch)


def failed(model: Model, key: str, reason: str) -> DayRow:
    """The record of a day whose source returned no batch that could be validated."""
    return DayRow(model.name, key, "failed", None, None, _short(reason))


# -- from the lake


def in_lake(lake: Lake, keys: Iterable[str] | None = None) -> list[DayRow]:
    """What the lake shows about these days; ``None``: about all. Days that were neither published nor validated are
    left out."""
    there = lake.published()
    fetched = {path.name for path in (lake.root / "raw").glob("*") if path.is_dir()}
    wanted = sorted({*there, *fetched} if keys is None else set(keys))
    quarantined = lake.quarantined(wanted[0], wanted[-1]) if wanted else {}
    found = (_state(lake, key, there.get(key), quarantined) for key in wanted)
    return [day for day in found if day is not None]


def catch_up() -> list[str]:
    """Record what the ledger does not have: days with a note, and the days of lakes of which it has none.

    Returns
    -------
    A sentence for each model that was caught up. A lake that cannot be read is logged, and tried again next time.

    Raises
    ------
    TransientError : the ledger did not answer.
    """
    root, ledger, done = Settings.from_environment().lake, Days.default(), []
    filled = [name for name in catalog.folders() if (root / name / "raw").is_dir()]
    unknown, looked = set(ledger.never_recorded(filled)), ledger.now()
    for name in filled:
        keys = {path.name for path in _notes(root / name).glob("*") if is_day(path.name)}
        wanted = catalog.entries(partial(eq, name)) if keys or name in unknown else []
        if not wanted or wanted[0].model is None:  # nothing to do, removed, or broken: its days wait for its repair
            continue
        model = wanted[0].model
        lake = Lake.of(model)
        try:
            days = in_lake(lake, None if name in unknown else keys)
        except Exception as error:
            log.error("The days of %s cannot be read from its lake: %s", name, error)
            continue
        ledger.record(days, unless_since=looked)
        _forget(lake.root, keys, older_than=WORK)
        if days:
            done.append(f"{name}: {len(days)} days were recorded, as they are in the lake.")
    return done


def _state(lake: Lake, key: str, there: Published | None, quarantined: Mapping[str, int]) -> DayRow | None:
    """What the lake shows about a day; None if it was neither published nor validated."""
    model, newest = lake.model, _newest_batch(lake.root, key)
    found = _validation(lake.root, key, newest) if newest else None
    critical = [str(one) for one in (found or {}).get("critical", ())]
    if critical and newest and (there is None or there.batch != newest):
        rows = there.rows if there else None
        return rejected(model, key, "; ".join(critical), quarantined.get(key, 0), newest, rows)
    if there is None:
        return None
    return published(model, key, there.rows, quarantined.get(key, 0), there.batch)


def _newest_batch(root: Path, key: str) -> str | None:
    """The digest of the batch that was fetched last."""
    batches = sorted((root / "raw" / key).glob("*.parquet"), key=lambda path: path.stat().st_mtime)
    return batches[-1].stem if batches else None


def _validation(root: Path, key: str, batch: str) -> dict[str, Any] | None:
    """What validation found in a batch; None if it did not get to it."""
    try:
        found = json.loads((root / "validation" / key / f"{batch}.json").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _notes(root: Path) -> Path:
    return root / UNRECORDED


def _forget(root: Path, keys: Iterable[str], older_than: float = 0.0) -> None:
    for key in keys:
        note = _notes(root) / key
        with contextlib.suppress(FileNotFoundError):
            if time.time() - note.stat().st_mtime >= older_than:
                note.unlink()


def _short(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 4]} ..."
