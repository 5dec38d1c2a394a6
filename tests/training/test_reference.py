"""The reference of a version: its newest days, scores of fits that have not seen them, and its reasons for a lack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.errors import IntegrityError
from include.spec import Column, ColumnType, Data, Known, Label, Model, Monitoring, Task, Training
from include.statistics.profiles import Bins, Names
from include.statistics.reference import ENOUGH_DAYS, Reference
from include.training import candidates, dataset, out_of_fold, profiling, reference
from include.training.plan import Windows
from include.training.reference import Origin
from tests.training import chain_models, toy_days
from tests.training.frozen import Frozen

FIRST, LAST = "2026-03-01", "2026-05-10"  # 71 days


@pytest.fixture(scope="module")
def frozen(toy: Model) -> Frozen:
    return Frozen(toy_days.days(toy, FIRST, LAST))


def origin_of(model: Model, frozen: Frozen, candidate: str = "logistic", length: int = 30) -> Origin:
    windows = frozen.windows(length, model.training.holdout_days)
    learned = dataset.between(frozen.frame, windows.twin)
    twin = candidates.fit(model, candidates.load(model)[candidate], learned, 0).pipeline
    return Origin(frozen.taken, windows, 0, twin)


@pytest.fixture(scope="module")
def origin(toy: Model, frozen: Frozen) -> Origin:
    return origin_of(toy, frozen)


@pytest.fixture(scope="module")
def made(toy: Model, frozen: Frozen, origin: Origin) -> Reference:
    return reference.make(toy, origin, frozen)


def test_it_has_every_input_and_the_score_with_a_limit(toy: Model, frozen: Frozen, made: Reference) -> None:
    assert made.days == tuple(frozen.days) and made.snapshot == frozen.taken.digest
    assert list(made.rows) == [len(frame) for _, frame in frozen.frame.groupby("partition")]
    assert set(made.duplicates) == {0} and made.scores_lack is None
    features = {one.name: one for one in made.features}
    assert list(features) == [column.name for column in toy.data.inputs]
    assert isinstance(features["shop"].scheme, Names) and isinstance(features["at"].scheme, Bins)
    assert features["empty"].scheme is None and "no value" in (features["empty"].lack("") or "")
    for one in (*made.features, *made.scores):
        if one.name not in ("id", "empty"):
            assert one.limit(one.measure or "") is not None, one.name
    assert [one.name for one in made.scores] == ["score"] and made.scores[0].values == made.rows
    assert made.importance.by_input["x"] == max(one or 0 for one in made.importance.by_input.values())


def test_the_same_version_has_the_same_bytes(toy: Model, frozen: Frozen, origin: Origin, made: Reference) -> None:
    data = reference.encoded(made)
    shuffled = Frozen(frozen.frame.sample(frac=1, random_state=0))
    assert reference.encoded(reference.make(toy, origin, shuffled)) == data
    assert Reference.of(json.loads(data)) == made and b"NaN" not in data and b"Infinity" not in data


def test_a_healthy_day_is_within_the_limits_and_a_damaged_one_beyond(
    toy: Model, frozen: Frozen, origin: Origin, made: Reference
) -> None:
    def beyond(rows: pd.DataFrame) -> set[str]:
        assert origin.twin is not None
        scores = dataset_scores(toy, origin.twin, rows)
        found = profiling.profile(toy, made, rows, scores)
        there = {**found.features, **found.scores}
        limits = {one.name: (one, one.limit(one.measure or "")) for one in (*made.features, *made.scores)}
        return {
            name
            for name, (one, limit) in limits.items()
            if name in there and limit is not None and (one.to(there[name])[one.measure or ""] or 0) > limit
        }

    tomorrow = toy_days.day(toy, "2026-05-11").assign(partition="2026-05-11")
    assert beyond(tomorrow) == set()
    assert beyond(tomorrow.assign(x=tomorrow["x"] + 3)) == {"x", "score"}
    assert beyond(tomorrow.assign(shop="Delft")) >= {"shop"}


def dataset_scores(model: Model, twin: Any, rows: pd.DataFrame) -> np.ndarray:
    found: np.ndarray = out_of_fold.measures.score(model, twin, rows)
    return found


def test_scores_that_a_fit_has_seen_would_make_every_day_look_like_drift(
    toy: Model, frozen: Frozen, origin: Origin
) -> None:
    """A tree that learns each row by heart: its scores of its own rows are 0 and 1, those of others are not."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    columns = candidates.load(toy)["boosting"].estimator.named_steps["columns"]
    heart = HistGradientBoostingClassifier(min_samples_leaf=1, max_iter=60, learning_rate=0.5, early_stopping=False)
    declared = replace(candidates.load(toy)["boosting"], estimator=Pipeline([("columns", columns), ("e", heart)]))
    twin = candidates.fit(toy, declared, dataset.between(frozen.frame, origin.windows.twin), 0).pipeline
    scores = reference.make(toy, replace(origin, twin=twin), frozen).scores[0]
    newest = toy_days.days(toy, "2026-05-11", "2026-05-14")
    learned = dataset.between(frozen.frame, origin.windows.twin)

    def apart(rows: pd.DataFrame) -> float:
        assert scores.scheme is not None
        return scores.to(scores.scheme.profile(dataset_scores(toy, twin, rows)))["wasserstein"] or 0.0

    assert apart(newest) < apart(learned)


def test_older_days_than_the_window_count_and_no_more_than_wanted(
    toy: Model, frozen: Frozen, origin: Origin, made: Reference
) -> None:
    assert made.days[0] < origin.windows.release[0]
    fewer = toy.model_copy(update={"monitoring": Monitoring(reference_days=60)})
    assert reference.days_of(fewer, origin.snapshot) == frozen.days[-60:]
    holes = replace_missing(origin, ("2026-04-01", "2026-05-10"))
    assert (
        "2026-04-01" not in reference.days_of(toy, holes.snapshot) and len(reference.days_of(toy, holes.snapshot)) == 69
    )


def replace_missing(origin: Origin, missing: tuple[str, ...]) -> Origin:
    return replace(origin, snapshot=origin.snapshot.replace(missing=missing))


def test_a_missing_day_is_left_out(toy: Model, frozen: Frozen, origin: Origin) -> None:
    gap = Frozen(frozen.frame.loc[frozen.frame["partition"] != "2026-04-01"])
    found = reference.make(toy, replace(origin, snapshot=gap.taken), gap)
    assert len(found.days) == 70 and "2026-04-01" not in found.days and found.scores_lack is None
    assert 0 not in found.rows


def test_fewer_than_60_days_are_not_fitted_again(
    toy: Model, frozen: Frozen, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_fold, "score", lambda *_: pytest.fail("it was fitted"))
    short = Frozen(dataset.between(frozen.frame, ("2026-03-13", LAST)))
    found = reference.make(toy, replace(origin, snapshot=short.taken), short)
    assert len(found.days) == ENOUGH_DAYS - 1
    assert found.scores == () and found.scores_lack == "the reference has 59 days, and 60 are needed for a limit"
    assert found.importance.by_input and found.features[3].limit("wasserstein") is None


def test_scores_that_cannot_be_made_are_a_lack_and_no_error(toy: Model, frozen: Frozen, origin: Origin) -> None:
    many = toy.model_copy(update={"training": toy.training.model_copy(update={"min_rows": 8_000})})
    found = reference.make(many, origin, frozen)
    assert (
        found.scores == () and "2026-03-01 to" in (found.scores_lack or "") and "min_rows" in (found.scores_lack or "")
    )
    assert found.importance.lack is None and len(found.features) == len(toy.data.inputs)
    without = reference.make(toy, replace(origin, twin=None, lack="its twin is gone"), frozen)
    assert without.scores_lack == without.importance.lack == "its twin is gone" and without.features == found.features


def test_rows_that_cannot_be_read_are_an_error(toy: Model, origin: Origin) -> None:
    class Gone(Frozen):
        def read_snapshot(self, *_: Any, **__: Any) -> pd.DataFrame:
            raise IntegrityError("snapshot 000000000000 is missing")

    with pytest.raises(IntegrityError, match="is missing"):
        reference.make(toy, origin, Gone(pd.DataFrame()))


@pytest.fixture(params=["toy_classes", "toy_counts"])
def other(request: pytest.FixtureRequest) -> Iterator[Model]:
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        yield catalog.load(request.param)


def test_several_classes_and_a_regression(other: Model) -> None:
    frozen = Frozen(chain_models.days(other, FIRST, LAST))
    found = reference.make(other, origin_of(other, frozen, "boosting", length=20), frozen)
    several = other.data.label.multiclass
    assert [one.name for one in found.scores] == (
        ["score.quiet", "score.normal", "score.busy"] if several else ["score"]
    )
    assert all(one.limit(one.measure or "") for one in found.scores) and found.scores_lack is None
    assert max(found.importance.weights(), key=lambda name: found.importance.weights()[name]) is not None


def test_thousands_of_empty_and_endless_columns() -> None:
    """Nothing of the cost grows with more than the number of columns, and no number is infinite."""
    names = [f"n{at}" for at in range(1_000)]
    columns = [Column(name="id", type=ColumnType.STRING, nullable=False)]
    columns += [Column(name="at", type=ColumnType.TIMESTAMP, nullable=False)]
    columns += [Column(name=name, type=ColumnType.NUMBER) for name in names]
    columns += [Column(name="y", type=ColumnType.NUMBER, known=Known.AFTER)]
    wide = Model(
        name="wide",
        owner="tests",
        description="Many columns.",
        start=date(2025, 1, 1),
        data=Data(
            columns=tuple(columns),
            key=("id",),
            event_time="at",
            label=Label(column="y", task=Task.REGRESSION),
        ),
        training=Training(metric="mae"),
    )
    keys = ["2026-03-01", "2026-03-02", "2026-03-03"]
    random = np.random.default_rng(0)
    table = np.full((30, len(names)), np.nan)
    table[:, ::2] = random.normal(size=(30, len(names) // 2)) * 1e300
    table[3, ::4], table[4, ::4] = np.inf, -np.inf
    rows = {"partition": np.repeat(keys, 10), "id": [f"row {at}" for at in range(30)], "y": 1.0}
    frame = pd.DataFrame(rows | dict(zip(names, table.T, strict=True)))
    frame["n2"] = np.arange(30, dtype=np.float32)
    frame["at"] = pd.to_datetime(frame["partition"], utc=True)
    frozen = Frozen(frame)
    windows = Windows.of(dict.fromkeys(("train", "selection", "holdout", "twin", "release"), ("2026-03-01", keys[-1])))
    found = reference.make(wide, Origin(frozen.taken, windows, 0, None, "it has none"), frozen)
    data = reference.encoded(found)
    assert Reference.of(json.loads(data)) == found and len(found.features) == 1_002
    assert [one.scheme is None for one in found.features[2:6]] == [False, True, False, True]
