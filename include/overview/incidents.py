"""The incidents of a model for its page: those that are not closed first, the worst first."""

from __future__ import annotations

from dataclasses import fields

from include.overview.watched import IncidentOf
from include.registry.incident_rows import IncidentRow, IncidentState, Severity

NEWEST = 50
NAMES = tuple(field.name for field in fields(IncidentOf))


def incidents(name: str, newest: int = NEWEST) -> tuple[IncidentOf, ...]:
    """The incidents of a model: all that are not closed, and the newest closed ones.

    Raises
    ------
    TransientError : the ledger does not answer.
    """
    from include.registry.incidents import Incidents

    ledger = Incidents.default()
    found = {row.number: row for row in (*ledger.open(name), *ledger.of(name, newest))}
    return tuple(of_row(row) for row in sorted(found.values(), key=_order))


def of_row(row: IncidentRow) -> IncidentOf:
    """A row of the ledger, for a page."""
    return IncidentOf(**{name: getattr(row, name) for name in NAMES})


def _order(row: IncidentRow) -> tuple[bool, bool, bool, int]:
    """Closed ones last; of the others those that page a person first, and of these those that nobody acknowledged."""
    closed = row.state == IncidentState.CLOSED
    if closed:
        return True, False, False, -row.number
    return False, row.severity != Severity.CRITICAL, row.state != IncidentState.OPEN, row.number
