"""A date as text, ``2026-05-03``: the one rule of what is a date, for the lake, the sources and the model server."""

from __future__ import annotations

import re
from datetime import date

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def day_of(text: str) -> date:
    """The day that a text means; ValueError where it is not a day of the calendar, written like 2026-05-03."""
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
