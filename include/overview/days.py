"""The newest days of a model: published, empty, rejected, failed, missing. Pure.

The ledger has what was validated and published. A collect run whose source failed, or that was killed, writes nothing:
Airflow's failed runs show it, back-fills included. A day that neither names is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from include.overview.nights import Calendar
from include.overview.outcomes import ACTIVE
from include.overview.records import Data, Day, DayState, RunRow
from include.overview.wording import ended, sentence_of
from include.partitions import days_back, earlier, keys_between, newest_closed
from include.registry.overview import DayLine, DayLines
from include.spec import Model
from include.spec.cron import days_and_time

SHOWN = 14
LATE = timedelta(hours=1)
"""How long after its time a day is pending, without a run, before it is missing."""
RECORDED = {
    "published": DayState.PUBLISHED,
    "empty": DayState.EMPTY,
    "rejected": DayState.REJECTED,
    "failed": DayState.FAILED,
}


@dataclass(frozen=True)
class Expected:
    """The newest day that should have been collected by now, and when it was due."""

    key: str
    due: datetime


def expected(model: Model, now: datetime) -> Expected:
    """The day of the newest tick of ``data.schedule``."""
    return _expected(Calendar(model.timezone, model.data.schedule), model.data.schedule, model.data.label.delay, now)


@lru_cache(maxsize=256)
def _expected(calendar: Calendar, schedule: str, delay: timedelta, now: datetime) -> Expected:
    """Many models have the same schedule, and one page asks about one moment."""
    day = calendar.newest_due(now)
    clock, due = (None, None) if day is None else (days_and_time(schedule)(day), calendar.due(day))
    if day is None or clock is None or due is None:  # a schedule that has not ticked for a year
        newest = newest_closed(now, calendar.timezone, delay)
        return Expected(newest.key, newest.end + delay)
    return Expected(earlier(day.isoformat(), days_back(clock, delay)), due)


def data_of(model: Model, lines: DayLines, runs: Sequence[RunRow], now: datetime, shown: int = SHOWN) -> Data:
    """The last days of a model.

    Parameters
    ----------
    lines : what the ledger has recorded.
    runs : of ``<model>_collect`` that are queued, running or failed; empty if they are not known.
    """
    newest = expected(model, now)
    first = max(earlier(newest.key, shown - 1), model.start.isoformat(), lines.first or "")
    keys = _keys(first, newest.key) if first <= newest.key else ()
    recorded = {day.key: day for day in lines.days}
    by_day: dict[str, RunRow] = {}
    for run in sorted(runs, key=lambda run: run.run_after if run.start is None else run.start):
        if run.day is not None:
            by_day[run.day] = run
    days = tuple(_day(key, recorded.get(key), by_day.get(key), newest, now, lines.first is not None) for key in keys)
    quarantined = [day.quarantined for day in days if day.quarantined is not None]
    return Data(lines.newest, newest.key, days, sum(quarantined) if quarantined else None)


@lru_cache(maxsize=256)
def _keys(first: str, last: str) -> tuple[str, ...]:
    return tuple(keys_between(first, last))


def _day(key: str, recorded: DayLine | None, run: RunRow | None, newest: Expected, now: datetime, begun: bool) -> Day:
    """One day.

    Parameters
    ----------
    recorded : by the ledger. ``run`` : the newest collect run that is active or failed.
    begun : whether the ledger has any day of the model.
    """
    if recorded is not None:
        return recorded_day(recorded, run)
    of_run = {"dag_id": run.dag_id, "run_id": run.run_id, "at": run.end or run.start} if run is not None else {}
    if run is not None and run.state in ACTIVE:
        return Day(key, DayState.PENDING, reason="It is being collected.", **of_run)  # type: ignore[arg-type]
    if run is not None:
        return Day(key, DayState.FAILED, reason=_why(run), **of_run)  # type: ignore[arg-type]
    if not begun:
        return Day(key, DayState.UNKNOWN, reason="No day of this model is recorded yet.")
    if key == newest.key and now < newest.due + LATE:
        return Day(key, DayState.PENDING, reason="It is due and not collected yet.")
    return Day(key, DayState.MISSING, reason="It was not collected.")


def recorded_day(day: DayLine, run: RunRow | None = None) -> Day:
    """A day that the ledger has. A later run that failed is named, and what is published stays published."""
    found = Day(
        key=day.key,
        state=RECORDED.get(day.state, DayState.UNKNOWN),
        rows=day.rows,
        quarantined=day.quarantined,
        reason=day.reason,
        batch=day.batch,
        run_id=day.run_id,
        at=day.at,
    )
    if found.state in (DayState.PUBLISHED, DayState.EMPTY) or run is None or not _later(run, day):
        return found
    state, reason = found.state, found.reason
    if run.state in ACTIVE:
        state, reason = DayState.PENDING, f"It is being collected again. Before: {ended(reason or day.state)}"
    elif found.state is DayState.FAILED:
        reason = _why(run)
    return Day(
        key=day.key,
        state=state,
        rows=day.rows,
        quarantined=day.quarantined,
        reason=reason,
        batch=day.batch,
        dag_id=run.dag_id,
        run_id=run.run_id,
        at=run.end or run.start,
    )


def _later(run: RunRow, day: DayLine) -> bool:
    """Whether a run began or ended after a day was recorded; the run that recorded it is not later."""
    if run.run_id == day.run_id and run.state not in ACTIVE:
        return False
    moment = run.end or run.start or run.run_after
    return day.at is None or moment >= day.at


def _why(run: RunRow) -> str:
    task = f"The task {run.failed_tasks[0]} of {run.dag_id} failed." if run.failed_tasks else ""
    return " ".join(filter(None, (ended(said) if (said := sentence_of(run.note)) else "", task))) or (
        f"A run of {run.dag_id} failed."
    )


def named(days: Mapping[str, Day] | Sequence[Day], *states: DayState) -> list[str]:
    """The keys of the days with one of these states."""
    found = days.values() if isinstance(days, Mapping) else days
    return [day.key for day in found if day.state in states]


def since(model: Model | None, now: datetime, shown: int = SHOWN) -> str:
    """The key from which the recorded days of a model are read; without a model, for any timezone."""
    if model is not None:
        return earlier(expected(model, now).key, shown - 1)
    return (now - timedelta(days=shown + 1)).date().isoformat()
