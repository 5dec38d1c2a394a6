"""Disks that fill. Pure.

A share alone would warn of a large disk with much room, and bytes alone of a small disk that is in order; so both must
be low, or very few bytes be left.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from include.registry import addresses
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.watchdog.records import Disk, Findings
from include.watchdog.wording import moment, size

GIB = 2**30
WARNING = (0.10, 10 * GIB, 2 * GIB)
CRITICAL = (0.03, 5 * GIB, 1 * GIB)
"""Share and bytes that are both low, and bytes that are too few whatever the share."""
FEW_FILES = (0.05, 0.01)
"""Share of the files that can still be added: for a warning, and for a page."""


def disks(found: Sequence[Disk], now: datetime) -> Findings:
    """What the disks show."""
    return Findings(tuple(seen for one in found if (seen := _seen(one, now)) is not None))


def _seen(of: Disk, now: datetime) -> Seen | None:
    severity = _severity(of)
    if severity is None:
        return None
    room = f"{size(of.free)} of {size(of.total)} are free ({of.free / max(of.total, 1):.0%})"
    files = f", and {of.free_files:,} of {of.files:,} files" if of.files else ""
    return Seen(
        model="",
        kind=IncidentKind.DISK,
        cause=of.name,
        severity=severity,
        since=moment(now),
        what=f"The disk of {of.name} is almost full ({of.path}).",
        how_bad=f"{room}{files}.",
        todo="Make room, or enlarge the disk: without room, nothing can be collected, trained or released.",
        page=addresses.MODELS,
    )


def _severity(of: Disk) -> Severity | None:
    share = of.free / of.total if of.total else 1.0
    files = of.free_files / of.files if of.files else 1.0

    def low(limits: tuple[float, int, int]) -> bool:
        return (share < limits[0] and of.free < limits[1]) or of.free < limits[2]

    if low(CRITICAL) or files < FEW_FILES[1]:
        return Severity.CRITICAL
    return Severity.WARNING if low(WARNING) or files < FEW_FILES[0] else None
