"""Pictures of a holdout: all are drawn, fast and with the same bytes, even if there is little to show."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.cards import intervals, plots
from include.cards.plots import binary, canvas
from include.gate import comparison
from include.gate.evaluation import Evaluation, Holdout, Intervals, Side
from include.spec import Label, Model, Task
from include.statistics import uncertainty
from include.training import measures
from tests.training import chain_models

OWN = {
    "toy": {"calibration", "ranking", "scores"},
    "toy_classes": {"confusion", "ranking", "calibration"},
    "toy_counts": {"predicted", "residuals", "errors"},
}
SIDES = ("challenger", "baseline", "champion")
Drawn = tuple[Model, np.ndarray, dict[str, np.ndarray], dict[str, pd.DataFrame]]


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, Model]]:
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        yield {name: catalog.load(name) for name in OWN}


def holdout(model: Model, rows: int = 900, days: int = 7, sides: tuple[str, ...] = SIDES, one: bool = False) -> Drawn:
    """Return made-up labels and scores; the challenger's scores are better than the champion's."""
    random = np.random.default_rng(3)
    label, x = model.data.label, random.normal(size=rows)
    scores: dict[str, np.ndarray] = {}
    noise = {"challenger": 0.3, "champion": 1.0, "baseline": 0.0}
    if label.classes is not None:
        k = len(label.classes)
        at = np.zeros(rows, dtype=int) if one else np.clip(np.floor((x + 2) / 4 * k), 0, k - 1).astype(int)
        values = np.array(label.classes, dtype=object)[at]
        for side in sides:
            raw = np.exp(
                -np.abs(np.arange(k) - (x[:, None] + 2) / 4 * k + random.normal(0, 3 * noise[side], (rows, 1)))
            )
            scores[side] = np.full((rows, k), 1 / k) if side == "baseline" else raw / raw.sum(axis=1, keepdims=True)
        y: np.ndarray = at
    elif label.task is Task.REGRESSION:
        values = y = np.full(rows, 4.0) if one else random.poisson(np.exp(1.5 + x)).astype(float)
        scores = {s: np.full(rows, y.mean()) if s == "baseline" else np.exp(1.5 + x + random.normal(0, noise[s], rows))
                  for s in sides}  # fmt: skip
    else:
        values = y = np.zeros(rows, dtype=int) if one else (x + random.normal(size=rows) > 0.5).astype(int)
        scores = {s: np.full(rows, 0.3) if s == "baseline" else 1 / (1 + np.exp(-x - random.normal(0, noise[s], rows)))
                  for s in sides}  # fmt: skip
    partition = [f"2026-05-{1 + day:02d}" for day in np.sort(random.integers(0, days, size=rows))]
    frame = pd.DataFrame({"partition": np.array(partition, dtype=object), label.column: values})
    return model, y, scores, {side: measures.by_day(model, frame, s) for side, s in scores.items()}


def texts(picture: bytes) -> str:
    return " ".join(
        "".join(node.itertext()) for node in ElementTree.fromstring(picture).iter() if node.tag.endswith("text")
    )


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("one", [False, True], ids=["usual", "one-class"])
@pytest.mark.parametrize("days", [1, 7])
@pytest.mark.parametrize("sides", [SIDES[:1], SIDES[:2], SIDES])
def test_every_picture_is_drawn_whatever_the_data(
    models: dict[str, Model], name: str, one: bool, days: int, sides: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    drawn = plots.draw(*holdout(models[name], days=days, sides=sides, one=one))
    assert set(drawn) == {f"{picture}.svg" for picture in OWN[name] | {"by_day", "difference"}}, caplog.text
    assert not caplog.records
    for picture in drawn.values():
        ElementTree.fromstring(picture)
        assert len(picture) < 150_000
        assert not re.search(r"\bnan\b", texts(picture))
    text = " ".join(map(texts, drawn.values()))
    assert ("champion" in text.replace("Neither champion", "")) == ("champion" in sides)
    if one and name != "toy_counts":
        assert "nothing to tell apart" in text
    if sides == ("challenger",):
        assert "Neither champion nor baseline could be scored" in text


def test_titles_state_the_figures(models: dict[str, Model]) -> None:
    model, y, scores, by_day = holdout(models["toy"])
    measured = {side: measures.metrics(model, y, s) for side, s in scores.items()}
    drawn = {name: texts(picture) for name, picture in plots.draw(model, y, scores, by_day).items()}
    assert f"{100 * measured['challenger']['roc_auc']:.1f}\N{NO-BREAK SPACE}% of pairs" in drawn["ranking.svg"]
    for side, found in measured.items():
        assert f"{side} {found['roc_auc']:.3f}" in drawn["ranking.svg"]
    known: dict[str, Intervals] = {"challenger": {"roc_auc": (0.7001, 0.8004)}, "champion": {"roc_auc": None}}
    ranked = texts(plots.draw(model, y, scores, by_day, bare(model).replace(intervals=known))["ranking.svg"])
    assert f"challenger {measured['challenger']['roc_auc']:.3f} (0.700 to 0.800)" in ranked
    assert ranked.count(" to ") == 1
    better = int((by_day["challenger"]["log_loss"] < by_day["champion"]["log_loss"]).sum())
    assert f"beats the champion on {better} of 7 days" in drawn["difference.svg"]


def bare(model: Model) -> Evaluation:
    """Return an evaluation without figures."""
    side = Side(name="logistic", last="2026-04-30", rows=4000, error=None, metrics={})
    return Evaluation(
        holdout=Holdout(first="2026-05-01", last="2026-05-14", days=14, rows=4000),
        challenger=side,
        baseline=side,
        champion=None,
        champion_exists=False,
        champion_unusable=None,
    )


def judged(model: Model, worse: tuple[str, ...] = (), margin: float = 0.02, shops: int = 4) -> tuple[Any, ...]:
    """Return a holdout of two weeks with the gate's evidence; the challenger guesses in the shops ``worse``."""
    gate = model.gate.model_copy(update={"slices": ("shop",), "margin": margin, "slice_margin": margin})
    model, y, scores, by_day = holdout(model.model_copy(update={"gate": gate}), rows=4000, days=14)
    random = np.random.default_rng(4)
    shop = np.array([f"shop {n}" for n in range(shops)] + ["rare"])[
        np.where(random.random(4000) < 0.02, shops, random.integers(0, shops, 4000))
    ]
    for name in worse:
        scores["challenger"][shop == name] = random.uniform(0.01, 0.99, int((shop == name).sum()))
    day = np.repeat(by_day["challenger"]["partition"].to_numpy(), by_day["challenger"]["rows"].to_numpy())
    rows = pd.DataFrame({"partition": day, "shop": shop, model.data.label.column: y})
    block = uncertainty.blocks(day, 1)
    mine, theirs = scores["challenger"], scores["champion"]
    found = bare(model).replace(
        paired={"champion": comparison.gains(model, y, mine, theirs, block)},
        slices=comparison.slices(model, rows, y, mine, theirs, block),
        intervals=intervals.by_side(model, y, scores, block, draws=20),
    )
    return model, y, scores, {side: measures.by_day(model, rows, s) for side, s in scores.items()}, found


def coordinates(picture: bytes, colour: str) -> list[list[float]]:
    """Return the numbers of every path that is drawn in a colour."""
    paths = [n for n in ElementTree.fromstring(picture).iter() if n.tag.endswith("path")]
    return [[float(v) for v in re.findall(r"-?[\d.]+", n.get("d", ""))] for n in paths if colour in n.get("style", "")]


def test_the_difference_has_its_limits_and_the_margin(models: dict[str, Model]) -> None:
    drawn = judged(models["toy"])
    gain = drawn[-1].paired["champion"]["log_loss"]
    assert gain.lower > 0
    picture = plots.draw(*drawn)["difference.svg"]
    text = texts(picture)
    assert f"significantly better than the champion, by {canvas.shown(gain.value)} on these days" in text
    assert "Limits: 95\N{NO-BREAK SPACE}% each, by days" in text and "margin: 0.02 worse" in text

    def title(worse: tuple[str, ...], margin: float) -> str:
        return texts(plots.draw(*judged(models["toy"], worse, margin))["difference.svg"])

    every = tuple(f"shop {n}" for n in range(4))
    assert "significantly worse than the champion by more than the margin" in title(every, 0.02)
    assert "and significantly within the margin" in title(every, 5.0)
    plain = texts(plots.draw(*drawn[:4])["difference.svg"]).lower()
    assert "limits" not in plain and "gain on all rows" not in plain and "significantly" not in plain, (
        "without evidence, no limits are shown"
    )


def test_the_slices_name_what_is_significantly_worse_and_what_is_too_small(models: dict[str, Model]) -> None:
    good = texts(plots.draw(*judged(models["toy"]))["slices.svg"])
    assert "No value of shop is significantly worse than the champion by more than 0.02" in good
    assert "Too little data to judge: shop rare (" in good and "margin: 0.02 worse" in good
    drawn = judged(models["toy"], worse=("shop 2",))
    picture = plots.draw(*drawn)["slices.svg"]
    bad = texts(picture)
    assert "Significantly worse than the champion by more than 0.02: shop shop 2" in bad
    rows = {one.value: one.rows for one in drawn[-1].slices}
    assert all(f"{rows[f'shop {n}']:,} rows" in bad for n in range(4))
    lines = [path for path in coordinates(picture, canvas.COLOURS["champion"].lower()) if len(path) == 4]
    assert len(lines) == 1, "only the slice that is worse"


def test_of_very_many_slices_only_the_worst_are_shown(models: dict[str, Model]) -> None:
    model, y, scores, by_day, found = judged(models["toy"], shops=4)
    some = tuple(one.replace(value=f"a rather long name of shop {n}") for n in range(30) for one in found.slices[:2])
    picture = plots.draw(model, y, scores, by_day, found.replace(slices=some))["slices.svg"]
    assert "The 30 worst of 60 values" in texts(picture) and len(picture) < 150_000
    few = tuple(one.replace(gain=None, p_worse=None) for one in found.slices)
    text = texts(plots.draw(model, y, scores, by_day, found.replace(slices=few))["slices.svg"])
    assert "No value of shop has enough rows to be judged" in text and "at least 200 rows, 20 of each class" in text


def digests(models: dict[str, Model]) -> list[str]:
    """Return the digest of every picture of every model."""
    return [
        f"{name} {picture} {hashlib.sha256(data).hexdigest()}"
        for name in OWN
        for picture, data in plots.draw(*holdout(models[name], rows=5000)).items()
    ]


def test_the_same_data_gives_the_same_bytes_in_another_process(models: dict[str, Model]) -> None:
    """The other process has another hash seed than this one."""
    code = (
        "import sys, pytest\n"
        "from tests.cards import test_plots\n"
        "from tests.training import chain_models\n"
        "from include import catalog\n"
        "chain_models.show(pytest.MonkeyPatch())\n"
        "print('\\n'.join(test_plots.digests({name: catalog.load(name) for name in test_plots.OWN})))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    mine = digests(models)
    assert done.stdout.splitlines() == mine and len(mine) == 15


@pytest.mark.parametrize("name", OWN)
def test_large_holdouts_are_drawn_fast_and_small(models: dict[str, Model], name: str) -> None:
    large = holdout(models[name], rows=100_000, days=28)
    started = time.process_time()
    drawn = plots.draw(*large)
    assert time.process_time() - started < 3.0  # 0.5 s on an idle machine
    assert sum(map(len, drawn.values())) < 400_000
    assert len(canvas.sample(100_000)) == canvas.MOST_POINTS


def test_many_classes_and_long_names(models: dict[str, Model]) -> None:
    names = tuple(f"a rather long name of class number {n}" for n in range(30))
    label = Label(**{**models["toy_classes"].data.label.model_dump(), "classes": names})
    data = models["toy_classes"].data.model_copy(update={"label": label})
    drawn = plots.draw(*holdout(models["toy_classes"].model_copy(update={"data": data}), rows=3000))
    assert len(drawn) == 5
    text = texts(drawn["confusion.svg"])
    assert "all others" in text and "a rather long name of class number 29" not in text


def test_a_picture_that_fails_does_not_stop_the_night(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(plots._BINARY, "ranking", lambda holdout: 1 / 0)
    drawn = plots.draw(*holdout(models["toy"]))
    assert "ranking.svg" not in drawn and len(drawn) == 4
    assert "'ranking' of toy could not be drawn" in caplog.text
    assert plots.draw(models["toy"], np.array([0, 1]), {}, {}) == {}, "a challenger that could not be scored"


def test_curves_start_where_nothing_is_flagged_and_flag_equal_scores_together() -> None:
    y, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.1])
    false, true, precision = binary.curves(y == 1, scores)
    np.testing.assert_allclose(false, [0, 0, 0.5, 1])
    np.testing.assert_allclose(true, [0, 0.5, 1, 1])
    np.testing.assert_allclose(precision, [1, 1, 2 / 3, 0.5])
    worst = binary.curves(y == 0, scores)[2]
    np.testing.assert_allclose(worst, [0, 0, 1 / 3, 0.5])  # no peak of 1 where nothing is flagged


def test_drawing_leaves_matplotlib_as_it_was(models: dict[str, Model]) -> None:
    import matplotlib

    def settings() -> dict[str, str]:
        # reading the backend settings would import pyplot
        names = [name for name in matplotlib.rcParams if not name.startswith("backend")]
        return {name: str(matplotlib.rcParams[name]) for name in names}

    with matplotlib.rc_context({"font.size": 31.0}):
        before = settings()
        changed = plots.draw(*holdout(models["toy"]))
        assert settings() == before
    assert plots.draw(*holdout(models["toy"])) == changed, "settings of other code do not change the pictures"
