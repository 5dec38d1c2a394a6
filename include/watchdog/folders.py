"""Model folders that do not load. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from include.overview.records import ModelOverview
from include.registry import addresses
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.watchdog.records import Findings
from include.watchdog.wording import moment

BROKEN = "broken"
MISSES_NIGHTS = timedelta(days=1)
"""After so long a broken folder has cost a night, and pages a person."""


def folder(of: ModelOverview, since: datetime | None, now: datetime) -> Findings:
    """Whether the folder of a model loads.

    Parameters
    ----------
    since : when the incident about it was opened; ``None`` if there is none.
    """
    if of.problem is None:
        return Findings()
    first, *more = of.problem.splitlines()
    lasting = since is not None and now - since >= MISSES_NIGHTS
    serves = of.serving is not None and of.serving.version is not None
    return Findings(
        (
            Seen(
                model=of.name,
                kind=IncidentKind.FOLDER,
                cause=BROKEN,
                severity=Severity.CRITICAL if lasting else Severity.WARNING,
                since=moment(since or now),
                what=f"The folder of {of.name} does not load.",
                how_bad=f"{first}{f' (and {len(more)} more)' if more else ''}",
                done=f"Version {of.serving.version} continues to serve." if serves and of.serving else "",
                todo="Fix the folder: without it the model collects no data and is not trained.",
                page=addresses.of_model(of.name),
            ),
        )
    )
