"""How moments and bytes are written in incidents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def moment(of: datetime) -> str:
    """``2026-05-10 03:00 UTC``."""
    return f"{of.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def size(of: int) -> str:
    """``512 bytes``, ``1.5 GiB``."""
    number, unit = float(of), 0
    while number >= 1024 and unit < len(UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.1f} {UNITS[unit]}" if unit else f"{of} {UNITS[0]}"


def duration(of: timedelta) -> str:
    """``45 minutes``, ``3 hours``, ``2 days``: rounded down."""
    minutes = int(of.total_seconds() // 60)
    for length, unit in ((24 * 60, "day"), (60, "hour"), (1, "minute")):
        if minutes >= 2 * length or length == 1:
            number = minutes // length
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "0 minutes"
