"""Every known kind of damage on live days of the toy: which incident it ends in, and that no retraining learns from it.

The days go through the chain of the monitor without a lake: profiles, counters, drift, the paired rule on real fits,
findings, policy. The model is retrained by its monitor, so that a retraining is possible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.backtest import damage
from include.monitoring import performance, staleness, trivial
from include.monitoring.counters import DayFacts
from include.monitoring.performance import Scored
from include.monitoring.policy import Action, Labels
from include.monitoring.staleness import Pair
from include.spec import Model
from include.statistics import reference
from include.statistics.reference import LAYOUT, Importance, Reference
from include.training import candidates, dataset, measures, profiling
from tests.monitoring.watched import Watched, names, stale
from tests.statistics import made
from tests.training import toy_days

CHAMPION, NEWER = (20, 99), (60, 139)
"""The days on which the two fits were made; the newer one is less confident."""
DAYS, LIVE, PAIRED = 90, 200, 14
WEIGHTS = {"x": 0.5, "z": 0.2, "shop": 0.15, "items": 0.1, "express": 0.05}
Damage = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def toy() -> Model:
    model = catalog.load("toy")
    return model.model_copy(update={"training": model.training.model_copy(update={"schedule": None})})


@dataclass
class World:
    """Healthy days of the toy, two fits on them, and the reference of the older one."""

    model: Model

    @cached_property
    def rows(self) -> pd.DataFrame:
        return toy_days.days(self.model, made.key(20), made.key(LIVE + 10))

    def of(self, first: int, last: int) -> pd.DataFrame:
        there = (self.rows["partition"] >= made.key(first)) & (self.rows["partition"] <= made.key(last))
        return self.rows[there].reset_index(drop=True)

    @cached_property
    def pipelines(self) -> list[Any]:
        """The champion, the newer fit, and the trivial baseline."""
        declared = candidates.load(self.model)
        fits = [("logistic", CHAMPION), ("logistic", NEWER), (candidates.baseline_name(declared), CHAMPION)]
        return [
            candidates.fit(self.model, declared[name], dataset.sort(self.model, self.of(*days)), 0).pipeline
            for name, days in fits
        ]

    def every_score(self, rows: pd.DataFrame) -> list[np.ndarray]:
        features = dataset.features_frame(self.model, rows)
        return [measures.score_features(self.model, one, features) for one in self.pipelines]

    @cached_property
    def healthy(self) -> list[tuple[pd.DataFrame, list[np.ndarray]]]:
        """The days before the first look, with their scores."""
        days = [self.of(at, at) for at in range(LIVE - 10 - PAIRED, LIVE - 10)]
        return [(day, self.every_score(day)) for day in days]

    @cached_property
    def reference(self) -> Reference:
        """Of days that neither fit has seen."""
        rows = self.of(LIVE - 10 - DAYS, LIVE - 11)
        places = list(rows.groupby("partition").indices.values())
        columns = [*profiling.columns(self.model, rows), ("score", self.every_score(rows)[0])]
        *features, score = (reference.of_feature(name, values, places) for name, values in columns)
        importance = Importance(metric="log_loss", rows=1, repeats=1, seed=0, by_input=dict(WEIGHTS))
        return Reference(
            layout=LAYOUT,
            snapshot="0" * 64,
            days=tuple(sorted(set(rows["partition"]))),
            rows=tuple(map(len, places)),
            duplicates=(0,) * len(places),
            features=tuple(features),
            scores=(score,),
            importance=importance,
        )


@pytest.fixture(scope="module")
def world(toy: Model) -> World:
    return World(toy)


@dataclass
class Month:
    """Live days of the world, the newest ones damaged, as the monitor looks at them."""

    world: World
    watch: Watched = field(init=False)
    days: list[tuple[pd.DataFrame, list[np.ndarray]]] = field(default_factory=list)
    """The rows of each day, and their scores by the champion, the newer fit and the baseline."""

    def __post_init__(self) -> None:
        self.watch = Watched(self.world.model, self.world.reference, LIVE - 10)
        self.days += self.world.healthy

    def arrives(self, rows: pd.DataFrame) -> list[np.ndarray]:
        scores = self.world.every_score(rows)
        self.days.append((rows, scores))
        return scores

    def look(
        self, rows: pd.DataFrame, facts: DayFacts | None = None, asks: bool = False
    ) -> tuple[Action, set[tuple[str, str, str]]]:
        """The next day; ``asks``: the paired rule finds the champion stale, whatever the rows are."""
        world, key = self.world, made.key(self.watch.at)
        champion, *_ = self.arrives(rows)
        profile = profiling.profile(world.model, world.reference, rows, champion, key)
        pair, window = self.pair()
        useless = trivial.judge(world.model, window, pair, lambda: window.baseline)
        found = stale() if asks else staleness.judge(world.model, pair).result
        fresh = Labels(learned_until=made.key(CHAMPION[1]), matured_until=key)
        facts = facts or DayFacts(rows=len(rows), quarantined=0, late=False)
        action, seen = self.watch.profiled(profile, facts, found, None, fresh, [useless])
        return action, names(seen)

    def pair(self) -> tuple[Pair, Scored]:
        """The two fits on the newest days, and the champion's scores."""
        rows = pd.concat([frame for frame, _ in self.days[-PAIRED:]], ignore_index=True)
        there = rows["late"].notna().to_numpy()
        fits = [np.concatenate([scores[which] for _, scores in self.days[-PAIRED:]])[there] for which in range(3)]
        rows = rows[there]
        y, keys = dataset.labels(self.world.model, rows), rows["partition"].to_numpy(dtype=object)
        pair = Pair(y, fits[0], fits[1], keys, made.key(CHAMPION[1]), made.key(NEWER[1]))
        version, live = np.ones(len(y), dtype=np.int64), np.zeros(len(y), dtype=bool)
        return pair, Scored(keys, y, fits[0], version, live, fits[2], {})

    @property
    def loss(self) -> float:
        """The champion's log loss on the newest day, as the monitor shows it."""
        _, window = self.pair()
        day = window.where(window.partitions == self.days[-1][0]["partition"].iloc[0])
        shown = performance.of_day(self.world.model, "2026-07-20", None, day, lambda *_: None)
        value = next(one.result.value for one in shown if one.result.measure == "log_loss")
        assert value is not None
        return value


def damaged_days(
    world: World, change: Damage, days: int = 5, asks: bool = False
) -> tuple[list[Action], list[set[tuple[str, str, str]]], Month]:
    """Actions and findings of damaged days, after three healthy ones."""
    month = Month(world)
    for at in range(LIVE - 10, LIVE - 7):
        action, found = month.look(world.of(at, at))
        assert not action.retrain and not [one for one in found if one[2] == "critical"], found
    looks = [month.look(change(world.of(at, at)), asks=asks) for at in range(LIVE - 7, LIVE - 7 + days)]
    return [action for action, _ in looks], [found for _, found in looks], month


def kind(name: str, model: Model | None = None) -> Damage:
    """A kind of `include.backtest.damage`, on each day anew with the same choice of columns."""
    return lambda rows: damage.KINDS[name].apply(model or catalog.load("toy"), rows, np.random.default_rng(1))


def changed(name: str, change: Callable[[pd.Series], object]) -> Damage:
    return lambda rows: rows.assign(**{name: change(rows[name])})


def emptied(name: str, share: float) -> Damage:
    return changed(name, lambda values: values.where(np.arange(len(values)) >= share * len(values)))


def renamed(share: float) -> Damage:
    return changed("shop", lambda values: values.where(np.arange(len(values)) >= share * len(values), "Esbjerg"))


DATA = [
    ("inputs missing", kind("inputs missing"), "missing", True),
    ("units changed", kind("units changed"), "out_of_range", True),
    ("another unit", changed("items", lambda values: values * 100), "out_of_range", True),
    ("missing", emptied("x", 0.3), "missing", False),
    ("empty", emptied("shop", 1.0), "missing", True),
    ("spelled differently", changed("shop", lambda values: values.str.upper()), "unseen_categories", True),
    ("one value", changed("x", lambda values: np.full(len(values), 0.25)), "stuck", False),
    ("duplicates", lambda rows: pd.concat([rows, rows.head(len(rows) // 3)], ignore_index=True), "duplicates", False),
    ("two thirds of the smallest day", lambda rows: rows.iloc[:80], "rows", False),
    ("a tenth of the rows", lambda rows: rows.iloc[: len(rows) // 10], "rows", True),
]


@pytest.mark.parametrize(("change", "cause", "gross"), [one[1:] for one in DATA], ids=[one[0] for one in DATA])
@pytest.mark.parametrize("asks", [False, True], ids=["quiet", "stale"])
def test_damaged_rows_are_a_data_incident_and_no_retraining_even_if_the_champion_is_stale(
    world: World, change: Damage, cause: str, gross: bool, asks: bool
) -> None:
    actions, found, _ = damaged_days(world, change, asks=asks)
    severities = [next((one[2] for one in day if one[:2] == ("data", cause)), None) for day in found]
    first = "critical" if gross else "warning"
    assert severities[0] == first and severities[-1] == "critical", severities
    assert not [one for day in found for one in day if one[:2] == ("drift", "model")], "damage is not drift"
    assert not any(one.retrain for one in actions)
    if asks:
        assert actions[-1].cause == "stale" and "damaged" in actions[-1].reason


def test_a_source_that_is_stuck_is_a_copy_of_the_day_before(world: World) -> None:
    """Key and event time are new on every day, and all other values are repeated."""
    once = world.of(LIVE - 7, LIVE - 7)

    def repeated(rows: pd.DataFrame) -> pd.DataFrame:
        own = {"partition": rows["partition"].iloc[0], "id": [f"{rows['id'].iloc[0]}-{n}" for n in once.index]}
        noon = pd.Timestamp(f"{own['partition']} 12:00", tz="UTC")
        return once.assign(**own, at=noon + pd.to_timedelta(rows["id"].str[-1].astype(int).iloc[3] + once.index, "s"))

    actions, found, _ = damaged_days(world, repeated, asks=True)
    assert not [one for one in found[0] if one[0] == "data"], "the first of them is a healthy day"
    assert all(("data", "repeated_day", "critical") in day for day in found[1:])
    assert not any(one.retrain for one in actions[2:])


def test_halved_rows_are_found_if_half_of_the_day_is_fewer_than_usual(world: World) -> None:
    actions, found, month = damaged_days(world, lambda rows: rows.iloc[: len(rows) // 2], asks=True)
    rows = [len(frame) for frame, _ in month.days[-5:]]
    few = [number < 0.75 * min(world.reference.rows) for number in rows]
    assert any(few) and [any(one[:2] == ("data", "rows") for one in day) for day in found] == few, rows
    assert not any(action.retrain for action in actions[few.index(True) :])


def test_a_rejected_day_pages_a_person_and_stops_retrainings(world: World) -> None:
    month = Month(world)
    for at in range(LIVE - 10, LIVE - 6):
        month.look(world.of(at, at), asks=True)
    facts = DayFacts(rows=100, quarantined=0, late=False, rejected=True)
    action, found = month.look(world.of(LIVE - 6, LIVE - 6), facts, asks=True)
    assert ("data", "rejected_day", "critical") in found
    assert not action.retrain and "damaged" in action.reason


# -- what looks like a change of the world


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (changed("x", lambda values: values + 1.5), "model"),
        (changed("x", lambda values: values * 1.8 + 1), "model"),
        (renamed(0.3), "unseen_categories"),
        (kind("leak"), "features"),
    ],
    ids=["shift", "unit within the fences", "new category", "leak"],
)
def test_plausible_values_are_drift_and_retrain_nothing_by_themselves(world: World, change: Damage, cause: str) -> None:
    actions, found, _ = damaged_days(world, change)
    assert ("drift", cause) in {one[:2] for one in found[-1]}, found[-1]
    assert not [one for day in found for one in day if one[0] == "data"], found
    assert not any(one.retrain for one in actions), [one.reason for one in actions]


# -- what inputs do not show


@pytest.mark.parametrize("name", ["labels shuffled", "labels inverted", "inputs shuffled", "newest inputs"])
def test_what_inputs_do_not_show_is_seen_in_the_performance_and_never_retrains(world: World, name: str) -> None:
    healthy = Month(world).loss
    actions, found, month = damaged_days(world, kind(name), days=16)
    assert month.loss > healthy + 0.1
    assert not [one for day in found[:3] for one in day], "nothing but the performance shows it at first"
    assert not any(one.retrain for one in actions), [one.reason for one in actions if one.retrain]
    assert ("data", "worse_than_baseline", "critical") in found[-1]
    asked = [one.reason for one in actions if one.cause == "stale"]
    assert all("damaged" in one for one in asked)
    assert asked or name != "labels inverted", "the less confident fit loses less: the paired rule asks"
