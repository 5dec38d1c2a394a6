"""Drawn months: quiet while nothing changes, and what changes ends in an incident of the right kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from include.monitor_power import damages, equal, resampling
from include.monitor_power.damages import DAMAGES, Damage
from include.monitor_power.resampling import Draw, Month
from include.monitor_power.stretch import Day, Stretch, key_of
from include.monitoring import staleness
from include.power.chances import Differences
from include.statistics.reference import Importance
from tests.monitoring.watched import model
from tests.statistics import made

ROWS, DAYS = 100, 130


@pytest.fixture(scope="module")
def stretch() -> Stretch:
    columns = made.days(3, DAYS, ROWS)
    found = [
        Day(ROWS, 0, {name: one[name] for name in one if name != "score"}, {"score": one["score"]}) for one in columns
    ]
    by_input: dict[str, float | None] = {**made.IMPORTANCE}
    importance = Importance(metric="log_loss", rows=ROWS, repeats=3, seed=0, by_input=by_input)
    return Stretch(model(), tuple(key_of(at) for at in range(DAYS)), tuple(found), importance)


def months(stretch: Stretch, damage: Damage | None = None, strength: float = 0.0, draws: int = 2) -> list[Month]:
    name = "" if damage is None else damages.of(stretch, damage) or ""
    spread = damages.spread(stretch, name) if name else 0.0
    like = Draw(damage=damage, feature=name, strength=strength, spread=spread, months=2)
    return [one for seed in range(draws) for one in resampling.months(stretch, replace(like, seed=seed))]


@pytest.mark.parametrize("block", [1, 3])
def test_every_day_is_drawn_once_and_blocks_stay_together(block: int) -> None:
    found = resampling.drawn(32, block, np.random.default_rng(5))
    assert sorted(found) == list(range(32)) and found != list(range(32))
    together = sum(b - a == 1 for a, b in zip(found, found[1:], strict=False))
    assert together >= (32 - 32 // block - 2 if block > 1 else 0)


def test_the_upper_limit_of_a_share_is_that_of_clopper_and_pearson() -> None:
    assert resampling.upper(0, 1000) == pytest.approx(1 - 0.05 ** (1 / 1000))  # exact without an alarm
    assert resampling.upper(5, 1000) == pytest.approx(0.010480, abs=1e-4)
    assert resampling.upper(3, 3) == 1.0


def test_months_without_a_change_page_nobody(stretch: Stretch) -> None:
    found = months(stretch, draws=4)
    assert len(found) == 8 and not any(one.pages or one.retrained for one in found)


@pytest.mark.parametrize(
    ("name", "strength", "kind", "pages"),
    [
        ("shift", 3.0, "drift", True),
        ("unit change", 999.0, "data", True),
        ("missing values", 0.6, "data", True),
        ("new category", 0.2, "drift", False),
        ("stuck", 1.0, "data", True),
    ],
)
def test_a_change_ends_in_an_incident_of_its_kind(
    stretch: Stretch, name: str, strength: float, kind: str, pages: bool
) -> None:
    damage = next(one for one in DAMAGES if one.name == name)
    found = months(stretch, damage, strength, draws=1)
    assert all(any(opened.kind == kind for opened in one.opened) for one in found), found
    assert all(one.pages for one in found) or not pages, found
    assert not any(one.retrained for one in found if kind == "data"), found


def test_a_change_of_no_strength_changes_nothing(stretch: Stretch) -> None:
    for damage in DAMAGES:
        assert damage.strengths[0] == 0.0
        days = damages.applied(stretch.days[:2], damage, "x", 0.0, 1.0, np.random.default_rng(0))
        assert days == list(stretch.days[:2])


def test_equal_fits_alarm_less_often_the_more_certain_the_rule_is() -> None:
    random = np.random.default_rng(2)
    noise = Differences(random.normal(0, 1, 300), np.full(300, 100.0))
    page, retrain = (
        equal.months(model(), noise, 0.0, alpha, 1, runs=400).fired
        for alpha in (staleness.PAGE_ALPHA, staleness.RETRAIN_ALPHA)
    )
    assert page < retrain < 400
    assert equal.months(model(), noise, 9.0, staleness.RETRAIN_ALPHA, 1, runs=50).fired == 0
    stale = Differences(noise.values + 9.0, noise.rows)
    assert equal.months(model(), stale, 0.5, staleness.PAGE_ALPHA, 3, runs=50).fired == 50
