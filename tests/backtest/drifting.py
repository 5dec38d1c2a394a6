"""Model folders with a known drift: the direction that decides the label turns by four degrees a day.

There are two features, and the label depends on the direction in which a point lies. A fresh model is therefore right,
a model of some weeks is useless, and a model of six weeks is wrong. So the order of the policies is known.

With a rival, the direction does not turn before `TURNS`: a long window is better until then, a short one after it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

DEGREES_A_DAY = 4
MISSING_DAY = "2026-01-20"  # the source delivers a batch without a column, so the day fails validation
ONE_CLASS_DAY = "2026-02-16"  # all labels are equal: a refit that would learn from this day is refused
TURNS = "2026-01-18"  # the first day that turns, for the model with a rival
SHUFFLED_DAYS = ("2026-02-01", "2026-02-06")  # labels of other rows, so that the gate has something to reject

KINDS = {
    "binary": ('task=Task.CLASSIFICATION, positive="yes"', "STRING", "log_loss", "DummyClassifier(strategy='prior')"),
    "regression": ("task=Task.REGRESSION", "NUMBER", "mae", "DummyRegressor()"),
    "classes": (
        'task=Task.CLASSIFICATION, classes=("low", "middle", "high")',
        "STRING",
        "log_loss",
        "DummyClassifier(strategy='prior')",
    ),
}

MODEL = """
from datetime import date, timedelta
from include.spec import Column, ColumnType, Data, Gate, Label, Model, Task, Training

MODEL = Model(
    name="{name}",
    owner="tests",
    description="Turns slowly.",
    start=date(2026, 1, 1),
    data=Data(
        columns=(
            Column(name="id", type=ColumnType.STRING, nullable=False),
            Column(name="at", type=ColumnType.TIMESTAMP, nullable=False),
            Column(name="a", type=ColumnType.NUMBER, nullable=False),
            Column(name="b", type=ColumnType.NUMBER, nullable=False),
            Column(name="y", type=ColumnType.{type}, known="after"),
        ),
        key=("id",),
        event_time="at",
        label=Label(column="y", delay=timedelta(hours=3), {label}),
        schedule="0 4 * * *",
    ),
    training=Training(
        schedule="0 5 * * *",
        window_days=8,
        selection_days=2,
        holdout_days=4,
        slack_days=0,
        min_rows=50,
        metric="{metric}",
        max_missing_days=2,
    ),
    gate=Gate(margin={margin}, min_days=3, min_rows=50, min_class_rows=20, max_psi=9.0, change_days=21),
)
"""

SOURCE = """
import hashlib
import numpy as np
import pandas as pd

KIND, RIVAL = "{kind}", {rival}


def fetch(partition, connections):
    frame = rows_of(partition)
    return frame.drop(columns="b") if not RIVAL and partition.key == "{missing}" else frame


def rows_of(partition):
    random = np.random.default_rng(int(hashlib.sha256(partition.key.encode()).hexdigest()[:15], 16))
    n = 80
    angle = np.deg2rad({degrees} * (partition.date.toordinal() - {since}))
    if RIVAL:
        angle = max(0.0, angle)
    a, b = random.normal(size=n), random.normal(size=n)
    push = np.cos(angle) * a + np.sin(angle) * b + random.normal(0, 0.4, size=n)
    if not RIVAL and "{shuffled[0]}" <= partition.key <= "{shuffled[1]}":
        push = random.permutation(push)
    if KIND == "binary":
        y = np.where(push > 0, "yes", "no").astype(object)
        if not RIVAL and partition.key == "{one_class}":
            y[:] = "no"
    elif KIND == "classes":
        y = np.where(push > 0.4, "high", np.where(push > -0.4, "middle", "low")).astype(object)
    else:
        y = 10 * push
    seconds = np.sort(random.integers(0, 86400, size=n))
    return pd.DataFrame(
        {{
            "id": [f"{{partition.key}}-{{i:03d}}" for i in range(n)],
            "at": pd.Timestamp(partition.start) + pd.to_timedelta(seconds, unit="s"),
            "a": a,
            "b": b,
            "y": y,
        }}
    )
"""

EXPECTATIONS = """
import great_expectations.expectations as gxe


def suite():
    return [gxe.ExpectTableRowCountToBeBetween(min_value=1, severity="critical")]
"""

FEATURES = """
import numpy as np


def build(columns):
    return {"a": np.asarray(columns["a"], dtype=np.float32), "b": np.asarray(columns["b"], dtype=np.float32)}
"""

CANDIDATES = """
import os
import signal

from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from include.spec import Candidate


def candidates():
    if os.environ.get("DRIFTING_KILLS_ITS_WORKER"):
        os.kill(os.getpid(), signal.SIGKILL)
    found = {{"baseline": Candidate({baseline}, baseline=True), "linear": Candidate({linear})}}
    return {{**found, "quick": Candidate({linear}, window_days=3)}} if {rival} else found
"""


def write(folder: Path, kind: str = "binary", margin: float = 0.02, rival: bool = False) -> str:
    """Write the model folder ``drifting_<kind>[_rival]`` below ``folder``, replacing its files; return its name."""
    name = f"drifting_{kind}{'_rival' if rival else ''}"
    label, column, metric, baseline = KINDS[kind]
    linear = (
        "make_pipeline(SimpleImputer(), Ridge(alpha=1.0))"
        if kind == "regression"
        else "make_pipeline(SimpleImputer(), LogisticRegression())"
    )
    known = {"kind": kind, "missing": MISSING_DAY, "degrees": DEGREES_A_DAY, "shuffled": SHUFFLED_DAYS}
    since = date.fromisoformat(TURNS).toordinal() if rival else 739617
    files = {
        "model.py": MODEL.format(name=name, type=column, label=label, metric=metric, margin=margin),
        "source.py": SOURCE.format(**known, one_class=ONE_CLASS_DAY, since=since, rival=rival),
        "expectations.py": EXPECTATIONS,
        "features.py": FEATURES,
        "candidates.py": CANDIDATES.format(baseline=baseline, linear=linear, rival=rival),
    }
    (folder / name).mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / name / file).write_text(content.lstrip())
    return name
