"""Loads a history: many days in one call, each with the result of a collect run of its own.

A chunk of days is read from the source at once where the source can (`fetch_range`), and committed at once: one commit
of each table for `VALUES_AT_ONCE` values or more. Raw batches, validation results, quarantine and rows are those
of one collect run a day. A day that is rejected or cannot be fetched does not stop the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pandas as pd
import pyarrow as pa

from include import catalog
from include.data import collection, days, quality
from include.data.collection import Collected
from include.data.fetching import UNREACHABLE, fetched_days, sentence
from include.data.lake import Day, Lake
from include.data.published import Published
from include.partitions import Partition, keys_between, partition
from include.records import PartitionKey, Record
from include.registry.rows import DayRow
from include.spec import Model

log = logging.getLogger(__name__)

VALUES_AT_ONCE = 4_000_000
"""Values of the days that are validated and committed together. They bound the memory of a load, however wide its table
is; fewer would pay the fixed costs of a validation and of a commit more often."""
DAYS_PER_TASK = (30, 150)
"""Fewest and most days of a task, unless another number is given. A task that is killed repeats at most these."""
REPORT_SECONDS = 5.0
LONGEST_REASON = 500


class Outcome(StrEnum):
    """What became of a day."""

    PUBLISHED = "published"
    REJECTED = "rejected"
    FAILED = "failed"
    UNANSWERED = "unanswered"
    BUSY = "busy"


class LoadedDay(Record):
    """A day of a load.

    Attributes
    ----------
    rows, quarantined : of a published day. ``reason`` : why it was not published.
    """

    partition: PartitionKey
    outcome: Outcome
    rows: int = 0
    quarantined: int = 0
    reason: str = ""


class Loaded(Record):
    """What became of the days of a load, in their order."""

    days: tuple[LoadedDay, ...] = ()

    def ended(self, *outcomes: Outcome) -> list[LoadedDay]:
        """The days with one of these outcomes."""
        return [day for day in self.days if day.outcome in outcomes]

    @property
    def rows(self) -> int:
        return sum(day.rows for day in self.days)

    @property
    def left_out(self) -> list[LoadedDay]:
        """The days that were not published."""
        return [day for day in self.days if day.outcome is not Outcome.PUBLISHED]


def wanted(
    model: Model, first: Partition, last: Partition, only_missing: bool = True, lake: Lake | None = None
) -> list[str]:
    """The days between two (both included) that a load fetches, none before ``model.start``."""
    if only_missing:
        return collection.missing(model, first, last, lake)
    begin = max(first.date, model.start)
    return keys_between(begin.isoformat(), last.key) if begin <= last.date else []


def together(keys: Sequence[str], parts: Iterable[Loaded]) -> Loaded:
    """What became of the planned days, in their order; a day that no part names was lost with its task."""
    found = {day.partition: day for part in parts for day in part.days}  # the newest part counts
    lost = "its task failed: read the log of the task"
    days = [found.get(key) or LoadedDay(partition=key, outcome=Outcome.FAILED, reason=lost) for key in sorted(keys)]
    return Loaded(days=tuple(days))


def days_per_task(days: int, at_a_time: int) -> int:
    """The days of a task of a load: enough tasks for all that run at a time, and no more, within `DAYS_PER_TASK`."""
    fewest, most = DAYS_PER_TASK
    return max(fewest, min(most, -(-days // at_a_time)))


def chunks(keys: Sequence[str], size: int) -> list[list[str]]:
    """The keys in their order, as evenly as possible, at most ``size`` together."""
    count = -(-len(keys) // size)
    bounds = [len(keys) * n // count for n in range(count + 1)] if count else []
    return [list(keys[begin:end]) for begin, end in zip(bounds, bounds[1:], strict=False)]


def load(
    model: Model,
    keys: Sequence[str],
    connections: Mapping[str, str],
    now: Callable[[], datetime],
    lake: Lake | None = None,
    since: datetime | None = None,
    patience: float = 0.0,
    report: Callable[[str], None] = log.info,
    run_id: str = "",
) -> Loaded:
    """Fetch, validate and publish days, with the result of one collect run a day.

    May be killed at any moment and called again: each day is then either as it was or whole.

    Parameters
    ----------
    keys : of partitions, in any order.
    now : the clock.
    since : a day that was published at or after this moment is not fetched again: an earlier try has loaded it.
    patience : seconds to wait, at the end, for collect runs that work on some of the days. What they do not publish is
        loaded then.
    report : called every few seconds with how far it is.
    run_id : the run that loads, for the record in the ledger.

    Raises
    ------
    NotReady : one of the days is not over.
    ConfigurationError : the model's folder is wrong, or `fetch_range` yields days that it was not asked for.
    TransientError : the lake could not be written.
    """
    loading = _Load(model, lake or Lake.of(model), now, report, days.book(model, lake, run_id))
    loaded = loading.run(keys, connections, since)
    busy = [day.partition for day in loaded.ended(Outcome.BUSY)]
    if not busy or not loading.wait(busy, patience):
        return loaded
    return together(keys, [loaded, loading.run(busy, connections, since)])


@dataclass(frozen=True)
class _Waiting:
    """A day whose batch is kept and is to be validated and written with others."""

    about: Partition
    raw: Collected
    conformed: quality.Conformed

    @property
    def values(self) -> int:
        return self.conformed.size * self.conformed.table.num_columns


class _Load:
    def __init__(
        self,
        model: Model,
        lake: Lake,
        now: Callable[[], datetime],
        report: Callable[[str], None],
        book: days.DayBook,
    ) -> None:
        self.model, self.lake, self.now, self.report, self.book = model, lake, now, report, book
        self.suite = catalog.module(model.name, "expectations").suite()
        quality.require_suite(model, self.suite)
        self.before = lake.published()
        self.done: dict[str, LoadedDay] = {}
        self.waiting: list[_Waiting] = []
        self.to_record: list[DayRow] = []
        self.known: dict[str, pa.DataType] = {}

    def run(self, keys: Sequence[str], connections: Mapping[str, str], since: datetime | None) -> Loaded:
        abouts = [partition(key, self.model.timezone) for key in sorted(set(keys))]
        for about in abouts:
            about.require_over(self.now())
        self.lake.create()
        self.done = {}
        self.known = dict(self.lake.undeclared())
        self._skip(abouts, since)
        open_days = [about for about in abouts if about.key not in self.done]
        reported = time.monotonic()
        for about, fetched in fetched_days(self.model, open_days, connections):
            self._take(about, fetched)
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                self.report(self._progress(len(abouts)))
        self._write()
        self._record()
        self.report(self._progress(len(abouts)))
        return Loaded(days=tuple(self.done[about.key] for about in abouts))

    def wait(self, keys: Sequence[str], patience: float) -> bool:
        """Wait until no collect run works on these days; whether that is so."""
        abouts = [partition(key, self.model.timezone) for key in keys]
        deadline = time.monotonic() + patience
        while any(self.lake.being_collected(about, self.now()) for about in abouts):
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(1.0, patience))
        return True

    def _published_meanwhile(self, about: Partition, there: Mapping[str, Published]) -> bool:
        """Whether a collect run has published a day since the load began."""
        return there.get(about.key) != self.before.get(about.key)

    def _skip(self, abouts: Sequence[Partition], since: datetime | None) -> None:
        """Enter the days that are not to be fetched: an earlier try has loaded them, or a collect run works on them."""
        there = self.lake.published()
        quarantined = self.lake.quarantined(abouts[0].key, abouts[-1].key) if abouts else {}
        for about in abouts:
            day = there.get(about.key)
            if day and (self._published_meanwhile(about, there) or (since and day.collected_at >= since)):
                self._enter_published(about, day.rows, quarantined.get(about.key, 0), day.batch)
            elif self.lake.being_collected(about, self.now()):
                self._enter(about, Outcome.BUSY, reason=BEING_COLLECTED)

    def _take(self, about: Partition, fetched: pd.DataFrame | Exception) -> None:
        """Keep what the source returned for a day, and write the days that wait if they are many rows."""
        if isinstance(fetched, Exception):
            outcome = Outcome.UNANSWERED if isinstance(fetched, UNREACHABLE) else Outcome.FAILED
            self._enter_failed(about, outcome, fetched)
            return
        try:
            raw = collection.keep(self.model, about, fetched, self.now(), self.lake)
            conformed = quality.conform(self.model, about, self.lake.read_raw(raw), self.known)
        except Exception as error:
            self._enter_failed(about, Outcome.FAILED, error)
            return
        self.waiting.append(_Waiting(about, raw, conformed))
        # A new column has the type that the first published day with it has, so the next day must find it in the lake.
        if conformed.new_columns or sum(day.values for day in self.waiting) >= VALUES_AT_ONCE:
            self._write()

    def _write(self) -> None:
        """Validate the waiting days, and write findings and rows in the order in which a collect run writes them."""
        ours, self.waiting = self._still_ours(self.waiting), []
        found = self._validated(ours) if ours else {}
        ours = [day for day in ours if day.about.key in found]
        if not ours:
            return
        self.book.expect([day.about.key for day in ours])
        self.lake.quarantine_days([(day.about, found[day.about.key].quarantined, day.raw.digest) for day in ours])
        for day in ours:
            collection.write_report(self.lake, self.model, day.about, found[day.about.key], day.raw)
        good = [
            Day(day.about, found[day.about.key].table, day.raw.digest, day.raw.collected_at)
            for day in ours
            if not found[day.about.key].critical
        ]
        if good:
            self.lake.publish_days(good)
            self.known = dict(self.lake.undeclared())
        for day in ours:
            validation, bad = found[day.about.key], len(found[day.about.key].quarantined)
            if validation.critical:
                reason = "; ".join(validation.critical)
                self._enter(day.about, Outcome.REJECTED, reason=reason)
                self.to_record.append(days.rejected(self.model, day.about.key, reason, bad, day.raw.digest))
            else:
                self._enter_published(day.about, validation.table.num_rows, bad, day.raw.digest)
        self._record()

    def _still_ours(self, waiting: Sequence[_Waiting]) -> list[_Waiting]:
        """The days that no collect run works on, or has published since they were fetched."""
        there = self.lake.published() if waiting else {}
        ours = []
        for day in waiting:
            if self._published_meanwhile(day.about, there) or self.lake.being_collected(day.about, self.now()):
                self._enter(day.about, Outcome.BUSY, reason=BEING_COLLECTED)
            else:
                ours.append(day)
        return ours

    def _validated(self, waiting: Sequence[_Waiting]) -> dict[str, quality.Validation]:
        """What validation found, by key; if it fails for one of the days, the others are validated one by one."""
        try:
            found = quality.validate_days(self.model, [day.conformed for day in waiting], self.suite)
            return {validation.partition: validation for validation in found}
        except Exception as error:
            if len(waiting) > 1:
                return {key: one for day in waiting for key, one in self._validated([day]).items()}
            self._enter_failed(waiting[0].about, Outcome.FAILED, error)
            return {}

    def _enter_published(self, about: Partition, rows: int, quarantined: int, batch: str) -> None:
        self._enter(about, Outcome.PUBLISHED, rows=rows, quarantined=quarantined)
        self.to_record.append(days.published(self.model, about.key, rows, quarantined, batch))

    def _enter_failed(self, about: Partition, outcome: Outcome, error: Exception) -> None:
        self._enter(about, outcome, reason=sentence(error))
        self.to_record.append(days.failed(self.model, about.key, sentence(error)))

    def _record(self) -> None:
        """Record in the ledger what became of the days since the last call."""
        waiting, self.to_record = self.to_record, []
        if waiting:
            self.book.enter(waiting)

    def _enter(self, about: Partition, outcome: Outcome, rows: int = 0, quarantined: int = 0, reason: str = "") -> None:
        if outcome is not Outcome.PUBLISHED:
            log.warning("%s of %s was not published (%s): %s", about.key, self.model.name, outcome, reason)
        self.done[about.key] = LoadedDay(
            partition=about.key,
            outcome=outcome,
            rows=rows,
            quarantined=quarantined,
            reason=reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 3]}...",
        )

    def _progress(self, total: int) -> str:
        found = Loaded(days=tuple(self.done.values()))
        done = len(found.days) + len(self.waiting)
        rows = found.rows + sum(day.conformed.size for day in self.waiting)
        bad = f", {day_count(len(found.left_out))} not published" if found.left_out else ""
        return f"{self.model.name}: {done} of {day_count(total)}, {rows:,} rows{bad}; {day_count(total - done)} left."


def day_count(count: int) -> str:
    """``1 day``, ``2 days``."""
    return f"{count:,} day{'' if count == 1 else 's'}"


BEING_COLLECTED = "a collect run works on this day, or has published it since the load began"
