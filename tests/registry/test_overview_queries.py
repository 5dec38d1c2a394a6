"""One look at the ledger for all models: the newest nights of each, what serves, freezes, and days."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from include.errors import TransientError
from include.registry import overview, schema
from include.registry.days import Days
from include.registry.evidence import Evidence, Figures, Interval
from include.registry.ledger import Ledger
from include.registry.rows import DayRow
from tests.services import Services


@pytest.fixture
def url(services: Services) -> str:
    return services.new_ledger()


def night(
    ledger: Ledger, model: str, number: int, verdict: str = "promote", serve: bool = True, **recorded: Any
) -> None:
    """A night that makes a version; one that was promoted goes into service."""
    run_id, digest = f"r{number}", f"{number:064x}"
    ledger.add_version(
        model, number, run_id=run_id, candidate="c", recipe={"candidate": "c", "window_days": 9}, twin="t",
        twin_first="2026-01-01", twin_last="2026-03-01", metrics={},
    )  # fmt: skip
    ledger.record_decision(
        model, run_id, as_of=f"2026-05-{number:02}", verdict=verdict, reason=f"why {number}", version=number,
        parameters={}, code_digest="c", snapshot_digest="s", checks=[{"name": "days"}], **recorded,
    )  # fmt: skip
    if verdict == "promote":
        ledger.set_bundle(model, number, digest)
        if serve:
            ledger.promote(model, number, digest, ledger.standing(model).epoch, "perennial", run_id, "better")


NOW = datetime.now(UTC)
FIGURES = Figures(metric="mae", value=3.0, over_baseline=Interval(value=0.5, lower=0.25, upper=0.75), champion=1)


def test_what_is_known_about_several_models(url: str) -> None:
    ledger = Ledger(url)
    night(ledger, "one", 1, figures=FIGURES, evidence=Evidence(rows=7))
    night(ledger, "one", 2, "reject")
    night(ledger, "two", 1, serve=False)
    ledger.freeze("two", "ada", "looking")
    Days(url).record(
        [DayRow("one", key, "published", 5, 1) for key in ("2026-01-05", "2026-05-01")]
        + [DayRow("one", "2026-05-02", "rejected", None, 4, "bad")]
    )
    found = overview.read({"three": "2026-05-01"}, "2026-05-01", NOW, url=url)
    one, two = found.champions["one"], found.champions["two"]
    assert (one.version, one.epoch, one.candidate, one.learned_to, one.figures) == (1, 1, "c", "2026-05-01", FIGURES)
    assert one.recipe["window_days"] == 9 and one.since is not None and one.since.tzinfo is UTC
    assert (two.version, two.epoch, two.learned_to) == (None, 0, None)
    assert two.freeze is not None and (two.freeze.actor, two.freeze.reason) == ("ada", "looking")
    assert [(d.run_id, d.verdict, d.state, d.bundled, d.gain) for d in found.decisions["one"]] == [
        ("r2", "reject", "rejected", False, None),
        ("r1", "promote", "champion", True, 0.5),
    ]
    assert [(d.state, d.bundled) for d in found.decisions["two"]] == [("packaged", True)]
    days = found.days["one"]
    assert [day.key for day in days.days] == ["2026-05-01", "2026-05-02"]
    assert (days.first, days.newest) == ("2026-01-05", "2026-05-01")
    assert found.days["three"] == overview.DayLines((), None, None) and "three" not in found.champions
    alone = overview.read({"two": "2026-05-01"}, "2026-01-01", NOW, only=True, url=url)
    assert set(alone.champions) == set(alone.decisions) == {"two"}


def test_the_freeze_is_the_one_that_lasts(url: str) -> None:
    ledger = Ledger(url)
    ledger.freeze("one", "ada", "first")
    ledger.unfreeze("one", "ada", "done")
    ledger.freeze("one", "bob", "first")
    found = overview.read({}, "2026-01-01", NOW, url=url).champions["one"].freeze
    assert found == ledger.frozen("one") and found is not None and found.actor == "bob"
    ledger.unfreeze("one", "bob", "done")
    assert overview.read({}, "2026-01-01", NOW, url=url).champions["one"].freeze is None


def test_only_the_newest_nights_are_read_and_only_the_newest_reasons(url: str) -> None:
    ledger = Ledger(url)
    for number in range(1, 46):
        night(ledger, "one", number, "hold")
    found = overview.read({}, "2026-01-01", NOW, url=url).decisions["one"]
    assert [decision.version for decision in found] == list(range(45, 5, -1))
    assert all(decision.reason for decision in found)
    later = overview.read({}, "2026-01-01", NOW + timedelta(days=overview.REASON_DAYS + 1), url=url).decisions["one"]
    assert not any(decision.reason for decision in later) and [one.version for one in later] == [
        one.version for one in found
    ]


def test_an_old_version_that_is_decided_again_has_its_state(url: str) -> None:
    ledger = Ledger(url)
    for number in range(1, 46):
        night(ledger, "one", number, "hold")
    ledger.record_decision(
        "one", "r1", as_of="2026-05-01", verdict="reject", reason="again", version=1, parameters={}, code_digest="c",
        snapshot_digest="s", checks=[],
    )  # fmt: skip
    newest = overview.read({}, "2026-01-01", NOW, url=url).decisions["one"][0]
    assert (newest.version, newest.state) == (1, "rejected")


def test_each_model_has_its_own_first_day(url: str) -> None:
    for model in ("one", "two"):
        Ledger(url).freeze(model, "ada", "why")
        Days(url).record([DayRow(model, f"2026-05-0{n}", "published", 1, 0) for n in range(1, 6)])
    found = overview.read({"one": "2026-05-04"}, "2026-05-05", NOW, url=url).days
    assert [[day.key for day in found[model].days] for model in ("one", "two")] == [
        ["2026-05-04", "2026-05-05"],
        ["2026-05-05"],
    ]


def test_figures_that_another_release_wrote_are_unknown(url: str) -> None:
    night(Ledger(url), "one", 1, figures=FIGURES)
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("""UPDATE perennial.decision SET figures = '{"made_up": {"value": 1}}'"""))
    found = overview.read({}, "2026-01-01", NOW, url=url)
    assert found.champions["one"].figures is None and found.decisions["one"][0].gain is None


def test_a_ledger_of_an_earlier_release_keeps_the_one_figure_that_it_has(services: Services) -> None:
    url = services.new_database(f"m{uuid.uuid4().hex[:8]}")
    engine = create_engine(url, poolclass=NullPool)
    schema.migrate(engine, schema.MIGRATIONS[:2])
    row = (
        "INSERT INTO perennial.decision (model, run_id, as_of, verdict, reason, parameters, code_digest, "
        "snapshot_digest, checks) "
        "VALUES ('one', :run, '2026-05-01', 'hold', 'why', '{}', 'c', 's', CAST(:checks AS jsonb))"
    )
    checks = (
        '[{"name": "days", "value": 3}, {"name": "better than the baseline", "value": 0.25}]',
        '[{"name": "days"}]',
        '[{"name": "better than the baseline", "value": null}]',
    )
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO perennial.champion (model) VALUES ('one')"))
        for number, document in enumerate(checks):
            connection.execute(text(row), {"run": f"r{number}", "checks": document})
    schema.migrate(engine)
    found = {one.run_id: one.gain for one in overview.read({}, "2026-01-01", NOW, url=url).decisions["one"]}
    assert found == {"r0": 0.25, "r1": None, "r2": None}


def test_times_are_in_utc_and_newest_first(url: str) -> None:
    ledger = Ledger(url)
    night(ledger, "one", 1, "hold")
    night(ledger, "one", 2, "hold")
    newest, oldest = overview.read({}, "2026-01-01", NOW, url=url).decisions["one"]
    assert newest.at > oldest.at and newest.at.tzinfo is UTC
    assert abs(datetime.now(UTC) - newest.at) < timedelta(minutes=10)


def test_a_ledger_that_does_not_answer_is_an_error_of_its_own() -> None:
    with pytest.raises(TransientError, match="read the overview of all models"):
        overview.read({}, "2026-01-01", NOW, url="postgresql://ada:x@127.0.0.1:9/perennial")
