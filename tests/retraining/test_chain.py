"""A multi-class model and a regression through the whole chain: load, collect, train, judge, package, serve, record."""

from __future__ import annotations

import html
import io
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from include import catalog, perennial
from include.data import collection, loading, spools
from include.data.lake import Lake
from include.errors import DataError, IntegrityError, ReleaseError
from include.partitions import keys_between, partition, utc_now
from include.registry.bundles import Bundle, BundleStore
from include.release.promotion import promote, verify
from include.release.smoke import smoke_test
from include.retraining import evaluate, in_process, package
from include.retraining.in_process import Outcome
from include.scoring.documents import Probe
from include.scoring.predictor import Predictor
from include.scoring.record import closed_segments
from include.spec import Model
from include.training import dataset, export, measures, proving
from tests.perennial import how_to
from tests.services import Services, model_server
from tests.training import chain_models

FIRST, AS_OF, NEXT = "2026-04-01", "2026-04-26", "2026-04-27"


@dataclass(frozen=True)
class Chain:
    """One model after two nights: the outcome of each, and a server with the version of the first."""

    model: Model
    first: Outcome
    second: Outcome
    bundle: Bundle
    url: str

    def artifact(self, night: Outcome, path: str) -> bytes:
        return Path(MlflowClient().download_artifacts(night.selection.mlflow_run_id, path)).read_bytes()

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module", params=["toy_classes", "toy_counts"])
def chain(
    request: pytest.FixtureRequest, running: Services, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chain]:
    name, home = request.param, tmp_path_factory.mktemp("chain")
    variables = {
        **running.environment(),
        "PERENNIAL_DATABASE_URL": running.new_ledger(),
        "PERENNIAL_HOME": str(home),
    }
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        for variable, value in variables.items():
            patch.setenv(variable, value)
        digest = catalog.digest(name)  # an edit of a file during the test must not matter
        patch.setattr(catalog, "digest", lambda name: digest)
        patch.setattr(package, "_commit", lambda: ("0" * 40, False))
        model = catalog.load(name)
        history = keys_between(FIRST, AS_OF)
        assert not loading.load(model, history, {}, lambda: partition(NEXT, model.timezone).end).left_out
        collect(model, NEXT)
        first = in_process.in_one_process(model, AS_OF, run_id="first")
        assert first.decision.verdict == "promote", first.decision.reason
        smoke_test(name, first.packaged.version)
        with model_server(variables, home / "server.log") as url:
            patch.setenv("PERENNIAL_SERVING_URL", url)
            epoch = promote(name, first.packaged.version, "first", "perennial", "test").epoch
            verify(name, first.packaged.version, epoch, timeout=timedelta(seconds=20))
            second = in_process.in_one_process(model, NEXT, run_id="second")
            bundle = BundleStore.default().open(name, first.packaged.digest)
            yield Chain(model, first, second, bundle, url)


def collect(model: Model, key: str) -> None:
    about = partition(key, model.timezone)
    raw = collection.collect(model, about, {}, about.end + timedelta(hours=2))
    collection.publish(model, about, collection.validate(model, about, raw))


def several(chain: Chain) -> bool:
    return chain.model.data.label.multiclass


def test_records_between_tasks_are_plain_json(chain: Chain) -> None:
    for night in (chain.first, chain.second):
        for record in (night.plan, *night.trials, night.selection, night.evaluation, night.decision):
            json.dumps(record.as_dict(), allow_nan=False)
    holdout = chain.first.evaluation.holdout
    if several(chain):
        assert holdout.label_mean is None and holdout.label_shares is not None
        assert set(holdout.label_shares) == {"quiet", "normal", "busy"}
        assert sum(holdout.label_shares.values()) == pytest.approx(1)
    else:
        assert holdout.label_mean is not None and holdout.label_mean > 0
        assert "label_shares" not in holdout.as_dict(), "the document of a binary model or a regression has not changed"


def test_the_challenger_beats_the_baseline_and_meets_the_champion(chain: Chain) -> None:
    name = {"toy_classes": ("logistic", "boosting"), "toy_counts": ("boosting",)}[chain.model.name]
    assert chain.first.selection.candidate in name
    assert chain.second.evaluation.champion_unusable is None
    champion = chain.second.evaluation.side("champion")
    assert champion is not None
    measured = champion.metrics
    wanted = (
        ("log_loss", "roc_auc", "average_precision", "brier", "accuracy", "calibration_error")
        if several(chain)
        else ("mae", "rmse", "r2", "pinball_10", "pinball_50", "pinball_90", "wasted_trips", "within_five")
    )
    assert set(measured) == set(wanted) and None not in measured.values()
    assert "Against champion version 1" in chain.second.decision.reason


def test_stored_scores_reproduce_the_metrics(chain: Chain) -> None:
    kept = pd.read_parquet(io.BytesIO(chain.artifact(chain.second, evaluate.SCORES)))
    expected = {
        f"{side}{suffix}"
        for side in ("challenger", "baseline", "champion")
        for suffix in ((".quiet", ".normal", ".busy") if several(chain) else ("",))
    }
    assert set(kept.columns) == {"partition", "label"} | expected
    for side in ("challenger", "baseline", "champion"):
        scores = measures.read_named(chain.model, side, kept)
        again = measures.metrics(chain.model, kept["label"].to_numpy(), scores)
        found = chain.second.evaluation.side(side)
        assert found is not None and again == pytest.approx(found.metrics)


def test_metrics_by_day_have_the_shares_of_classes_or_the_means(chain: Chain) -> None:
    by_day = json.loads(chain.artifact(chain.second, evaluate.BY_DAY))
    assert set(by_day) == {"challenger", "baseline", "champion"}
    days = pd.DataFrame(by_day["challenger"])
    holdout = chain.second.evaluation.holdout
    assert len(days) == holdout.days and days["rows"].sum() == holdout.rows
    if several(chain):
        assert "label_mean" not in days
        for name, share in (holdout.label_shares or {}).items():
            assert np.average(days[f"label_share.{name}"], weights=days["rows"]) == pytest.approx(share)
        assert days[[f"score_share.{c}" for c in ("quiet", "normal", "busy")]].sum(axis=1).to_numpy() == pytest.approx(
            1
        )
    else:
        assert np.average(days["label_mean"], weights=days["rows"]) == pytest.approx(holdout.label_mean)


def test_pictures_are_logged_with_the_run_and_some_are_in_the_card(chain: Chain) -> None:
    own = {"confusion", "ranking", "calibration"} if several(chain) else {"predicted", "residuals", "errors"}
    wanted = {f"holdout/{name}.svg" for name in own | {"by_day", "difference"}}
    for night in (chain.first, chain.second):
        assert set(night.evaluation.plots or ()) == wanted
    pictures = {path: chain.artifact(chain.second, path) for path in wanted}
    assert all(picture.startswith(b"<?xml") and b"champion" in picture for picture in pictures.values())
    page = chain.bundle.read("card.html").decode()
    assert page.count("data:image/svg+xml;base64,") == (5 if several(chain) else 4)
    assert "<script" not in page and "https:" not in page
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert (
        "the probability of each level: 'quiet', 'normal', 'busy'" if several(chain) else "the value of rentals"
    ) in text


def test_repeating_a_run_makes_the_same_bundle(chain: Chain) -> None:
    night = chain.first
    arguments = (night.plan, night.selection, night.evaluation, night.decision, night.run_id)
    again = package.package(chain.model, *arguments)
    assert again.replace(row_milliseconds=night.packaged.row_milliseconds) == night.packaged
    changed = night.evaluation.replace(plots=dict.fromkeys(night.evaluation.plots or (), "0" * 64))
    with pytest.raises(IntegrityError, match="is not what evaluate stored"):
        package.package(chain.model, night.plan, night.selection, changed, night.decision, night.run_id)
    without = night.evaluation.replace(plots=None)  # an evaluation by a version without pictures
    assert package.pictures(night.selection.mlflow_run_id, without) == {}


def test_the_bundle_scores_as_scikit_learn_does(chain: Chain) -> None:
    schema, probe = chain.bundle.json("input_schema.json"), chain.bundle.json("probe.json")
    predictor = Predictor.load(chain.bundle)
    assert predictor.warm_up(Probe.of(chain.bundle)) <= 1e-6
    features = proving._features_of(chain.model, probe["rows"])
    expected = measures.score_features(chain.model, export.from_skops(chain.bundle.read("model.skops")), features)
    scored = predictor.predict(probe["rows"])
    if several(chain):
        assert schema["classes"] == ["quiet", "normal", "busy"] and schema["class_columns"] == [0, 1, 2]
        assert (schema["positive"], schema["positive_index"], probe["scale"]) == (None, None, 1.0)
        found = np.array([list(scores.values()) for scores in scored.by_label or ()])
        assert scored.labels == [schema["classes"][at] for at in found.argmax(axis=1)]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    else:
        assert schema["classes"] is None and schema["output_kind"] == "value" and probe["scale"] > 1
        np.testing.assert_allclose(np.array(scored.scores), expected, rtol=1e-5)
        assert min(scored.scores or ()) > 0, "the exponential of a Poisson loss"


def test_the_server_answers_and_describes_its_answer(chain: Chain) -> None:
    name, probe = chain.model.name, chain.bundle.json("probe.json")
    answer = chain.ask(f"/models/{name}/predict", {"rows": probe["rows"]})
    assert answer["version"] == chain.first.packaged.version and len(answer["predictions"]) == len(probe["rows"])
    document = chain.ask("/openapi.json")
    content = document["paths"][f"/models/{name}/predict"]["post"]["responses"]["200"]["content"]["application/json"]
    assert content["schema"]["$ref"].endswith(f"/{name}_predictions")
    described = document["components"]["schemas"][f"{name}_prediction"]
    for got, want in zip(answer["predictions"], probe["scores"], strict=True):
        assert set(got) == set(described["required"]) == set(described["properties"])
        if several(chain):
            assert got["scores"] == pytest.approx(want, abs=1e-6) and sum(got["scores"].values()) == pytest.approx(1)
            assert got["label"] == max(got["scores"], key=got["scores"].get)
            assert described["properties"]["label"]["enum"] == list(want)
        else:
            assert got["score"] == pytest.approx(want)


def test_a_prediction_arrives_in_the_lake(chain: Chain) -> None:
    name = chain.model.name
    row = chain.bundle.json("probe.json")["rows"][0]
    answer = chain.ask(f"/models/{name}/predict", {"rows": [row, row]})
    lake = Lake.of(chain.model)
    spool = lake.root.parent.parent / "spool"
    until = time.monotonic() + 120  # long, because the machine may be busy
    while not (files := list(spool.glob(f"*/{name}/*.jsonl.open"))) or answer["request_id"] not in files[0].read_text():
        assert time.monotonic() < until, "the spool was not written"
        time.sleep(0.05)
    # A server does this after a minute. The test does not wait that long.
    closed = spool / "a-server-that-stopped" / name / "000000000001.jsonl"
    closed.parent.mkdir(parents=True)
    closed.write_bytes(files[0].read_bytes())
    assert sum(one.rows for one in spools.load(chain.model, closed_segments(spool, name), utc_now())) >= 2
    table = lake.table("predictions").to_pandas()
    there = table[table["request_id"] == answer["request_id"]].sort_values("row")
    assert list(there["row"]) == [0, 1] and set(there["digest"]) == {chain.bundle.digest}
    for (_, found), answered in zip(there.iterrows(), answer["predictions"], strict=True):
        if several(chain):
            assert json.loads(found["scores"]) == answered["scores"] and pd.isna(found["score"])
        else:
            assert found["score"] == answered["score"] and pd.isna(found["scores"])


def test_a_refit_unlike_its_twin_and_a_broken_day_are_refused(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    night = chain.first
    arguments = (night.plan, night.selection, night.evaluation, night.decision, night.run_id)
    original = dataset.labels

    def other(model: Model, frame: pd.DataFrame) -> np.ndarray:
        y = original(model, frame)
        return (y + 1) % 3 if several(chain) else 300.0 - y

    monkeypatch.setattr(dataset, "labels", other)
    with pytest.raises(ReleaseError, match="grossly unlike its twin"):
        package.package(chain.model, *arguments)


def test_an_undeclared_class_is_named(chain: Chain) -> None:
    label = chain.model.data.label.column
    values: list[Any] = ["quiet", "bussy", "bussy", "closed"] if several(chain) else [1.0, np.inf, 2.0, 3.0]
    message = r"'bussy' \(2 rows\), 'closed' \(1 row\).*'quiet', 'normal', 'busy'; did you mean 'busy'\?"
    with pytest.raises(DataError, match=message if several(chain) else "1 of 4 rows have an infinite 'rentals'"):
        dataset.labels(chain.model, pd.DataFrame({label: values}))


def test_an_mlflow_client_scores_as_the_server(chain: Chain) -> None:
    """Only public calls of MLflow: search, read, load, predict."""
    name, client = chain.model.name, MlflowClient()
    champion = client.get_model_version_by_alias(name, "champion")
    assert champion.version in {found.version for found in client.search_model_versions(f"name = '{name}'")}
    assert champion.run_id is not None
    run = client.get_run(champion.run_id)
    assert run.data.metrics[f"holdout.{chain.model.training.metric}"] is not None
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == f"{name}.rows" and chain.first.plan.snapshot.digest.startswith(used.dataset.digest)
    assert champion.description and chain.first.decision.reason in champion.description
    assert "/artifacts/card.html" in champion.description
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    frame = Lake.of(chain.model).read_snapshot(chain.first.plan.snapshot, AS_OF, AS_OF)
    frame = frame.sample(25, random_state=1).astype({chain.model.data.event_time: object})
    found = loaded.predict(frame)
    rows = [
        {
            column.name: row[column.name].isoformat() if isinstance(row[column.name], datetime) else row[column.name]
            for column in chain.model.data.inputs
        }
        for row in frame.astype(object).where(frame.notna(), None).to_dict("records")
    ]
    answers = chain.ask(f"/models/{name}/predict", {"rows": rows})["predictions"]
    assert found.index.equals(frame.index)
    if several(chain):
        assert found["label"].tolist() == [one["label"] for one in answers]
        by_class = pd.DataFrame([one["scores"] for one in answers]).add_prefix("scores.")
        np.testing.assert_allclose(found[by_class.columns], by_class, rtol=1e-5, atol=1e-9)
    else:
        np.testing.assert_allclose(found["score"], [one["score"] for one in answers], rtol=1e-5)
    assert loaded.metadata.signature.inputs.input_names() == [column.name for column in chain.model.data.inputs]
    example = loaded.input_example
    assert len(loaded.predict(example)) == len(example) > 0


def test_the_notebook_how_to_works_as_written(chain: Chain) -> None:
    variables, _ = how_to.run(chain.model.name, "2026-04-25", AS_OF)
    champion, rows = variables["champion"], variables["rows"]
    assert (champion.version, champion.digest) == (chain.first.packaged.version, chain.bundle.digest)
    assert len(variables["scored"]) == len(rows) > 0
    np.testing.assert_allclose(
        variables["model"].predict(rows).select_dtypes("number"), champion.predict(rows).select_dtypes("number")
    )
    raw = champion.predict_raw(json.loads(variables["as_json"]))
    pd.testing.assert_frame_equal(raw, champion.predict(rows.head(2)).reset_index(drop=True))
    decided = perennial.decisions(chain.model.name)
    assert decided["run_id"].tolist() == ["second", "first"]
