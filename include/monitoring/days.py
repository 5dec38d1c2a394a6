"""The published days of a model for its monitor: their rows, the newest matured ones, and stamps of what they hold.

A stamp names the rows that something was measured on. It changes with the rows of a day, and when labels that were not
final have become final: what was measured before is then measured again.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow.compute as pc

from include import files
from include.data import counted, rows, schema
from include.data.lake import Lake
from include.data.published import Published
from include.monitoring.replaying import Day
from include.spec import Model


class PublishedDays:
    """The published days of one model, as they were when this was made."""

    def __init__(self, model: Model, lake: Lake) -> None:
        self.model, self.lake = model, lake
        self.published: dict[str, Published] = lake.published()
        self._counted: tuple[str, str] | None = None
        self._predictions: dict[str, int] = {}
        self._matured = [key for key, day in self.published.items() if day.rows and day.final(model, key)]

    def __contains__(self, key: str) -> bool:
        return key in self.published

    @property
    def newest(self) -> str | None:
        """The newest one."""
        return max(self.published, default=None)

    def final(self, key: str) -> bool:
        """Whether the labels of a published day were final when its rows were fetched."""
        return self.published[key].final(self.model, key)

    def window(self, key: str) -> list[str]:
        """The newest ``paired_days`` days with rows whose labels are final, up to this one, oldest first."""
        return [one for one in self._matured if one <= key][-self.model.monitoring.paired_days :]

    def up_to(self, key: str, most: int) -> list[str]:
        """The newest published days before this one, oldest first."""
        return [one for one in self.published if one < key][-most:]

    def stamp(self, key: str) -> str | None:
        """What a day holds; None if it is not published."""
        if key not in self.published:
            return None
        batch = self.published[key].batch
        return _short(batch if self.final(key) else f"labels were not final: {batch}")

    def window_stamp(self, key: str) -> str:
        """What the days of a window hold."""
        return _short("\n".join(f"{one} {self.stamp(one)}" for one in self.window(key)))

    def scores_stamp(self, key: str) -> str:
        """What the days of a window, and this day, hold, and how many predictions a server has made of their events."""
        days = list(dict.fromkeys([*self.window(key), key]))
        self.count_predictions(min(days), key)
        made = [f"{one} {self.stamp(one)} {self._predictions.get(one, 0)}" for one in days]
        return _short("\n".join(made))

    def count_predictions(self, first: str, last: str) -> None:
        """Look up the numbers of predictions for the stamps of these days at once; what is known is kept."""
        if self._counted is None or first < self._counted[0] or last > self._counted[1]:
            self._counted, self._predictions = (first, last), counted.numbers(self.lake, first, last)

    def read(self, keys: Iterable[str]) -> dict[str, Day]:
        """The rows of published days, sorted by key and event time."""
        wanted = sorted(set(keys))
        table = rows.of_days(self.lake.table("rows"), wanted, rows.columns_of(self.model))
        order = [(name, "ascending") for name in dict.fromkeys((*self.model.data.key, self.model.data.event_time))]
        found = {}
        for key in wanted:
            day = table.filter(pc.equal(table["partition"], key)).sort_by(order)
            found[key] = Day(key, day, schema.to_frame(day), self.stamp(key) or "")
        return found


def _short(text: str) -> str:
    """16 characters of a digest: the log of the table keeps a stamp for each of its files, and is read every day."""
    return files.sha256(text.encode())[:16]
