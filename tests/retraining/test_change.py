"""Refresh or change on a real lake, ledger, MLflow and bundle store: the choice of the challenger and its evidence.

The trials of the candidates are made up, so that one of them wins the selection; the twins are real fits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include import catalog
from include.cards import plots
from include.data.lake import Lake
from include.errors import IntegrityError
from include.gate import rivals
from include.gate.checks import another_recipe_is_better as justified
from include.gate.decision import Verdict
from include.gate.evaluation import Change, Evaluation, Gain
from include.gate.rivals import Pair, Scored
from include.partitions import keys_between, partition
from include.registry import tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.retraining import decide as decisions
from include.retraining import evaluate, package, planning, select
from include.retraining.decide import Decided
from include.retraining.selection import Other, Selection
from include.spec import Candidate, Model
from include.statistics.metrics import METRICS
from include.training import candidates, export
from include.training.plan import Plan
from include.training.recipes import Recipe, Trial
from tests import homes
from tests.services import Services

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_pictures")]

REAL = ["logistic", "coarse"]


def recipe(candidate: str, window_days: Any) -> Recipe:
    return Recipe(candidate=candidate, window_days=window_days)


PAIR = Pair(recipe("coarse", 20), recipe("logistic", 20))


@dataclass(frozen=True)
class Ran:
    """The results of the tasks of a night."""

    run_id: str
    plan: Plan
    selection: Selection
    evaluation: Evaluation
    decision: Decided

    @property
    def change(self) -> Change:
        assert self.evaluation.change is not None
        return self.evaluation.change

    @property
    def other(self) -> Other:
        assert self.selection.other is not None
        return self.selection.other


@pytest.fixture(scope="module")
def patient(toy: Model) -> Model:
    """The toy with settings under which two weeks of scores suffice for a challenger, even with coarse scores."""
    gate = toy.gate.model_copy(update={"change_days": 14, "max_psi": 50.0})
    return toy.model_copy(update={"gate": gate})


def night(model: Model, as_of: str, favour: str, run_id: str | None = None, **params: Any) -> Ran:
    """A run up to its decision, in which ``favour`` wins the selection."""
    run_id = run_id or f"night-{as_of}-{favour}"
    asked = {"candidates": REAL, **params}
    plan = planning.take(model, partition(as_of, model.timezone), asked, catalog.digest(model.name), None)
    results = [trial(model, plan, name, run_id, 0.1 if name == favour else 0.5) for name in plan.candidates]
    selected = Selection.of(json.loads(json.dumps(select.select(model, plan, results, run_id).as_dict())))
    measured = Evaluation.of(json.loads(json.dumps(evaluate.evaluate(model, plan, selected).as_dict())))
    decided = decisions.decide(model, plan, selected, measured, run_id)
    return Ran(run_id, plan, selected, measured, decided)


def trial(model: Model, plan: Plan, candidate: str, run_id: str, log_loss: float) -> Trial:
    """A made-up result of the task `train`, with a real MLflow run."""
    first, last = plan.spans(candidate).train
    mlflow_run_id = tracking.start_or_resume(model.name, run_id, candidate)
    metrics: dict[str, float | None] = {"log_loss": log_loss}
    return Trial(
        candidate=candidate, metrics=metrics, seconds=None, rows=1, first=first, last=last, mlflow_run_id=mlflow_run_id
    )


@pytest.fixture(scope="module")
def first_night(
    running: Services, filled_lake: Path, toy: Model, patient: Model, tmp_path_factory: pytest.TempPathFactory
) -> tuple[homes.Home, Ran]:
    """The home after a night whose challenger, with the recipe `coarse`, has become the first champion."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "draw", lambda *_: {})
        home = homes.of_its_own(running, filled_lake, tmp_path_factory.mktemp("first"), toy, patch)
        ran = night(patient, "2026-04-30", "coarse")
        release(patient, ran)
    return home, ran


@pytest.fixture
def champion(first_night: tuple[homes.Home, Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The first night, in a copy of its home."""
    first_night[0].copy(tmp_path).enter(monkeypatch)
    return first_night[1]


def release(model: Model, outcome: Ran) -> None:
    """Package the version of a night and make it the champion."""
    packaged = package.package(
        model, outcome.plan, outcome.selection, outcome.evaluation, outcome.decision, outcome.run_id
    )
    ledger = Ledger.default()
    epoch = ledger.standing(model.name).epoch
    ledger.promote(model.name, packaged.version, packaged.digest, epoch, "person", outcome.run_id, "test")


def files(model: Model) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((Lake.of(model).root / rivals.FOLDER).glob("*"))}


def test_another_recipe_is_scored_until_it_can_replace_the_incumbent(
    champion: Ran, patient: Model, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "include")
    assert champion.evaluation.kind == "first" and champion.selection.other is None and not files(patient)
    same = night(patient, "2026-05-01", "coarse")
    assert (same.evaluation.kind, same.evaluation.change) == ("refresh", None) and not files(patient)

    early = night(patient, "2026-05-04", "logistic")
    assert early.selection.candidate == "coarse" and early.evaluation.kind == "refresh"
    assert early.other.role == "rival"
    change = early.change
    assert (change.incumbent, change.rival, change.days, change.wanted) == ("coarse", "logistic", 10, 14)
    assert gained(change).value > 0 and "0 of the 14 days" in caplog.text and "10 of the 14 days" in caplog.text
    assert change.earliest == "2026-05-09", "it does pass in this night, see below"
    assert "on these it is 0." in caplog.text and "in the night about 2026-05-09 at the earliest" in caplog.text
    row = Ledger.default().version("toy", early.selection.version)
    assert row is not None and row.candidate == "coarse" and row.twin == early.selection.twin.digest
    assert list(files(patient)) == ["2026-05-04-coarse.20-logistic.20.parquet"]
    kept = pd.read_parquet(Lake.of(patient).root / rivals.FOLDER / "2026-05-04-coarse.20-logistic.20.parquet")
    assert list(kept.columns) == ["partition", "label", "incumbent", "rival"]
    assert sorted(set(kept["partition"])) == keys_between("2026-04-25", "2026-05-04")
    assert len(kept) == early.evaluation.holdout.rows and kept.notna().all(axis=None)

    before = night(patient, "2026-05-08", "logistic")
    assert before.selection.candidate == "coarse", "the evidence before tonight has 10 days"
    assert before.change.days == 14
    cleared = night(patient, "2026-05-08", "logistic")
    assert cleared.selection.candidate == "coarse", "a run that is cleared does not know its own scores"
    assert cleared.change == before.change
    stored = files(patient)
    enough = night(patient, "2026-05-09", "logistic")
    assert enough.selection.candidate == "logistic" and enough.other.role == "incumbent"
    assert enough.evaluation.kind == "change" and enough.change.days == 15
    assert gained(enough.change).lower > 0
    assert enough.decision.verdict == "promote", enough.decision.reason
    assert "may take the place of coarse" in caplog.text
    assert {name: content for name, content in files(patient).items() if name in stored} == stored

    again = night(patient, "2026-05-09", "logistic")
    for part in ("selection", "evaluation", "decision"):
        alike = [{**getattr(one, part).as_dict(), "selection": None} for one in (again, enough)]
        assert alike[0] == alike[1], part
    past = night(patient, "2026-05-04", "logistic", run_id="the past again")
    assert past.change == change, "a night about the past does not use later scores"
    everything = files(patient)
    assert {name: everything[name] for name in stored} == stored and len(everything) == len(stored) + 1


def test_an_equal_recipe_never_becomes_a_change(champion: Ran, patient: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the last night there is enough evidence, of 19 days."""
    declare(monkeypatch, patient, {"logistic": "logistic", "coarse": "logistic"})
    for as_of in ("2026-05-04", "2026-05-13", "2026-05-14"):
        last = night(patient, as_of, "logistic", run_id=f"equal-{as_of}")
    assert last.selection.candidate == "coarse" and last.evaluation.kind == "refresh"
    assert last.change.days == 20 and gained(last.change).value == 0


def declare(monkeypatch: pytest.MonkeyPatch, model: Model, names: Mapping[str, str], **more: Any) -> None:
    """Let candidates.py declare the baseline and these names, each with the estimator of another candidate."""
    there = candidates.load(model)
    found = {"baseline": there["baseline"], **{name: there[of] for name, of in names.items()}, **more}
    monkeypatch.setattr(catalog.module(model.name, "candidates"), "candidates", lambda: found)


@pytest.mark.parametrize("how", ["removed", "another window"])
def test_a_recipe_that_is_no_longer_declared_is_not_refreshed(
    champion: Ran, patient: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    caplog.set_level(logging.INFO, "include")
    coarse = candidates.load(patient)["coarse"].estimator
    there = {} if how == "removed" else {"coarse": Candidate(coarse, window_days=18)}
    declare(monkeypatch, patient, {"logistic": "logistic"}, **there)
    found = night(patient, "2026-05-04", "logistic", candidates=["logistic", *there])
    assert found.selection.candidate == "logistic" and found.selection.other is None
    assert (found.evaluation.kind, found.evaluation.change) == ("refresh", None) and not files(patient)
    assert "coarse on 20 days, the champion's recipe, is no longer declared" in caplog.text
    assert found.decision.verdict == "promote", found.decision.reason


@pytest.mark.parametrize("asked", [{"candidates": ["logistic"]}, {"window_days": 15}])
def test_a_choice_by_hand_still_needs_the_evidence(champion: Ran, patient: Model, asked: dict[str, Any]) -> None:
    found = night(patient, "2026-05-04", "logistic", **asked)
    assert found.selection.candidate == "logistic" and found.selection.other is None
    assert found.evaluation.kind == "change" and not files(patient)
    assert (found.change.days, found.change.gain) == (0, None)
    decision = found.decision
    assert decision.verdict == "hold" and "0 of the 14 days" in decision.reason
    for text in (decision.reason, decision.note, " ".join(" ".join(decisions.table(decision.checks)).split())):
        assert "on tonight's holdout it is 0." in text and "better (95 % confidence" in text
        assert "It can pass in the night about 2026-05-10 at the earliest" in text


def test_a_new_champion_in_between_turns_a_refresh_into_a_change(champion: Ran, patient: Model) -> None:
    """Another recipe was released between select and evaluate. The refresh of the old recipe becomes a change."""
    waiting = night(patient, "2026-05-04", "coarse")
    other = night(patient, "2026-05-03", "logistic", candidates=["logistic"])
    release(patient, replace(other, decision=other.decision.replace(verdict=Verdict.PROMOTE)))
    measured = evaluate.evaluate(patient, waiting.plan, waiting.selection)
    assert measured.kind == "change" and measured.change is not None
    assert (measured.change.incumbent, measured.change.rival) == ("logistic", "coarse")
    decided = decisions.decide(patient, waiting.plan, waiting.selection, measured, waiting.run_id)
    assert decided.verdict != "promote"


def test_a_rival_that_has_seen_the_holdout_is_an_error_and_without_scores_it_gives_no_evidence(
    champion: Ran, patient: Model, caplog: pytest.LogCaptureFixture
) -> None:
    found = night(patient, "2026-05-04", "logistic")
    twin = found.other.twin
    before = files(patient)

    def selection_with(**changes: str) -> Selection:
        return found.selection.replace(other=found.other.replace(twin=twin.replace(**changes)))

    with pytest.raises(IntegrityError, match="the rival's twin .logistic. .* has seen days of the holdout"):
        evaluate.evaluate(patient, found.plan, selection_with(last=found.evaluation.holdout.first))
    store = BundleStore.default()
    pipeline = export.from_skops(store.get_twin("toy", twin.digest))
    pipeline[-1].coef_[:] = np.nan
    digest = store.put_twin("toy", export.to_skops(pipeline))
    measured = evaluate.evaluate(patient, found.plan, selection_with(digest=digest))
    assert "The rival (logistic) is not scored tonight" in caplog.text
    assert measured.challenger.error is None and measured.change is None and files(patient) == before


# -- stored scores


def gained(change: Change) -> Gain:
    found = Gain.of(change.gain)
    assert found is not None
    return found


def scored(as_of: str, days: list[str], better: float = 0.0, rows: int = 40, seed: int = 0) -> Scored:
    """A night of made-up scores, in which the rival's logit is nearer to the truth by ``better``."""
    random = np.random.default_rng(seed)
    partitions = np.repeat(np.array(days, dtype=object), rows)
    truth = random.normal(size=len(partitions))
    labels = (random.random(len(partitions)) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    sides = [1 / (1 + np.exp(-truth * (0.2 + add) + random.normal(0, 0.05, len(truth)))) for add in (0.0, better)]
    return Scored(as_of, partitions, labels, *sides)


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_each_day_counts_once_with_the_newest_night_that_has_it(toy: Model, tmp_path: Path, where: str) -> None:
    stored = rivals.OnDisk(tmp_path) if where == "disk" else rivals.InMemory()
    nights = {
        end: scored(end, keys_between(begin, end), 0.6, seed=number)
        for number, (begin, end) in enumerate([("2026-03-01", "2026-03-14"), ("2026-03-08", "2026-03-21")])
    }
    for one in nights.values():
        stored.keep(toy, PAIR, one)
        stored.keep(toy, PAIR, one)
    other = Pair(PAIR.incumbent, recipe("logistic", "all"))
    stored.keep(toy, other, scored("2026-03-22", ["2026-03-22"]))
    found = rivals.weigh(toy, PAIR, stored.nights(toy, PAIR, "2026-03-25"))
    assert found.gain is not None and (found.days, found.gain.rows, found.gain.blocks) == (21, 21 * 40, 3)
    older, newer = nights.values()
    old = older.partitions.astype(str) < "2026-03-08"
    y = np.concatenate([older.labels[old], newer.labels])
    loss = [
        METRICS["log_loss"].compute(y, np.concatenate([getattr(older, s)[old], getattr(newer, s)]))
        for s in ("incumbent", "rival")
    ]
    assert found.gain.value == pytest.approx(loss[0] - loss[1])
    assert rivals.weigh(toy, PAIR, []) == found.replace(days=0, gain=None)
    if where == "disk":
        assert rivals.weigh(toy, PAIR, stored.nights(toy, PAIR, "2026-03-20")).days == 14
        assert rivals.weigh(toy, other, stored.nights(toy, other, "2026-03-25")).days == 1


def test_scores_that_are_damaged_or_of_another_label_are_ignored(toy: Model, tmp_path: Path) -> None:
    stored = rivals.OnDisk(tmp_path)
    stored.keep(toy, PAIR, scored("2026-03-14", keys_between("2026-03-01", "2026-03-14")))
    label = toy.data.label.model_copy(update={"positive": 0})
    turned = toy.model_copy(update={"data": toy.data.model_copy(update={"label": label})})
    assert len(list(stored.nights(toy, PAIR, "2026-03-14"))) == 1 and not list(stored.nights(turned, PAIR, "9999"))
    (file,) = tmp_path.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    assert not list(stored.nights(toy, PAIR, "2026-03-14"))


def test_the_evidence_for_a_change_is_strict_and_by_weeks(toy: Model) -> None:
    def passes(days: int, better: float) -> bool | None:
        keys = keys_between("2026-03-01", "2026-04-30")[:days]
        return justified(toy, rivals.weigh(toy, PAIR, [scored(keys[-1], keys, better, rows=200)])).passed

    assert passes(27, 0.6) is None, "better, but one day too few"
    assert passes(28, 0.6) is True
    assert passes(28, 0.0) is False and passes(28, -0.1) is False
    week = scored("2026-03-28", keys_between("2026-03-01", "2026-03-28"), 0.6, rows=200)
    worse = week.partitions.astype(str) <= "2026-03-07"
    mixed = Scored(week.as_of, week.partitions, week.labels, week.incumbent, np.where(worse, 0.5, week.rival))
    assert justified(toy, rivals.weigh(toy, PAIR, [mixed])).passed is False, "one of the four weeks contradicts"


@pytest.mark.parametrize(
    ("scored_until", "days", "earliest"),
    [
        ("2026-03-20", 10, "2026-04-08"),  # each night adds a day; the night after the last day has all of them
        ("2026-03-15", 10, "2026-04-03"),  # after a pause the first night adds the days of its holdout
        ("2026-02-20", 10, "2026-03-30"),  # a pause that is longer than a holdout
        (None, 0, "2026-04-09"),
    ],
)
def test_the_first_night_that_can_pass(toy: Model, scored_until: str | None, days: int, earliest: str) -> None:
    """As-of 2026-03-20; a holdout of 10 days; 28 days of scores required."""
    nights = []
    if scored_until:
        keys = keys_between("2026-01-01", scored_until)[-days:]
        nights = [scored(scored_until, keys, 0.6)]
    assert toy.training.holdout_days == 10 and toy.gate.change_days == 28
    assert rivals.weigh(toy, PAIR, nights, "2026-03-20").earliest == earliest


def test_a_gain_that_is_not_yet_significant_says_what_it_needs(toy: Model) -> None:
    def sentence(better: float, rows: int = 200, noise: int = 0) -> str:
        keys = keys_between("2026-03-01", "2026-04-01")
        night = scored(keys[-1], keys, better, rows=rows, seed=noise)
        check = justified(toy, rivals.weigh(toy, PAIR, [night], keys[-1]))
        assert check.passed is False
        return check.sentence

    assert "It cannot pass before it is better." in sentence(-0.1)
    assert "If the gain stays as it is, 40 days show it: in the night about 2026-04-10." in sentence(0.005, 20, noise=1)
    assert "cannot pass unless it grows" in sentence(0.005, 40)


def test_old_scores_do_not_count_and_are_deleted(toy: Model, tmp_path: Path) -> None:
    """A rival was better for months and is worse now. Scores older than four times `change_days` do not count."""
    stored = rivals.OnDisk(tmp_path)
    for number, last in enumerate(keys_between("2025-01-14", "2025-12-31")[::14]):
        begin = (date.fromisoformat(last) - timedelta(days=13)).isoformat()
        better = 0.6 if last < "2025-09-01" else -0.1
        stored.keep(toy, PAIR, scored(last, keys_between(begin, last), better, seed=number))
    found = rivals.weigh(toy, PAIR, stored.nights(toy, PAIR, "2025-12-31"))
    assert found.days == 4 * toy.gate.change_days and gained(found).upper < 0
    past = rivals.weigh(toy, PAIR, stored.nights(toy, PAIR, "2025-08-26"))
    assert past.days == 4 * toy.gate.change_days and gained(past).lower > 0, (
        "a run about a past day uses the scores of its time"
    )
    assert min(path.name[:10] for path in tmp_path.glob("*.parquet")) > "2025-05-01"


def test_different_pairs_have_different_file_names(toy: Model, tmp_path: Path) -> None:
    stored = rivals.OnDisk(tmp_path)
    pairs = [
        Pair(recipe("a", 60), recipe("b", 60)),
        Pair(recipe("a-b.60", 60), recipe("c", 60)),
        Pair(recipe("a", 60), recipe("b", 6)),
        Pair(recipe("a/é", 60), recipe("b", "all")),
    ]
    for number, pair in enumerate(pairs, 1):
        stored.keep(toy, pair, scored("2026-03-14", keys_between("2026-03-01", f"2026-03-{number:02}")))
    for number, pair in enumerate(pairs, 1):
        assert rivals.weigh(toy, pair, stored.nights(toy, pair, "9999")).days == number
    assert Pair(recipe("a", 60), recipe("a", 30)).names == ("a on 60 days", "a on 30 days")
