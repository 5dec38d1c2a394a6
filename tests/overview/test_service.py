"""What serves, by the ledger and by the server; how old it is, and how good it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from include.overview.records import Gain, ServedModel, Server, ServerState
from include.overview.service import quality_of, serving_of
from include.registry.evidence import Figures, Interval
from tests.overview.made import NOW, champion, decision, model


def says(version: int | None, problem: str | None = None) -> Server:
    return Server({"toy": ServedModel("toy", version, problem, None)})


def test_the_champion_serves() -> None:
    found = serving_of(champion(), model(), says(2), "toy", NOW)
    assert (found.state, found.version, found.served) == (ServerState.SERVES, 2, 2)
    assert (found.recipe, found.learned_to, found.age, found.old) == ("boosting on 60 days", "2026-05-09", 1, False)


def test_a_server_that_serves_something_else_is_behind() -> None:
    for server in (says(1), says(None, "no bundle"), Server({}), says(2, "the bundle is damaged")):
        assert serving_of(champion(), model(), server, "toy", NOW).state is ServerState.BEHIND
    gone = serving_of(champion(None, epoch=3), model(), says(2), "toy", NOW)
    assert gone.state is ServerState.BEHIND and gone.served == 2
    assert "no bundle" in serving_of(champion(), model(), says(None, "no bundle"), "toy", NOW).sentence


def test_a_server_that_does_not_answer_is_not_said_to_serve() -> None:
    found = serving_of(champion(), model(), None, "toy", NOW)
    assert found.state is ServerState.SILENT and found.served is None
    assert found.sentence == "The model server does not answer; version 2 should serve."


def test_nothing_serves() -> None:
    assert serving_of(None, model(), Server({}), "toy", NOW).sentence == "Nothing has been released yet."
    withdrawn = serving_of(champion(None, epoch=4), model(), says(None), "toy", NOW)
    assert (withdrawn.state, withdrawn.sentence) == (ServerState.NOTHING, "It was taken out of service.")


def test_a_champion_is_old_above_the_limit_of_its_schedule_and_its_labels() -> None:
    def found(day: str, **declared: Any) -> bool | None:
        return serving_of(champion(learned_to=day), model(**declared), says(2), "toy", NOW).old

    assert (found("2026-04-25"), found("2026-04-24")) == (False, True)  # 15 days; 16 days
    assert found("2026-04-18", delay=timedelta(days=7)) is False
    assert found("2026-04-19", trains="0 3 * * mon") is False
    assert serving_of(champion(learned_to=None), model(), says(2), "toy", NOW).old is None
    assert serving_of(champion(), None, says(2), "toy", NOW).old is None, "of a broken folder no limit is known"


def test_the_quality_is_that_of_the_champions_own_decision() -> None:
    figures = Figures(
        metric="log_loss",
        value=0.6,
        over_baseline=Interval(value=0.07, lower=0.05, upper=0.09),
        over_champion=Interval(value=0.01),
        champion=1,
    )
    found = quality_of(champion(figures=figures), [decision()], ["2026-05-10"])
    assert found is not None and (found.metric, found.value, found.version, found.before) == ("log_loss", 0.6, 2, 1)
    assert found.over_baseline == Gain(0.07, 0.05, 0.09) and found.over_before == Gain(0.01, None, None)


def test_a_baseline_check_in_another_metric_is_named() -> None:
    """Otherwise, the sentence of a decision and the figures next to it seem to contradict each other."""
    figures = Figures(metric="log_loss", value=0.6)

    def named(declared: str | None, line: Any = figures) -> str | None:
        gate = model().gate.model_copy(update={"baseline_metric": declared})
        of = model().model_copy(update={"gate": gate})
        found = quality_of(champion(figures=line), [decision()], ["2026-05-10"], of)
        return None if found is None else found.baseline_metric

    assert (named("roc_auc"), named("log_loss"), named(None), named("roc_auc", None)) == ("roc_auc", None, None, None)


def test_what_was_not_recorded_stays_unknown() -> None:
    found = quality_of(champion(), [decision(gain=None)], ["2026-05-10"])
    assert found is not None and (found.metric, found.over_baseline, found.over_before) == (None, None, None)
    assert found.points[0].value is None
    assert quality_of(None, [], []) is None


def test_a_night_has_one_point_and_shows_its_promotion() -> None:
    decisions = [decision(3, "reject"), decision(2), *(decision(n, "hold") for n in range(40, 5, -1))]
    nights = ["2026-05-10", "2026-05-10", *(f"2026-04-{n:02}" for n in range(35, 0, -1))]
    found = quality_of(champion(), decisions, nights)
    assert found is not None and len(found.points) == 30
    assert (found.points[-1].day, found.points[-1].promoted, found.points[-1].version) == ("2026-05-10", True, 2)
    assert found.points[0].day < found.points[1].day and not found.points[0].promoted
