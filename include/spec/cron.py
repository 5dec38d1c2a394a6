"""Cron expressions: whether one is valid (five fields, every value in its range, a day that exists), and its ticks.

Airflow reads schedules when a DAG file is parsed, so one bad expression would break the DAGs of all models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from include.errors import Finding, Misdeclared
from include.spelling import nearest

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 7, WEEKDAYS),
)
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of the months
PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}


def require_cron(expression: str) -> str:
    """The expression itself.

    Raises
    ------
    Misdeclared : it is not a cron expression of five fields; names the field and its range.
    """
    preset = PRESETS.get(expression.strip(), PRESETS.get(nearest(expression.strip(), PRESETS) or ""))
    if preset:
        raise Misdeclared([Finding((), f"{expression!r} is a preset: write its five fields", wanted=f'"{preset}"')])
    parts = expression.split()
    if len(parts) != len(FIELDS) or " ".join(parts) != expression:
        what = f"{expression!r} is not a cron expression: it has {len(parts)} fields"
        if len(parts) == len(FIELDS):
            what = f"{expression!r} is not a cron expression: one blank between two fields, none around them"
        raise Misdeclared([Finding((), f"{what}; wanted 5 (minute hour day month weekday), e.g. '30 2 * * *'")])
    found = []
    values = []
    for text, (name, low, high, names) in zip(parts, FIELDS, strict=True):
        try:
            values.append(_values(text, low, high, names))
        except ValueError as error:
            found.append(Finding((), f"{expression!r}: the {name} is {text!r}, {error}"))
    if found:
        raise Misdeclared(found)
    days, months = values[2], values[3]
    if parts[4] == "*" and min(days) > max(LONGEST[month - 1] for month in months):
        raise Misdeclared([Finding((), f"{expression!r} never comes: no such month has a day {min(days)}")])
    return expression


def time_of_day(expression: str) -> time | None:
    """When a valid expression ticks every day; None if it is not exactly once a day, at the same time."""
    minute, hour, *days = expression.split()
    if days != ["*", "*", "*"] or not (minute.isdigit() and hour.isdigit()):
        return None
    return time(int(hour), int(minute))


@lru_cache(maxsize=1024)
def days_and_time(expression: str) -> Callable[[date], time | None]:
    """When a valid expression ticks first on a day; the function returns None for a day without a tick.

    An hour that a change of the clocks leaves out is not considered.
    """
    minutes, hours, on = _ticks(expression)
    first = time(min(hours), min(minutes))
    return lambda day: first if on(day) else None


def _ticks(expression: str) -> tuple[set[int], set[int], Callable[[date], bool]]:
    """The minutes, the hours and the days of a valid expression.

    As in every cron, a restricted day of the month and a restricted day of the week are alternatives.
    """
    minutes, hours, days, months, weekdays = (
        _values(text, low, high, names) for text, (_, low, high, names) in zip(expression.split(), FIELDS, strict=True)
    )
    weekdays = {day % 7 for day in weekdays}
    combine = any if len(days) < 31 and len(weekdays) < 7 else all

    def on(day: date) -> bool:
        return day.month in months and combine((day.day in days, day.isoweekday() % 7 in weekdays))

    return minutes, hours, on


def _values(text: str, low: int, high: int, names: tuple[str, ...]) -> set[int]:
    """The values that a field means; ValueError with what is wrong, as the end of a sentence."""
    found: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"(\*|\w+(?:-\w+)?)(?:/(\w+))?", item)
        if match is None:
            raise ValueError(f"not like 5, 1-5, */15 or 1,3 (a value is {low} to {high})")
        span, step = match.groups()
        if span == "*":
            first, last = low, high
        else:
            ends = [_number(end, low, high, names) for end in span.split("-")]
            first, last = ends[0], ends[-1]
            if len(ends) == 1 and step:
                raise ValueError(f"a step needs a range: {first}-{high}/{step}, or */{step}")
        if first > last:
            raise ValueError(f"a range that runs backwards ({first} to {last})")
        stride = _number(step, 1, high, ()) if step else 1
        found |= set(range(first, last + 1, stride))
    return found


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + (1 if names is MONTHS else 0)
    known = f" or {names[0]} to {names[-1]}" if names else ""
    if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
        raise ValueError(f"which is not {low} to {high}{known}")
    return int(text)


Cron = Annotated[str, AfterValidator(require_cron)]
