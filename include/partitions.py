"""The one helper for time: which partition a run is about, and the as-of of a run, however it was started.

A partition is one closed local day of a model, named by its key (``2026-05-03``). Nothing else in Perennial reads a
date from a run or from a clock; everything else is handed a `Partition`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from include.errors import ConfigurationError, NotReady

KEY_FORMAT = "%Y-%m-%d"
FIRST_YEAR, LAST_YEAR = 1900, 2199  # beyond them, Python may lack a day's neighbours or its instants in UTC
CLOCK_CHANGE = timedelta(hours=1)


@dataclass(frozen=True, order=True)
class Partition:
    """One local day: ``key`` (ISO date), and its first and one-past-last instant in UTC (23, 24 or 25 hours apart)."""

    key: str
    start: datetime
    end: datetime

    @property
    def date(self) -> date:
        return date.fromisoformat(self.key)

    def require_over(self, now: datetime, delay: timedelta = timedelta(0)) -> None:
        """Raise `NotReady` unless the day (and ``delay`` after it) is over at ``now``."""
        if now < self.end + delay:
            raise NotReady(
                f"partition {self.key} is not over: it ends at {self.end + delay:%Y-%m-%d %H:%M} UTC "
                f"and it is {now:%Y-%m-%d %H:%M} UTC. Ask for an earlier day, or run again later."
            )


@dataclass(frozen=True)
class RunDates:
    """What Airflow records about a run's place in time.

    ``partition_key`` is ``None`` unless the timetable or the caller gave one. ``logical_date`` is ``None`` for runs
    that the REST API starts with ``logical_date: null``, for those of the command line and of assets, and for every run
    of a `CronPartitionTimetable`.
    """

    run_after: datetime
    partition_key: str | None = None
    logical_date: datetime | None = None

    @property
    def moment(self) -> datetime:
        """The instant the run speaks about: its logical date, never later than the run itself, else ``run_after``.

        Raises
        ------
        ConfigurationError : it lies in a year that no partition has, such as 1 or 9999.
        """
        moment = min(self.logical_date, self.run_after) if self.logical_date else self.run_after
        _require_year(moment.year, f"the run's date {moment.date()}")
        return moment


def utc_now() -> datetime:
    """The clock; the only place that reads it on behalf of a run (tests hand in their own moment)."""
    return datetime.now(UTC)


def partition(key: str | date, timezone: str) -> Partition:
    """The partition with this key in this IANA timezone.

    Raises
    ------
    ConfigurationError : ``key`` is not an ISO date, or lies outside of `FIRST_YEAR` to `LAST_YEAR`.
    """
    try:
        day = key if isinstance(key, date) else date.fromisoformat(str(key).strip()[:10])
        if not isinstance(key, date) and str(key).strip()[10:11] not in ("", "T", " "):
            raise ValueError
    except ValueError:
        raise ConfigurationError(
            f"{key!r} is not a partition key: give one day as YYYY-MM-DD, e.g. 2026-05-03."
        ) from None
    _require_year(day.year, f"{key!s}")
    zone = ZoneInfo(timezone)
    start = datetime.combine(day, time.min, zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time.min, zone).astimezone(UTC)
    return Partition(day.isoformat(), start, end)


def _require_year(year: int, what: str) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ConfigurationError(f"{what} is out of range: give a day of the years {FIRST_YEAR} to {LAST_YEAR}.")


def newest_closed(moment: datetime, timezone: str, delay: timedelta = timedelta(0)) -> Partition:
    """The newest partition that was over, with ``delay`` after its end, at ``moment`` (an aware datetime)."""
    local = (moment - delay).astimezone(ZoneInfo(timezone))
    return partition(local.date() - timedelta(days=1), timezone)


def days_back(at: time, delay: timedelta) -> int:
    """How many local days before its own a run at ``at`` finds the newest day whose labels are final: 1 is yesterday.

    Counted in local clock time, so that every day has its turn once despite clock changes. A night can be an hour
    shorter than the clock shows; if the run waits for labels, it waits for that hour as well.
    """
    if not delay:
        return 1
    since_midnight = timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
    return 1 + max(0, -((since_midnight - delay - CLOCK_CHANGE) // timedelta(days=1)))


def in_time(collects: time, trains: time, delay: timedelta, wait: timedelta) -> bool:
    """Whether the newest day that a run at ``trains`` asks for is collected before it has waited for it too long.

    Parameters
    ----------
    collects : when a day is collected, every day, local time as ``trains``.
    delay : of the labels. wait : how long a run waits for its data.
    """
    day = timedelta(days=1)
    at, begins = (timedelta(hours=t.hour, minutes=t.minute) for t in (collects, trains))
    ticks = (begins + wait - at) // day
    # the as-of counts elapsed hours: in a night with an extra hour, the day that is final an hour later can be meant
    wanted = 1 + max(0, -((begins + (CLOCK_CHANGE if delay else timedelta(0)) - delay) // day))
    return days_back(collects, delay) - ticks <= wanted


def partition_of(
    run: RunDates, timezone: str, label_delay: timedelta = timedelta(0), params: Mapping[str, Any] | None = None
) -> Partition:
    """The partition that a collect run is about: the newest day that is over and whose labels are final.

    In this order: the parameter ``partition`` of a run started by hand, the run's partition key (scheduled and
    back-filled runs), its logical date, its ``run_after``. From the last two the newest day final by then is taken.

    Raises
    ------
    ConfigurationError : parameter and key name two days, as in a back-fill whose form was given a partition: every day
        of it would collect the same one.
    """
    asked = (params or {}).get("partition")
    if asked:
        named = partition(asked, timezone)
        if run.partition_key and partition(run.partition_key, timezone) != named:
            raise ConfigurationError(
                f"the run is about {run.partition_key}, but its parameter `partition` names {named.key}: leave the "
                f"parameter empty in a back-fill, or trigger a single run."
            )
        return named
    if run.partition_key:
        return partition(run.partition_key, timezone)
    return newest_closed(run.moment, timezone, label_delay)


def as_of(
    run: RunDates, timezone: str, label_delay: timedelta = timedelta(0), params: Mapping[str, Any] | None = None
) -> Partition:
    """The as-of of a retrain, release or monitor run: the newest closed partition with matured labels.

    Counted from `RunDates.moment`, which is stored with the run, so a task that is retried or cleared days later gets
    the same answer. A partition key of the run, or the parameter ``as_of`` of a run started by hand, names the day.

    Raises
    ------
    NotReady : the day named by ``as_of`` is not over, or its labels have not matured.
    """
    moment = run.moment
    asked = (params or {}).get("as_of")
    if asked:
        wanted = partition(asked, timezone)
        wanted.require_over(moment, label_delay)
        return wanted
    if run.partition_key:
        keyed = partition(run.partition_key, timezone)
        matured = newest_closed(max(moment, keyed.end), timezone, label_delay)
        return min(keyed, matured)
    return newest_closed(moment, timezone, label_delay)


def shift(of: Partition, days: int, timezone: str) -> Partition:
    """The partition ``days`` local days after ``of`` (before it, when negative)."""
    return partition(of.date + timedelta(days=days), timezone)


def earlier(key: str, days: int) -> str:
    """The key of so many days before; of days after, if ``days`` is negative."""
    return (date.fromisoformat(key) - timedelta(days=days)).isoformat()


def partitions_between(first: Partition, last: Partition, timezone: str) -> list[Partition]:
    """All partitions from ``first`` to ``last``, both included."""
    return [partition(key, timezone) for key in keys_between(first.key, last.key)]


def keys_between(first: str, last: str) -> list[str]:
    """All partition keys from ``first`` to ``last``, both included."""
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]


_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def day_of(text: str) -> date:
    """The day that a text means; ValueError if it is not a day of the calendar, written like 2026-05-03."""
    if not _DAY.fullmatch(text):
        raise ValueError(f"{text!r} is not a date: write it like 2026-05-03")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day of the calendar") from None


def is_day(text: str) -> bool:
    """Whether `day_of` accepts a text."""
    try:
        day_of(text)
    except ValueError:
        return False
    return True
