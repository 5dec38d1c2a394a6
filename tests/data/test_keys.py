"""Predictions and rows of the lake have the same key, for every type of column and every spelling of a client."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from include.data import keys, spools
from include.data.lake import Lake
from include.data.schema import ARROW
from include.partitions import partition
from include.scoring import keys as of_one_row
from include.scoring.record import closed_segments
from include.spec import Column, ColumnType, Data, Known, Label, Model, Task
from tests.data.sensors import NOW, small_model
from tests.data.spooled import line, spool

NAMES = {kind: f"a_{kind.value}" for kind in ColumnType}
AT = datetime(2026, 5, 3, 14, 30, tzinfo=UTC)
CASES: dict[ColumnType, list[tuple[Any, list[Any]]]] = {
    ColumnType.STRING: [
        (text, [text])
        for text in ("EWR", "", "caf\u00e9", "cafe\u0301", 'a"\\\u2028\n', "1545", " x ", "\U0001f600", "\x00")
    ],
    ColumnType.INTEGER: [
        (1545, [1545, 1545.0, "1545", "1545.0"]),
        (0, [0, -0.0, "-0"]),
        (-7, [-7, -7.0]),
        (2**53, [2**53, float(2**53)]),
        (2**53 + 1, [2**53 + 1]),
        (2**63 - 1, [2**63 - 1]),
    ],
    ColumnType.NUMBER: [
        (0.1, [0.1, "0.1"]),
        (-0.0, [0, 0.0, -0.0]),
        (1e20, [1e20, 10**20, "1e20"]),
        (2.0**53, [2**53, float(2**53)]),
        (1545.0, [1545, "1545"]),
        (5e-324, [5e-324]),
    ],
    ColumnType.BOOLEAN: [(True, [True]), (False, [False])],
    ColumnType.TIMESTAMP: [
        (AT, ["2026-05-03T14:30:00Z", "2026-05-03T10:30:00-04:00", "2026-05-03T14:30:00.0000009+00:00"]),
        (AT.replace(microsecond=123456), ["2026-05-03T14:30:00.123456Z", "2026-05-04T00:00:00.1234567+09:30"]),
        (datetime(1, 1, 2, tzinfo=UTC), ["0001-01-02T00:00:00Z"]),
        (datetime(9999, 12, 30, tzinfo=UTC), ["9999-12-30T00:00:00Z"]),
        (datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), ["1969-12-31T23:59:59.999999Z"]),
    ],
    ColumnType.DATE: [("2026-05-03", ["2026-05-03"]), ("2024-02-29", ["2024-02-29"])],
}


def model_of(*kinds: ColumnType) -> Model:
    """A model whose key has a column of each of these types."""
    columns = [Column(name=NAMES[kind], type=kind, nullable=False) for kind in kinds]
    at = Column(name="at", type=ColumnType.TIMESTAMP, nullable=False)
    broke = Column(name="broke", type=ColumnType.INTEGER, known=Known.AFTER)
    data = Data(
        columns=(*columns, at, broke),
        key=tuple(NAMES[kind] for kind in kinds),
        event_time="at",
        label=Label(column="broke", task=Task.CLASSIFICATION),
    )
    return small_model().model_copy(update={"data": data})


@pytest.mark.parametrize("kind", ColumnType)
def test_a_table_and_a_client_spell_each_value_alike(kind: ColumnType) -> None:
    model, cases = model_of(kind), CASES[kind]
    rows = pa.table({NAMES[kind]: pa.array([value for value, _ in cases], ARROW[kind])})
    found = keys.canonical(model, rows).to_pylist()
    assert found == [of_one_row.canonical(keys.of_model(model), {NAMES[kind]: value}) for value, _ in cases]
    for text, (_, spelled) in zip(found, cases, strict=True):
        assert {of_one_row.canonical(keys.of_model(model), {NAMES[kind]: value}) for value in spelled} == {text}
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("kind", ColumnType)
def test_a_row_without_a_value_has_no_key(kind: ColumnType) -> None:
    rows = pa.table({NAMES[kind]: pa.array([None, CASES[kind][0][0], None], ARROW[kind])})
    assert [key is None for key in keys.canonical(model_of(kind), rows).to_pylist()] == [True, False, True]
    assert keys.canonical(model_of(kind), rows.slice(0, 0)).to_pylist() == []


def test_a_number_that_no_client_can_send_has_no_key_and_chunks_do_not_matter() -> None:
    name, kind = NAMES[ColumnType.NUMBER], ARROW[ColumnType.NUMBER]
    rows = pa.table({name: pa.chunked_array([[1.5, float("inf")], [], [float("nan"), 1.5]], kind)})
    found = keys.canonical(model_of(ColumnType.NUMBER), rows).to_pylist()
    assert found == ['{"a_number": 1.5}', None, None, '{"a_number": 1.5}']


def test_predictions_and_labels_join_whatever_the_clients_spell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the real tables: each row of the lake finds all of its predictions, and no prediction is left over."""
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    model = model_of(*ColumnType)
    count = max(map(len, CASES.values()))
    filled = {kind: [case for case in cases if case[0] != ""] for kind, cases in CASES.items()}  # "" is missing
    filled[ColumnType.INTEGER] = [case for case in filled[ColumnType.INTEGER] if abs(case[0]) <= 2**53]
    picked = {kind: [cases[n % len(cases)] for n in range(count)] for kind, cases in filled.items()}
    frame = pd.DataFrame({NAMES[kind]: [value for value, _ in cases] for kind, cases in picked.items()})
    for name in (NAMES[ColumnType.TIMESTAMP], "at"):
        values = frame[name] if name in frame else [AT] * count
        frame[name] = pd.Series(values, dtype="datetime64[us, UTC]")
    frame["broke"] = range(count)
    lake = Lake.of(model)
    lake.create()
    lake.publish(partition("2026-05-03", model.timezone), frame, "a" * 64, NOW)

    sent: list[str] = []
    for n in range(count):
        for turn in range(4):
            values = {
                NAMES[kind]: spelled[turn % len(spelled)] for kind, cases in picked.items() for spelled in [cases[n][1]]
            }
            sent.append(line(len(sent), key=values, features={"at": AT.isoformat()}, event_time=AT.isoformat()))
    spool(tmp_path / "spool", 1, sent)
    (commit,) = spools.load(model, closed_segments(tmp_path / "spool", model.name), NOW)
    assert (commit.rows, commit.rejected) == (4 * count, 0)

    rows = lake.table("rows").to_pyarrow_table()
    labels = pa.table({"key": keys.canonical(model, rows), "broke": rows.column("broke")})
    table = lake.table("predictions").to_pyarrow_dataset(as_large_types=True).to_table()
    joined = table.join(labels, "key", join_type="full outer").to_pandas()
    assert len(joined) == 4 * count and joined.notna().all()[["request_id", "broke"]].all()
    assert joined.groupby("broke").size().tolist() == [4] * count
    assert all(set(json.loads(key)) == set(NAMES.values()) for key in joined["key"])
