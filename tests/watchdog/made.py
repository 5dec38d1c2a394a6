"""What the watchdog concludes about the model of the tests of the overview, with what a test does not care about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from include.overview.records import ModelOverview, Overview, RunRow, Runs, ServedModel, Server
from include.overview.rows import Evidence as Sources
from include.overview.rows import row
from include.registry.incident_rows import Seen
from include.watchdog.judging import judge
from include.watchdog.records import AirflowView, Evidence, Findings
from tests.overview.made import DAY, NOW, champion, decision, entry, known, model, run

SERVES_TWO = Server({"toy": ServedModel("toy", 2, None, None)})
LATER = NOW.replace(hour=9)
"""After the hour of the model's monitoring (5 o'clock), on the morning of the tests of the overview."""


def view(*rows: RunRow, **changes: Any) -> AirflowView:
    """Airflow's answer; ``paused`` are ids of DAGs."""
    paused = frozenset(changes.pop("paused", ()))
    values: dict[str, Any] = {"scheduling": NOW - 30 * DAY} | changes
    return AirflowView(Runs(rows, NOW - 16 * DAY, paused), **values)


def healthy(**changes: Any) -> Sources:
    """Sources of a model whose version 2 was promoted tonight and serves."""
    values: dict[str, Any] = {"decisions": [decision()], "runs": [run()], "standing": champion()} | changes
    return known(**values)


def shown(sources: Sources, now: datetime = LATER, problem: str | None = None, **declared: Any) -> ModelOverview:
    """The model's row of the overview."""
    return row("toy", entry(None if problem else model(**declared), problem=problem), sources, now)


def found(
    sources: Sources,
    now: datetime = LATER,
    problem: str | None = None,
    airflow: AirflowView | None = None,
    asked: bool = True,
    **evidence: Any,
) -> Findings:
    """What a look concludes. ``asked``: whether Airflow has answered (then with ``airflow``, or what sources has)."""
    rows = tuple(
        one for runs in sources.runs.values() for one in (*runs.retrains, *runs.releases, *runs.collects, *runs.broken)
    )
    if airflow is None:
        airflow = view(*rows, paused=sources.paused)
    if not asked:
        sources = replace(sources, runs={}, since=None, paused=frozenset())
    declared = {} if problem else {"toy": model()}
    overview = Overview(now, "", (shown(sources, now, problem),), ())
    return judge(overview, declared, Evidence(airflow if asked else None, **evidence), now)


def keys_of(seen: Sequence[Seen]) -> list[tuple[str, str, str, str]]:
    """Model, kind, cause and severity of each."""
    return [(one.model, str(one.kind), one.cause, str(one.severity)) for one in seen]
