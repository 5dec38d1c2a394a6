"""A back-test in which another recipe becomes better than the champion's: when it may replace the champion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from include import catalog
from include.backtest import in_memory, pool, run
from include.backtest.in_memory import Champion
from include.backtest.lab import Lab
from include.errors import ReleaseError
from include.partitions import keys_between, partition
from include.retraining import measuring
from include.retraining import night as nights
from include.retraining.selection import Other
from include.spec import Model
from include.training.recipes import Recipe
from tests.backtest import drifting as drifting_models
from tests.backtest.test_backtest import Report, days_after, files_of, no_fit, read

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_workers")]
FIRST, LAST = "2026-01-16", "2026-02-18"


@pytest.fixture(scope="module")
def model(drifting: Path) -> Model:
    return catalog.load(drifting_models.write(drifting, rival=True))


@pytest.fixture(scope="module")
def home(model: Model, without_workers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rivals")
    assert run.run(model.name, FIRST, LAST, 1, 2, folder) == 0
    return folder


@pytest.fixture(scope="module")
def report(home: Path) -> Report:
    return read(home)


def rows_of(model: Model, first: str, last: str) -> pd.DataFrame:
    """Return the rows of the source, read without any other code of the project."""
    source = catalog.module(model.name, "source")
    return pd.concat([source.rows_of(partition(key, "UTC")) for key in keys_between(first, last)], ignore_index=True)


def test_the_rival_is_promoted_once_it_has_enough_evidence(report: Report) -> None:
    every = report["nights"]
    assert every[0]["kind"] == "first" and every[0]["challenger"] == "linear" and every[0]["verdict"] == "promote"
    (first, *_) = changes = [night for night in every if night["kind"] == "change"]
    before = [night for night in every if "kind" in night and night["as_of"] < first["as_of"]]
    assert {night["challenger"] for night in before} == {"linear"}, (
        "until then, only the champion's recipe is refreshed"
    )
    collected = [night["change"]["days"] for night in before if night["change"]]
    assert collected == sorted(collected) and collected[0] == 4 and len(collected) > 12
    assert max(collected) == 21 and first["change"]["days"] == 22, "the choice uses only the days before this night"
    assert (first["challenger"], first["change"]["incumbent"], first["change"]["rival"]) == ("quick", "linear", "quick")
    promoted = next(night for night in changes if night["verdict"] == "promote")
    after = [night for night in every if night["as_of"] > promoted["as_of"]]
    assert {night["challenger"] for night in after} == {"quick"}, "afterwards, the former recipe is the rival"
    assert report["policies"]["ungated"]["metrics"]["log_loss"] < report["policies"]["nightly"]["metrics"]["log_loss"]


def test_the_figures_are_those_of_a_plain_loop(model: Model, report: Report) -> None:
    """With the gate, refreshes of the champion's recipe serve. Without it, the winner of each night serves."""
    challenger = {night["as_of"]: night["challenger"] for night in report["nights"]}
    releases = report["policies"]["nightly"]["releases"]
    labels, scores = [], []
    for at, as_of in enumerate(releases):
        until = releases[at + 1] if at + 1 < len(releases) else LAST
        window = 3 if challenger[as_of] == "quick" else 8
        seen, unseen = (
            rows_of(model, *span) for span in ((days_after(as_of, 1 - window), as_of), (days_after(as_of, 1), until))
        )
        fit = LogisticRegression().fit(seen[["a", "b"]].astype("float32"), seen["y"] == "yes")
        labels.append(unseen["y"] == "yes")
        scores.append(fit.predict_proba(unseen[["a", "b"]].astype("float32"))[:, 1])
    found = report["policies"]["nightly"]
    assert found["rows"] == sum(map(len, labels))
    assert found["metrics"]["log_loss"] == pytest.approx(log_loss(np.concatenate(labels), np.concatenate(scores)), 1e-4)


def test_anchors_are_the_champions_of_earlier_nights(report: Report) -> None:
    promoted = [night["as_of"] for night in report["nights"] if night["verdict"] == "promote"]
    named = 0
    for night in report["nights"]:
        for anchor in night["anchors"]:
            as_of = anchor["name"].removeprefix("the champion of ")
            assert as_of in promoted and as_of < str(night["champion"]), "an anchor is older than the champion"
            twin_last = days_after(night["as_of"], -4)
            assert anchor["last"] <= days_after(twin_last, -anchor["nights_ago"]) and anchor["value"] > 0
            assert anchor["last"] < night["holdout"]["first"]
            named += 1
    assert named > 30


def test_the_lab_decides_every_night_as_the_back_test_does(model: Model, home: Path, report: Report) -> None:
    """Both follow one protocol. The lab fits and scores the whole night, the back-test only what it needs, once."""
    lab, champion = Lab(model, home), None
    past: list[Champion] = []
    promoted = next(n["as_of"] for n in report["nights"] if (n.get("kind"), n["verdict"]) == ("change", "promote"))
    for recorded in report["nights"]:
        if recorded["as_of"] > days_after(promoted, 1):
            break
        night = lab.night(recorded["as_of"], champion, past=past)
        evaluation, change = night.evaluation, night.evaluation.change
        assert (night.challenger, evaluation.kind) == (recorded["challenger"], recorded["kind"])
        assert (change.as_dict() if change else None) == recorded["change"]
        assert evaluation.metric("challenger", "log_loss") == recorded["holdout"]["challenger"]["log_loss"]
        mine = [anchor.value for anchor in evaluation.anchors or () if anchor.value is not None]
        assert mine == pytest.approx([anchor["value"] for anchor in recorded["anchors"]])
        verdict = str(night.decision.verdict)
        if verdict == "promote":
            try:
                lab.release(night)
            except ReleaseError:
                verdict = "refused"
        assert verdict == recorded["verdict"], recorded["as_of"]
        if verdict == "promote":
            past += [champion] if champion else []
            champion = night.champion(len(past) + 1)
    assert champion is not None and champion.candidate == "quick"
    quick = Recipe(candidate="quick", window_days=3)
    rival = Other(role="rival", recipe=quick, twin=night.chosen.twin)
    chosen = night.chosen.replace(other=night.chosen.other or rival)
    assert "| quick (rival) |" in replace(night, steps=replace(night.steps, chosen=chosen)).table()


def test_nothing_is_fitted_or_scored_twice(home: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {str(path): path.read_bytes() for path in sorted((home / "nights").rglob("*")) if path.is_file()}
    assert [name for name in before if "release-linear" in name] and [n for n in before if "/rivals/" in n]
    monkeypatch.setattr(pool, "fitting", no_fit)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a fit or a score was about to be repeated")

    scoring = ((measuring, "compare"), (measuring, "score_other"), (measuring, "read_holdout"))
    for of, name in ((nights, "fit_twin"), (in_memory, "release"), *scoring):
        monkeypatch.setattr(of, name, refuse)
    written_before = (home / "report.json").read_bytes()
    assert run.run(str(report["model"]), FIRST, LAST, 1, 2, home) == 0
    assert (home / "report.json").read_bytes() == written_before
    after = {str(path): path.read_bytes() for path in sorted((home / "nights").rglob("*")) if path.is_file()}
    assert after == before and files_of(home)


@pytest.mark.usefixtures("without_pictures")
def test_more_change_days_delay_the_change(drifting: Path, model: Model, home: Path, report: Report) -> None:
    """A changed gate setting leads to new decisions on the same fits."""
    file = drifting / model.name / "model.py"
    text = file.read_text()
    try:
        file.write_text(text.replace("change_days=21", "change_days=25"))
        assert run.run(model.name, FIRST, LAST, 1, 2, home) == 0
        later = read(home)
    finally:
        file.write_text(text)
        (home / "report.json").write_text(json.dumps(report))
    change = [next(n["as_of"] for n in one["nights"] if n["kind"] == "change") for one in (report, later)]
    assert change[0] < change[1] and len(keys_between(*change)) >= 3
