"""The charts of the Models pages: what they show, that shape and words tell it as well as colour, and escaping."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from perennial.console import charts, words

from include.overview.records import (
    AuditOf,
    CandidateFigure,
    Day,
    DayState,
    DecisionOf,
    Figure,
    Freeze,
    Gain,
    Live,
    ModelHistory,
    Night,
    Outcome,
    Point,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOSTILE = "<script>alert('x')</script>"


def night(outcome: Outcome, day: str = "2026-11-26", version: int | None = None) -> Night:
    return Night(outcome, day, HOSTILE, version=version)


def decision(days_ago: int, outcome: Outcome, version: int) -> DecisionOf:
    at = NOW - timedelta(days=days_ago)
    return DecisionOf(f"run-{version}", "2026-11-01", outcome, HOSTILE, version, at, (), None, None)


def change(days_ago: int, action: str, version: int | None, before: int | None = None) -> AuditOf:
    return AuditOf(NOW - timedelta(days=days_ago), HOSTILE, action, version, before, HOSTILE, "run")


def drawn(chart: str) -> ElementTree.Element:
    """The chart, read as XML: it is whole, and no value brought an element."""
    assert "<script" not in chart
    return ElementTree.fromstring(chart)


def titles(chart: str) -> list[str]:
    return [element.text or "" for element in drawn(chart).iter() if element.tag == "title"]


def test_every_outcome_has_a_mark_of_its_own_and_a_meaning() -> None:
    assert set(charts.SHAPES) == set(words.MEANINGS) == set(Outcome)
    assert len(set(charts.SHAPES.values())) == len(Outcome), "colour alone must not tell two outcomes apart"
    names = {element.get("id") for element in drawn(str(charts.symbols())).iter("symbol")}
    assert names == {f"m-{words.slug(outcome)}" for outcome in Outcome}
    for outcome in Outcome:
        assert f'href="#m-{words.slug(outcome)}"' in charts.mark(outcome)


def test_nights_say_each_and_how_many() -> None:
    chart = charts.nights([night(Outcome.REJECTED), night(Outcome.PROMOTED, version=2), night(Outcome.REJECTED)])
    assert titles(chart) == ["26 Nov: REJECTED", "26 Nov: PROMOTED v2", "26 Nov: REJECTED"]
    assert drawn(chart).get("aria-label") == "3 nights: 2 rejected, 1 promoted"


def test_a_sparkline_needs_two_values_and_marks_promotions() -> None:
    assert charts.sparkline([Point("2026-11-01", 0.1, True, 1), Point("2026-11-02", None, False, 2)]) == ""
    chart = charts.sparkline([Point("2026-11-01", 0.1, False, 1), Point("2026-11-02", 0.2, True, 2)])
    assert titles(chart) == ["2 Nov: version 2 promoted"]
    assert "+0.1 at first, +0.2 at last; 1 promotion" in str(drawn(chart).get("aria-label"))


def test_a_gain_is_drawn_on_the_scale_of_its_table() -> None:
    wide, narrow = Gain(0.5, -1.0, 2.0), Gain(0.5, 0.4, 0.6)
    assert charts.interval(None, [wide]) == "" and charts.interval(Gain(0.0), [Gain(0.0)]) == ""
    spans = []
    for gain in (wide, narrow):
        (path,) = (one for one in drawn(charts.interval(gain, [wide, narrow])) if one.get("class") == "limits")
        left, right = map(float, re.findall(r"M([\d.]+) 7H([\d.]+)", str(path.get("d")))[0])
        spans.append(right - left)
    assert spans[0] == pytest.approx(15 * spans[1], rel=0.05)


def test_the_timeline_shows_which_version_served_when() -> None:
    audit = [change(1, "rollback", 1, 2), change(5, "promote", 2, 1), change(9, "promote", 1)]
    decisions = [decision(5, Outcome.PROMOTED, 2), decision(7, Outcome.HELD, 3), decision(9, Outcome.PROMOTED, 1)]
    freeze = Freeze(HOSTILE, NOW - timedelta(days=1), HOSTILE)
    chart = charts.timeline(decisions, audit, freeze, NOW)
    bars = [one for one in drawn(chart) if str(one.get("class")).startswith("bar")]
    assert [bar.get("class") for bar in bars] == ["bar", "bar", "bar now"]
    widths = [float(str(rect.get("width"))) for bar in bars for rect in bar.iter("rect")]
    assert widths[0] == pytest.approx(widths[1], abs=2) and widths[2] < widths[1] / 3
    said = titles(chart)
    assert sum(HOSTILE in title for title in said) == 7  # three bars, the freeze, three decisions
    assert charts.timeline([], [], None, NOW) == ""


def test_the_calendar_has_a_cell_for_each_day_and_links_what_was_validated() -> None:
    days = [
        Day(f"2026-11-{2 + n:02}", state, 9, 3 if n == 1 else 0, HOSTILE, "d" * 64 if n < 2 else None)
        for n, state in enumerate(DayState)
    ]
    chart = charts.calendar(days, lambda day: f"/day/{day.key}" if day.batch else None)
    assert chart.count('class="day ') == len(DayState) and chart.count("<a ") == 2
    assert titles(chart)[0].startswith("2026-11-02: published, 9 rows") and HOSTILE in titles(chart)[0]
    inside = {state: charts.IN_CELLS.get(state, "") for state in (DayState.REJECTED, DayState.FAILED, DayState.EMPTY)}
    assert len(set(inside.values())) == 3
    assert charts.calendar([], lambda _: None) == ""


def test_numbers_in_words() -> None:
    assert [words.number(value) for value in (None, True, 12, 0.123456, 123456.7, "text")] == [
        "–", "True", "12", "0.1235", "123,457", "text",
    ]  # fmt: skip
    assert words.gain(Gain(0.0213, 0.003, 0.04)) == "+0.0213 (+0.003 to +0.04)"
    assert words.gain(Gain(-0.5, lower=-1.0)) == "−0.5 (at least −1)"
    assert words.gain(None) == words.gain(Gain(None)) == "not known"
    assert [words.plural(n, "day") for n in (0, 1, 2000)] == ["0 days", "1 day", "2,000 days"]
    assert [words.live_span(Live(0, 0, 0, None, hours)) for hours in (24.0, 3.21, 0.5)] == ["24 h", "3.2 h", "30 min"]
    assert words.wrapped("a_b<c/d") == "a_<wbr>b&lt;c/<wbr>d"


def test_outcomes_in_words() -> None:
    assert words.outcome(Night(Outcome.FAILED, "2026-11-26", "x", failed_task="package")) == "FAILED in package"
    broken = night(Outcome.BROKEN)
    assert words.outcome(broken, "/srv/models/a/model.py:76: cannot be imported") == "BROKEN model.py:76"
    assert words.outcome(broken, "no line here") == "BROKEN"


def test_events_are_decisions_and_changes_by_hand_newest_first() -> None:
    by_hand = change(1, "rollback", 1, 2)
    automatic = AuditOf(NOW - timedelta(days=2), words.AUTOMATIC, "promote", 2, 1, "better", "v2__abc")
    decided = decision(2, Outcome.PROMOTED, 2)
    past = ModelHistory("toy", (), 0, (decided,), (by_hand, automatic, change(3, "verify", 2)), None, (), (), (), ())
    found = words.events(past)
    assert [(event.change, event.decision) for event in found] == [(by_hand, None), (None, decided)]
    assert [words.change(one) for one in (by_hand, automatic)] == ["rolled back to v1", "v2 promoted"]
    assert words.dag_of("toy", by_hand) == "toy_rollback" and words.dag_of("toy", change(3, "unfreeze", None)) is None


def test_a_candidate_with_fewer_metrics_does_not_shift_the_others() -> None:
    def candidate(*metrics: Figure) -> CandidateFigure:
        return CandidateFigure("one", False, metrics, None, None, None, None)

    few, many = candidate(Figure("roc_auc", 0.7)), candidate(Figure("log_loss", 0.5), Figure("roc_auc", 0.8))
    assert words.metrics([few, many]) == ["roc_auc", "log_loss"]
    assert [words.metric(few, name) for name in ("log_loss", "roc_auc")] == [None, 0.7]
