"""Documents from before records were typed are read, and writing them again changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from include.backtest.store import FitRecord, NightRecord
from include.cards.facts import Manifest
from include.errors import IntegrityError
from include.gate.decision import Decision
from include.gate.evaluation import Anchor, Champion, Evaluation, UnscoredChampion
from include.gate.rivals import ABOUT, OnDisk, Pair, Scored
from include.records import Record
from include.retraining.decide import Decided
from include.retraining.package import Packaged
from include.retraining.selection import Selection
from include.spec import Model
from include.training.plan import Plan
from include.training.recipes import Recipe, Trial

FOLDER = Path(__file__).with_name("written_before")
KINDS: dict[str, type[Record]] = {
    "plan": Plan,  # XCom of `snapshot`
    "selection": Selection,  # XCom of `select`
    "evaluation": Evaluation,  # XCom of `evaluate`, with a champion and a rival
    "evaluation_of_classes": Evaluation,  # the first evaluation of a multi-class model
    "decision": Decided,  # XCom of `gate`
    "package": Packaged,  # XCom of `package`
    "manifest": Manifest,  # of a bundle
    "night": NightRecord,  # this and the next ones are of a back-test
    "fit": FitRecord,
    "compared": Evaluation,
    "anchor": Anchor,
}


def document(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize("name", KINDS)
def test_a_document_is_read_and_written_again_unchanged(name: str) -> None:
    written = document(name)
    assert KINDS[name].of(written).as_dict() == written


@pytest.mark.parametrize("name", KINDS)
def test_an_unknown_field_and_an_invalid_number_are_refused(name: str) -> None:
    written = document(name)
    with pytest.raises(IntegrityError, match=f"cannot be read as {KINDS[name].__name__}: made_up"):
        KINDS[name].of({**written, "made_up": 1})
    for name_of_number in [key for key, value in written.items() if isinstance(value, float)]:
        with pytest.raises(IntegrityError, match=name_of_number):
            KINDS[name].of({**written, name_of_number: "12"})


def test_the_trials_of_a_run() -> None:
    for written in document("trials"):
        assert Trial.of(written).as_dict() == written


def test_the_rows_of_the_ledger() -> None:
    """A version's recipe, and a decision's parameters and checks."""
    version, decision = document("ledger")["version"], document("ledger")["decision"]
    assert Recipe.of(version["recipe"]).as_dict() == version["recipe"]
    written = {name: decision[name] for name in ("verdict", "reason", "checks")}
    assert Decision.of(written).as_dict() == written
    parameters = {name: document("plan")[name] for name in ("candidates", "window_days", "seed")}
    assert Plan.of(document("plan")).parameters.as_dict() == parameters
    assert set(decision["parameters"]) == set(parameters)


def test_the_artifact_of_the_gate() -> None:
    artifact = document("gate")
    written = {name: artifact[name] for name in ("verdict", "reason", "checks")}
    assert Decision.of(written).as_dict() == written
    assert Evaluation.of(artifact["evaluation"]).as_dict() == artifact["evaluation"]


def test_a_champion_that_could_not_be_scored_has_its_own_type() -> None:
    written = document("evaluation")
    assert isinstance(Evaluation.of(written).champion, Champion)
    written["champion"] = {"name": "champion version 1", "version": 1, "digest": "a" * 64}
    found = Evaluation.of(written)
    assert isinstance(found.champion, UnscoredChampion) and found.as_dict() == written
    written["champion"]["metrics"] = {}
    with pytest.raises(IntegrityError, match="champion"):
        Evaluation.of(written)


def test_a_plan_without_a_later_field_is_read() -> None:
    """A later version added the count of rows in quarantine. The plan of a run under way did not have it."""
    written = document("plan")
    del written["quarantined"]
    assert Plan.of(written).quarantined is None


def test_the_scores_of_a_rival_are_kept_as_before(toy: Model, tmp_path: Path) -> None:
    pair = Pair(Recipe(candidate="coarse", window_days=20, iterations=7), Recipe(candidate="b", window_days="all"))
    scores = np.array([0.1, 0.9])
    days = np.array(["2026-05-03", "2026-05-04"], dtype=object)
    OnDisk(tmp_path).keep(toy, pair, Scored("2026-05-04", days, np.array([0, 1]), scores, scores))
    (file,) = tmp_path.iterdir()
    assert file.name == "2026-05-04-coarse.20-b.all.parquet"
    assert pq.read_schema(file).metadata[ABOUT] == (
        b'{"question": {"column": "late", "task": "classification", "positive": 1, "classes": null}, '
        b'"incumbent": {"candidate": "coarse", "window_days": 20}, "rival": {"candidate": "b", "window_days": "all"}}'
    )
