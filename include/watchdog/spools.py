"""Predictions that are not loaded into the lake: spools that grow, and lines that cannot be loaded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from include.overview.wording import count
from include.registry import addresses
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.watchdog.records import Findings, Spool
from include.watchdog.wording import duration, moment, size

GROWS, REJECTED = "grows", "rejected"
EVERY = timedelta(minutes=15)
"""How often `perennial_predictions` loads the spools."""
MISSED, MANY_MISSED = 4, 24
"""Loads that a closed segment may miss before someone should know, and before a person is paged."""
LARGE, VERY_LARGE = 1 * 2**30, 8 * 2**30
"""Bytes of closed segments of one model for which the same holds."""


def spools(found: Sequence[Spool], now: datetime) -> Findings:
    """What the spools of all models show."""
    seen = [_grows(one, now) for one in found] + [_rejected(one) for one in found]
    return Findings(tuple(one for one in seen if one is not None))


def _grows(of: Spool, now: datetime) -> Seen | None:
    waits = now - of.oldest if of.oldest else timedelta(0)
    if waits < MISSED * EVERY and of.size < LARGE:
        return None
    bad = waits >= MANY_MISSED * EVERY or of.size >= VERY_LARGE
    return Seen(
        model=of.model,
        kind=IncidentKind.SPOOL,
        cause=GROWS,
        severity=Severity.CRITICAL if bad else Severity.WARNING,
        since=moment(of.oldest or now),
        what=f"Predictions of {of.model} are not loaded into the lake.",
        how_bad=f"{count(of.segments, 'segment')} ({size(of.size)}) wait, the oldest for {duration(waits)}.",
        done="Nothing is lost while the disk of the spool has room.",
        todo="Look at the newest run of perennial_predictions: its note gives the reason.",
        page="/dags/perennial_predictions",
    )


def _rejected(of: Spool) -> Seen | None:
    if not of.rejected:
        return None
    return Seen(
        model=of.model,
        kind=IncidentKind.SPOOL,
        cause=REJECTED,
        severity=Severity.WARNING,
        since=moment(of.newest_rejected) if of.newest_rejected else "an unknown moment",
        what=f"Some predictions of {of.model} could not be loaded into the lake.",
        how_bad=f"{count(of.rejected, 'file')} with rejected lines in {', '.join(of.folders)}.",
        done="The lines are kept with their reasons.",
        todo="Read the reasons, correct the client, then delete the files.",
        page=addresses.of_model(of.model),
    )
