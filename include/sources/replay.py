"""Replays a finished history, so that every day has data: maps a given day to the original day.

The history is repeated in whole weeks, so weekdays are preserved, and a day always gets the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import numpy as np

WEEK = 7


@dataclass(frozen=True)
class Replay:
    """A history of ``days`` days that began on ``first``, replayed repeatedly from ``anchor``.

    Parameters
    ----------
    first, last : the history, both days included. An incomplete week at its end is never replayed.
    anchor : the day on which the first day of the history is replayed. It must be the same weekday.

    Raises
    ------
    ValueError : less than a week of history, or an anchor of another weekday.
    """

    first: date
    last: date
    anchor: date

    def __post_init__(self) -> None:
        if self.cycle < WEEK:
            raise ValueError(f"the history {self.first} to {self.last} is shorter than a week and cannot be replayed")
        if self.first.weekday() != self.anchor.weekday():
            raise ValueError(
                f"{self.anchor} is a {self.anchor:%A} and {self.first} a {self.first:%A}: choose an anchor of the same "
                f"weekday, e.g. {self.anchor + timedelta(days=(self.first.weekday() - self.anchor.weekday()) % WEEK)}"
            )

    @property
    def cycle(self) -> int:
        """Days until the history begins again; a multiple of seven."""
        return ((self.last - self.first).days + 1) // WEEK * WEEK

    def original(self, day: date) -> date:
        """The day of the history that is replayed on ``day``, also before the anchor."""
        return self.first + timedelta(days=(day - self.anchor).days % self.cycle)


def instants(day: date, minutes: np.ndarray, timezone: str) -> np.ndarray:
    """Wall-clock times of ``day`` as instants: datetime64[us] in UTC, all within the local day.

    In an hour that a clock change repeats, the first one is used. In an hour that it skips, the earlier offset
    continues to apply. A replayed day has other clock changes than its original, so both cases occur.

    Parameters
    ----------
    minutes : minutes after midnight, 0 to 1439, shape (n,).
    timezone : IANA name.
    """
    import numpy as np

    zone = ZoneInfo(timezone)
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a wall clock; its zone is looked up below
    distinct, places = np.unique(np.asarray(minutes, dtype=np.int64), return_inverse=True)
    offsets = [(midnight + timedelta(minutes=int(m))).replace(tzinfo=zone).utcoffset() for m in distinct]
    ahead = np.array([round(o.total_seconds() / 60) for o in offsets if o is not None], dtype=np.int64)
    return np.datetime64(midnight, "us") + (distinct - ahead).astype("timedelta64[m]")[places]
