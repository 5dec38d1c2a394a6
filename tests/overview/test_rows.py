"""The row of a model: its newest night, its fortnight, and what somebody must do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from include.overview.needs import headline, in_order, matches
from include.overview.records import Filter, ModelOverview, Outcome, Server, ServerState
from include.overview.rows import Evidence, row
from include.registry.rows import FreezeRow
from tests.overview.made import DAY, NIGHT, NOW, champion, day, decision, entry, keys, known, model, published, run


def of(evidence: Evidence, problem: str | None = None, now: datetime = NOW, **declared: Any) -> ModelOverview:
    found = None if problem else model(**declared)
    return row("toy", entry(found, problem=problem), evidence, now)


def test_a_healthy_model_needs_nobody() -> None:
    found = of(known([decision()], [run()], champion()))
    assert (found.night.outcome, found.needs, found.owner, found.tags) == (Outcome.PROMOTED, None, "ada", ("one",))
    assert found.serving is not None and found.serving.state is ServerState.SERVES
    assert len(found.nights) == 14 and found.nights[-1] == found.night and found.live is None


def test_nights_before_the_model_are_not_due_and_missing_ones_are_not_run() -> None:
    first = decision(1, at=NIGHT - 3 * DAY, run_id="old", state="retired")
    found = of(known([decision(), first], [run()], champion()))
    assert [night.outcome for night in found.nights[-5:]] == [
        Outcome.NOT_DUE, Outcome.PROMOTED, Outcome.NOT_RUN, Outcome.NOT_RUN, Outcome.PROMOTED,
    ]  # fmt: skip


def test_a_model_on_demand_has_no_missed_night_and_no_age_limit() -> None:
    fresh = of(known([decision()], [run()], champion()), trains=None)
    assert (fresh.night.outcome, fresh.needs) == (Outcome.PROMOTED, None)
    months = 100 * DAY
    first = decision(1, at=NIGHT - months, state="champion")
    found = of(known([first], [], champion(1, learned_to="2026-01-20"), server=None), trains=None)
    assert {night.outcome for night in found.nights} == {Outcome.NOT_DUE} and found.needs is None
    assert found.night.sentence.startswith("No night was planned: it is retrained on demand, when its monitor finds")
    assert found.serving is not None and (found.serving.age, found.serving.limit, found.serving.old) == (
        110,
        None,
        None,
    )
    assert headline([found], NOW) == "Last night: 1 not due. No action is needed."


def test_a_model_on_demand_without_a_champion_says_how_it_gets_one() -> None:
    found = of(known(days=[], server=Server({})), trains=None)
    assert found.night.outcome is Outcome.NO_CHAMPION and found.needs is not None
    assert "it is retrained on demand, when its monitor finds that it is stale, or by hand" in found.needs


def test_a_broken_folder_says_where_and_hides_no_champion() -> None:
    found = of(known([decision()], [run()], champion()), problem="event_time names nothing")
    assert found.night.outcome is Outcome.BROKEN and "model.py:76: event_time names nothing" in found.night.sentence
    assert found.needs is not None and found.needs.startswith("Fix the folder: ") and "model.py:76" in found.needs
    assert found.serving is not None and found.serving.version == 2 and found.data is None


def test_a_freeze_that_holds_a_version_needs_somebody() -> None:
    freeze = FreezeRow("toy", "bob", NIGHT - DAY, "looking")
    held = decision(3, "hold", state="packaged", bundled=True)
    found = of(known([held], [run(3)], champion(frozen=True, freeze=freeze)))
    assert found.night.outcome is Outcome.FROZEN and found.freeze is not None and found.freeze.actor == "bob"
    assert found.needs == "Lift the freeze and release version 3, or decide that it stays."
    skipped = run(4, note="skipped: decided hold", run_after=NIGHT)
    yesterday = held._replace(at=NIGHT - DAY, run_id="r3")
    again = of(known([yesterday], [skipped], champion(frozen=True, freeze=freeze)))
    assert (again.night.outcome, again.night.version) == (Outcome.FROZEN, 3)
    released = held._replace(state="champion")
    assert of(known([released], [run(3)], champion(3), server=None)).needs is None


def test_a_model_without_a_champion() -> None:
    nothing = Server({})
    note = "skipped: toy was never trained, and cannot be yet."
    never = of(known(runs=[run(note=note)], days=[], server=nothing))
    assert never.night.outcome is Outcome.NO_CHAMPION and never.needs is not None
    assert never.needs == "toy has no champion. Toy was never trained, and cannot be yet."
    idle = of(known(days=[], server=nothing))
    assert idle.night.outcome is Outcome.NO_CHAMPION
    assert [night.outcome for night in idle.nights[:-1]] == [Outcome.NOT_DUE] * 13, "it may not have existed"
    held = of(known([decision(1, "hold")], [run(1)], server=nothing))
    assert held.night.outcome is Outcome.HELD and held.needs == "toy has no champion. because of 1."
    running = of(known(runs=[run(state="running")], server=nothing))
    assert (running.night.outcome, running.needs) == (Outcome.RUNNING, None)


def test_a_model_that_was_never_trained_waits_for_its_first_night() -> None:
    """As one that `make run MODELS=...` left out: until a night was due, nobody has to do anything."""

    def fresh(seen: datetime, now: datetime = NOW, **changes: Any) -> ModelOverview:
        evidence = known(days=[], server=Server({}), first_seen={"toy": seen}, **changes)
        return of(evidence, now=now)

    today = fresh(NIGHT + timedelta(hours=1))
    assert (today.night.outcome, today.needs) == (Outcome.NO_CHAMPION, None)
    assert today.night.sentence == "Nothing has been released yet. Its first night begins at 2026-05-11 03:00 UTC."
    assert {night.outcome for night in today.nights[:-1]} == {Outcome.NOT_DUE}
    missed = fresh(NIGHT - timedelta(hours=1))
    assert missed.night.outcome is Outcome.NO_CHAMPION and missed.needs is not None
    assert "No run of toy_retrain has begun since 2026-05-10 03:00 UTC" in missed.needs
    skipped = fresh(NIGHT - timedelta(hours=1), runs=[run(note="SKIPPED: there are no days")])
    assert skipped.needs == "toy has no champion. There are no days"
    paused = fresh(NIGHT + timedelta(hours=1), paused=frozenset({"toy_retrain"}))
    assert paused.needs is not None and "Unpause toy_retrain in Airflow" in paused.needs
    withdrawn = fresh(NIGHT + timedelta(hours=1), standing=champion(None, epoch=3))
    assert withdrawn.needs is not None and "taken out of service" in withdrawn.needs
    unread = of(known(days=[], server=Server({}), first_seen={}))
    assert (unread.night.outcome, unread.needs) == (Outcome.NO_CHAMPION, None), "Airflow has not read its folder yet"


def test_a_night_before_airflow_had_the_model_was_not_due() -> None:
    """The first run was started by hand; the nights since Airflow knows the model count, and those before do not."""
    by_hand = run(run_type="manual", run_after=NIGHT + timedelta(hours=2))
    evidence = known([decision()], [by_hand], champion(), first_seen={"toy": NIGHT - 2 * DAY - timedelta(hours=1)})
    assert [night.outcome for night in of(evidence).nights[-4:]] == [
        Outcome.NOT_DUE, Outcome.NOT_RUN, Outcome.NOT_RUN, Outcome.PROMOTED,
    ]  # fmt: skip


def test_a_reader_who_may_not_read_every_dag_is_not_shown_a_night_as_missed() -> None:
    evidence = known([decision(at=NIGHT - DAY)], [], champion(), partial=frozenset({"toy"}))
    assert (of(evidence).night.outcome, of(evidence).needs) == (Outcome.UNKNOWN, None)
    unreleased = known([decision(state="packaged")], [run()], champion(1), partial=frozenset({"toy"}))
    assert of(replace(unreleased, server=None)).night.outcome is Outcome.UNKNOWN, "its release may be under way"


def test_the_run_of_a_broken_folder_is_that_of_its_own_dag() -> None:
    why = run(kind="broken", run_id="b1", state="failed", failed_tasks=("why",))
    found = of(known([decision()], [run(), why], champion()), problem="event_time names nothing").night
    assert (found.outcome, found.dag_id, found.run_id, found.version) == (Outcome.BROKEN, "toy_broken", "b1", None)
    unknown = of(known([decision()], [run()], champion()), problem="event_time names nothing").night
    assert (unknown.dag_id, unknown.run_id) == (None, None), "a night before it broke is another matter"


def test_a_night_is_due_a_quarter_of_an_hour_after_its_time() -> None:
    evidence = known([decision(1, at=NIGHT - DAY + timedelta(minutes=9), state="champion")], [], champion(1))
    assert of(evidence, now=NIGHT + timedelta(minutes=14)).night.outcome is Outcome.PROMOTED
    assert of(evidence, now=NIGHT + timedelta(minutes=16)).night.outcome is Outcome.NOT_RUN


def test_a_night_that_was_not_run_needs_somebody() -> None:
    evidence = known([decision(at=NIGHT - DAY)], [], champion())
    assert (of(evidence).needs or "").startswith("Find out why Airflow did not start")
    paused = known([decision(at=NIGHT - DAY)], [], champion(), paused=frozenset({"toy_retrain"}))
    assert (of(paused).needs or "").startswith("Unpause toy_retrain")


def test_nothing_is_concluded_from_sources_that_do_not_answer() -> None:
    evidence = known([decision(at=NIGHT - DAY)], [], champion())
    blind = of(replace(evidence, since=None))
    assert blind.night.outcome is Outcome.UNKNOWN and blind.nights[-2].outcome is Outcome.PROMOTED
    dark = of(replace(evidence, since=None, ledger=None, server=None))
    assert {night.outcome for night in dark.nights} == {Outcome.UNKNOWN}
    assert (dark.serving, dark.data, dark.quality, dark.live, dark.freeze) == (None, None, None, None, None)


def test_a_failed_night_names_the_task_to_look_at() -> None:
    found = of(known(runs=[run(state="failed", failed_tasks=("train",))], standing=champion()))
    assert found.needs is not None and "the task train of toy_retrain" in found.needs


def test_a_server_that_is_behind_is_urgent() -> None:
    found = of(known([decision(3)], [run(3)], champion(3)))
    assert found.needs is not None and "the server serves version 2" in found.needs


def test_days_that_are_not_in_order_need_somebody() -> None:
    healthy = {"decisions": [decision()], "runs": [run()], "standing": champion()}
    missing = of(known(**healthy, days=published(*keys()[:-2])))  # type: ignore[arg-type]
    assert missing.needs == (
        "2026-05-08 and 2026-05-09 were not collected. Find out why, then collect them with toy_collect."
    )
    paused = of(known(**healthy, days=published(*keys()[:-1]), paused=frozenset({"toy_collect"})))  # type: ignore[arg-type]
    assert paused.needs == (
        "2026-05-09 was not collected. Unpause toy_collect in Airflow, then collect it with toy_collect."
    )
    rejected = day("2026-05-09", "rejected", None, 9, reason="9 of 90 rows")
    found = of(known(**healthy, days=[*published(*keys()[:-1]), rejected]))  # type: ignore[arg-type]
    assert found.needs is not None and found.needs.startswith("2026-05-09 failed validation. ")


def test_an_old_champion_needs_somebody() -> None:
    found = of(known([decision(verdict="hold")], [run()], champion(learned_to="2026-04-01")))
    assert found.needs is not None and "up to 2026-04-01, 39 days ago, and the limit is 15" in found.needs


def test_a_model_whose_folder_is_gone_is_listed() -> None:
    found = row("toy", None, known([decision(at=NIGHT - 5 * DAY)], [], champion()), NOW)
    assert (found.owner, found.problem, found.needs, found.gone) == (None, None, None, True)
    assert found.serving is not None and found.serving.version == 2


def test_those_that_need_somebody_come_first_the_worst_of_them_first() -> None:
    healthy = of(known([decision()], [run()], champion()))
    broken = replace(healthy, name="b", needs="fix", night=replace(healthy.night, outcome=Outcome.BROKEN))
    frozen = replace(healthy, name="a", needs="lift", night=replace(healthy.night, outcome=Outcome.FROZEN))
    held = replace(healthy, name="h", night=replace(healthy.night, outcome=Outcome.HELD))
    models = in_order([healthy, held, frozen, broken])
    assert [one.name for one in models] == ["b", "a", "h", "toy"]
    assert headline(models, NOW) == "Last night: 1 promoted, 1 held, 1 frozen, 1 broken. 2 need you."
    assert headline([healthy], NOW) == "Last night: 1 promoted. No action is needed."
    assert headline([broken], NOW, complete=False) == "Last night: 1 broken. 1 needs you, as far as is known."
    assert headline([], NOW) == "There are no models."


def test_a_night_of_last_week_is_not_last_night() -> None:
    weekly = of(known([decision(at=NIGHT - 6 * DAY)], [], champion()), trains="0 3 * * mon")
    assert weekly.night.outcome is Outcome.PROMOTED and weekly.night.day == "2026-05-04"
    assert headline([weekly], NOW) == "Last night: 1 not due. No action is needed."


def test_models_are_found_by_name_owner_and_tag() -> None:
    found = of(known([decision()], [run()], champion()))
    for wanted in (Filter(), Filter(name="TO"), Filter(owner="Ad"), Filter(tag="one"), Filter("oy", "ada", "one")):
        assert matches(found, wanted)
    for wanted in (Filter(name="x"), Filter(owner="bob"), Filter(tag="on"), Filter("toy", "bob")):
        assert not matches(found, wanted)
