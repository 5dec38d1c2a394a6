"""The example models give a score for every request that their input contract accepts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include import catalog
from include.data import schema
from include.partitions import keys_between, partition
from include.scoring.contract import InvalidRows
from include.scoring.messages import Problem
from include.scoring.predictor import Predictor
from include.serving.openapi import row_schema
from include.serving.watcher import Served
from include.settings import PROJECT
from include.spec import Model
from include.training import candidates, export, proving

MODELS = PROJECT / "include" / "models"
NOW = datetime(2026, 5, 3, 12, tzinfo=UTC).timestamp()
ODD_TEXTS = st.sampled_from(
    ["", " ", "2026-05-03", "2026-02-30", "0000-01-01", "10000-01-01", "2026-05-03T00:00:00Z", "2026-W18-7", "20260503",
     "now", "NaT", "nan", "x" * 3000, "\x00", "\u2028", "EWR", "é"]
)  # fmt: skip
ODD_NUMBERS = st.sampled_from(
    [0, -0.0, 1e-320, 1e32, -1e32, 1e33, 3.5e38, 1e308, 2**53 - 1, 1 - 2**53, 2**63, 2400, 9999, 0.5, True]
)
SECONDS = st.integers(-(800 * 86_400), 800 * 86_400)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=8) | ODD_TEXTS,
    "integer": st.integers(-(2**54), 2**54) | ODD_NUMBERS,
    "number": st.floats(allow_nan=False, allow_infinity=False) | ODD_NUMBERS,
    "boolean": st.booleans(),
    "timestamp": SECONDS.map(lambda s: (datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=s)).isoformat())
    | st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-05-03T12:00:00"]),
    "date": st.dates().map(str) | ODD_TEXTS,
}


@pytest.fixture(scope="module", params=sorted(p.parent.name for p in MODELS.glob("*/model.py")))
def predictors(request: pytest.FixtureRequest) -> tuple[list[Predictor], dict[str, Any]]:
    """Predictors of a model, one for each candidate, and a real row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERENNIAL_MODELS", str(MODELS))
        model = catalog.load(request.param)
        rows = some_days(model)
        found, row = [], {}
        for candidate in candidates.load(model).values():
            if candidate.window_days == "all":
                continue  # the same estimator as another one
            fitted = candidates.fit(model, candidate, rows, 0)
            predictor = export.predictor(model, fitted, export.to_onnx(fitted, model))
            probe = proving.probe(model, predictor, rows)
            assert predictor.warm_up(probe) == 0
            row = json.loads(json.dumps(probe.rows[0]))
            found.append(predictor)
    return found, row


def some_days(model: Model) -> pd.DataFrame:
    """The fewest days that a candidate can be fitted on."""
    frames: list[pd.DataFrame] = []
    for key in keys_between("2026-03-01", "2026-04-30"):
        if sum(map(len, frames)) >= 1.2 * model.training.min_rows:
            break
        fetched = catalog.module(model.name, "source").fetch(partition(key, model.timezone), {})
        frames.append(schema.to_frame(schema.conform(model, fetched).table).assign(partition=key))
    return pd.concat(frames, ignore_index=True)


def test_a_request_that_the_contract_accepts_has_a_score(predictors: tuple[list[Predictor], dict[str, Any]]) -> None:
    served, real = predictors
    contract = served[0].contract
    change = st.sampled_from(sorted(contract.fields)).flatmap(
        lambda name: st.tuples(st.just(name), VALUES[contract.fields[name]] | st.none())
    )
    changes = st.lists(change, max_size=4).map(dict)
    seen = {True: 0, False: 0}

    @settings(max_examples=80, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(changed=st.lists(changes, min_size=1, max_size=3))
    def check(changed: list[dict[str, Any]]) -> None:
        rows = [real | change for change in changed]
        problems = contract.problems(rows, now=NOW)
        seen[not problems] += 1
        for predictor in served:
            if problems:
                with pytest.raises(InvalidRows) as refused:
                    predictor.predict(rows, NOW)
                assert refused.value.problems == problems
            else:
                assert len(predictor.predict(rows, NOW)) == len(rows)

    check()
    assert min(seen.values()) > 10


def test_a_text_that_is_not_a_date_is_named(predictors: tuple[list[Predictor], dict[str, Any]]) -> None:
    served, real = predictors
    (name,) = [name for name, kind in served[0].contract.fields.items() if kind == "date"]
    for wrong in ("not-a-date", "2025-02-30", "2025-05-03T00:00:00Z", "03.05.2025", "0000-01-01", "10000-01-01", ""):
        with pytest.raises(InvalidRows) as refused:
            served[0].predict([real, real | {name: wrong}], NOW)
        sentence = f"must be an ISO 8601 date, like 2026-05-03, not {wrong!r}"
        assert refused.value.problems == [Problem(1, name, sentence)]


def test_the_openapi_description_explains_dates_and_event_times(
    predictors: tuple[list[Predictor], dict[str, Any]],
) -> None:
    (predictor, *_), _ = predictors
    described = row_schema(cast(Served, SimpleNamespace(model="one", predictor=predictor)))["properties"]
    kinds = predictor.contract.fields
    assert {n for n, one in described.items() if one.get("format") == "date"} == {
        n for n in kinds if kinds[n] == "date"
    }
    times = predictor.contract.event_times
    assert times is not None and times.sentence() in described[times.column]["description"]


def test_event_times_far_from_now_and_empty_texts_are_refused(
    predictors: tuple[list[Predictor], dict[str, Any]],
) -> None:
    (predictor, *_), real = predictors
    times = predictor.contract.event_times
    assert times is not None and (times.past, times.ahead) == (730, 400)
    for days, accepted in ((-731, False), (-729, True), (399, True), (401, False)):
        moment = (datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)).isoformat()
        row = real | {times.column: moment}
        assert len(predictor.predict([row])) == 1, "the probe rows of an old bundle are as old as the bundle"
        if accepted:
            assert len(predictor.predict([row], NOW)) == 1
            continue
        with pytest.raises(InvalidRows, match="at most 730 days before and 400 days after the request") as refused:
            predictor.predict([row], NOW)
        assert refused.value.problems[0].field == times.column
    for name in predictor.contract.required:
        if predictor.contract.fields[name] == "string":
            with pytest.raises(InvalidRows, match=f"field '{name}': required: text; it is empty"):
                predictor.predict([real | {name: ""}], NOW)
