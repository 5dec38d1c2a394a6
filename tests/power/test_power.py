"""The power of a margin: first against a known truth, then for real fits of a model with a known drift."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from include import catalog, spec
from include.backtest import picture, pool
from include.backtest.lab import Lab
from include.errors import ConfigurationError, DataError
from include.gate import comparison
from include.partitions import earlier, keys_between, partition
from include.power import aged, chances, figures, measuring, recipe
from include.power import picture as power_picture
from include.power import report as power_report
from include.power.__main__ import main
from include.power.aged import Fit
from include.power.chances import Differences, Equal
from include.power.report import PowerReport
from include.spec import Model, Power
from include.statistics import metrics, uncertainty
from tests.backtest import drifting as written
from tests.training import toy_days

ROOT = Path(__file__).resolve().parents[2]
FIRST, LAST, EVERY = "2026-02-05", "2026-04-08", 7
NIGHTS = ["2026-02-05", "2026-02-12", "2026-02-19", "2026-02-26", "2026-03-05"]
Report = dict[str, Any]


# -- known truth


def theory(margin: float, sigma: float, blocks: int, alpha: float) -> float:
    """How often an equal challenger passes when blocks differ by ``sigma``: the noncentral t distribution."""
    away = margin / (sigma / math.sqrt(blocks))
    return float(stats.nct.sf(stats.t.ppf(1 - alpha, blocks - 1), blocks - 1, away))


def drawn(sigma: float, shift: float = 0.0, nights: int = 40, blocks: int = 250, rows: int = 50) -> list[Differences]:
    generator = np.random.default_rng(7)
    return [Differences(generator.normal(shift, sigma, blocks), np.full(blocks, float(rows))) for _ in range(nights)]


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("blocks", [4, 14, 28])
def test_differences_of_known_spread_give_the_theoretical_power(blocks: int, alpha: float) -> None:
    sigma = 0.02
    equal = Equal(drawn(sigma, shift=0.5), alpha, draws=20_000)  # centring removes the shift
    for margin in (0.005, 0.01, 0.02, 0.04):
        rate, wanted = equal.promoted(blocks, margin), theory(margin, sigma, blocks, alpha)
        monte_carlo = 3 * math.sqrt(0.25 / 20_000)
        assert rate == pytest.approx(wanted, abs=monte_carlo + 0.005), (margin, blocks)
        worse = equal.promoted(blocks, margin, better=-margin)
        assert worse == pytest.approx(alpha, abs=3 * math.sqrt(alpha * (1 - alpha) / 20_000) + 0.003)
    rates = [equal.promoted(blocks, margin) for margin in (0.001, 0.005, 0.02, 0.1)]
    assert rates == sorted(rates) and rates[0] < rates[-1]


def test_the_days_needed_agree_with_the_theory() -> None:
    equal = Equal(drawn(sigma=0.02), 0.05, draws=20_000)
    for margin in (0.02, 0.01):
        days = equal.blocks_needed(margin, most=365)
        assert days is not None and abs(theory(margin, 0.02, days, 0.05) - 0.8) < 0.03
    assert equal.blocks_needed(0.0001, most=365) is None
    assert equal.blocks_needed(10.0, most=365) == 2
    assert equal.blocks_needed(10.0, most=1) is None


def test_limits_equal_those_of_the_gate() -> None:
    generator = np.random.default_rng(3)
    day = np.sort(generator.integers(0, 9, size=400))
    values = generator.normal(size=400) + day * 0.1
    parts = uncertainty.positions(day)
    means, rows = np.array([values[p].mean() for p in parts]), np.array([float(len(p)) for p in parts])
    found = chances.lower_limits(means[None], rows[None], 0.1)
    assert found[0] == pytest.approx(uncertainty.jackknife_of_means(values, day, 0.1).lower)


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "brier"])
def test_differences_by_block_give_the_error_of_the_gain(metric: str) -> None:
    """Their mean, weighted by rows, is the gain (almost so for a ranking metric), and their spread gives its error."""
    generator = np.random.default_rng(4)
    day = np.sort(generator.integers(0, 14, size=3000))
    y = generator.integers(0, 2, size=3000)
    mine, theirs = (np.clip(0.2 + 0.6 * y + generator.normal(0, s, 3000), 0.01, 0.99) for s in (0.3, 0.5))
    gain = comparison.gain(metrics.METRICS[metric], y, mine, theirs, day, 0.05)
    found = chances.by_block(metrics.METRICS[metric], y, mine, theirs, day)
    mean = np.average(found.values, weights=found.rows)
    assert mean == pytest.approx(gain.value, rel=0.01) and gain.value > 0
    reach = mean - chances.lower_limits(found.values[None], found.rows[None], 0.05)[0]
    assert reach == pytest.approx(gain.value - gain.lower)


def test_nights_without_two_blocks_are_left_out() -> None:
    lonely = Differences(np.array([1.0]), np.array([9.0]))
    with pytest.raises(ValueError, match="two blocks"):
        Equal([lonely], 0.05)
    several = drawn(0.02, nights=3)
    assert Equal([lonely, *several], 0.05).promoted(14, 0.01) == Equal(several, 0.05).promoted(14, 0.01)


def test_simulated_days_give_their_known_standard_error_and_power(drifting: Path, tmp_path: Path) -> None:
    """The losses of the fits differ by a random amount of known spread each day, and by a known cost per day of age."""
    model = catalog.load(written.write(drifting, "regression"))
    sigma, cost, generator = 0.8, 0.05, np.random.default_rng(11)
    nights = keys_between("2027-01-01", "2028-06-30")[::7]
    fits = {}
    for end in sorted({earlier(night, age) for night in nights for age in figures.AGES}):
        days = figures.following(end, figures.reach(model))
        fits[end] = Fit("x", (end, end), (days[0], days[-1]), tmp_path / f"{end}.npz")
        age = np.arange(1, len(days) + 1)
        loss = 50 + cost * age + generator.normal(0, sigma / math.sqrt(2), len(days))
        rows = {"labels": np.zeros(3 * len(days)), "scores": np.repeat(loss, 3)}
        aged._keep(fits[end], days=np.array(days), counts=np.full(len(days), 3), **rows)
    found = figures.of(model, fits, nights, lambda night: None).as_dict()
    assert found["nights"] == nights
    for one in found["standard_error"]:
        blocks = one["holdout"]
        spread = math.sqrt(stats.chi2.median(blocks - 1) / (blocks - 1))
        assert one["median"] == pytest.approx(sigma / math.sqrt(blocks) * spread, rel=0.12), one
        assert one["high"] > one["median"]
    lags = {one["lag"]: one for one in found["lag"]}
    for lag in (7, 14, 28):
        estimate = lags[lag]["cost"]
        assert estimate["error"] == pytest.approx(sigma / math.sqrt(7 * len(nights)), rel=0.15)
        assert abs(estimate["value"] - lag * cost) < 4 * estimate["error"]
    for cell in found["power"]:
        wanted = theory(cell["margin"], sigma, cell["holdout"], model.gate.alpha)
        # the spread of a night is estimated from 28 days only
        assert cell["equal"] == pytest.approx(wanted, abs=0.05), cell
        assert cell["worse"] == pytest.approx(model.gate.alpha, abs=0.015)
    declared = Power(**found["declared"])
    own = next(o for o in found["standard_error"] if (o["holdout"], o["apart"]) == (model.training.holdout_days, 7))
    assert declared.standard_error == pytest.approx(own["median"], rel=0.01)
    assert found["margin"] == declared.margin >= max(2.5 * own["median"], lags[7]["cost"]["value"]) * 0.99


# -- the margin that follows


@pytest.mark.parametrize(
    ("error", "week", "margin"),
    [
        (0.0057, 0.0128, 0.015),
        (0.001, 0.0128, 0.013),
        (2.61, 9.37, 9.4),
        (0.004, 0.01, 0.01),
        (80.0, 3.0, 200.0),
        (0.0, -1.0, 0.0),
        (0.4, 0.98, 1.0),
    ],
)
def test_the_least_margin_is_rounded_up_to_two_digits(error: float, week: float, margin: float) -> None:
    found = Power(standard_error=error, stale_week=week, measured=date(2026, 1, 1))
    assert found.margin == margin
    assert found.margin >= found.least_margin - 1e-9


# -- a model with a known drift


@contextmanager
def nothing(*_: Any) -> Iterator[Callable[[Any], Iterator[Any]]]:
    raise AssertionError("it tried to make something")
    yield


@pytest.fixture(scope="module")
def model(drifting: Path) -> Model:
    return catalog.load(written.write(drifting))


def measured(model: Model, home: Path) -> Report:
    assert measuring.measure(model.name, FIRST, LAST, EVERY, 2, home) == 0
    report: Report = json.loads((home / "power.json").read_text())
    return report


@pytest.fixture(scope="module")
def home(
    model: Model, in_one_process: Callable[[], AbstractContextManager[None]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A measurement over days that are already in the lake, except for one day that cannot be used."""
    folder = tmp_path_factory.mktemp("measured")
    lake = Lab(model, folder).lake
    lake.create()
    for key in keys_between("2026-01-01", LAST):
        if key != written.MISSING_DAY:
            rows = rows_of(model, key, key).drop(columns="partition")
            toy_days.publish(lake, model, key, rows, after=timedelta(hours=4))
    with in_one_process():
        measured(model, folder)
    return folder


@pytest.fixture(scope="module")
def report(home: Path) -> Report:
    found: Report = json.loads((home / "power.json").read_text())
    return found


def rows_of(model: Model, first: str, last: str) -> pd.DataFrame:
    """The rows of the source, read without our own code; without the day that was rejected."""
    source = catalog.module(model.name, "source")
    keys = [key for key in keys_between(first, last) if key != written.MISSING_DAY]
    return pd.concat([source.rows_of(partition(key, "UTC")).assign(partition=key) for key in keys], ignore_index=True)


def days_after(key: str, days: int) -> str:
    return (date.fromisoformat(key) + timedelta(days=days)).isoformat()


def test_the_cost_of_lag_equals_that_of_a_plain_loop(model: Model, report: Report) -> None:
    """Straight from the source: fit on eight days up to the lag, score the week after the night."""
    assert report["nights"] == NIGHTS and report["refused"] == {}
    loss = {}
    for lag in (0, 7, 14, 28):
        labels, scores = [], []
        for night in NIGHTS:
            seen = rows_of(model, days_after(night, -lag - 7), days_after(night, -lag))
            week = rows_of(model, days_after(night, 1), days_after(night, 7))
            fit = LogisticRegression().fit(seen[["a", "b"]].astype("float32"), seen["y"] == "yes")
            labels.append(week["y"] == "yes")
            scores.append(fit.predict_proba(week[["a", "b"]].astype("float32"))[:, 1])
        loss[lag] = log_loss(np.concatenate(labels), np.concatenate(scores))
    found = {one["lag"]: one for one in report["lag"]}
    for lag, value in loss.items():
        assert found[lag]["value"] == pytest.approx(value, 1e-4)
        if lag:
            assert found[lag]["cost"]["value"] == pytest.approx(value - loss[0], rel=1e-3)
            assert 0 < found[lag]["cost"]["error"] < found[lag]["cost"]["value"]
    assert loss[0] < loss[7] < loss[14] < loss[28], "the direction to learn turns by four degrees a day"


def test_no_day_is_scored_by_a_fit_that_has_seen_it(model: Model, home: Path, report: Report) -> None:
    fits = sorted((home / "power").glob("*.npz"))
    ends = {earlier(night, age) for night in NIGHTS for age in (0, 1, 7, 14, 28)}
    assert {path.name[:10] for path in fits} == ends
    for path in fits:
        with np.load(path) as kept:
            assert min(kept["days"]) > path.name[:10] and written.MISSING_DAY not in kept["days"]
            assert len(kept["labels"]) == len(kept["scores"]) == kept["counts"].sum()
    assert report["declared"]["measured"] == days_after(NIGHTS[-1], 7)


def test_the_figures_are_plausible(report: Report) -> None:
    errors = {(one["holdout"], one["apart"]): one for one in report["standard_error"]}
    assert set(errors) == {(days, apart) for days in (4, 7, 14, 21, 28) for apart in (1, 7)}
    for one in errors.values():
        assert 0 < one["median"] <= one["high"] < 1 and one["nights"] == len(NIGHTS)
    assert errors[28, 7]["median"] < errors[4, 7]["median"]
    assert errors[14, 1]["median"] < errors[14, 7]["median"], "yesterday's fit is closer to today's than last week's is"
    for holdout in (4, 7, 14, 21, 28):
        cells = [one for one in report["power"] if one["holdout"] == holdout]
        rates = [one["equal"] for one in cells]
        assert rates == sorted(rates) and 0 < rates[0] < rates[-1] <= 1
        # For normal days it is alpha (above). While the direction turns, days are skewed, most of all if there are few.
        worse = [one["worse"] for one in cells]
        assert all(0.02 < rate < (0.09 if holdout > 7 else 0.13) for rate in worse), worse
    days = [one["days"] for one in report["days_needed"]]
    assert all(a is None or (b is not None and b <= a) for a, b in zip(days, days[1:], strict=False))
    assert 0.02 in [one["margin"] for one in report["days_needed"]]


def test_the_recipe_is_the_most_frequent_winner(report: Report) -> None:
    assert report["protocol"]["candidate"] == "linear"
    assert report["protocol"]["selections"] == dict.fromkeys(NIGHTS, "linear")
    assert recipe.most_frequent({"1": "a", "2": "b", "3": "b"}) == "b"
    assert recipe.most_frequent({"1": "a", "2": "b"}) == "b", "a tie goes to the newest"
    assert recipe.spread(list("abcdefghi"), 5) == list("acegi") and recipe.spread(["a", "b"], 5) == ["a", "b"]


def test_the_suggested_line_can_be_pasted(report: Report, home: Path) -> None:
    gate = eval(f"Gate(margin={report['margin']}, {report['line']})", {**vars(spec), "date": date})
    declared = Power(**report["declared"])
    assert gate.power == declared and gate.margin >= declared.least_margin - 1e-9
    assert report["kept"] is (declared.least_margin <= 0.02) is False, "a drift of four degrees a day costs more"
    text = (home / "power.md").read_text()
    assert report["line"] in text and f"**{report['margin']:g}** is the smallest sufficient margin" in text
    assert "is below it: such a gate holds healthy models for ever" in text
    typed = PowerReport.of(report)
    assert typed.as_dict() == report
    kept = power_report.markdown(typed.replace(configured=typed.margin, kept=True))
    assert f"The configured margin of {report['margin']:g} satisfies both." in kept


def test_a_second_run_makes_nothing_and_reports_the_same(
    model: Model, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ("power.json", "power.md", "power.svg", "power.png")
    before = {file: (home / file).read_bytes() for file in files}
    with monkeypatch.context() as patched:
        for name in ("calling", "collecting", "fitting"):
            patched.setattr(pool, name, nothing)
        measured(model, home)
    assert {file: (home / file).read_bytes() for file in files} == before
    there = {path: path.stat().st_mtime_ns for path in (home / "power").iterdir()}
    lost = sorted(there)[3]
    lost.unlink()
    measured(model, home)  # with a worker; the others were made in this process
    assert {file: (home / file).read_bytes() for file in files} == before
    assert {p for p in there if p.stat().st_mtime_ns != there[p]} == {lost}, "only missing files are created again"


def test_the_picture_shows_every_cell(report: Report, home: Path) -> None:
    assert (home / "power.svg").read_bytes() == power_picture.draw(PowerReport.of(report))["power.svg"]
    assert (home / "power.png").read_bytes().startswith(b"\x89PNG")
    with picture.rc_context(picture.STYLE):
        axes = power_picture._figure(PowerReport.of(report)).axes[2]
    for holdout in (4, 7, 14, 21, 28):
        cells = [(one["margin"], one["equal"]) for one in report["power"] if one["holdout"] == holdout]
        assert any(np.array_equal(line.get_xydata(), cells) for line in axes.lines), holdout
    assert f"{report['margin']:g} is the smallest sufficient one" in power_picture.sentence(PowerReport.of(report))


def test_refusals_name_a_value_that_would_work(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sample(first: str | None, last: str, every: int = 7) -> measuring.Sample:
        return measuring.sample_of(model, "2026-06-30", first, last, every)

    assert sample(None, LAST).nights == NIGHTS and sample(None, LAST).collected == "2026-01-01"
    assert len(measuring.sample_of(model, "2028-06-30", None, None, 1).nights) == measuring.MOST_DAYS
    with pytest.raises(ConfigurationError, match="FIRST can be 2026-02-05 at the earliest"):
        sample("2026-02-04", LAST)
    with pytest.raises(ConfigurationError, match="LAST can be at most 2026-06-30"):
        sample(FIRST, "2026-07-01")
    with pytest.raises(DataError, match=r"too little history: 4 nights .* needs 36 days before it .* and 28 after"):
        sample(FIRST, "2026-03-31")
    code = main(["--model", model.name, "--home", str(tmp_path), "--candidate", "linaer"])
    error = capsys.readouterr().err
    assert code == 1 and "did you mean 'linear'?" in error and "Traceback" not in error
    line = [sys.executable, "-m", "include.power", "--model", "drifting_binery"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1 and "did you mean 'drifting_binary'?" in done.stderr


def test_a_night_whose_fit_is_refused_is_left_out_and_reported(model: Model, home: Path, report: Report) -> None:
    history_fits = {
        path.name[:10]: Fit("linear", ("", path.name[:10]), ("", ""), path) for path in (home / "power").glob("*.npz")
    }
    bad = home / "refused.npz"
    aged._keep(Fit("linear", ("", NIGHTS[0]), ("", ""), bad), refused=np.array("all labels are alike"))
    fits = {**history_fits, NIGHTS[0]: Fit("linear", ("", NIGHTS[0]), ("", ""), bad)}
    found = figures.of(model, fits, NIGHTS, lambda night: None)
    assert found.refused == {NIGHTS[0]: "all labels are alike"}
    assert NIGHTS[0] not in found.nights and found.nights
    text = power_report.markdown(PowerReport.of({**report, **found.as_dict()}))
    assert "whose nights are left out: 1" in text and "all labels are alike" in text
