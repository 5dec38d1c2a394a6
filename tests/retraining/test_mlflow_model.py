"""The model that MLflow's clients load: verified, self-contained, the same bytes again, and right for any frame."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from include.errors import DataError, IntegrityError
from include.registry import mlflow_versions, tracking
from include.registry.bundles import Bundle, BundleStore, opened_part
from include.registry.ledger import Ledger
from include.release.promotion import promote
from include.retraining import mlflow_model
from include.scoring.predictor import Predictor
from include.scoring.pyfunc import FrameScorer
from tests.release import bundles
from tests.release.killing import killed_at
from tests.services import Services

MODEL = "parcels"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    store = BundleStore(tmp_path / "bundles")
    return store.open(MODEL, store.write(MODEL, bundles.files(MODEL, 3)))


@pytest.fixture
def saved(bundle: Bundle, tmp_path: Path) -> Path:
    return write(mlflow_model.model_files(bundle, "0" * 32), tmp_path / "saved")


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def frame() -> pd.DataFrame:
    """Rows of a client: whole numbers for a number, times with a timezone, a column that the model does not know."""
    at = pd.to_datetime(["2026-05-03T14:30:00Z", "2026-05-03T15:30:00Z"])
    return pd.DataFrame({"parcel": [1, 2], "distance": [3, -2], "at": at, "note": ["a", "b"]}, index=["x", "y"])


def test_a_client_without_the_project_gets_the_scores(saved: Path, tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "rows.parquet")
    client = (
        "import sys, mlflow, pandas as pd\n"
        f"loaded = mlflow.pyfunc.load_model({str(saved)!r})\n"
        f"rows = pd.read_parquet({str(tmp_path / 'rows.parquet')!r})\n"
        "print(loaded.predict(rows)['score'].to_json())\n"
        "print(len(loaded.predict(loaded.input_example)))\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'include'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", client], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    scores, example, ours = done.stdout.splitlines()
    expected = 1 / (1 + np.exp(-np.array([3.0, -2.0]) * 0.3))
    assert json.loads(scores) == pytest.approx(dict(zip("xy", expected, strict=True)), abs=1e-6)
    assert (example, ours) == ("3", "[]")


def test_the_same_bundle_makes_the_same_bytes_and_no_pickle(bundle: Bundle, saved: Path) -> None:
    files = mlflow_model.model_files(bundle, "0" * 32)
    assert {
        path.relative_to(saved).as_posix(): path.read_bytes() for path in saved.rglob("*") if path.is_file()
    } == files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib", ".cloudpickle"))]


@pytest.mark.parametrize("name", ["model.onnx", "source/features.py", "SHA256SUMS"])
def test_a_changed_file_is_refused(saved: Path, bundle: Bundle, name: str) -> None:
    file = saved / "data" / bundle.digest / name
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(IntegrityError, match="changed"):
        opened_part(file.parents[name.count("/")])


def test_a_frame_that_does_not_fit_is_refused(bundle: Bundle) -> None:
    scorer, rows = FrameScorer(Predictor.load(bundle)), frame()
    assert scorer.predict(rows.drop(columns="distance"))["score"].isna().all(), "it can be missing: nan, as from ONNX"
    with pytest.raises(DataError, match="'parcel', which the model requires; did you mean 'parcl'"):
        scorer.predict(rows.rename(columns={"parcel": "parcl"}))
    with pytest.raises(DataError, match=r"'at' is missing in 1 of 2 rows \(the first has the index 'y'\)"):
        scorer.predict(rows.assign(at=rows["at"].where([True, False])))
    with pytest.raises(DataError, match="no timezone"):
        scorer.predict(rows.assign(at=rows["at"].dt.tz_localize(None)))
    with pytest.raises(DataError, match="must be a pandas DataFrame, not list"):
        scorer.predict([{"parcel": 1}])
    assert scorer.predict(rows.head(0)).shape == (0, 1)


@pytest.fixture
def registered(running: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run whose version has a bundle that MLflow does not have yet, as before this format; returns its id."""
    variables = {"PERENNIAL_DATABASE_URL": running.new_ledger(), "PERENNIAL_HOME": str(tmp_path)}
    for name, value in {**running.environment(), **variables}.items():
        monkeypatch.setenv(name, value)
    name = f"parcels_{tmp_path.name[-1]}{id(tmp_path) % 10_000}"
    monkeypatch.setattr(sys.modules[__name__], "MODEL", name)
    run = tracking.start_or_resume(name, "retrain-1", "logistic")
    assert mlflow_versions.allocate(name, "retrain-1", run) == 1
    bundles.package(name, 1)
    mlflow_versions.register(name, 1, {})
    return run


def test_a_version_from_before_is_stored_when_it_is_released(registered: str) -> None:
    assert not tracking.has_model_files(registered)
    promote(MODEL, 1, "release-1", "perennial", "test")
    assert tracking.has_model_files(registered)
    import mlflow

    loaded = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    assert loaded.predict(frame())["score"].between(0, 1).all()


def test_a_kill_while_it_is_stored_leaves_none_or_a_whole_model(registered: str) -> None:
    version = Ledger.default().version(MODEL, 1)
    assert version is not None and version.bundle is not None
    stored = BundleStore.default().open(MODEL, version.bundle)
    log = "include.registry.tracking:log_artifacts_bytes"
    assert killed_at(log, "after", lambda: mlflow_model.log_model(registered, stored))
    assert not tracking.has_model_files(registered)
    mlflow_model.ensure(MODEL, 1, version.bundle)
    kept = MlflowClient().list_artifacts(registered, f"model/data/{version.bundle}")
    assert tracking.has_model_files(registered) and len(kept) == 4
    shutil.rmtree(stored.path)
    mlflow_model.ensure(MODEL, 1, version.bundle)  # it is there: the bundle is not needed
