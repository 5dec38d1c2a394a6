"""One row is checked and converted like many rows are."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from include.errors import DataError
from include.scoring.contract import InputContract, InvalidRows
from include.scoring.documents import Column
from include.scoring.event_times import EventTimes

NOW = datetime(2026, 5, 3, 12, tzinfo=UTC).timestamp()
COLUMNS = [
    Column("updated", "timestamp", nullable=True),
    Column("carrier", "string", nullable=False),
    Column("seats", "integer", nullable=True),
    Column("at", "timestamp", nullable=False),
    Column("distance", "number", nullable=False),
    Column("day", "date", nullable=False),
    Column("dest", "string", nullable=True),
    Column("holiday", "boolean", nullable=True),
    Column("until", "date", nullable=True),
    Column("parcel", "integer", nullable=False),
]
ROW: dict[str, Any] = {
    "parcel": 12, "at": "2026-05-03T09:15:00-04:00", "day": "2026-05-03", "carrier": "UA", "dest": None, "seats": 149,
    "distance": 1400.5, "holiday": True, "until": None, "updated": "2026-05-03T09:15:00.000001Z",
}  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 3.0, 2**53 - 1, 2**53, -(2**70), 10**400, 1e32, -1.1e32, float("nan"), float("inf"),
    "", "a", "é\u0000", [], {}, "2026-05-03", "2026-05-04", "2026-W18-7", "20260503", "2026-02-30",
    "2026-05-03T09:15:00",
    "2026-05-03T09:15:00Z", "2026-04-03T12:00:00Z", "2026-04-03T11:59:59.999999Z", "2026-05-05T12:00:00Z",
    "2026-05-05T12:00:00.000001Z", "2026-05-05T14:00:00+02:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59.999999Z",
]  # fmt: skip


def outcome(contract: InputContract, rows: list[Any], now: float | None) -> dict[str, np.ndarray] | list[str | None]:
    """The columns, or the fields that are refused in the last row."""
    try:
        return contract.columns(rows, now)
    except InvalidRows as refused:
        return [problem.field for problem in refused.problems if problem.row == len(rows) - 1]


@pytest.mark.parametrize("now", [None, NOW], ids=["probe", "live"])
def test_one_row_and_two_rows_give_the_same(now: float | None) -> None:
    contract, chance, refused = InputContract(COLUMNS, EventTimes("at", past=30, ahead=2)), random.Random(0), 0
    names = [column.name for column in COLUMNS]
    for count in range(1200):
        row = ROW | {chance.choice(names): chance.choice(VALUES) for _ in range(chance.randint(0, 3))}
        if count % 10 == 0:
            row.pop(chance.choice(names))
        if count % 15 == 0:
            row["unknown"] = 1
        one, two = outcome(contract, [row], now), outcome(contract, [ROW, row], now)
        if isinstance(one, list) or isinstance(two, list):
            assert one == two, row
            refused += 1
            continue
        assert list(one) == list(two) == names, "in order of declaration"
        for name in names:
            assert one[name].dtype == two[name].dtype and one[name].shape == (1,) and one[name].flags.writeable
            np.testing.assert_array_equal(one[name], two[name][1:], err_msg=f"{name} of {row}")
    assert 400 < refused < 1100


def test_columns_of_a_row_can_be_changed_independently() -> None:
    found = InputContract(COLUMNS).columns([ROW])
    for name in ("seats", "distance", "parcel"):
        found[name] += 1
    assert [found[name].item() for name in ("seats", "distance", "parcel")] == [150.0, 1401.5, 13.0]


def test_a_model_of_one_column_and_an_event_time_that_is_not_one() -> None:
    (at,) = [column for column in COLUMNS if column.name == "at"]
    times = EventTimes("at", past=30, ahead=2)
    assert InputContract([at], times).columns([{"at": ROW["at"]}], NOW)["at"] == np.datetime64("2026-05-03T13:15:00")
    with pytest.raises(DataError, match="'at' is not a column of type timestamp"):
        InputContract([Column("at", "date", nullable=False)], times)
