"""The health of a model in one word with its reason, from its open incidents and the newest look at it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from include.overview.watched import Health, HealthState
from include.overview.wording import count, ended
from include.registry.incident_rows import IncidentKind, IncidentState, Severity
from include.registry.overview import IncidentLine

LOOKS = timedelta(days=2)
"""Without a look for longer, nothing is known about a model. A monitor looks every day."""
WORDS: Mapping[str, HealthState] = {
    IncidentKind.DATA: HealthState.DAMAGED,
    IncidentKind.SERVICE: HealthState.SERVICE,
    IncidentKind.STALE: HealthState.STALE,
    IncidentKind.DRIFT: HealthState.DRIFTING,
}
"""By the kind of the worst incident, the most urgent kind first; every other kind: something did not happen."""
NEVER = "Not monitored yet."
SILENT = Health(HealthState.UNKNOWN, "The ledger does not answer.")


def health_of(incidents: Sequence[IncidentLine], looked: datetime | None, now: datetime) -> Health:
    """The health of a model.

    An open incident is known, however long nobody has looked. Without one, a model is healthy only if a monitor has
    looked at it within `LOOKS`.

    Parameters
    ----------
    incidents : open and acknowledged ones, in any order. ``looked`` : when the newest look began; ``None``: never.
    """
    overdue = looked is None or now - looked > LOOKS
    if incidents:
        return _ill(sorted(incidents, key=_urgency), looked, overdue)
    if looked is None:
        return Health(HealthState.UNKNOWN, NEVER)
    if overdue:
        return Health(HealthState.UNKNOWN, f"Not monitored since {_moment(looked)}.", looked=looked)
    return Health(
        HealthState.HEALTHY, f"No open incident; monitored on {looked.astimezone(UTC):%Y-%m-%d}.", looked=looked
    )


def shared_incidents(incidents: Sequence[IncidentLine]) -> tuple[str, ...]:
    """The incidents that belong to no model in words, the worst first."""
    return tuple(
        f"Incident {one.number}: {ended(one.what)} {one.todo}".rstrip() for one in sorted(incidents, key=_urgency)
    )


def _ill(incidents: Sequence[IncidentLine], looked: datetime | None, overdue: bool) -> Health:
    """Parameters: the worst incident first."""
    worst = incidents[0]
    parts = [ended(worst.what)]
    if worst.state == IncidentState.ACKNOWLEDGED:
        parts.append(f"Acknowledged by {worst.acknowledged_by or 'a person'}.")
    if len(incidents) > 1:
        parts.append(f"{count(len(incidents) - 1, 'more incident')} open.")
    if overdue:
        parts.append(NEVER if looked is None else f"Not monitored since {_moment(looked)}.")
    urgent = worst.severity == Severity.CRITICAL and worst.state == IncidentState.OPEN
    return Health(
        state=WORDS.get(worst.kind, HealthState.INTERRUPTED),
        sentence=" ".join(parts),
        critical=any(one.severity == Severity.CRITICAL for one in incidents),
        incident=worst.number,
        incidents=len(incidents),
        todo=f"Incident {worst.number}: {worst.todo or worst.what}" if urgent else "",
        looked=looked,
    )


def _urgency(one: IncidentLine) -> tuple[bool, bool, int, int]:
    """Those that page a person first, of these those that nobody has acknowledged, then by kind, the oldest first."""
    kinds = list(WORDS)
    kind = kinds.index(IncidentKind(one.kind)) if one.kind in kinds else len(kinds)
    return (one.severity != Severity.CRITICAL, one.state != IncidentState.OPEN, kind, one.number)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
