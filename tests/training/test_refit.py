"""Guards of the refit for binary, multi-class and regression models: healthy nights pass, broken days do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline

from include import catalog
from include.data.snapshots import Snapshot
from include.errors import ReleaseError
from include.partitions import keys_between
from include.spec import Candidate, Model
from include.training import candidates, dataset, refit
from include.training.plan import DayCount, LabelCounts, Plan
from include.training.recipes import Recipe
from tests.training import chain_models, toy_days

BROKEN = "2026-05-09"


@pytest.fixture(scope="module", params=["toy_classes", "toy_counts"])
def labelled(request: pytest.FixtureRequest) -> Iterator[tuple[Model, pd.DataFrame]]:
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        model = catalog.load(request.param)
        yield model, dataset.labelled(model, chain_models.days(model, "2026-04-14", "2026-06-30"))


def between(rows: pd.DataFrame, first: str, last: str) -> pd.DataFrame:
    return dataset.between(rows, (first, last))


def test_healthy_days_pass_during_the_whole_spring(labelled: tuple[Model, pd.DataFrame]) -> None:
    model, rows = labelled
    days = sorted(set(rows["partition"]))
    for at in range(15, len(days) - 7, 3):
        older, newest = (
            dataset.between(rows, span) for span in ((days[at - 15], days[at - 1]), (days[at], days[at + 6]))
        )
        assert len(refit.guard_days(model, older, newest)) == (4 if model.data.label.multiclass else 3)


BREAKS: dict[str, list[tuple[Any, str]]] = {
    "toy_classes": [
        (lambda day: day.assign(level="quiet"), f"the share of 'quiet' of {BROKEN} is 1"),
        (lambda day: day[day["level"] != "normal"], f"the share of 'normal' of {BROKEN} is 0"),
        (lambda day: day.head(20), f"{BROKEN} has 20 rows"),
    ],
    "toy_counts": [
        (lambda day: day.assign(rentals=0), f"the standard deviation of the label of {BROKEN} is 0"),
        (lambda day: day.assign(rentals=day["rentals"] * 100), f"the mean label of {BROKEN}"),
        (lambda day: day.assign(rentals=day["rentals"] / 1000), "the standard deviation of the label"),
        (lambda day: pd.concat([day] * 3), f"{BROKEN} has"),
    ],
}


@pytest.mark.parametrize(
    ("labelled", "breaking", "message"),
    [(name, *how) for name, ways in BREAKS.items() for how in ways],
    indirect=["labelled"],
)
def test_a_broken_day_is_named(labelled: tuple[Model, pd.DataFrame], breaking: Any, message: str) -> None:
    model, rows = labelled
    older, newest = between(rows, "2026-04-14", "2026-05-03"), between(rows, "2026-05-04", "2026-05-13")
    there = newest["partition"] == BROKEN
    with pytest.raises(ReleaseError, match=message):
        refit.guard_days(model, older, pd.concat([newest[~there], breaking(newest[there])]))


@pytest.mark.parametrize("labelled", ["toy_classes"], indirect=True)
def test_a_rare_class_may_be_absent_on_a_day(labelled: tuple[Model, pd.DataFrame]) -> None:
    model, rows = labelled
    rare = rows.groupby("partition").head(70)
    rare = rare[(rare["level"] != "busy") | (rare.groupby(["partition", "level"]).cumcount() < 3)]
    older, newest = between(rare, "2026-04-14", "2026-05-03"), between(rare, "2026-05-04", "2026-05-13")
    assert older.groupby("partition")["level"].apply(lambda day: (day == "busy").sum()).min() > 0
    refit.guard_days(model, older, newest[(newest["partition"] != BROKEN) | (newest["level"] != "busy")])
    # ... but not on ten days in a row if older weeks had dozens of rows.
    with pytest.raises(ReleaseError, match="the share of 'busy' of 2026-05-04 to 2026-05-13 is 0 "):
        refit.guard_days(model, older, newest[newest["level"] != "busy"])


def test_refits_resemble_their_twins_unless_labels_are_inverted(labelled: tuple[Model, pd.DataFrame]) -> None:
    model, rows = labelled
    label = model.data.label
    release, newest = between(rows, "2026-04-21", "2026-05-13"), between(rows, "2026-05-07", "2026-05-13")
    candidate = candidates.load(model)["boosting"]
    twin = candidates.fit(model, candidate, between(rows, "2026-04-14", "2026-05-06"), seed=0)
    fitted = candidates.fit(model, candidate, release, seed=0)
    assert "differ by" in refit.guard_likeness(model, fitted.pipeline, twin.pipeline, release, newest)
    if label.classes is not None:
        turned = release.assign(level=np.array(label.classes, dtype=object)[2 - dataset.labels(model, release)])
    else:
        turned = release.assign(rentals=release["rentals"].max() - release["rentals"])
    other = candidates.fit(model, candidate, turned, seed=0)
    with pytest.raises(ReleaseError, match="grossly unlike its twin"):
        refit.guard_likeness(model, other.pipeline, twin.pipeline, release, newest)


def test_a_release_model_must_know_what_its_twin_knows(labelled: tuple[Model, pd.DataFrame]) -> None:
    """Inputs of the newest days belong to other rows of the day. Labels and row counts are normal."""
    model, rows = labelled
    learned, release = between(rows, "2026-04-21", "2026-05-13"), between(rows, "2026-04-28", "2026-05-20")
    newest, shared = between(rows, "2026-05-14", "2026-05-20"), between(rows, "2026-04-28", "2026-05-13")
    candidate = candidates.load(model)["boosting"]
    twin = candidates.fit(model, candidate, learned, seed=0).pipeline
    fitted = candidates.fit(model, candidate, release, seed=0).pipeline
    assert "both were fitted on" in refit.guard_shared(model, fitted, twin, shared, 1.0)

    label = model.data.label.column
    random = np.random.default_rng(0)
    mixed = newest.assign(**{label: newest.groupby("partition")[label].transform(random.permutation)})
    other = candidates.fit(model, candidate, pd.concat([shared, mixed]), seed=0).pipeline
    assert refit.guard_days(model, learned, mixed)
    assert refit.guard_likeness(model, other, twin, release, mixed)
    with pytest.raises(ReleaseError, match="is worse than its twin on older rows"):
        refit.guard_shared(model, other, twin, shared, 1.0)
    assert "1.3 times the rows" in refit.guard_shared(model, other, twin, shared, 1.3)
    few = shared.head(refit.ROWS_TO_COMPARE - 1)
    assert "999 rows are too few" in refit.guard_shared(model, other, twin, few, 1.0)


# -- two classes


def labelled_days(model: Model, first: str, last: str) -> pd.DataFrame:
    rows = toy_days.days(model, first, last)
    return rows[rows["late"].notna()]


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
        (lambda day: day.assign(late=0), "the mean label of 2026-05-09 is 0"),
        (lambda day: day.assign(late=1), "the mean label of 2026-05-09 is 1"),
        (lambda day: day.head(20), "2026-05-09 has 20 rows"),
        (lambda day: pd.concat([day] * 4), "2026-05-09 has"),
    ],
)
def test_a_broken_newest_day_is_not_learned_from(toy: Model, breaking: Any, message: str) -> None:
    older = labelled_days(toy, "2026-04-14", "2026-05-03")
    newest = labelled_days(toy, "2026-05-04", "2026-05-13")
    assert len(refit.guard_days(toy, older, newest)) == 2
    there = newest["partition"] == "2026-05-09"
    with pytest.raises(ReleaseError, match=message):
        refit.guard_days(toy, older, pd.concat([newest[~there], breaking(newest[there])]))
    with pytest.raises(ReleaseError, match="cannot be checked"):
        refit.guard_days(toy, older, newest.head(0))


class Days:
    """A lake that holds the rows of a frame."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def published(self) -> dict[str, object]:
        return dict.fromkeys(self.frame["partition"])

    def snapshot(self, first_key: str, last_key: str) -> Snapshot:
        return Snapshot(
            table_version=1, first=first_key, last=last_key, rows=len(self.frame), digest="5" * 64, path="snapshots/5",
            missing=(), immature=(),
        )  # fmt: skip

    def read_snapshot(
        self, snapshot: Snapshot | str, first: str | None = None, last: str | None = None, columns: Any = None
    ) -> pd.DataFrame:
        return dataset.between(self.frame, (first or "", last or "9"))


def test_the_release_model_has_the_iterations_of_its_recipe(
    toy: Model, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the recipe that was judged, so it does not stop early by itself."""
    stopping = HistGradientBoostingClassifier(early_stopping=True, max_iter=300, max_leaf_nodes=4)
    candidate = Candidate(make_pipeline(make_column_transformer(("passthrough", ["x", "z"])), stopping))
    declared = {"baseline": candidates.load(toy)["baseline"], "stopping": candidate}
    monkeypatch.setattr(catalog.module("toy", "candidates"), "candidates", lambda: declared)
    lake, count = Days(rows), DayCount(days=1, rows=1)
    plan = Plan(
        as_of=toy_days.AS_OF, snapshot=lake.snapshot(toy_days.FIRST, toy_days.AS_OF), candidates=tuple(declared),
        baseline="baseline", window_days=20, seed=0, note="", code_digest="c",
        windows={name: dataset.windows(toy, toy_days.AS_OF) for name in declared},
        days=LabelCounts(selection=count, holdout=count),
    )  # fmt: skip
    recipe = Recipe(candidate="stopping", window_days=20, iterations=9)
    twin = candidates.fit(toy, candidate, dataset.between(rows, plan.windows["stopping"].twin), 0, recipe.iterations)
    fitted, _, _ = refit.refit(toy, plan, recipe, twin.pipeline, lake)
    assert twin.pipeline[-1].n_iter_ == fitted.pipeline[-1].n_iter_ == 9
    assert fitted.last == toy_days.AS_OF and not fitted.pipeline[-1].do_early_stopping_


def test_healthy_days_pass_the_guards_during_the_whole_year(toy: Model) -> None:
    rows = labelled_days(toy, "2025-06-01", "2025-12-31")
    days = keys_between("2025-06-01", "2025-12-31")
    for at in range(30, len(days), 5):
        older = rows[rows["partition"].isin(days[at - 30 : at - 10])]
        refit.guard_days(toy, older, rows[rows["partition"].isin(days[at - 10 : at])])
