"""Incidents: one of a model, kind and cause, whoever looks, in whatever order, however often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from include.errors import ConfigurationError
from include.registry.incident_rows import IncidentKind, IncidentRow, Seen, Severity
from include.registry.incidents import Incidents, Observed, Scope
from include.registry.ledger import Ledger
from tests.services import Services

DATA = frozenset({IncidentKind.DATA, IncidentKind.DRIFT})
CAUSE = "missing:price"


@pytest.fixture(scope="module")
def url(services: Services) -> str:
    return services.new_ledger()


@pytest.fixture
def incidents(url: str) -> Incidents:
    return Incidents(url)


def hour(number: float) -> datetime:
    return datetime(2026, 5, 3, tzinfo=UTC) + timedelta(hours=number)


def seen(model: str, cause: str = CAUSE, severity: Severity = Severity.WARNING, **more: str) -> Seen:
    told = {"since": "2026-05-03", "what": f"{cause} is wrong", **more}
    return Seen(model=model, kind=IncidentKind.DATA, cause=cause, severity=severity, **told)


def critical(model: str, cause: str = CAUSE) -> Seen:
    return seen(model, cause, Severity.CRITICAL)


@pytest.fixture
def look(incidents: Incidents, model: str) -> Callable[..., Observed]:
    """A look at the model at an hour; each has a run of its own."""

    def at(number: float, *found: Seen, run: str | None = None, **more: object) -> Observed:
        scope = Scope(model, DATA)
        return incidents.observe(scope, found, hour(number), run or f"run-{number}", **more)  # type: ignore[arg-type]

    return at


def only(rows: tuple[IncidentRow, ...] | list[IncidentRow]) -> IncidentRow:
    (row,) = rows
    return row


def events(url: str, number: int) -> list[str]:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        query = text("SELECT event FROM perennial.alert WHERE incident = :number ORDER BY id")
        return list(connection.execute(query, {"number": number}).scalars())


def test_what_is_found_opens_is_found_again_and_is_over(
    incidents: Incidents, url: str, model: str, look: Callable[..., Observed]
) -> None:
    first = only(look(1, seen(model, how_bad="12 %", done="nothing", todo="look", page="/p")).opened)
    assert (first.state, first.looks, first.how_bad, first.page) == ("open", 1, "12 %", "/p")
    again = look(2, seen(model, how_bad="14 %", since="2026-05-04", what="worse"))
    now = only(again.updated)
    assert again.opened == () and now.number == first.number and now.looks == 2
    assert (now.how_bad, now.what, now.since) == ("14 %", "worse", "2026-05-03")
    assert incidents.open(model) == [now]
    over = only(look(3).closed)
    assert (over.state, over.closed_by, over.reason) == ("closed", "perennial", "no longer found")
    assert incidents.open(model) == [] and incidents.of(model) == [over]
    assert events(url, first.number) == ["opened", "closed"]
    assert look(4) == Observed()
    second = only(look(5, seen(model)).opened)
    assert second.number > first.number and [row.number for row in incidents.of(model)] == [second.number, first.number]


def test_a_repeated_look_ends_in_the_same_state(
    incidents: Incidents, model: str, look: Callable[..., Observed]
) -> None:
    def state() -> list[IncidentRow]:
        return [replace(row, updated_at=hour(0)) for row in incidents.of(model)]

    look(1, seen(model), run="night")
    before = state()
    assert look(1, seen(model), run="night").opened == ()
    look(1.5, seen(model), run="night")  # the second try of a task begins later
    assert state() == before
    look(2, run="next")
    before = state()
    assert look(2, run="next") == Observed()
    assert state() == before
    for _ in range(2):
        incidents.observe(Scope(model, DATA), [seen(model)], hour(3), None)
    assert only(incidents.open(model)).looks == 1
    incidents.observe(Scope(model, DATA), [seen(model)], hour(4), None)
    assert only(incidents.open(model)).looks == 2


def test_the_same_thing_twice_in_a_look_is_one_incident_at_its_worst(model: str, look: Callable[..., Observed]) -> None:
    assert only(look(1, seen(model), critical(model), seen(model)).opened).severity == "critical"


def test_an_older_look_that_ends_later_changes_nothing(
    incidents: Incidents, model: str, look: Callable[..., Observed]
) -> None:
    look(2, seen(model))
    before = incidents.of(model)
    assert look(1) == look(1, critical(model)) == Observed()
    assert incidents.of(model) == before
    look(4)  # over
    assert look(3, seen(model)) == Observed(), "it would open what a newer look found over"
    assert incidents.open(model) == []
    look(6)  # nothing found, and no incident to remember it by
    assert look(5, seen(model, "another")) == Observed()


def test_an_older_look_of_a_wider_scope_does_not_close_what_a_newer_one_found(
    incidents: Incidents, model: str, look: Callable[..., Observed]
) -> None:
    look(2, seen(model))
    wider = Scope(model, DATA | {IncidentKind.STALE})
    assert incidents.observe(wider, [], hour(1), None) == Observed()
    assert incidents.observe(wider, [critical(model)], hour(1), None) == Observed()
    assert only(incidents.open(model)).severity == "warning"


def test_unknown_neither_opens_nor_closes(incidents: Incidents, model: str, look: Callable[..., Observed]) -> None:
    look(1, seen(model), seen(model, "other"))
    for number, unknown in ((2, (model, IncidentKind.DATA, CAUSE)), (3, (model, IncidentKind.DATA, ""))):
        assert look(number, seen(model, "other"), unknown=[unknown]).closed == ()
    assert look(4, unknown=[(model, IncidentKind.DATA, "")]) == Observed()
    assert only(look(5, seen(model, "other"), unknown=[(model, IncidentKind.DATA, "no such")]).closed).cause == CAUSE


def test_severity_grows_and_never_falls_and_an_acknowledged_one_needs_a_person_again(
    incidents: Incidents, url: str, model: str, look: Callable[..., Observed]
) -> None:
    number = only(look(1, seen(model)).opened).number
    assert incidents.acknowledge(number, "ada", "on it").state == "acknowledged"
    assert only(look(2, seen(model)).updated).state == "acknowledged"
    worse = only(look(3, critical(model)).updated)
    assert (worse.number, worse.severity, worse.state, worse.acknowledged_by) == (number, "critical", "open", None)
    incidents.acknowledge(number, "bob", "mine")
    still = only(look(4, seen(model)).updated)
    assert (still.severity, still.state, still.acknowledged_by) == ("critical", "acknowledged", "bob")
    assert events(url, number) == ["opened", "worse"]
    assert only(look(5).closed).acknowledged_by == "bob"


def test_closed_by_hand_is_muted_until_it_was_over_once(
    incidents: Incidents, url: str, model: str, look: Callable[..., Observed]
) -> None:
    number = only(look(1, seen(model)).opened).number
    closed = incidents.close(number, "ada", "a known gap")
    assert (closed.state, closed.closed_by, closed.reason) == ("closed", "ada", "a known gap")
    assert look(2, seen(model)) == Observed()
    assert look(3, unknown=[(model, IncidentKind.DATA, CAUSE)]) == look(4, seen(model)) == Observed()
    assert look(5) == Observed()  # over once
    assert only(look(6, seen(model)).opened).number > number
    assert events(url, number) == ["opened", "closed"]


def test_closed_by_hand_opens_again_when_it_worsens(
    incidents: Incidents, model: str, look: Callable[..., Observed]
) -> None:
    incidents.close(only(look(1, seen(model)).opened).number, "ada", "noise")
    second = only(look(2, critical(model)).opened)
    incidents.close(second.number, "ada", "noise, too")
    assert look(3, critical(model)) == Observed()
    assert incidents.open(model) == []


def test_the_audit_records_what_people_do_once(
    incidents: Incidents, url: str, model: str, look: Callable[..., Observed]
) -> None:
    number = only(look(1, seen(model)).opened).number
    for _ in range(2):
        incidents.acknowledge(number, "ada", "on it")
    incidents.acknowledge(number, "bob", "me too")
    for _ in range(2):
        incidents.close(number, "bob", "repaired")
    assert incidents.acknowledge(number, "eve", "too late").acknowledged_by == "ada"
    said = f"incident {number} ({CAUSE} is wrong): "
    assert [(row.actor, row.action, row.reason) for row in Ledger(url).history(model)] == [
        ("ada", "acknowledge", f"{said}on it"),
        ("bob", "close", f"{said}repaired"),
    ]
    with pytest.raises(ConfigurationError, match=r"there is no incident 999999: the newest has number \d+"):
        incidents.close(999_999, "ada", "what?")


def test_a_scope_closes_only_what_is_in_it(incidents: Incidents, model: str) -> None:
    everything = Scope(None, frozenset(IncidentKind))
    incidents.observe(everything, [], hour(900), None)
    of_disks = Scope(None, frozenset({IncidentKind.DISK}), "full:")
    disk = Seen(
        model="", kind=IncidentKind.DISK, cause="full:/var", severity=Severity.CRITICAL, since="now", what="full"
    )
    incidents.observe(of_disks, [disk], hour(901), None)
    incidents.observe(Scope(model, DATA), [seen(model)], hour(901), None)
    incidents.observe(Scope(model, DATA, "missing"), [seen(model)], hour(902), None)
    for scope in (Scope(model, DATA, "range"), Scope("other", DATA), Scope(model, frozenset({IncidentKind.DAY}))):
        assert incidents.observe(scope, [], hour(903), None) == Observed()
    assert incidents.observe(Scope(None, DATA | {IncidentKind.DISK}, "miss_"), [], hour(903), None) == Observed()
    assert [row.model for row in incidents.open()] == ["", model]
    with pytest.raises(ValueError, match=f"data/{CAUSE} is outside of the scope"):
        incidents.observe(Scope("other", DATA), [seen(model)], hour(904), None)
    assert {row.model for row in incidents.observe(everything, [], hour(904), None).closed} == {"", model}


def test_the_worst_comes_first(incidents: Incidents, model: str, look: Callable[..., Observed]) -> None:
    rows = look(1, seen(model, "a"), critical(model, "b"), critical(model, "c"), seen(model, "d")).opened
    named = {row.cause: row.number for row in rows}
    incidents.acknowledge(named["a"], "ada", "on it")
    incidents.acknowledge(named["b"], "ada", "on it")
    assert [row.cause for row in incidents.open(model)] == ["c", "b", "d", "a"]


def test_many_looks_at_once_open_one_incident_and_queue_one_alert(incidents: Incidents, url: str, model: str) -> None:
    together = threading.Barrier(8)
    failed: list[BaseException] = []

    def watch(number: int) -> None:
        mine = Incidents(url)
        scope = Scope(model, DATA) if number % 2 else Scope(model, frozenset({IncidentKind.DATA}))
        try:
            together.wait(30)
            for turn in range(3):
                mine.observe(scope, [seen(model)], hour(turn + number / 10), f"run-{number}-{turn}")
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    row = only(incidents.of(model))
    assert failed == [] and row.state == "open" and events(url, row.number) == ["opened"]


def test_the_database_refuses_a_second_open_incident(url: str, model: str, look: Callable[..., Observed]) -> None:
    look(1, seen(model))
    columns = "model, kind, cause, severity, state, since, what, how_bad, done, todo, page, looks, began"
    copy = f"INSERT INTO perennial.incident ({columns}) SELECT {columns} FROM perennial.incident WHERE model = :model"
    with (
        pytest.raises(IntegrityError, match="one_incident"),
        create_engine(url, poolclass=NullPool).begin() as connection,
    ):
        connection.execute(text(copy), {"model": model})
