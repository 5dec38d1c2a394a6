"""The charts of what a monitor has measured: what they show, that shape and words tell it as well, and escaping."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from perennial.console import distribution_chart, drift_chart, performance_chart, words

from include.overview.records import Distribution, DriftCell, DriftMap, DriftRow, Performance, Scored
from include.overview.watched import Bar, Bin

HOSTILE = "<script>alert('x')</script>"


def scored(day: int, value: float | None = 0.5, days: int = 1, **more: object) -> Scored:
    """The figure of a day of May; of several days it has an interval."""
    values: dict[str, object] = {
        "day": f"2026-05-{day:02}", "days": days, "version": 1, "source": "live", "rows": 90, "value": value,
        "low": 0.4 if days > 1 else None, "high": 0.6 if days > 1 else None, "promise": 0.45, "baseline": 0.7,
        "state": "healthy", "sentence": HOSTILE,
    }  # fmt: skip
    return Scored(**{**values, **more})  # type: ignore[arg-type]


def performance(singles: list[Scored], windows: list[Scored] | None = None, metric: str = "log_loss") -> Performance:
    return Performance(metric, False, tuple(singles), tuple(windows or ()))


def drawn(chart: str) -> ElementTree.Element:
    """The chart, read as XML: it is whole, and no value brought an element."""
    assert "<script" not in chart
    return ElementTree.fromstring(f"<svg>{chart}</svg>")


def of_class(chart: str, kind: str) -> list[ElementTree.Element]:
    return [one for one in drawn(chart).iter() if kind in str(one.get("class", "")).split()]


def titles(chart: str) -> list[str]:
    return [element.text or "" for element in drawn(chart).iter() if element.tag == "title"]


# -- performance


def test_days_are_dots_and_windows_have_intervals_with_promise_and_baseline() -> None:
    windows = [scored(n, 0.5, 14) for n in (3, 4)]
    chart = performance_chart.performance(performance([scored(3), scored(4, source="replayed")], windows))
    assert len(of_class(chart, "single")) == 2 and len(of_class(chart, "replayed")) == 1
    assert len(of_class(chart, "windowed")) == len(of_class(chart, "limits")) == 2
    assert len(of_class(chart, "promise")) == len(of_class(chart, "baseline")) == 1
    assert {"promise", "baseline", "14 days"} <= {one.text for one in of_class(chart, "name")}
    assert "4 May, v1, replayed: 0.5, 90 rows" in titles(chart)
    assert "14 days to 4 May, v1, live: 0.5 (0.4 to 0.6), 90 rows" in titles(chart)
    label = str(drawn(chart)[0].get("aria-label"))
    assert "smaller is better" in label and "0.5 (0.4 to 0.6), promised 0.45, trivial baseline 0.7" in label


def test_each_change_of_the_version_is_marked() -> None:
    of = performance([scored(1), scored(2), scored(3, version=2), scored(9, version=3)])
    chart = performance_chart.performance(of)
    assert titles(chart)[:3] == ["v1 from 1 May", "v2 from 3 May", "v3 from 9 May"]
    assert len(of_class(chart, "version")) == 3


def test_a_window_without_a_value_is_a_hole_and_not_bridged() -> None:
    windows = [scored(1, 0.5, 14), scored(2, 0.5, 14), scored(3, None, 14), scored(4, 0.5, 14), scored(6, 0.5, 14)]
    chart = performance_chart.performance(performance([], windows))
    assert [len(str(one.get("points")).split()) for one in of_class(chart, "window")] == [2, 1, 1]


def test_a_chart_needs_two_values() -> None:
    assert performance_chart.performance(performance([])) == ""
    assert performance_chart.performance(performance([scored(1), scored(2, None)])) == ""
    hostile = performance_chart.performance(performance([scored(1), scored(2)], metric=HOSTILE))
    assert HOSTILE in str(drawn(hostile)[0].get("aria-label"))


@pytest.mark.parametrize("values", [[0.5, 0.5], [0.0, 0.0], [-3.0, 4.0], [1e-9, 2e-9], [1e7, 3e7], [-0.02, -0.01]])
def test_an_axis_holds_all_values_and_has_few_lines(values: list[float]) -> None:
    low, high, step = performance_chart.scale(values)
    assert low <= min(values) and high >= max(values) and low < high
    assert 2 <= round((high - low) / step) <= 7


def test_one_very_wide_interval_does_not_flatten_everything_else() -> None:
    windows = [scored(1, 0.5, 14), scored(2, 0.52, 14, low=-90.0, high=90.0)]
    chart = performance_chart.performance(performance([], windows))
    (line,) = of_class(chart, "promise")
    (other,) = of_class(chart, "baseline")
    places = [float(str(one.get("points")).split()[0].split(",")[1]) for one in (line, other)]
    assert abs(places[0] - places[1]) > 20
    for one in of_class(chart, "limits"):
        assert all(0 <= float(y) <= performance_chart.HIGH for y in re.findall(r"[ V]([\d.-]+)", str(one.get("d"))))


# -- drift


def cell(day: int, state: str = "healthy", value: float | None = 0.1, limit: float | None = 0.4) -> DriftCell:
    return DriftCell(f"2026-05-{day:02}", state, value, limit, HOSTILE)


def drift(*rows: DriftRow, days: int = 4) -> DriftMap:
    return DriftMap(tuple(f"2026-05-{n:02}" for n in range(1, days + 1)), rows)


def feature(name: str, *cells: DriftCell | None, importance: float | None = 0.5) -> DriftRow:
    return DriftRow(name, "wasserstein", True, importance, cells)


def test_a_day_beyond_its_limit_has_a_cross_and_an_unknown_one_is_hatched() -> None:
    """A day that was not measured has no cell at all."""
    found = drift(feature("a", None, cell(2, "unknown", None, None), cell(3), cell(4, "violated", 0.9)))
    chart = drift_chart.heat_map(found, lambda name: f"/{name}")
    assert len(of_class(chart, "cell")) == 3 and len(of_class(chart, "cross")) == 1
    (unknown,) = of_class(chart, "unmeasured")
    assert unknown.get("fill") == "url(#hatch)"
    assert "a, 2 May, not known" in titles(chart) and "a, 4 May, beyond the limit: 0.9, limit 0.4" in titles(chart)
    assert "Beyond their limit on their newest day: a." in str(drawn(chart)[0].get("aria-label"))


def test_a_cell_is_darker_the_nearer_its_limit_is() -> None:
    kinds = [drift_chart.darkness(cell(1, value=value)) for value in (0.0, 0.1, 0.2, 0.31, 0.4)]
    assert kinds == ["q0", "q1", "q2", "q3", "q3"]
    assert drift_chart.darkness(cell(1, value=0.0, limit=0.0)) == "q0"
    assert drift_chart.darkness(cell(1, "unknown")) == "unmeasured", "a value without a limit is not healthy"


def test_a_feature_is_a_link_with_its_importance_and_the_model_is_not() -> None:
    whole = DriftRow("", "weighted_drift", False, None, (cell(1),))
    score = DriftRow("score", "wasserstein", False, None, (cell(1),))
    found = drift(whole, score, feature(HOSTILE, cell(1)), days=1)
    chart = drift_chart.heat_map(found, lambda name: f"/?f={name}", HOSTILE)
    (link,) = (one for one in drawn(chart).iter("a"))
    assert link.get("aria-current") == "true" and link.get("href") == f"/?f={HOSTILE}"
    names = [one[0].tail for one in of_class(chart, "name")]  # behind its tooltip
    assert names[:2] == ["whole model", "score"] and len(str(names[2])) <= drift_chart.LONGEST
    assert "50 %" in [one.text for one in of_class(chart, "axis")]


def test_of_many_features_those_that_drift_are_drawn_however_unimportant() -> None:
    rows = [feature(f"f{n}", cell(1, "violated" if n == 90 else "healthy"), importance=1 / (n + 1)) for n in range(100)]
    found = drift_chart.shown(drift(*rows, days=1))
    assert len(found) == drift_chart.MOST_ROWS + 1 and found[-1].subject == "f90"


def test_a_long_name_keeps_its_end() -> None:
    assert words.shortened("a_feature_with_a_long_name_11", 22) == "a_feature_with…name_11"
    assert words.shortened("short", 22) == "short"


def test_a_result_is_written_as_a_sentence() -> None:
    assert words.sentence("the day arrived late") == "The day arrived late."
    assert words.sentence("dep_delay is stuck.") == "dep_delay is stuck." and words.sentence("") == ""


# -- then and now


NUMBERS = Distribution(
    "x", "2026-05-04", 1, span="60 days", rows_then=10, rows_now=10,
    bins=(Bin(0, 1, 0.5, 0.1, open_low=True), Bin(1, 4, 0.5, 0.9, open_high=True)),
)  # fmt: skip


def test_a_number_is_drawn_on_its_axis_outlined_then_and_filled_now() -> None:
    chart = distribution_chart.distribution(NUMBERS)
    then, now = of_class(chart, "then"), of_class(chart, "now")
    assert len(then) == len(now) == 2 and {one.tag for one in then} == {"path"} and {one.tag for one in now} == {"rect"}
    widths = [float(str(one.get("width"))) for one in now]
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.1), "a bin is as wide as its values are apart"
    heights = [float(str(one.get("height"))) for one in now]
    assert heights[1] == pytest.approx(9 * heights[0], rel=0.01)
    assert titles(chart)[0] == "below 1: 50 % of the rows in the reference, 10 % on the day"
    assert "The largest difference: 0 to 1, 50 % then and 10 % now" in str(drawn(chart)[0].get("aria-label"))


def test_a_category_is_a_pair_of_bars_and_its_name_is_escaped() -> None:
    found = replace(NUMBERS, bins=(), bars=(Bar(HOSTILE, 0.25, 0.5), Bar("b", 0.75, 0.5)))
    chart = distribution_chart.distribution(found)
    assert titles(chart)[0].startswith(f"{HOSTILE}: 25 % of the rows")
    assert "25 % → 50 %" in [one.text for one in of_class(chart, "axis")]


def test_without_anything_to_compare_nothing_is_drawn() -> None:
    empty = replace(NUMBERS, bins=(), lack="No distribution of x was kept.")
    assert distribution_chart.distribution(empty) == "" and distribution_chart.described(empty) == empty.lack


@pytest.mark.parametrize(
    ("share", "said"), [(None, ""), (0.0, "0 %"), (0.0001, "< 0.1 %"), (0.034, "3.4 %"), (0.5, "50 %"), (1.0, "100 %")]
)
def test_shares_in_words(share: float | None, said: str) -> None:
    assert words.percent(share) == said
