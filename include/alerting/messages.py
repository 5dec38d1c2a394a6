"""The text of a message: one for each channel and call, about all alerts that are due there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from include.registry.alerts import AlertRow
from include.registry.incident_rows import IncidentRow, IncidentState, Severity
from include.registry.versions import AUTOMATIC

MOST = 20  # incidents of one heading that are written out
LONGEST_SUBJECT, LONGEST_SENTENCE = 150, 500  # characters


class Level(StrEnum):
    """How urgent a message is as a whole."""

    CRITICAL = "critical"
    WARNING = "warning"
    OVER = "over"
    REPORT = "report"


@dataclass(frozen=True)
class Message:
    """A message: one line of subject, and plain text."""

    subject: str
    body: str
    level: Level


HEADINGS = {"opened": "New", "worse": "Worse", "closed": "Over", "report": "Still open"}


def compose(alerts: Sequence[AlertRow], still_open: Sequence[IncidentRow], web: str) -> Message:
    """Compose the message about these alerts, of which there is at least one.

    An incident appears once, under its newest event. A repeated message has the same numbers and headings, so a person
    and a program recognise it.

    Parameters
    ----------
    still_open : open incidents, worst first; listed if one of the alerts is a report.
    web : the address of Airflow's web server, to which the incidents' pages are relative.
    """
    newest: dict[int, tuple[str, IncidentRow]] = {}
    for one in alerts:
        if one.incident is not None:
            newest[one.incident.number] = (one.event, one.incident)
    under: dict[str, list[IncidentRow]] = {event: [] for event in HEADINGS}
    for event, row in sorted(newest.values(), key=lambda pair: (pair[1].severity != Severity.CRITICAL, pair[1].number)):
        under["closed" if row.state == IncidentState.CLOSED else event].append(row)
    if any(one.event == "report" for one in alerts):
        shown = {row.number for row in (*under["opened"], *under["worse"])}
        under["report"] = [row for row in still_open if row.number not in shown]
    told = [f"{HEADINGS[event]}\n\n{_listed(event, rows, web)}" for event, rows in under.items() if rows]
    body = "\n\n".join(told or ["No incident is open any longer."])
    return Message(_subject(under), f"{body}\n\n{_FOOTER}\n", _level(under))


_FOOTER = (
    "Sent by Perennial. A message with the same incident number under the same heading is a repeat. "
    "Acknowledge or close an incident on the Models page."
)


def _level(under: dict[str, list[IncidentRow]]) -> Level:
    new = under["opened"] + under["worse"]
    if any(row.severity == Severity.CRITICAL for row in new):
        return Level.CRITICAL
    if new:
        return Level.WARNING
    return Level.OVER if under["closed"] else Level.REPORT


def _subject(under: dict[str, list[IncidentRow]]) -> str:
    rows = [(event, row) for event, several in under.items() for row in several]
    if len(rows) == 1 and rows[0][0] != "report":
        event, row = rows[0]
        how = {"opened": row.severity, "worse": f"now {row.severity}", "closed": "over"}[event]
        said = f"incident {row.number}, {how}: {_line(row.what)}"
    else:
        new, over, still = under["opened"] + under["worse"], under["closed"], under["report"]
        critical = sum(row.severity == Severity.CRITICAL for row in new)
        parts = [f"{_count(len(new), 'new or worse')} ({critical} critical)"] if new else []
        parts += [f"{len(over)} over"] if over else []
        parts += [f"{len(still)} still open"] if still else []
        numbers = ", ".join(str(row.number) for _, row in rows[:5]) + (", ..." if len(rows) > 5 else "")
        said = f"{', '.join(parts) or 'no open incidents'}" + (f" (numbers {numbers})" if rows else "")
    return _cut(f"Perennial: {said}", LONGEST_SUBJECT)


def _count(number: int, what: str) -> str:
    return f"1 incident {what}" if number == 1 else f"{number} incidents {what}"


def _listed(event: str, rows: Sequence[IncidentRow], web: str) -> str:
    told = [_told(event, row, web) for row in rows[:MOST]]
    if len(rows) > MOST:
        numbers = ", ".join(str(row.number) for row in rows[MOST : 2 * MOST])
        more = len(rows) - 2 * MOST
        told.append(f"And incidents {numbers}" + (f" and {more} more." if more > 0 else "."))
    return "\n\n".join(told)


def _told(event: str, row: IncidentRow, web: str) -> str:
    about = f"{row.model}, {row.kind}" if row.model else row.kind
    lines = [f"Incident {row.number} ({row.severity}): {about}", _line(row.what), f"Since: {_line(row.since)}"]
    lines += [f"How bad: {_line(row.how_bad)}"] if row.how_bad else []
    if row.closed_at is not None:
        by = "a later look" if row.closed_by == AUTOMATIC else row.closed_by
        lines.append(f"Closed: {row.closed_at:%Y-%m-%d %H:%M} UTC by {_line(f'{by}: {row.reason}')}")
    else:
        if row.acknowledged_by is not None:
            lines.append(f"Acknowledged by {_line(f'{row.acknowledged_by}: {row.reason}')}")
        lines += [f"Done: {_line(row.done)}"] if row.done and event != "report" else []
        lines += [f"To do: {_line(row.todo)}"] if row.todo and event != "report" else []
    lines += [f"Page: {web.rstrip('/')}{row.page}"] if row.page else []
    return "\n".join(lines)


def _line(text: str) -> str:
    """A text from data or from a person as one line, so that it is not taken for another incident or a header."""
    return _cut(" ".join(text.split()), LONGEST_SENTENCE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
