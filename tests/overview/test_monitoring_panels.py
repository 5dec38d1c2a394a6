"""What the panels of a model's page show of the rows that a monitor has written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from include.data.monitoring import Measured
from include.overview import distributions, panels
from include.overview.document import Watched, to_json
from include.overview.health import SILENT
from include.overview.monitoring import monitored
from include.overview.rows import row
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.settings import Settings
from include.statistics.profiles import Bins, Names
from include.statistics.reference import FeatureReference, Reference, of_feature
from tests.overview import watched_kit as kit
from tests.overview.made import NOW, champion, decision, entry, known, model, run
from tests.release.bundles import package

LARGER = {"roc_auc": True, "log_loss": False}


@pytest.fixture(scope="module")
def reference() -> Reference:
    return kit.reference()


@pytest.fixture(scope="module")
def rows(reference: Reference) -> list[Measured]:
    return kit.history(reference, days=10, drifting=3)


def of_kind(rows: list[Measured], kind: str) -> list[Measured]:
    return [row for row in rows if row.kind == kind]


def test_performance_is_by_metric_with_days_windows_and_slices(rows: list[Measured]) -> None:
    first, other = panels.performance_of(of_kind(rows, "performance"), "roc_auc", LARGER)
    assert (first.metric, first.larger, other.metric, other.larger) == ("roc_auc", True, "log_loss", False)
    assert len(other.singles) == len(other.windows) == 10 and other.singles[-1].day == kit.key()
    newest = other.windows[-1]
    assert (newest.days, newest.promise, newest.baseline, newest.version) == (14, 0.5, 0.65, 2)
    assert newest.low is not None and newest.value is not None and newest.low < newest.value
    assert [(one.slice, one.scored.day) for one in other.slices] == [("carrier=AA", kit.key())]


def test_the_worst_slice_is_first_whichever_direction_is_better() -> None:
    found = [kit.scored(kit.key(), value, 14, slice=f"s={value}") for value in (0.4, None, 0.6)]
    assert [one.slice for one in panels.performance_of(found, None, LARGER)[0].slices] == ["s=0.6", "s=0.4", "s=None"]
    found = [kit.scored(kit.key(), value, 14, slice=f"s={value}", metric="roc_auc") for value in (0.4, 0.6)]
    assert [one.slice for one in panels.performance_of(found, None, LARGER)[0].slices] == ["s=0.4", "s=0.6"]


def test_drift_begins_with_the_whole_model_and_the_score_and_is_sorted_by_importance(rows: list[Measured]) -> None:
    found = panels.drift_of(of_kind(rows, "drift"))
    assert found is not None and found.days == tuple(kit.key(ago) for ago in reversed(range(10)))
    assert [(one.subject, one.feature, one.importance) for one in found.rows] == [
        ("", False, None), ("score", False, None), (kit.NUMBER, True, 0.5), (kit.CATEGORY, True, 0.3),
        (kit.STEADY, True, 0.2),
    ]  # fmt: skip
    number = found.rows[2]
    assert number.measure == "wasserstein" and number.beyond >= 3 and number.newest is not None
    assert [cell.state for cell in number.cells if cell][-4:] == ["healthy", "violated", "violated", "violated"]
    assert [cell.state for cell in found.rows[1].cells if cell] == ["unknown"] * 10, "unknown is not healthy"
    assert found.rows[4].beyond < 3


def test_a_day_that_was_not_measured_is_a_hole_and_not_healthy(rows: list[Measured]) -> None:
    some = [row for row in of_kind(rows, "drift") if row.partition not in (kit.key(4), kit.key())]
    found = panels.drift_of(some, last=kit.key())
    assert found is not None and len(found.days) == 10
    for one in found.rows:
        assert one.cells[5] is None and one.cells[9] is None and one.newest is not None
        assert one.newest.day == kit.key(1)
    assert panels.drift_of([]) is None


def test_the_most_important_drifting_feature_is_shown_unless_another_is_wanted(rows: list[Measured]) -> None:
    found = panels.drift_of(of_kind(rows, "drift"))
    assert panels.chosen_feature(found, None) == kit.NUMBER
    assert panels.chosen_feature(found, kit.STEADY) == kit.STEADY
    assert panels.chosen_feature(found, "unheard of") == kit.NUMBER and panels.chosen_feature(None, "x") is None
    calm = panels.drift_of([row for row in of_kind(rows, "drift") if row.result.subject != kit.NUMBER])
    assert panels.chosen_feature(calm, None) == kit.CATEGORY


def test_counters_beyond_their_limit_are_first_and_only_the_newest_figure_is_shown(rows: list[Measured]) -> None:
    found = panels.counters_of(of_kind(rows, "counter"))
    assert [(one.measure, one.subject, one.state) for one in found] == [
        ("missing", kit.NUMBER, "violated"), ("latency", "", "unknown"), ("rows", "", "healthy"),
    ]  # fmt: skip
    assert (found[0].day, found[0].beyond, found[0].value, found[0].high) == (kit.key(), 2, 0.4, 0.1)


def test_the_newest_comparison_with_a_newer_fit_is_shown(rows: list[Measured]) -> None:
    found = panels.staleness_of(of_kind(rows, "staleness"))
    assert found is not None and (found.day, found.value, found.limit, found.days) == (kit.key(), 0.03, 0.01, 14)
    assert panels.staleness_of([]) is None


# -- a feature then and now


def test_a_number_is_a_tenth_in_each_bin_then_and_moves_now(reference: Reference) -> None:
    one = kit.of_reference(reference, kit.NUMBER)
    assert isinstance(one.scheme, Bins)
    bins, bars = distributions.compared(one, one.scheme.profile(kit.columns(5, shift=2.0)[kit.NUMBER]))
    assert bars == () and len(bins) == 10
    assert all(part.then == pytest.approx(0.1, abs=0.01) for part in bins)
    assert sum(part.now for part in bins) == pytest.approx(1) and bins[-1].now > 0.6
    assert [part.high for part in bins[:-1]] == [part.low for part in bins[1:]]
    assert bins[0].open_low and bins[-1].open_high and not bins[3].open_low
    mean = 900 + 300 * 2
    assert bins[-1].high > mean, "the axis reaches as far as the day's values are"


def test_a_category_is_a_bar_and_what_the_reference_does_not_have_is_one_more(reference: Reference) -> None:
    one = kit.of_reference(reference, kit.CATEGORY)
    assert isinstance(one.scheme, Names)
    bins, bars = distributions.compared(one, one.scheme.profile(["AA"] * 3 + ["new"] + [""]))
    assert bins == () and {bar.name for bar in bars} == {"AA", "UA", "DL", "B6", distributions.NEVER_SEEN}
    shares = {bar.name: bar.now for bar in bars}
    assert shares["AA"] == 0.75 and shares[distributions.NEVER_SEEN] == 0.25 and shares["UA"] == 0
    assert bars[0].name == "AA" and bars[-1].name == distributions.NEVER_SEEN


def test_of_many_categories_the_largest_are_shown_and_nothing_is_lost() -> None:
    values = np.array([f"c{n:03}" for n in range(300) for _ in range(1 + n % 3)], dtype=object)
    one = of_feature("c", values, [np.arange(len(values))] * 2)
    assert isinstance(one.scheme, Names) and not one.scheme.complete
    _, bars = distributions.compared(one, one.scheme.profile(values.tolist()))
    assert len(bars) == distributions.MOST_BARS + 1 and bars[-1].names == 300 - distributions.MOST_BARS
    assert sum(bar.then for bar in bars) == pytest.approx(1) and sum(bar.now for bar in bars) == pytest.approx(1)


@pytest.mark.parametrize("values", [np.zeros(50), np.array([0.0] * 45 + [1.0] * 5), np.array([3.0])])
def test_a_constant_and_a_mostly_constant_number_can_be_drawn(values: np.ndarray) -> None:
    one = of_feature("x", values, [np.arange(len(values))] * 2)
    assert isinstance(one.scheme, Bins)
    bins, _ = distributions.compared(one, one.scheme.profile(values))
    assert sum(part.then for part in bins) == pytest.approx(1) and bins[-1].high > bins[0].low


def test_a_profile_of_another_reference_is_not_compared(reference: Reference) -> None:
    one = kit.of_reference(reference, kit.NUMBER)
    other = Bins.fixed_by(np.array([1.0, 1.0]))
    assert other is not None
    found = distributions.drawn("x", kit.key(), 1, "60 days", "", one, other.profile(np.array([1.0])))
    assert found.lack == "x cannot be compared: the day was measured with another reference."
    empty = FeatureReference(name="x", scheme=None, whole=None, values=(), strange=None, distances={})
    assert "no value in the reference" in str(
        distributions.drawn("x", kit.key(), 1, "", "", empty, other.profile(np.array([1.0]))).lack
    )


# -- read from the lake


@pytest.fixture
def lake(home: Path, rows: list[Measured]) -> Path:
    root = Settings.from_environment().lake / "toy"
    kit.write(root, rows)
    return root


def bundled(reference: Reference) -> None:
    package("toy", 1)
    found = Ledger.default().version("toy", 1)
    assert found is not None and found.bundle is not None
    files = {name: BundleStore.default().open("toy", found.bundle).read(name) for name in ("manifest.json",)}
    digest = BundleStore.default().write("toy", {**files, "reference.json": reference.model_dump_json().encode()})
    Ledger.default().set_bundle("toy", 1, digest)


def test_what_was_measured_is_read_with_the_reference_of_the_version(lake: Path, reference: Reference) -> None:
    bundled(reference)
    found = monitored("toy", model())
    assert found.lack is None and (found.first, found.last) == (kit.key(9), kit.key())
    assert found.performance[0].metric == "log_loss" and found.drift is not None and len(found.counters) == 3
    shown = found.distribution
    assert shown is not None and shown.lack is None and len(shown.bins) == 10
    assert (shown.feature, shown.day, shown.version, shown.rows_now) == (kit.NUMBER, kit.key(), 1, kit.ROWS)
    assert "(60 days)" in shown.span and shown.rows_then == 60 * kit.ROWS
    other = monitored("toy", None, kit.CATEGORY, kit.key(8)).distribution
    assert other is not None and (other.day, other.feature) == (kit.key(8), kit.CATEGORY) and len(other.bars) == 4
    assert monitored("toy", None, kit.CATEGORY, "2020-01-01").distribution == replace(
        monitored("toy", None, kit.CATEGORY).distribution  # type: ignore[type-var]
    )


def test_the_same_facts_are_in_the_document_of_the_model(lake: Path, reference: Reference) -> None:
    bundled(reference)
    overview = row("toy", entry(model()), known([decision()], [run()], champion()), NOW)
    document = to_json(Watched(overview, (), monitored("toy", model())))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["model"]["health"] == {
        "state": "unknown", "sentence": "Not monitored yet.", "critical": False, "incident": None, "incidents": 0,
        "todo": "", "looked": None,
    }  # fmt: skip
    drift = document["monitored"]["drift"]
    assert drift["rows"][2]["subject"] == kit.NUMBER and drift["rows"][2]["cells"][-1]["state"] == "violated"
    assert document["monitored"]["staleness"]["sentence"] == "Stale by 0.03."
    assert SILENT.state.value == "unknown"


def test_a_version_without_a_reference_is_a_sentence(lake: Path) -> None:
    found = monitored("toy", model())
    assert found.drift is not None and found.distribution is not None
    assert str(found.distribution.lack).startswith("The reference of v1 cannot be read: version 1 is not packaged")
    package("toy", 1)
    found = monitored("toy", model())
    assert found.distribution is not None and "neither its bundle nor" in str(found.distribution.lack)


def test_the_reference_of_an_older_bundle_is_the_one_that_the_monitor_has_made(
    lake: Path, reference: Reference
) -> None:
    digest = package("toy", 1)
    kept = lake / "references" / f"{digest}.json"
    kept.parent.mkdir()
    kept.write_text(reference.model_dump_json())
    found = monitored("toy", model()).distribution
    assert found is not None and found.lack is None and len(found.bins) == 10
    kept.write_text("{")
    found = monitored("toy", model()).distribution
    assert found is not None and str(found.lack).startswith("The reference of v1 cannot be read:")


def test_a_model_that_was_never_monitored_says_so(home: Path) -> None:
    found = monitored("toy", model())
    assert found.lack == "Not monitored yet: the first run of toy_monitor measures the newest collected day."
    kit.write(Settings.from_environment().lake / "toy", [])
    assert monitored("toy", model()).lack == found.lack


@pytest.mark.parametrize("pattern", ["_delta_log/*.json", "partition=*/**/*.parquet"])
def test_a_damaged_table_is_a_sentence(lake: Path, pattern: str) -> None:
    for file in (lake / "monitoring").glob(pattern):
        file.chmod(0o600)
        file.write_text("{")
    found = monitored("toy", model())
    assert str(found.lack).startswith("What was measured cannot be read: ")


def test_only_the_newest_sixty_days_are_read(home: Path) -> None:
    root = Settings.from_environment().lake / "toy"
    kit.write(root, [kit.scored(kit.key(ago), 0.5) for ago in (0, 59, 60, 200)])
    found = monitored("toy", None)
    assert (found.first, found.last) == (kit.key(59), kit.key()) and len(found.performance[0].singles) == 2
