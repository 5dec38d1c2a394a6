"""The documents of a bundle: older ones stay readable, and answers are compared with packaged scores."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from include.errors import IntegrityError, ReleaseError
from include.registry.bundles import Bundle, BundleStore
from include.scoring.documents import TOLERANCE, Column, EventDays, Feature, InputSchema, Probe
from include.scoring.event_times import EventTimes
from include.scoring.messages import ModelStatus, Prediction, Predictions

FIRST = """{
 "model": "orders", "task": "classification", "positive": "late", "classes": [0, 1],
 "columns": [{"name": "at", "type": "timestamp", "nullable": false}, {"name": "x", "type": "number", "nullable": true}],
 "key": ["at"], "event_time": "at", "timezone": "UTC",
 "features": [{"name": "x", "type": "number"}],
 "output": "probabilities", "output_kind": "probabilities", "positive_index": 1
}"""
"""A schema of the first version, without several classes and event times."""

SEVERAL = """{
 "model": "orders", "task": "classification", "positive": null, "classes": ["quiet", "normal", "busy"],
 "positive_index": null, "class_columns": [0, null, 1],
 "columns": [{"name": "at", "type": "timestamp", "nullable": false, "unit": "of a later version"}],
 "key": ["at"], "event_time": "at", "event_times": {"past_days": 730, "ahead_days": 400}, "timezone": "UTC",
 "features": [{"name": "x", "type": "number"}],
 "output": "probabilities", "output_kind": "probabilities", "later": ["more"]
}"""


def bundle(root: Path, **files: bytes) -> Bundle:
    store = BundleStore(root)
    return store.open("orders", store.write("orders", {f"{name}.json": data for name, data in files.items()}))


def test_input_schemas_of_older_and_newer_versions_are_read(tmp_path: Path) -> None:
    first = InputSchema.of(bundle(tmp_path, input_schema=FIRST.encode()))
    assert first.columns[1] == Column("x", "number", True) and first.features == [Feature("x", "number")]
    assert (first.positive, first.positive_index, first.several) == ("late", 1, None)
    assert first.event_times is None and EventTimes.of(first) is None
    several = InputSchema.of(bundle(tmp_path, input_schema=SEVERAL.encode()))
    assert several.several == ["quiet", "normal", "busy"] and several.class_columns == [0, None, 1]
    assert several.event_times == EventDays(730, 400)
    assert EventTimes.of(several) == EventTimes("at", 730, 400)
    assert msgspec.json.decode(msgspec.json.encode(several.as_dict()), type=InputSchema) == several
    assert list(several.as_dict()) == [name for name in msgspec.json.decode(SEVERAL) if name != "later"]


@pytest.mark.parametrize("text", ["{}", "[]", "{", FIRST.replace('"at"', "1"), ""])
def test_a_damaged_document_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(IntegrityError, match=r"input_schema\.json is damaged or incomplete: "):
        InputSchema.of(bundle(tmp_path, input_schema=text.encode()))


def test_probes_of_older_versions_are_read(tmp_path: Path) -> None:
    first = Probe.of(bundle(tmp_path, probe=b'{"rows": [{"x": 1}, {"x": null}], "scores": [0.25, 1]}'))
    assert first == Probe([{"x": 1}, {"x": None}], [0.25, 1.0], 1.0)
    several = Probe.of(bundle(tmp_path, probe=b'{"rows": [{}], "scores": [{"a": 0.75, "b": 0.25}], "scale": 1.0}'))
    assert several.scores == [{"a": 0.75, "b": 0.25}]


def probe(score: float | dict[str, float], scale: float = 1.0) -> Probe:
    return Probe([{}], [score], scale)


@pytest.mark.parametrize(
    ("got", "packaged", "gap"),
    [
        (Prediction(0.5), 0.5, 0.0),
        (Prediction(300.0), 200.0, 0.5),
        (Prediction(), 0.5, math.inf),
        (Prediction(math.nan), 0.5, math.inf),
        (Prediction(label="a", scores={"a": 1.0}), 0.5, math.inf),
        (Prediction(label="a", scores={"b": 0.25, "a": 0.75}), {"a": 0.5, "b": 0.5}, 0.25),
        (Prediction(label="a", scores={"a": 0.75}), {"a": 0.75, "b": 0.25}, math.inf),
        (Prediction(0.75), {"a": 0.75}, math.inf),
        (Prediction(scores={}), {}, math.inf),
    ],
)
def test_the_difference_of_an_answer(got: Prediction, packaged: float | dict[str, float], gap: float) -> None:
    assert probe(packaged)._gap(got, packaged) == gap
    if gap:
        with pytest.raises(ReleaseError, match="the server answers .* to probe row 0, which scored"):
            probe(packaged).difference([got], "the server")
    else:
        assert probe(packaged).difference([got], "the server") == 0


def test_the_difference_is_relative_to_the_scale_of_the_scores() -> None:
    """If labels are in millions, float32 has no digits to agree in for a value near 0."""
    assert probe(0.0, scale=1e6).difference([Prediction(5.0)], "it") == 5e-6 < TOLERANCE
    with pytest.raises(ReleaseError):
        probe(1e-4, scale=1e-4).difference([Prediction(1.0001e-4)], "it")


def test_too_few_answers_and_a_torn_probe_are_refused() -> None:
    with pytest.raises(ReleaseError, match="the server gave 0 answers to 1 probe rows with 1 scores"):
        probe(0.5).difference([], "the server")
    with pytest.raises(ReleaseError, match="gave 2 answers to 2 probe rows with 1 scores"):
        Probe([{}, {}], [0.5]).difference([Prediction(0.5)] * 2, "the server")


def test_answers_of_older_and_newer_servers_are_read() -> None:
    older = b"""{"model": "orders", "serving": true, "version": 3, "digest": "d", "epoch": 4, "released_at": "t",
        "run_id": "r", "loaded_at": "t", "source": "store", "pending_error": "it is damaged", "reason": null}"""
    assert msgspec.json.decode(older, type=ModelStatus).pending_digest is UNSET
    newer = b"""{"model": "orders", "version": 3, "digest": "d", "request_id": "r", "later": 1,
        "predictions": [{"score": 0.5, "interval": [0.4, 0.6]}, {"label": true, "scores": {"a": 1}}]}"""
    found = msgspec.json.decode(newer, type=Predictions)
    assert found.predictions == [Prediction(0.5), Prediction(label=True, scores={"a": 1.0})]
