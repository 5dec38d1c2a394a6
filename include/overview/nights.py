"""To which night a moment belongs, and when a night is due: by the schedule of a model, in its timezone.

A night begins at the first tick of the schedule on a local day and is named by that day. It lasts until the same clock
time of the next day, so what a person runs by hand in the afternoon belongs to the night before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from include.spec.cron import days_and_time

DAY = timedelta(days=1)
LONGEST_BREAK = 366
"""Days in which a due night is looked for: a yearly schedule has one."""


@dataclass(frozen=True)
class Calendar:
    """The nights of a model.

    Parameters
    ----------
    timezone : IANA name. ``schedule`` : a valid cron expression; ``None``: on demand, so no night is ever due.
    """

    timezone: str
    schedule: str | None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def local_day(self, moment: datetime) -> date:
        """The local day of a moment."""
        return moment.astimezone(self.zone).date()

    def night(self, moment: datetime) -> date:
        """The day on which the night of a moment began."""
        clock = _first_time(self.schedule)
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        return (local - timedelta(hours=clock.hour, minutes=clock.minute)).date()

    def due(self, day: date) -> datetime | None:
        """When the night of a day begins, in UTC; ``None`` if none is planned.

        As Airflow does it when the clocks change: a time that comes twice is the second one, and a time that does not
        come is as much later as the clocks were put forward.
        """
        if self.schedule is None:
            return None
        tick = days_and_time(self.schedule)(day)
        if tick is None:
            return None
        local = datetime.combine(day, tick, self.zone)
        return max(local.astimezone(UTC), local.replace(fold=1).astimezone(UTC))

    def newest_due(self, now: datetime) -> date | None:
        """The newest day whose night has begun; ``None`` if none has within a year."""
        day = self.night(now)
        for ago in range(LONGEST_BREAK):
            if self.due(day - ago * DAY) is not None:
                return day - ago * DAY
        return None

    def next_due(self, now: datetime) -> datetime | None:
        """When the next night begins; ``None`` if none does within a year."""
        day = self.night(now)
        found = (self.due(day + ahead * DAY) for ahead in range(LONGEST_BREAK + 1))
        return next((moment for moment in found if moment is not None and moment > now), None)

    def period(self, now: datetime) -> int | None:
        """The longest time between two planned nights in days, of the last five weeks; ``None`` on demand."""
        return _period(self, self.night(now))

    def window(self, now: datetime, days: int) -> Window:
        """The last nights up to that of ``now``."""
        return _window(self, self.night(now), days)


@dataclass(frozen=True)
class Window:
    """Consecutive nights, oldest first, found by a moment without arithmetic in a timezone.

    Attributes
    ----------
    days : their names. ``starts`` : when each begins, planned or not, in UTC. ``due`` : the same if it is planned.
    """

    days: tuple[str, ...]
    starts: tuple[datetime, ...]
    due: tuple[datetime | None, ...]

    def of(self, moment: datetime) -> str | None:
        """The night of a moment; ``None`` if it lies before the first."""
        at = bisect_right(self.starts, moment)
        return self.days[at - 1] if at else None


@lru_cache(maxsize=1024)
def _window(calendar: Calendar, last: date, days: int) -> Window:
    found = [last - ago * DAY for ago in reversed(range(days))]
    clock, zone = _first_time(calendar.schedule), calendar.zone
    starts = tuple(datetime.combine(day, clock, zone).astimezone(UTC) for day in found)
    return Window(tuple(day.isoformat() for day in found), starts, tuple(map(calendar.due, found)))


@lru_cache(maxsize=1024)
def _period(calendar: Calendar, last: date) -> int | None:
    if calendar.schedule is None:
        return None
    due = [ago for ago in range(36) if calendar.due(last - ago * DAY) is not None]
    return max((later - earlier for earlier, later in zip(due, due[1:], strict=False)), default=36)


def _first_time(schedule: str | None) -> time:
    """The clock time at which nights begin; midnight for a model on demand."""
    if schedule is None:
        return time.min
    ticks: Callable[[date], time | None] = days_and_time(schedule)
    return _tick_of(ticks)


@lru_cache(maxsize=1024)
def _tick_of(ticks: Callable[[date], time | None]) -> time:
    """The time of any day's first tick, which is the same on all days that have one."""
    day = date(2024, 1, 1)  # a leap year, in which even 29 February comes
    found = (ticks(day + ago * DAY) for ago in range(LONGEST_BREAK))
    return next((tick for tick in found if tick is not None), time.min)
