"""Back-tests with nights that are broken on purpose: the gate rejects them, and the report counts them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from include import catalog
from include.backtest import damage, damaged_picture, damaged_report, picture, policies, pool, run
from include.backtest import report as report_module
from include.backtest.damaged_result import DamagedResult
from include.errors import ConfigurationError
from include.gate import decision
from include.spec import Model
from tests.backtest.test_backtest import Report, files_of, no_fit, read

FIRST, LAST = "2025-02-06", "2025-02-28"
SHARE = 0.5  # of the 21 nights after the first: every kind of damage happens once
pytestmark = pytest.mark.usefixtures("without_workers", "two_candidates")
FILES = ("report.json", "report.md", "backtest.svg", "backtest.png", "broken.svg", "broken.png")


def replay(name: str, home: Path, share: float = SHARE, draws: int = 1, **changed: Any) -> Report:
    options = {"first": FIRST, "last": LAST, "every": 1, "workers": 2, **changed}
    assert run.run(name, home=home, broken=share, draws=draws, **options) == 0
    return read(home)


def typed(report: Report) -> tuple[report_module.Report, DamagedResult]:
    """Return the report and its section on broken nights as records."""
    found = report_module.Report.of(report)
    assert found.broken is not None and found.as_dict() == report
    return found, found.broken


def drawn(report: Report) -> Any:
    return damaged_picture._figure(*typed(report))


@pytest.fixture(scope="module")
def two_candidates(toy: Model) -> Iterator[None]:
    """Let the toy try two candidates, because most of a night is fitting, and the gate judges only the winner."""
    declared = catalog.module(toy.name, "candidates")
    every = declared.candidates
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(declared, "candidates", lambda: {name: every()[name] for name in ("baseline", "logistic")})
        yield


@pytest.fixture(scope="module")
def home(toy: Model, without_workers: None, two_candidates: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broken")
    replay(toy.name, folder)
    return folder


@pytest.fixture(scope="module")
def report(home: Path) -> Report:
    return read(home)


def assert_the_gate_helps(report: Report) -> None:
    """Nights with shuffled or inverted labels never pass, and broken nights cost far less with the gate."""
    metric = report["metric"]
    sound, broken = report["policies"], report["broken"]["policies"]
    cost = {
        name: broken[name]["metrics"][metric] - sound[name]["metrics"][metric]
        for name in (policies.NIGHTLY, policies.UNGATED)
    }
    assert cost["nightly"] < cost["ungated"] / 3, cost
    for kind in ("labels shuffled", "labels inverted"):
        assert report["broken"]["kinds"][kind]["promote"] == 0, kind
    nightly, ungated = (report["broken"]["every"][name] for name in (policies.NIGHTLY, policies.UNGATED))
    assert (nightly["excess"] or 0.0) < ungated["excess"]


def test_the_gate_reduces_the_cost_of_broken_nights(report: Report) -> None:
    assert_the_gate_helps(report)


@pytest.mark.usefixtures("without_pictures")
def test_a_gate_that_always_promotes_does_not_help(
    home: Path, toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "blind"
    shutil.copytree(home, again)
    decide = decision.decide

    def blind(model: Model, evaluation: Any) -> decision.Decision:
        return decide(model, evaluation).replace(verdict=decision.Verdict.PROMOTE)

    monkeypatch.setattr(decision, "decide", blind)
    found = replay(toy.name, again)
    every = found["broken"]["every"]
    assert every["reject"] == every["hold"] == 0 and every["promote"] > every["nights"] / 2
    with pytest.raises(AssertionError):
        assert_the_gate_helps(found)


@pytest.mark.usefixtures("without_pictures")
def test_a_gate_with_a_broken_holdout_promotes_broken_nights(
    home: Path, report: Report, toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model trained on inverted labels passes on a holdout with inverted labels; stored fits are unchanged."""
    again = tmp_path / "everywhere"
    shutil.copytree(home, again)
    before = files_of(again / "nights")
    monkeypatch.setattr(pool, "fitting", no_fit)
    found = replay(toy.name, again, everywhere=True)
    assert before.items() <= files_of(again / "nights").items()
    assert found["broken"]["everywhere"] and not report["broken"]["everywhere"]
    inverted = found["broken"]["kinds"]["labels inverted"]
    assert inverted["nights"] and inverted["promote"] == inverted["nights"]
    assert {key: found[key] for key in found if key != "broken"} == {k: report[k] for k in report if k != "broken"}
    assert "and with them the holdout that the gate judges them on" in (again / "report.md").read_text()
    with picture.rc_context(picture.STYLE):
        assert "are judged by broken rows" in drawn(found).axes[0].get_title(loc="left")
        assert "judged" not in drawn(report).axes[0].get_title(loc="left")
    assert replay(toy.name, again)["broken"] == report["broken"]


def test_the_report_counts_every_broken_night_once(report: Report) -> None:
    broken = report["broken"]
    (draw,) = broken["draws"]
    later = [
        night["as_of"] for night in report["nights"] if night["as_of"] > report["policies"]["frozen"]["releases"][0]
    ]
    assert len(draw["nights"]) == broken["every"]["nights"] == round(SHARE * len(later))
    assert {night["as_of"] for night in draw["nights"]} <= set(later)
    assert set(broken["kinds"]) == set(damage.KINDS)
    for counts in (*broken["kinds"].values(), broken["every"]):
        assert sum(counts[verdict] for verdict in damaged_report.VERDICTS) == counts["nights"]
    assert sum(counts["nights"] for counts in broken["kinds"].values()) == broken["every"]["nights"]
    assert sum(draw["decisions"].values()) == len(report["nights"])
    released = {name: set(draw["policies"][name]["releases"]) for name in draw["policies"]}
    for night in draw["nights"]:
        assert (night["as_of"] in released["nightly"]) == (night["verdict"] == "promote")
        assert (night["as_of"] in released["ungated"]) == (night["verdict"] != "no decision")
        for name, served in night["served"].items():
            days = [d for d in draw["days"] if d["policies"][name]["as_of"] == night["as_of"]]
            assert len(days) == (served["days"] if served else 0)
        if night["served"]["ungated"]:
            assert night["served"]["ungated"]["first"] > night["as_of"]


def test_broken_nights_are_judged_on_sound_rows(report: Report) -> None:
    """A broken night uses the holdout of the sound history; only the fitted model differs."""
    sound = {night["as_of"]: night for night in report["nights"]}
    days = {day["day"]: day for day in report["days"]}
    (draw,) = report["broken"]["draws"]
    assert [day["day"] for day in draw["days"]] == list(days)
    inverted = [night for night in draw["nights"] if night["damage"] == "labels inverted"]
    for night in inverted:
        served = night["served"]["ungated"]
        assert served["excess"] > 0.3 and served["sound"] < 0.65
        assert sound[night["as_of"]]["verdict"] != "no decision"


def test_without_broken_nights_the_report_does_not_change(
    home: Path, report: Report, toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "sound"
    shutil.copytree(home, again)
    monkeypatch.setattr(pool, "fitting", no_fit)
    found = replay(toy.name, again, share=0.0)
    assert "broken" not in found and {**report, "broken": None} == {**found, "broken": None}
    assert (again / "backtest.svg").read_bytes() == (home / "backtest.svg").read_bytes()
    assert (home / "report.md").read_text().startswith((again / "report.md").read_text())


def test_a_repeated_back_test_gives_the_same_bytes_without_new_fits(
    home: Path, toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "again"
    shutil.copytree(home, again)
    for file in FILES:
        (again / file).unlink()
    before = files_of(again)
    monkeypatch.setattr(pool, "fitting", no_fit)
    replay(toy.name, again)
    assert files_of(again) == before
    for file in FILES:
        assert (again / file).read_bytes() == (home / file).read_bytes(), file


@pytest.mark.usefixtures("without_pictures")
def test_a_second_draw_fits_only_its_own_nights(home: Path, toy: Model, tmp_path: Path, report: Report) -> None:
    again = tmp_path / "draws"
    shutil.copytree(home, again)
    before = files_of(again)
    found = replay(toy.name, again, draws=2)
    after = files_of(again)
    assert before.items() <= after.items()
    assert found["broken"]["draws"][0] == report["broken"]["draws"][0]
    second = found["broken"]["draws"][1]
    assert {night["as_of"] for night in second["nights"]} != {
        n["as_of"] for n in report["broken"]["draws"][0]["nights"]
    }
    new = {Path(name).parts[1][:10] for name in set(after) - set(before)}
    sound = {night["as_of"] for night in second["nights"]} | {night["as_of"] for night in found["nights"]}
    assert {night["as_of"] for night in second["nights"] if night["verdict"] != "no decision"} <= new <= sound
    pooled = [draw["policies"]["ungated"]["metrics"]["log_loss"] for draw in found["broken"]["draws"]]
    assert found["broken"]["policies"]["ungated"]["metrics"]["log_loss"] == pytest.approx(sum(pooled) / 2)


@pytest.mark.usefixtures("without_pictures")
def test_a_night_that_crashes_releases_nothing(
    home: Path, toy: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "crash"
    shutil.copytree(home, again)

    def crash(*_: Any) -> Any:
        raise ValueError("no such column")

    crashing = damage.Kind("columns gone", "the training crashes", crash)
    monkeypatch.setattr(damage, "KINDS", {"labels lost": damage.KINDS["labels lost"], crashing.name: crashing})
    found = replay(toy.name, again, last="2025-02-13", share=0.7)
    (draw,) = found["broken"]["draws"]
    crashed = [night for night in draw["nights"] if night["damage"] == crashing.name]
    assert 0 < len(crashed) < len(draw["nights"])
    assert all(night["verdict"] == "no decision" for night in crashed)
    assert "the training crashed (ValueError: no such column)" in crashed[0]["reason"]
    for name in ("nightly", "ungated"):
        assert not {night["as_of"] for night in crashed} & set(draw["policies"][name]["releases"])
        assert all(night["served"][name] is None for night in crashed)


# -- the report


def test_the_picture_and_the_tables(home: Path, report: Report) -> None:
    text = (home / "report.md").read_text()
    assert damaged_report.sentence(typed(report)[1]) in text and "50 % of the nights" in text
    for kind, counts in report["broken"]["kinds"].items():
        assert f"| {kind}: {counts['what']} | {counts['nights']} |" in text
    with picture.rc_context(picture.STYLE):
        top, nights = drawn(report).axes
    marks = sum(np.asarray(drawn.get_offsets()).shape[0] for drawn in nights.collections)
    assert marks == report["broken"]["every"]["nights"]
    assert len(top.lines) == 3 + marks and len(nights.lines) == marks
    assert "log loss" in damaged_picture.sentence(*typed(report))


@pytest.mark.parametrize(("share", "draws"), [(1.0, 1), (-0.1, 1), (0.1, 0)])
def test_invalid_shares_and_draws_raise_an_error(toy: Model, share: float, draws: int) -> None:
    with pytest.raises(ConfigurationError, match="from 0 to less than 1"):
        run.run(toy.name, FIRST, LAST, 1, None, Path("/nowhere"), share, draws)
    with pytest.raises(ConfigurationError, match="set a share"):
        run.run(toy.name, FIRST, LAST, 1, None, Path("/nowhere"), everywhere=True)
