"""The input contract and the columns that training and serving share."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from server_kit import COLUMNS, Releases, Server, constant_files, constant_onnx, files_of, row

from include.errors import DataError
from include.scoring.columns import columns_for
from include.scoring.contract import InputContract, InvalidRows
from include.scoring.documents import Column
from include.scoring.record import PROBE_HEADER

INPUTS = [(c["name"], c["type"]) for c in COLUMNS]
DECLARED = [Column(**c) for c in COLUMNS]
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 3.0, 2**53, 2**53 + 1, -(2**70), 10**400, 1e308, -1e308, "", "a", "é\u0000", "1",
    "NaN",
    [], {}, [1], {"a": 1}, "2026-05-03", "2026-05-03T09:15:00", "2026-05-03T09:15:00Z", "2026-05-03T09:15:00-04:00",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "2026-05-03T24:00:00Z",
    "2026-05-03T23:59:60Z", "x" * 5000, float("nan"), float("inf"),
]  # fmt: skip


def test_training_and_serving_build_the_same_columns() -> None:
    rows = [
        row(),
        row(dest=None, distance=None, seats=None, holiday=None, updated="2026-05-03T05:15:00-04:00"),
        row(holiday=True),
    ]
    frame = pd.DataFrame(rows)
    frame["scheduled"] = pd.to_datetime(frame["scheduled"], utc=True)
    frame["updated"] = pd.to_datetime(frame["updated"], utc=True)
    frame["seats"] = frame["seats"].astype("Int64")
    live, contract = columns_for(INPUTS, rows), InputContract(DECLARED)
    one_by_one = [contract.columns([r]) for r in rows]
    for name, column in columns_for(INPUTS, frame).items():
        for other in (live[name], contract.columns(rows)[name], np.concatenate([c[name] for c in one_by_one])):
            assert other.dtype == column.dtype
            np.testing.assert_array_equal(other, column)
    assert live["dest"].tolist() == ["IAH", "", "IAH"]
    assert live["updated"][1] == np.datetime64("2026-05-03T09:15:00")
    with pytest.raises(DataError, match="timezone"):
        columns_for(INPUTS, frame.assign(scheduled=frame["scheduled"].dt.tz_localize(None)))
    with pytest.raises(DataError, match="did you mean 'distance_'"):
        columns_for(INPUTS, frame.rename(columns={"distance": "distance_"}))


def test_one_row_and_many_rows_are_checked_alike() -> None:
    """The fast path of one row, the path of many rows and the path that explains never disagree."""
    contract, chance = InputContract(DECLARED), random.Random(0)
    accepted = 0
    for _ in range(4000):
        changed = row(**{chance.choice(COLUMNS)["name"]: chance.choice(VALUES) for _ in range(chance.randint(0, 2))})
        if chance.random() < 0.1:
            changed.pop(chance.choice(list(changed)))
        problems = contract.problems([changed])
        for rows, at in (([changed], 0), ([row(), changed], 1)):
            try:
                columns = contract.columns(rows)
            except InvalidRows as error:
                assert [p.field for p in error.problems] == [p.field for p in problems], changed
                assert {p.row for p in error.problems} == {at}
            else:
                assert problems == [], changed
                assert all(len(c) == len(rows) for c in columns.values())
        accepted += not problems
    assert 800 < accepted < 3500


def test_a_live_request_must_be_recent_and_probe_rows_can_be_old(releases: Releases, server: Server) -> None:
    """A server that starts years later warms up with the old rows. The verification of a release uses them, too."""
    old, now = row(scheduled="2001-05-03T09:15:00Z"), row(scheduled=datetime.now(UTC).isoformat())
    files = files_of(
        "parcels",
        constant_onnx(0.25),
        {"rows": [old], "scores": [0.25]},
        features=[{"name": "distance", "type": "number"}],
        output="score",
        output_kind="probability",
        event_times={"past_days": 30, "ahead_days": 2},
    )
    releases.put("parcels", files, 1, 1)
    server.start()
    assert server.predict("parcels", now)[0] == 200
    assert server.predict("parcels", old, headers={PROBE_HEADER: "1"})[0] == 200
    for wrong, field, what in (
        (old, "scheduled", "at most 30 days before and 2 days after the request"),
        (now | {"carrier": ""}, "carrier", "required: text; it is empty"),
    ):
        status, answer = server.predict("parcels", now, wrong)
        assert status == 422 and answer["detail"][0]["field"] == field and what in answer["detail"][0]["problem"]


def test_problems_are_short_and_bounded() -> None:
    contract = InputContract(DECLARED)
    with pytest.raises(InvalidRows) as caught:
        contract.columns([{"x" * 9000: 1, "carrier": 5, **{f"f{n}": n for n in range(100)}}] * 100)
    assert len(caught.value.problems) == 20
    assert all(len(p.problem) < 600 for p in caught.value.problems)


def test_bad_input_is_never_a_500(releases: Releases, server: Server) -> None:
    releases.put("parcels", constant_files("parcels", 0.25), 1, 1)
    server.start()
    chance, seen = random.Random(1), set()
    for _ in range(1500):
        changed = row(**{chance.choice(COLUMNS)["name"]: chance.choice(VALUES)})
        document: Any = chance.choice(
            [{"rows": [changed]}, {"rows": [row(), changed]}, [changed], {"rows": changed}, changed]
        )
        body = bytearray(json.dumps(document).encode())
        for _ in range(chance.choice([0, 0, 0, 1, 5])):  # and bytes that are not JSON
            body[chance.randrange(len(body))] = chance.randrange(256)
        status, answer, _ = server.request("POST", "/models/parcels/predict", bytes(body))
        assert status in (200, 422), (status, bytes(body), answer)
        assert status == 200 or answer["detail"][0]["problem"]
        seen.add(status)
    assert seen == {200, 422}
    assert "Traceback" not in server.log.read_text()
