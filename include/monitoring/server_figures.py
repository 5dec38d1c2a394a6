"""What the model server did in the 24 hours before a look at the newest day: its figures, and those of earlier looks.

The server keeps one day only, so nothing can be asked about older days. What the first look at a day has recorded stays
with the day, however often it is measured again.
"""

from __future__ import annotations

from collections.abc import Sequence

from include.data import monitoring as table
from include.data.lake import Lake
from include.data.monitoring import Kind
from include.monitoring.counters import DayFacts
from include.partitions import earlier
from include.scoring import asking
from include.scoring.messages import Recent
from include.settings import Settings
from include.statistics.results import Cause, Result, State

PATIENCE = 5.0
"""Seconds that the server has for each part of its answer."""


def with_figures(model: str, facts: DayFacts) -> DayFacts:
    """The facts of the newest day, with the figures of the model server or the reason why they are not known.

    Unchanged if the deployment has no model server.
    """
    if Settings.from_environment().serving_url is None:
        return facts
    found = asking.statuses(PATIENCE)
    if found is None:
        return facts.replace(silent="the model server did not answer")
    status = next((one for one in found if one.model == model), None)
    if status is None:
        return facts.replace(silent=f"the model server does not have {model}")
    if not isinstance(status.recent, Recent):
        return facts.replace(silent="a process of the model server did not answer")
    recent = status.recent
    return facts.replace(
        requests=recent.requests - recent.invalid,
        errors=recent.errors,
        latency=None if recent.p99_ms is None else recent.p99_ms / 1000,
    )


def recorded(lake: Lake, key: str) -> tuple[Result, ...]:
    """What an earlier look at this day has recorded about the server; empty if no figure was known."""
    rows = [one.result for one in table.read(lake, key, key, [Kind.COUNTER]) if one.result.cause is Cause.SERVICE]
    return tuple(rows) if any(one.value is not None for one in rows) else ()


def usual_latency(lake: Lake, key: str, days: int) -> tuple[float, ...]:
    """The latencies of the days before this one, in seconds. Days beyond the limit of their time are left out, so that
    a slow server does not become usual within three days."""
    rows = table.results(lake, earlier(key, days), earlier(key, 1), Kind.COUNTER, "latency")
    return tuple(value for state, value in rows if state != State.VIOLATED)


def kept(results: Sequence[Result], before: Sequence[Result]) -> tuple[Result, ...]:
    """The results of a day, with what was recorded about the server before instead of what is measured now."""
    names = {one.measure for one in before}
    return (*(one for one in results if one.cause is not Cause.SERVICE or one.measure not in names), *before)
