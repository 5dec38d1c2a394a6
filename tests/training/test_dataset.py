"""The days of the protocol, and the inputs of an estimator."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.errors import ConfigurationError, DataError, IntegrityError
from include.partitions import keys_between
from include.spec import Known, Model
from include.training import dataset
from include.training.plan import Window, Windows


@pytest.mark.parametrize("window", [1, 20, 400, "all", None])
@pytest.mark.parametrize("as_of", ["2025-01-31", "2026-03-01", "2028-02-29"])
def test_no_fit_sees_the_days_that_it_is_judged_on(toy: Model, as_of: str, window: Window | None) -> None:
    spans = dataset.windows(toy, as_of, window)
    train, selection, holdout, twin, release = (
        keys_between(*span) for span in (spans.train, spans.selection, spans.holdout, spans.twin, spans.release)
    )
    assert len(selection) == toy.training.selection_days and len(holdout) == toy.training.holdout_days
    assert not set(train) & set(selection + holdout) and not set(twin) & set(holdout)
    assert train[-1] < selection[0] and selection[-1] < holdout[0] and holdout[-1] == as_of
    assert twin[-1] == selection[-1] and release[-1] == as_of
    assert keys_between(train[-1], holdout[-1]) == [train[-1], *selection, *holdout], "no day is left out between them"
    assert min(train[0], twin[0], release[0]) >= toy.start.isoformat()
    if window == "all":
        assert train[0] == twin[0] == release[0] == toy.start.isoformat()


@pytest.mark.parametrize("window", [1, 20, 400, "all", None])
@pytest.mark.parametrize("repeats_after", [15, 28, 60, 365])
def test_no_fit_sees_the_copy_of_a_day_that_it_is_judged_or_used_on(
    toy: Model, repeats_after: int, window: Window | None
) -> None:
    model = toy.model_copy(update={"data": toy.data.model_copy(update={"repeats_after": repeats_after})})
    spans = dataset.windows(model, "2026-05-13", window)
    last, copies = date(2026, 5, 13), timedelta(days=repeats_after)
    for fit, judged in ((spans.train, spans.selection), (spans.twin, spans.holdout), (spans.release, None)):
        after = last + timedelta(days=1)
        days = [after.isoformat()] if judged is None else [*keys_between(*judged), *keys_between(*spans.holdout)]
        assert fit[0] <= fit[1]
        assert not {(date.fromisoformat(day) - copies).isoformat() for day in days} & set(keys_between(*fit))


def test_the_three_fits_have_windows_of_equal_length(toy: Model) -> None:
    spans = dataset.windows(toy, "2026-05-13")
    assert {len(keys_between(*span)) for span in (spans.train, spans.twin, spans.release)} == {toy.training.window_days}
    assert Windows.of(spans.as_dict()) == spans


def test_a_run_before_the_first_trainable_day_is_refused_with_that_day(toy: Model) -> None:
    first = toy.start + timedelta(days=toy.training.selection_days + toy.training.holdout_days)
    assert dataset.windows(toy, first.isoformat()).train == (toy.start.isoformat(), toy.start.isoformat())
    with pytest.raises(DataError, match=first.isoformat()):
        dataset.windows(toy, (first - timedelta(days=1)).isoformat())


@pytest.mark.parametrize("wrong", [0, -3, 1.5, True, "everything"])
def test_a_window_is_a_number_of_days_or_all(toy: Model, wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="window_days"):
        dataset.windows(toy, "2026-05-13", wrong)  # type: ignore[arg-type]


def test_features_never_use_columns_that_are_known_only_after_the_event(toy: Model, rows: pd.DataFrame) -> None:
    handed: dict[str, np.ndarray] = {}

    def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        handed.update(columns)
        return {"x": columns["x"]}

    dataset.features_frame(toy, rows.assign(undeclared=1.0), build)
    after = {c.name for c in toy.data.columns if c.known is Known.AFTER}
    assert after == {"minutes", "late"}
    assert set(handed) == {c.name for c in toy.data.columns} - after


def test_features_are_text_or_float32(toy: Model, rows: pd.DataFrame) -> None:
    frame = dataset.features_frame(toy, rows)
    assert frame["shop"].dtype == object and set(map(type, frame["shop"])) == {str}
    assert (frame["shop"] == "").sum() == rows["shop"].isna().sum() > 0
    assert {str(frame[name].dtype) for name in frame.columns if name != "shop"} == {"float32"}
    assert frame["z"].isna().sum() == rows["z"].isna().sum() > 0


def test_features_of_a_row_do_not_depend_on_the_others(toy: Model, rows: pd.DataFrame) -> None:
    together = dataset.features_frame(toy, rows.head(30))
    alone = pd.concat([dataset.features_frame(toy, rows.iloc[[at]]) for at in range(30)])
    pd.testing.assert_frame_equal(together, alone)


@pytest.mark.parametrize(
    "built", [None, {}, {"x": np.zeros(3)}, {"x": np.zeros((10, 1))}, {"x": np.zeros(10, "M8[s]")}]
)
def test_wrong_features_are_named(toy: Model, rows: pd.DataFrame, built: object) -> None:
    with pytest.raises(ConfigurationError, match=r"features\.build of toy"):
        dataset.features_frame(toy, rows.head(10), lambda columns: built)  # type: ignore[arg-type,return-value]


def test_the_code_of_a_bundle_is_used_unchanged(toy: Model, rows: pd.DataFrame) -> None:
    now = (catalog.folder("toy") / "features.py").read_bytes()
    then = now.replace(b"numbers = {", b"numbers = {'older': np.zeros(len(at), np.float32)} | {")
    build = dataset.builder_from_source(then, "bundle/source/features.py")
    assert "older" in dataset.features_frame(toy, rows.head(5), build)
    assert "older" not in dataset.features_frame(toy, rows.head(5))
    with pytest.raises(IntegrityError, match=r"bundle/source/features\.py"):
        dataset.builder_from_source(b"def build(:", "bundle/source/features.py")


def test_rows_without_a_label_are_left_out(toy: Model, rows: pd.DataFrame) -> None:
    assert rows["late"].isna().sum() > 0
    there = dataset.labelled(toy, rows)
    assert len(there) == rows["late"].notna().sum()
    assert set(dataset.labels(toy, there)) == {0, 1}
    with pytest.raises(DataError, match="have no 'late'"):
        dataset.labels(toy, rows)


def test_a_third_class_is_refused_and_named(toy: Model, rows: pd.DataFrame) -> None:
    some = dataset.labelled(toy, rows).head(50).copy()
    some.loc[some.index[7], "late"] = 2
    with pytest.raises(DataError, match="2"):
        dataset.labels(toy, some)


def test_the_cap_draws_the_same_rows_for_the_same_seed(toy: Model, rows: pd.DataFrame) -> None:
    small = toy.model_copy(update={"training": toy.training.model_copy(update={"max_rows": 100})})
    one, again, other = (dataset.capped(small, rows, seed) for seed in (1, 1, 2))
    assert len(one) == 100 and one["id"].is_monotonic_increasing
    assert list(one["id"]) == list(again["id"]) != list(other["id"])
    assert dataset.capped(toy, rows, 1) is rows
