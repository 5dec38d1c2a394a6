"""Each kind of damage to the rows of a night keeps the model's data contract and does what its name says."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.backtest import damage
from include.backtest.damaged import DamagedNight, DamagedRows
from include.backtest.damaged import draw as draw_nights
from include.backtest.history import History
from include.backtest.lab import Lab
from include.data import schema
from include.partitions import keys_between, partition
from include.retraining import planning
from include.spec import Model
from include.training import dataset
from include.training.rows import read
from tests.backtest import drifting as drifting_models
from tests.training import toy_days

FIRST, LAST = "2026-01-03", "2026-02-10"
MODELS = ("toy", "drifting_binary", "drifting_regression", "drifting_classes")


def model_of(name: str, drifting: Path) -> Model:
    if name != "toy":
        drifting_models.write(drifting, name.removeprefix("drifting_"))
    return catalog.load(name)


def rows_of(model: Model) -> pd.DataFrame:
    """Return a copy of the rows, in the types that a snapshot gives them."""
    return _rows_of(model.name).copy()


@cache
def _rows_of(name: str) -> pd.DataFrame:
    model = catalog.load(name)
    source = catalog.module(model.name, "source")
    days = [
        schema.to_frame(schema.conform(model, source.rows_of(partition(key, model.timezone))).table).assign(
            partition=key
        )
        for key in keys_between(FIRST, LAST)
    ]
    return dataset.sort(model, pd.concat(days, ignore_index=True))


def damaged(model: Model, rows: pd.DataFrame, kind: str, seed: int = 0) -> pd.DataFrame:
    return damage.KINDS[kind].apply(model, rows, DamagedNight(LAST, kind, seed).generator)


@pytest.fixture(scope="module")
def toy_rows(toy: Model) -> pd.DataFrame:
    return rows_of(toy)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", damage.KINDS)
def test_every_kind_keeps_the_contract(name: str, kind: str, drifting: Path) -> None:
    model = model_of(name, drifting)
    rows = rows_of(model)
    before = rows.copy()
    if kind not in damage.possible(model):
        assert kind == "inputs missing" and name != "toy", "the model has no nullable input"
        return
    found = damaged(model, rows, kind)
    pd.testing.assert_frame_equal(rows, before)
    pd.testing.assert_frame_equal(found, damaged(model, rows, kind))
    assert list(found.columns) == list(rows.columns)
    named = ["partition", *model.data.key, model.data.event_time]
    if kind == "labels lost" and len(found) < len(rows):
        assert not model.data.column(model.data.label.column).nullable
    else:
        pd.testing.assert_frame_equal(found[named], rows[named])
    declared = [column.name for column in model.data.columns]
    assert not schema.conform(model, found[declared]).problems
    for column in model.data.columns:
        assert column.nullable or not found[column.name].isna().any(), column.name
    assert not found[declared].equals(rows[declared]), "the damage has changed nothing"
    dataset.labels(model, dataset.labelled(model, found))
    dataset.features_frame(model, found)


def test_another_seed_gives_other_damage(toy: Model, toy_rows: pd.DataFrame) -> None:
    label = toy.data.label.column
    first, second = (damaged(toy, toy_rows, "labels shuffled", seed)[label] for seed in (0, 1))
    assert not first.equals(second)


def test_shuffled_labels_are_those_of_other_rows(toy: Model, toy_rows: pd.DataFrame) -> None:
    found = damaged(toy, toy_rows, "labels shuffled")
    assert found["late"].isna().equals(toy_rows["late"].isna())
    assert found["late"].sum() == toy_rows["late"].sum()
    same = (found["late"] == toy_rows["late"])[found["late"].notna()].mean()
    rate = toy_rows["late"].mean()
    assert same == pytest.approx(rate**2 + (1 - rate) ** 2, abs=0.03)


@pytest.mark.parametrize("name", MODELS)
def test_inverted_labels_are_the_opposite(name: str, drifting: Path) -> None:
    model = model_of(name, drifting)
    rows = rows_of(model)
    before, after = (
        dataset.labels(model, dataset.labelled(model, frame))
        for frame in (rows, damaged(model, rows, "labels inverted"))
    )
    if name == "drifting_classes":
        assert (after == (before + 1) % 3).all()
    elif name == "drifting_regression":
        assert np.corrcoef(before, after)[0, 1] == pytest.approx(-1)
        assert (before.min(), before.max()) == pytest.approx((after.min(), after.max()))
    else:
        assert (after == 1 - before).all()


def test_nine_of_ten_labels_of_one_class_are_lost(toy: Model, toy_rows: pd.DataFrame, drifting: Path) -> None:
    before, after = (Counter(frame["late"].dropna()) for frame in (toy_rows, damaged(toy, toy_rows, "labels lost")))
    assert after[0] == before[0] and after[1] / before[1] == pytest.approx(0.1, abs=0.02)
    regression = model_of("drifting_regression", drifting)
    rows = rows_of(regression)
    strict = regression.data.model_copy(
        update={
            "columns": tuple(
                c.model_copy(update={"nullable": False}) if c.name == "y" else c for c in regression.data.columns
            )
        }
    )
    left = damaged(regression.model_copy(update={"data": strict}), rows, "labels lost")
    high = rows["y"] > rows["y"].median()
    assert not left["y"].isna().any() and len(left) == pytest.approx(len(rows) - 0.9 * high.sum(), rel=0.05)
    assert set(left["id"]) >= set(rows.loc[~high, "id"])


def test_shuffled_inputs_stay_together(toy: Model, toy_rows: pd.DataFrame) -> None:
    numbers = [column.name for column in damage.numeric_inputs(toy)]
    assert numbers == ["x", "z", "items", "empty"]
    found = damaged(toy, toy_rows, "inputs shuffled")
    pairs = [Counter(zip(frame["x"], frame["items"], strict=True)) for frame in (toy_rows, found)]
    assert pairs[0] == pairs[1], "all numbers of a row come from one other row"
    assert (found["x"] == toy_rows["x"]).mean() < 0.01
    pd.testing.assert_frame_equal(found.drop(columns=numbers), toy_rows.drop(columns=numbers))


@pytest.mark.parametrize("kind", ["newest labels", "newest inputs"])
def test_the_newest_kinds_touch_the_days_of_the_holdout_only(toy: Model, toy_rows: pd.DataFrame, kind: str) -> None:
    found = damaged(toy, toy_rows, kind)
    newest = sorted(toy_rows["partition"].unique())[-toy.training.holdout_days :]
    older = ~toy_rows["partition"].isin(newest)
    pd.testing.assert_frame_equal(found[older], toy_rows[older])
    if kind == "newest labels":
        assert found.loc[~older, "late"].dropna().nunique() == 1
        assert found["late"].isna().equals(toy_rows["late"].isna())
    else:
        assert Counter(found.loc[~older, "x"]) == Counter(toy_rows.loc[~older, "x"])


def test_half_of_the_nullable_inputs_are_missing(toy: Model, toy_rows: pd.DataFrame) -> None:
    found = damaged(toy, toy_rows, "inputs missing")
    names = [column.name for column in damage.nullable_inputs(toy)]
    gone = [name for name in names if found[name].isna().all()]
    assert len(set(gone) - {"empty"}) >= 2 and len(gone) in (len(names) // 2, len(names) // 2 + 1)
    assert not {"id", "at"} & set(names)


def test_units_and_leak(toy: Model, toy_rows: pd.DataFrame) -> None:
    found = damaged(toy, toy_rows, "units changed")
    changed = [c for c in ("x", "z", "items") if not found[c].equals(toy_rows[c])]
    assert changed and found["items"].dtype == toy_rows["items"].dtype
    for name in changed:
        np.testing.assert_allclose(found[name], toy_rows[name] * 1.8 + 32, atol=0.5 if name == "items" else 1e-9)
    found = damaged(toy, toy_rows, "leak")
    (name,) = [c for c in toy_rows.columns if not found[c].equals(toy_rows[c])]
    there = toy_rows["late"].notna()
    assert np.corrcoef(found.loc[there, name], toy_rows.loc[there, "late"])[0, 1] > 0.98
    if name != "empty":
        assert found[name].mean() == pytest.approx(toy_rows[name].mean(), abs=0.1)


def test_a_stuck_source_repeats_the_oldest_third(toy: Model, toy_rows: pd.DataFrame) -> None:
    found = damaged(toy, toy_rows, "stuck")
    training = toy.training
    count = training.window_days + training.selection_days + training.holdout_days
    days = sorted(toy_rows["partition"].unique())[-count:]
    oldest, newer = days[: count // 3], days[count // 3 :]
    old = toy_rows["partition"] < newer[0]
    pd.testing.assert_frame_equal(found[old], toy_rows[old])
    known = set(toy_rows.loc[toy_rows["partition"].isin(oldest), "x"])
    assert set(found.loc[~old, "x"]) <= known and not set(toy_rows.loc[~old, "x"]) & known
    together = set(zip(toy_rows["x"], toy_rows["minutes"].fillna(-1), strict=True))
    assert set(zip(found["x"], found["minutes"].fillna(-1), strict=True)) <= together, (
        "the values of a row stay together"
    )


# -- which nights are drawn, and which rows they read


def test_a_draw_is_seeded_and_covers_all_kinds(toy: Model) -> None:
    nights = keys_between("2026-01-01", "2026-07-19")
    draw = draw_nights(toy, nights, 0.15, 0)
    assert len(draw) == 30 and set(draw) <= set(nights) and all(one.as_of == key for key, one in draw.items())
    assert draw == draw_nights(toy, nights, 0.15, 0)
    counts = Counter(one.kind for one in draw.values())
    assert set(counts) == set(damage.KINDS) and set(counts.values()) == {3}
    other = draw_nights(toy, nights, 0.15, 1)
    assert len(set(draw) & set(other)) < 15 and {one.seed for one in other.values()} == {1}
    assert draw_nights(toy, nights, 0.0, 0) == {}
    few = [{one.kind for one in draw_nights(toy, nights[:20], 0.15, seed).values()} for seed in (0, 1, 2)]
    assert len(few[0] | few[1] | few[2]) == 9, "the draws of a short history do not all begin with the same kinds"
    keys = {one.key("healthy") for one in (*draw.values(), *other.values())}
    assert len(keys) == 20 and "healthy" not in keys, "the key includes the kind and the draw"


@pytest.mark.parametrize("kind", damage.KINDS)
def test_all_fits_of_a_night_read_the_same_broken_rows(
    toy: Model, filled_lake: Path, tmp_path: Path, kind: str
) -> None:
    lab = Lab(toy, tmp_path)
    shutil.copytree(filled_lake, lab.lake.root)
    history = History.freeze(lab.lake, toy_days.FIRST, toy_days.LAST)
    plan = planning.take(toy, partition(toy_days.AS_OF, "UTC"), {"candidates": ["logistic"]}, "", None, history)
    one = DamagedNight(toy_days.AS_OF, kind, 3)
    rows = DamagedRows(toy, plan, history, one)
    spans = plan.spans("logistic")
    release = read(plan, spans.release, rows)
    assert len(release) and set(release["partition"]) <= set(keys_between(*spans.release))
    both = (max(spans.twin[0], spans.release[0]), spans.twin[1])
    again = DamagedRows(toy, plan, history, one)
    twin = read(plan, spans.twin, again)
    first, second = (dataset.between(frame, both).reset_index(drop=True) for frame in (release, twin))
    pd.testing.assert_frame_equal(first, second)
    sound = read(plan, spans.release, history)
    assert not release[list(sound.columns)].equals(sound)
    snapshot = plan.snapshot
    assert set(rows.read_snapshot(snapshot, "2020-01-01", "2030-01-01")["partition"]) <= set(
        keys_between(snapshot.first, snapshot.last)
    )
    assert list(rows.read_snapshot(snapshot, columns=["late"]).columns) == ["late"]
