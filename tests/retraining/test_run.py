"""Whole runs on a real lake, ledger, MLflow and bundle store: snapshot, comparison, decision and package."""

from __future__ import annotations

import html
import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from sklearn.pipeline import Pipeline

from include import catalog
from include.cards import card_file
from include.cards.facts import Manifest
from include.data.lake import Lake
from include.errors import ConfigurationError, DataError, IntegrityError, NotReady, ReleaseError
from include.gate.evaluation import Evaluation, UnscoredChampion
from include.partitions import keys_between, partition
from include.registry.bundles import BundleStore
from include.registry.evidence import Evidence, Figures, Interval
from include.registry.ledger import Ledger
from include.retraining import aftermath, evaluate, in_process, night, package, planning, select, train
from include.retraining import decide as decisions
from include.scoring.documents import Probe
from include.scoring.predictor import Predictor
from include.spec import Candidate, Model
from include.training import dataset, export, measures, parity, proving, refit
from include.training.plan import Plan
from include.training.recipes import Trial
from tests import homes
from tests.services import Services
from tests.training import toy_days
from tests.training.borrowed import Borrowed
from tests.training.toy_days import AS_OF

pytestmark = pytest.mark.slow

FAST: dict[str, Any] = {"candidates": ["baseline", "logistic"]}
BEFORE = "2026-05-12"

Night = tuple[homes.Home, in_process.Outcome]


def take(model: Model, as_of: str = AS_OF, **params: Any) -> Plan:
    plan = planning.take(model, partition(as_of, model.timezone), params, catalog.digest(model.name), None)
    assert Plan.of(json.loads(json.dumps(plan.as_dict(), allow_nan=False))) == plan, (
        "the plan survives the JSON between tasks"
    )
    return plan


def tried(model: Model, plan: Plan, run_id: str) -> list[Trial]:
    """The results of the task `train` for every candidate."""
    return [train.train(model, plan, name, run_id) for name in plan.candidates]


def promote(model: Model, outcome: in_process.Outcome) -> int:
    """Make the packaged version of a run the champion, as the release does."""
    ledger, packaged = Ledger.default(), outcome.packaged
    epoch = ledger.standing(model.name).epoch
    return ledger.promote(model.name, packaged.version, packaged.digest, epoch, "perennial", outcome.run_id, "test")


@pytest.fixture(scope="module")
def first_night(running: Services, filled_lake: Path, toy: Model, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night about `AS_OF` without a champion, of all candidates."""
    with pytest.MonkeyPatch.context() as patch:
        home = homes.of_its_own(running, filled_lake, tmp_path_factory.mktemp("first"), toy, patch)
        return home, in_process.in_one_process(toy, AS_OF, {"note": "<b>bold</b> | note"})


@pytest.fixture
def first(first_night: Night, monkeypatch: pytest.MonkeyPatch) -> in_process.Outcome:
    """The outcome of `first_night`, in its home, which the tests share and only read."""
    home, outcome = first_night
    home.enter(monkeypatch)
    return outcome


@pytest.fixture(scope="module")
def night_before(running: Services, filled_lake: Path, toy: Model, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night about `BEFORE`, whose challenger has become the first champion."""
    with pytest.MonkeyPatch.context() as patch:
        home = homes.of_its_own(running, filled_lake, tmp_path_factory.mktemp("before"), toy, patch)
        outcome = in_process.in_one_process(toy, BEFORE, FAST)
        promote(toy, outcome)
        return home, outcome


@pytest.fixture
def champion(night_before: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> in_process.Outcome:
    """The outcome of `night_before`, in a copy of its home."""
    home, outcome = night_before
    home.copy(tmp_path).enter(monkeypatch)
    return outcome


def evaluated(model: Model, run_id: str) -> Evaluation:
    """A night about `AS_OF` up to the task `evaluate`."""
    plan = take(model, **FAST)
    return evaluate.evaluate(model, plan, select.select(model, plan, tried(model, plan, run_id), run_id))


def test_a_first_run_ends_with_a_bundle_that_serves(first: in_process.Outcome, toy: Model) -> None:
    outcome = first
    records = (outcome.plan, *outcome.trials, outcome.selection, outcome.evaluation, outcome.decision, outcome.packaged)
    for record in records:  # all records between tasks are plain JSON without NaN
        assert type(record).of(json.loads(json.dumps(record.as_dict(), allow_nan=False))) == record
    assert outcome.decision.verdict == "promote" and outcome.evaluation.champion_exists is False
    assert outcome.selection.candidate in ("logistic", "boosting", "boosting_all")
    row = Ledger.default().version("toy", outcome.packaged.version)
    assert row is not None and (row.state, row.bundle) == ("packaged", outcome.packaged.digest)

    bundle = BundleStore.default().open("toy", outcome.packaged.digest)
    names = {"model.onnx", "model.skops", "input_schema.json", "probe.json", "manifest.json", "reference.json"}
    assert names | {"card.md", "card.html"} | {f"source/{p.name}" for p in catalog.folder("toy").glob("*.py")} == set(
        bundle.sums
    )
    manifest = Manifest.of(bundle.json("manifest.json"))
    assert manifest.as_dict() == bundle.json("manifest.json")
    assert manifest.twin.last < manifest.holdout.first <= manifest.release.last == AS_OF
    assert manifest.snapshot.digest == outcome.plan.snapshot.digest
    assert manifest.packages["scikit-learn"] and manifest.settings["name"] == "toy"

    page = card_file.find(BundleStore.default(), "toy", outcome.packaged.version).read_text()
    assert page.count("data:image/svg+xml;base64,") == 4 and all(
        c.sentence in html.unescape(page) for c in outcome.decision.checks
    )

    predictor = Predictor.load(bundle)
    assert predictor.warm_up(Probe.of(bundle)) <= 1e-5
    probe = bundle.json("probe.json")
    assert len(probe["rows"]) == proving.PROBE_ROWS + 2 and len(set(probe["scores"])) > 10
    nullable = [c.name for c in toy.data.inputs if c.nullable]
    assert any(all(row[name] is None for name in nullable) for row in probe["rows"])
    assert any(row["shop"] == parity.UNSEEN for row in probe["rows"])

    runs = MlflowClient().search_runs([_experiment()], f"tags.`perennial.run_id` = '{outcome.run_id}'")
    assert {r.data.tags["perennial.candidate"] for r in runs} == set(outcome.plan.candidates)
    assert {r.info.status for r in runs} == {"FINISHED"}
    chosen = next(r for r in runs if r.info.run_id == outcome.selection.mlflow_run_id)
    assert chosen.data.metrics["holdout.log_loss"] == outcome.evaluation.metric("challenger", "log_loss")
    gain = outcome.evaluation.paired["baseline"]["log_loss"]
    logged = {end: chosen.data.metrics[f"holdout.baseline_gain.log_loss{end}"] for end in ("", ".lower", ".upper")}
    assert logged == {"": gain.value, ".lower": gain.lower, ".upper": gain.upper}
    checks = {c.name: c for c in outcome.decision.checks}
    assert chosen.data.metrics["gate.better_than_the_baseline"] == checks["better than the baseline"].value
    assert chosen.data.metrics["gate.days.limit"] == toy.gate.min_days
    kept = json.loads(Path(MlflowClient().download_artifacts(chosen.info.run_id, "gate.json")).read_text())
    assert Evaluation.of(kept["evaluation"]) == outcome.evaluation
    assert kept["checks"] == outcome.decision.as_dict()["checks"]
    assert outcome.decision.note.startswith("PASSED v")

    decided = Ledger.default().decision("toy", outcome.run_id)
    assert decided is not None
    figures, evidence = Figures.of(decided.figures), Evidence.of(decided.evidence)
    assert (figures.metric, figures.value) == ("log_loss", outcome.evaluation.metric("challenger", "log_loss"))
    assert figures.over_baseline == Interval(value=gain.value, lower=gain.lower, upper=gain.upper)
    assert (figures.over_champion, figures.champion) == (None, None), "nothing served"
    assert outcome.evaluation.intervals is not None
    limits = outcome.evaluation.intervals["challenger"]["log_loss"]
    assert [found.name for found in evidence.metrics] == list(outcome.evaluation.challenger.metrics)
    assert evidence.metrics[0].name == "log_loss"
    assert (evidence.metrics[0].lower, evidence.metrics[0].upper) == limits
    assert [trial.name for trial in evidence.trials] == list(outcome.plan.candidates)
    assert (evidence.holdout, evidence.last) == ((manifest.holdout.first, manifest.holdout.last), AS_OF)
    assert evidence.note == "<b>bold</b> | note", "why the run was started"
    files = {f.path for f in MlflowClient().list_artifacts(chosen.info.run_id)}
    assert {"gate.json", "card.html", "holdout"} <= files
    every = [f.path for folder in ("", "holdout") for f in MlflowClient().list_artifacts(chosen.info.run_id, folder)]
    assert not [f for f in every if f.endswith((".pkl", ".pickle", ".joblib", ".cloudpickle"))]


def _experiment() -> str:
    experiment = MlflowClient().get_experiment_by_name("toy")
    assert experiment is not None
    return str(experiment.experiment_id)


def test_a_worse_challenger_is_rejected_and_a_fresh_one_passes(champion: in_process.Outcome, toy: Model) -> None:
    worse = in_process.in_one_process(toy, AS_OF, {"candidates": ["baseline", "coarse"]})
    assert worse.selection.candidate == "coarse"
    measured = worse.evaluation
    mine, trivial = (measured.metric(side, "log_loss") for side in ("challenger", "baseline"))
    assert mine is not None and trivial is not None and mine < trivial
    assert worse.decision.verdict == "reject" and worse.package is None
    assert "worse (95 % confidence" in worse.decision.reason and "significantly more than" in worse.decision.reason
    assert f"Against champion version {champion.packaged.version}" in worse.decision.reason
    assert worse.evaluation.kind == "change", "the recipe was chosen by hand and differs from the champion's"
    ledger = Ledger.default()
    state = ledger.version("toy", worse.selection.version)
    assert state is not None and state.state == "rejected"
    assert ledger.standing("toy").version == champion.packaged.version
    tags = MlflowClient().get_model_version("toy", str(worse.selection.version)).tags
    assert tags["perennial.verdict"] == "reject" and tags["perennial.reason"] == worse.decision.reason
    fresh = in_process.in_one_process(toy, AS_OF, FAST)
    assert fresh.decision.verdict == "promote" and fresh.evaluation.metric("champion", "log_loss")


def test_a_champion_that_has_seen_the_holdout_is_never_scored(
    champion: in_process.Outcome, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion's twin was fitted up to 2026-05-02. A run about an earlier day has this day in its holdout."""
    assert champion.selection.twin.last == "2026-05-02"
    plan = take(toy, "2026-05-10", **FAST)
    selected = select.select(toy, plan, tried(toy, plan, "earlier"), "earlier")
    fetched: list[str] = []
    get = BundleStore.get_twin

    def watched(store: BundleStore, name: str, digest: str) -> bytes:
        fetched.append(digest)
        return get(store, name, digest)

    monkeypatch.setattr(BundleStore, "get_twin", watched)
    measured = evaluate.evaluate(toy, plan, selected)
    assert champion.selection.twin.digest not in fetched
    assert "has seen days of the holdout" in str(measured.champion_unusable) and measured.champion_exists is True
    assert isinstance(measured.champion, UnscoredChampion) and measured.side("champion") is None
    decided = decisions.decide(toy, plan, selected, measured, "earlier")
    assert decided.verdict == "hold" and "has seen" in decided.reason
    with pytest.raises(ReleaseError, match="not packaged"):
        package.package(toy, plan, selected, measured, decided, "earlier")


@pytest.mark.parametrize("side", ["twin", "baseline_twin"])
def test_a_challenger_that_has_seen_the_holdout_is_an_error(home: Path, toy: Model, side: str) -> None:
    plan = take(toy, **FAST)
    run_id = f"seen-{side}"
    selected = select.select(toy, plan, tried(toy, plan, run_id), run_id)
    first_of_holdout = plan.windows["logistic"].holdout[0]
    twin = getattr(selected, side)
    assert twin.last == plan.windows["logistic"].twin[1] < first_of_holdout
    late = selected.replace(**{side: twin.replace(last=first_of_holdout)})
    with pytest.raises(IntegrityError, match="has seen days of the holdout"):
        evaluate.evaluate(toy, plan, late)


def test_a_challenger_that_cannot_be_stored_is_refused_at_its_fit(
    home: Path, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = catalog.module("toy", "candidates").candidates()
    columns = declared["logistic"].estimator.named_steps["columns"]
    declared["logistic"] = Candidate(Pipeline([("columns", columns), ("estimator", Borrowed(max_iter=300))]))
    monkeypatch.setattr(catalog.module("toy", "candidates"), "candidates", lambda: declared)
    plan = take(toy, **FAST)
    results = tried(toy, plan, "borrowed")
    with pytest.raises(
        ReleaseError, match=r"'logistic' of toy cannot be stored: .*tests\.training\.borrowed\.Borrowed"
    ):
        select.select(toy, plan, results, "borrowed")


def test_challenger_and_champion_are_scored_on_the_same_rows(champion: in_process.Outcome, toy: Model) -> None:
    outcome = in_process.in_one_process(toy, AS_OF, FAST)
    run = outcome.selection.mlflow_run_id
    scores = pd.read_parquet(MlflowClient().download_artifacts(run, evaluate.SCORES))
    first, last = outcome.plan.windows["logistic"].holdout
    assert sorted(set(scores["partition"])) == keys_between(first, last)
    assert scores[["challenger", "baseline", "champion"]].notna().all(axis=None)
    holdout = outcome.evaluation.holdout
    assert len(scores) == holdout.rows and scores["partition"].nunique() == holdout.days
    by_day = json.loads(Path(MlflowClient().download_artifacts(run, evaluate.BY_DAY)).read_text())
    assert {len(days) for days in by_day.values()} == {holdout.days}


def test_a_change_of_the_features_does_not_change_what_the_champion_sees(
    champion: in_process.Outcome, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion's twin gets its features from the code of its own bundle."""
    before = evaluated(toy, "features-before").side("champion")
    features = catalog.module("toy", "features")
    build = features.build
    monkeypatch.setattr(features, "build", lambda columns: {**build(columns), "x": -build(columns)["x"]})
    after = evaluated(toy, "features-after").side("champion")
    assert before is not None and after is not None and after.metrics == before.metrics


@pytest.mark.parametrize("damage", ["twin", "bundle"])
def test_a_champion_that_cannot_be_scored_holds(champion: in_process.Outcome, toy: Model, damage: str) -> None:
    store = BundleStore.default()
    if damage == "twin":
        (store.root / "toy" / "twins" / f"{champion.selection.twin.digest}.skops").unlink()
    else:
        shutil.rmtree(store.root / "toy" / champion.packaged.digest)
    outcome = in_process.in_one_process(toy, AS_OF, FAST)
    assert outcome.decision.verdict == "hold" and "missing" in outcome.decision.reason


def test_repeating_every_step_gives_the_same_version_and_bundle(
    home: Path, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = catalog.digest("toy")  # an edit of a file during the test must not matter
    monkeypatch.setattr(catalog, "digest", lambda name: digest)
    monkeypatch.setattr(package, "_commit", lambda: ("0" * 40, False))
    run_id = "scheduled__again"
    first = in_process.in_one_process(toy, AS_OF, FAST, run_id)
    again = in_process.in_one_process(toy, AS_OF, FAST, run_id)
    for result in ("selection", "evaluation", "decision", "packaged"):
        left, right = ({**getattr(run, result).as_dict(), "row_milliseconds": None} for run in (first, again))
        for table in (left.get("selection"), right.get("selection")):
            for row in table["table"] if table else ():
                row.pop("seconds")
        assert left == right, result
    found = MlflowClient().search_runs([_experiment()], f"tags.`perennial.run_id` = '{run_id}'")
    assert len(found) == len(FAST["candidates"])
    assert len(Ledger.default().versions("toy")) == 1


def test_code_that_changed_before_a_run_was_cleared_starts_a_new_mlflow_run(home: Path, toy: Model) -> None:
    one = train.train(toy, take(toy, **FAST), "logistic", "cleared")
    other = train.train(toy, take(toy, **FAST, seed=7), "logistic", "cleared", one.mlflow_run_id)
    assert other.mlflow_run_id != one.mlflow_run_id
    assert MlflowClient().get_run(one.mlflow_run_id).info.status == "KILLED"
    third = train.train(toy, take(toy, **FAST, seed=7), "logistic", "cleared", one.mlflow_run_id)
    assert third.mlflow_run_id == other.mlflow_run_id


def test_training_reads_the_frozen_rows_not_the_live_table(home: Path, toy: Model) -> None:
    plan = take(toy, **FAST)
    before = train.train(toy, plan, "logistic", "frozen").metrics
    key = plan.windows["logistic"].selection[0]
    frame = toy_days.day(toy, key)
    toy_days.publish(Lake.of(toy), toy, key, frame.assign(late=1 - frame["late"]))
    assert train.train(toy, plan, "logistic", "frozen").metrics == before
    assert take(toy, **FAST).snapshot.digest != plan.snapshot.digest
    file = Lake.of(toy).root / plan.snapshot.path
    file.chmod(0o644)
    file.unlink()
    with pytest.raises(IntegrityError):
        train.train(toy, plan, "logistic", "frozen")


def test_a_night_without_new_data_or_code_is_skipped(
    champion: in_process.Outcome, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`test_aftermath` tests the rules. This test uses the decision of a whole run."""
    code = champion.plan.code_digest  # an edit of a file during the test must not matter
    monkeypatch.setattr(catalog, "digest", lambda name: code)
    why = in_process.plan_of(toy, BEFORE, FAST).nothing_new
    assert why is not None and "no new labels" in why and champion.run_id in why
    last = aftermath.read("toy")
    assert last is not None
    for changed in (
        {"seed": 5},
        {"window_days": 15},
        {"candidates": ["boosting"]},
    ):
        plan = take(toy, BEFORE, **{**FAST, **changed})
        assert planning.nothing_new(last, plan) is None
    assert planning.nothing_new(last, take(toy, "2026-05-11", **FAST)) is None
    about, digest = partition(BEFORE, toy.timezone), catalog.digest("toy")
    assert planning.take(toy, about, FAST, digest, last).nothing_new
    assert planning.take(toy, about, {**FAST, "force": True}, digest, last).nothing_new is None


def test_a_run_without_its_partition_waits(home: Path, toy: Model) -> None:
    with pytest.raises(NotReady, match="2026-05-15 of toy is not published yet .the newest is 2026-05-14"):
        take(toy, "2026-05-15")


def test_missing_days_and_labels_that_are_not_final_are_refused_with_advice(home: Path, toy: Model) -> None:
    lake = Lake.of(toy)
    with pytest.raises(DataError, match=r"Load 2026-03-\d\d to 2026-03-31: run toy_load"):
        take(toy, "2026-04-28")
    with pytest.raises(DataError, match="at most 3 may be missing"):
        take(toy, window_days=40)
    assert take(toy, window_days=33).snapshot.first == "2026-04-01", "three missing days are tolerated"
    label = toy.data.label.model_copy(update={"delay": timedelta(hours=9)})
    late = toy.model_copy(update={"data": toy.data.model_copy(update={"label": label})})
    with pytest.raises(DataError, match="were not final"):
        take(late)
    for key in keys_between("2026-04-01", AS_OF):
        toy_days.publish(lake, toy, key, toy_days.day(toy, key), after=timedelta(hours=9))
    assert take(late).as_of == AS_OF


def test_a_holdout_with_too_few_labelled_days_is_refused(home: Path, toy: Model) -> None:
    lake = Lake.of(toy)
    for key in keys_between("2026-05-04", "2026-05-09"):
        frame = toy_days.day(toy, key)
        toy_days.publish(lake, toy, key, frame.assign(late=pd.array([None] * len(frame), dtype="Int64")))
    with pytest.raises(DataError, match=r"4 days with labels; the gate needs 5"):
        take(toy)


def test_parameters_are_checked_by_name(home: Path, toy: Model) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'window_days'"):
        take(toy, windowdays=3)
    with pytest.raises(ConfigurationError, match="window_days is 'many'"):
        take(toy, window_days="many")
    with pytest.raises(ConfigurationError, match="force is 'yes'"):
        take(toy, force="yes")
    plan = take(toy, as_of=AS_OF, window_days="", candidates=None, seed=None, note=None)
    assert (plan.window_days, plan.seed, plan.note) == (20, 0, "")
    assert take(toy, window_days="15", candidates="logistic").candidates == ("baseline", "logistic")
    lucky = toy.model_copy(update={"training": toy.training.model_copy(update={"seed": 7})})
    assert [take(lucky, **asked).seed for asked in ({}, {"seed": None}, {"seed": 0}, {"seed": "0"})] == [7, 7, 0, 0]


def test_an_onnx_model_that_differs_is_not_released(home: Path, toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = export.to_onnx

    def other(fitted: Any, model: Model) -> bytes:
        return onnx(type(fitted)(**{**vars(fitted), "pipeline": other_pipeline}), model)

    plan = take(toy, **FAST)
    other_pipeline = None
    selected = select.select(toy, plan, tried(toy, plan, "parity"), "parity")
    other_pipeline = export.from_skops(BundleStore.default().get_twin("toy", selected.twin.digest))
    measured = evaluate.evaluate(toy, plan, selected)
    decided = decisions.decide(toy, plan, selected, measured, "parity")
    monkeypatch.setattr(export, "to_onnx", other)
    with pytest.raises(ReleaseError, match="differs from scikit-learn"):
        package.package(toy, plan, selected, measured, decided, "parity")
    row = Ledger.default().version("toy", selected.version)
    assert row is not None and row.bundle is None


def test_the_baseline_is_never_the_challenger_if_there_is_another_candidate(home: Path, toy: Model) -> None:
    """The baseline cannot beat itself, so choosing it would never promote anything."""
    plan = take(toy, candidates="logistic")
    measured = [
        one.replace(metrics={**one.metrics, "log_loss": 0.1 if one.candidate == "baseline" else 0.9})
        for one in tried(toy, plan, "never-the-baseline")
    ]
    assert select.select(toy, plan, measured, "never-the-baseline").candidate == "logistic"


def test_the_best_is_chosen_by_the_metric_and_ties_go_to_the_first(toy: Model) -> None:
    def results(**values: float | None) -> list[Trial]:
        about: dict[str, Any] = {"seconds": 0.0, "rows": 9, "first": "2026-05-01", "last": "2026-05-02"}
        return [Trial(candidate=n, metrics={"log_loss": v, "roc_auc": v}, **about) for n, v in values.items()]

    names = ["baseline", "a", "b"]
    assert night.best(toy, names, results(b=0.3, a=0.4, baseline=0.5)).candidate == "b"
    assert night.best(toy, names, results(b=0.3, a=0.3, baseline=0.5)).candidate == "a"
    assert night.best(toy, names, results(b=0.5, a=0.5, baseline=0.5)).candidate == "baseline"
    assert night.best(toy, names, results(b=None, a=0.9, baseline=None)).candidate == "a"
    by_auc = toy.model_copy(update={"training": toy.training.model_copy(update={"metric": "roc_auc"})})
    assert night.best(by_auc, names, results(b=0.3, a=0.4, baseline=0.5)).candidate == "baseline"
    with pytest.raises(DataError, match="no candidate"):
        night.best(toy, names, results(b=None))


def test_a_release_model_grossly_unlike_its_twin_is_refused(
    first: in_process.Outcome, toy: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refit, "GROSSLY_UNLIKE", 1e-6)
    with pytest.raises(ReleaseError, match="grossly unlike its twin"):
        package.package(toy, first.plan, first.selection, first.evaluation, first.decision, first.run_id)


def test_the_card_has_the_facts_that_a_person_needs(first: in_process.Outcome, toy: Model) -> None:
    bundle = BundleStore.default().open("toy", first.packaged.digest)
    text, page = bundle.read("card.md").decode(), bundle.read("card.html").decode()
    chosen = first.selection.candidate
    for shown in (toy.owner, AS_OF, first.plan.snapshot.digest, first.run_id, chosen, "logistic", "2026-05-04"):
        assert shown in text and shown in page
    for metric in ("log_loss", "roc_auc", "average_precision", "brier", "accuracy"):
        assert metric in text and metric in page
    assert "<b>bold" not in page and "http:" not in page and "https:" not in page and "<script" not in page
    assert f"{first.evaluation.metric('challenger', 'log_loss'):.4f}" in text


def test_scores_of_the_bundle_equal_those_of_the_release_fit(first: in_process.Outcome, toy: Model) -> None:
    bundle = BundleStore.default().open("toy", first.packaged.digest)
    pipeline = export.from_skops(bundle.read("model.skops"))
    rows = toy_days.days(toy, "2026-05-14", "2026-05-14")
    mine = parity.scores(Predictor.load(bundle), dataset.features_frame(toy, rows))
    np.testing.assert_allclose(mine, measures.score(toy, pipeline, rows), atol=1e-5)
