"""The health of a model: one word with its reason, from open incidents and looks; unknown is never healthy."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.overview.health import health_of, shared_incidents
from include.overview.records import HealthState
from include.overview.rows import row
from include.registry import overview as ledger
from include.registry.database import Database
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.registry.incidents import Incidents, Scope
from include.registry.overview import IncidentLine
from include.settings import Settings
from tests.overview.made import NOW, champion, decision, entry, known, model, run

LOOKED = NOW - timedelta(hours=2)
MONITOR = frozenset({IncidentKind.DATA, IncidentKind.DRIFT, IncidentKind.STALE})


def line(kind: str = "drift", severity: str = "warning", number: int = 7, **more: Any) -> IncidentLine:
    values: dict[str, Any] = {"state": "open", "what": f"{kind} of {number}", "todo": "Look.", "acknowledged_by": None}
    return IncidentLine(number=number, kind=kind, severity=severity, **{**values, **more})


def test_a_model_that_was_looked_at_without_an_incident_is_healthy() -> None:
    found = health_of((), LOOKED, NOW)
    assert (found.state, found.incident, found.looked) == (HealthState.HEALTHY, None, LOOKED)
    assert found.sentence == "No open incident; monitored on 2026-05-10."


def test_without_a_look_for_two_days_nothing_is_known() -> None:
    never, old = health_of((), None, NOW), health_of((), NOW - timedelta(days=2, seconds=1), NOW)
    assert (never.state, never.sentence) == (HealthState.UNKNOWN, "Not monitored yet.")
    assert old.state is HealthState.UNKNOWN and old.sentence == "Not monitored since 2026-05-08 06:59 UTC."
    assert health_of((), NOW - timedelta(days=2), NOW).state is HealthState.HEALTHY


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("data", HealthState.DAMAGED),
        ("drift", HealthState.DRIFTING),
        ("stale", HealthState.STALE),
        ("service", HealthState.SERVICE),
        *((kind, HealthState.INTERRUPTED) for kind in ("night", "day", "folder", "run", "spool", "disk")),
    ],
)
def test_every_kind_of_incident_has_a_word(kind: str, state: HealthState) -> None:
    found = health_of([line(kind)], LOOKED, NOW)
    assert found.state is state and found.sentence == f"{kind} of 7."
    assert {kind.value for kind in IncidentKind} >= {kind}


def test_the_word_is_about_the_worst_incident() -> None:
    """Those that page a person first, of these those that nobody has acknowledged, then the most urgent kind."""
    drifts, data = line("drift", number=1), line("data", number=2)
    pages = line("drift", "critical", 3)
    taken = line("data", "critical", 4, state="acknowledged", acknowledged_by="ada")
    assert health_of([drifts, data], LOOKED, NOW).incident == 2
    found = health_of([drifts, data, taken, pages], LOOKED, NOW)
    assert (found.incident, found.critical, found.incidents) == (3, True, 4)
    assert found.sentence == "drift of 3. 3 more incidents open."
    assert found.todo == "Incident 3: Look."
    found = health_of([taken], LOOKED, NOW)
    assert found.sentence == "data of 4. Acknowledged by ada." and found.todo == "" and found.critical


def test_an_open_incident_stays_known_however_long_nobody_has_looked() -> None:
    found = health_of([line()], NOW - timedelta(days=30), NOW)
    assert found.state is HealthState.DRIFTING and "Not monitored since 2026-04-10" in found.sentence


def test_what_pages_a_person_is_what_somebody_must_do() -> None:
    sources = known([decision()], [run()], champion())
    assert sources.ledger is not None
    for severity, needs in (("warning", None), ("critical", "Incident 7: Look.")):
        sources.ledger.incidents["toy"] = [line("stale", severity)]  # type: ignore[index]
        found = row("toy", entry(model()), sources, NOW)
        assert found.health.state is HealthState.STALE and found.needs == needs


def test_a_ledger_that_does_not_answer_is_unknown() -> None:
    sources = known([decision()], [run()], champion())
    from dataclasses import replace

    found = row("toy", entry(model()), replace(sources, ledger=None), NOW)
    assert found.health.state is HealthState.UNKNOWN and found.health.sentence == "The ledger does not answer."


def test_incidents_of_no_model_are_sentences() -> None:
    lines = [line("disk", number=1, what="The disk fills", todo="Free space."), line("disk", "critical", 2)]
    assert shared_incidents(lines) == ("Incident 2: disk of 2. Look.", "Incident 1: The disk fills. Free space.")


def test_the_ledger_has_open_incidents_and_the_monitors_looks(home: Path) -> None:
    Database(Settings.from_environment().require("database_url")).migrate()
    incidents = Incidents.default()
    seen = Seen(
        model="toy", kind=IncidentKind.DRIFT, cause="x", severity=Severity.WARNING, since="2026-05-09", what="x drifts"
    )
    opened = incidents.observe(Scope("toy", MONITOR), [seen], LOOKED, "a").opened[0]
    incidents.observe(Scope("other", MONITOR), [], NOW - timedelta(days=5), "a")
    incidents.observe(Scope("other", frozenset({IncidentKind.RUN})), [], NOW, "a")
    full = Seen(
        model="", kind=IncidentKind.DISK, cause="d", severity=Severity.CRITICAL, since="2026-05-09", what="it fills"
    )
    incidents.observe(Scope(None, frozenset({IncidentKind.DISK})), [full], NOW, "b")
    names = {"toy": "2026-05-01", "other": "2026-05-01", "third": "2026-05-01"}
    view = ledger.read(names, "2026-05-01", NOW)
    (found,) = view.incidents["toy"]
    assert (found.number, found.kind, found.what, found.state) == (opened.number, "drift", "x drifts", "open")
    assert [one.what for one in view.incidents[""]] == ["it fills"]
    assert view.looks == {"toy": LOOKED, "other": NOW - timedelta(days=5)}, "a look at failed runs is not a monitor's"
    incidents.acknowledge(opened.number, "ada", "mine")
    assert ledger.read(names, "2026-05-01", NOW).incidents["toy"][0].acknowledged_by == "ada"
    incidents.close(opened.number, "ada", "fine")
    assert "toy" not in ledger.read(names, "2026-05-01", NOW).incidents
