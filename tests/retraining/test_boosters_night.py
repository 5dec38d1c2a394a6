"""A night of each optional library: from its fit to the answers of a model server, and the same version made again."""

from __future__ import annotations

import json
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from include import catalog
from include.registry.bundles import BundleStore
from include.release.promotion import promote, verify
from include.release.smoke import smoke_test
from include.retraining import in_process, package
from include.spec import Candidate, Model
from include.training import export, measures, proving
from tests.services import model_server
from tests.training.toy_days import LAST


def boosting(name: str) -> Any:
    library = pytest.importorskip(name, reason=f"needs {name}: make venv EXTRAS={name}")
    if name == "lightgbm":
        return library.LGBMClassifier(n_estimators=200, learning_rate=0.1, early_stopping_round=10)
    if name == "xgboost":
        return library.XGBClassifier(n_estimators=200, learning_rate=0.1, max_depth=3, early_stopping_rounds=10)
    return library.CatBoostClassifier(iterations=200, depth=4, early_stopping_rounds=10)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_a_night(name: str, toy: Model, home: Path, without_pictures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    texts, numbers = make_column_selector(dtype_include=["object", "str"]), make_column_selector(dtype_include="number")
    columns = make_column_transformer((encoder, texts), ("passthrough", numbers))
    declared = {
        "baseline": Candidate(DummyClassifier(strategy="prior"), baseline=True),
        name: Candidate(make_pipeline(columns, boosting(name))),
    }
    monkeypatch.setattr(catalog.module("toy", "candidates"), "candidates", lambda: declared)
    monkeypatch.setattr(package, "_commit", lambda: ("0" * 40, False))
    night = in_process.in_one_process(toy, LAST, run_id="first")
    assert night.selection.candidate == name and night.packaged is not None, night.decision.reason
    assert 1 < (night.selection.recipe.iterations or 0) < 200
    smoke_test("toy", night.packaged.version)
    again = package.package(toy, night.plan, night.selection, night.evaluation, night.decision, "first")
    assert again.digest == night.packaged.digest, "reproduced to the byte"

    bundle = BundleStore.default().open("toy", night.packaged.digest)
    probe = bundle.json("probe.json")
    features = proving._features_of(toy, probe["rows"])
    expected = measures.score_features(toy, export.from_skops(bundle.read("model.skops")), features)
    assert name in bundle.json("manifest.json")["packages"] or f"{name}-cpu" in bundle.json("manifest.json")["packages"]
    with model_server({"PERENNIAL_HOME": str(home)}, home / "server.log") as url:
        monkeypatch.setenv("PERENNIAL_SERVING_URL", url)
        epoch = promote("toy", night.packaged.version, "first", "perennial", "test").epoch
        verify("toy", night.packaged.version, epoch, timeout=timedelta(seconds=20))
        body = json.dumps({"rows": probe["rows"]}).encode()
        request = urllib.request.Request(f"{url}/models/toy/predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            served = [prediction["score"] for prediction in json.load(answer)["predictions"]]
    np.testing.assert_allclose(served, expected, atol=1e-5)
