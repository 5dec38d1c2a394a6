"""One look over real folders, a real ledger and a real spool: what it opens and closes, each exactly once."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from include.errors import TransientError
from include.overview import model_server
from include.overview.records import RunRow, Runs, ServedModel, Server
from include.partitions import utc_now
from include.registry.days import Days
from include.registry.incidents import Incidents
from include.registry.ledger import Ledger
from include.registry.rows import DayRow
from include.watchdog import look as looking
from include.watchdog.look import Looked
from include.watchdog.records import AirflowView
from tests.data.spooled import line, spool

Adding = Callable[[str], Path]
NOW = utc_now()
STARTED = NOW - timedelta(days=3)


class World:
    """What the sources answer at the next look; ``waited`` are the seconds that the look wanted to wait."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.served: list[Server | None] = [Server({})]
        self.view: AirflowView | None = airflow()
        self.waited: list[float] = []
        self.now = NOW
        patch.setattr(model_server, "ask", lambda patience: self.served.pop(0) if self.served[1:] else self.served[0])
        patch.setenv("PERENNIAL_SERVING_URL", "http://127.0.0.1:9")
        patch.setattr(looking.reading, "disks", lambda settings: ())

    def look(self, run_id: str = "a-run") -> Looked:
        self.now += timedelta(minutes=10)
        return looking.look(lambda: self.view, run_id, self.waited.append, lambda: self.now)


def airflow(*rows: RunRow, loading: frozenset[str] = frozenset(), seen: datetime = STARTED) -> AirflowView:
    runs = Runs(rows, NOW - timedelta(days=16), first_seen={"tickets": NOW})
    return AirflowView(runs, tuple(row for row in rows if row.state == "failed"), loading, seen)


@pytest.fixture
def world(home: Path, folder: Adding, monkeypatch: pytest.MonkeyPatch) -> World:
    folder("tickets")
    return World(monkeypatch)


def causes() -> list[tuple[str, str, str]]:
    return [(row.model, row.kind, row.cause) for row in Incidents.default().open()]


def test_a_fresh_stack_opens_nothing_and_has_no_note(world: World) -> None:
    """A folder, an empty ledger, a model server without a model, and Airflow that has just read the DAGs."""
    assert world.look() == Looked() and world.look().note == "" and causes() == [] and world.waited == []


def test_the_same_look_twice_has_one_incident_and_the_end_closes_it(world: World, home: Path) -> None:
    segment = spool(home / "spool", 1, [line(1)], model="tickets")
    old = (NOW - timedelta(hours=2)).timestamp()
    os.utime(segment, (old, old))
    first = world.look()
    assert first.opened == ("#1 Predictions of tickets are not loaded into the lake.",)
    assert first.note.startswith("OPENED 1 incident: #1 Predictions of tickets")
    again = world.look("another-run")
    assert (again.opened, again.closed, again.found, again.note) == ((), (), 1, "")
    segment.unlink()
    assert world.look("third").note == "CLOSED 1 incident: #1 Predictions of tickets are not loaded into the lake."
    assert causes() == []


def test_rejected_lines_are_found_next_to_the_spool(world: World, home: Path) -> None:
    kept = spool(home / "spool" / "one", 1, ["no JSON"], server="tickets", model="rejected")
    assert world.look().opened == ("#1 Some predictions of tickets could not be loaded into the lake.",)
    assert Incidents.default().open()[0].how_bad == f"1 file with rejected lines in {kept.parent}."
    kept.unlink()
    assert len(world.look("next").closed) == 1


def test_a_broken_folder_opens_and_pages_a_day_later(world: World, folder: Adding) -> None:
    (folder("halfway") / "source.py").unlink()
    assert len(world.look().opened) == 1 and causes() == [("halfway", "folder", "broken")]
    assert Incidents.default().open()[0].severity == "warning"
    world.now += timedelta(hours=25)
    world.look("next")
    assert Incidents.default().open()[0].severity == "critical"


def test_a_server_that_answers_again_after_two_minutes_is_no_incident(world: World) -> None:
    world.served = [None, Server({})]
    assert world.look() == Looked() and world.waited == [looking.CONFIRMED_AFTER]


def test_a_server_that_stays_silent_is_one_and_is_not_waited_for_again(world: World) -> None:
    world.served = [None]
    assert world.look().opened == ("#1 The model server does not answer.",)
    assert world.look("next").found == 1 and len(world.waited) == 1
    world.served = [Server({})]
    assert len(world.look("third").closed) == 1 and len(world.waited) == 1


def test_a_server_that_serves_what_the_ledger_does_not_know_is_behind(world: World) -> None:
    behind = Server({"tickets": ServedModel("tickets", 7, None, None)})
    world.served = [behind]
    assert len(world.look().opened) == 1 and causes() == [("tickets", "service", "server:behind")]
    world.served = [None, None]
    world.look("silent")
    assert ("tickets", "service", "server:behind") in causes(), "a silent server does not close it"
    world.served = [Server({})]
    assert len(world.look("well").closed) == 2


def test_without_airflow_and_a_server_nothing_opens_or_closes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = RunRow("perennial_predictions", "r", "failed", "scheduled", NOW, NOW, NOW)
    world.view = airflow(failed)
    assert len(world.look().opened) == 1
    monkeypatch.delenv("PERENNIAL_SERVING_URL")
    world.view = None
    result = world.look("next")
    assert (result.opened, result.closed, len(result.unknown)) == ((), (), 2) and causes() == [
        ("", "run", "predictions")
    ]
    world.view = airflow()
    assert len(world.look("third").closed) == 1


def test_a_missing_day_of_a_trained_model_opens_and_a_day_that_arrives_closes(world: World) -> None:
    days = [(NOW - timedelta(days=ago)).date().isoformat() for ago in range(2, 6)]
    Ledger.default().record_decision(
        "tickets", "r", as_of=days[0], verdict="reject", reason="worse", version=None, parameters={}, code_digest="c",
        snapshot_digest="s", checks=[],
    )  # fmt: skip
    Days.default().record([DayRow("tickets", key, "published", 10, 0) for key in (days[0], *days[2:])])
    world.look()
    assert ("tickets", "day", f"day:{days[1]}") in causes()
    Days.default().record([DayRow("tickets", days[1], "published", 10, 0)])
    world.look("next")
    assert ("tickets", "day", f"day:{days[1]}") not in causes()


def test_a_ledger_that_does_not_answer_ends_the_look(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_DATABASE_URL", "postgresql://ada:s3cret@127.0.0.1:9/perennial")
    with pytest.raises(TransientError) as error:
        world.look()
    assert "s3cret" not in str(error.value)


def test_disks_are_read_once_each(home: Path) -> None:
    from include.settings import Settings
    from include.watchdog.reading import disks

    (disk,) = disks(Settings.from_environment()) or ()
    assert disk.name == "lake, spool, bundles, home" and 0 < disk.free < disk.total
