"""The canonical key is one text for all spellings of a value, and another text for another value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from include.scoring import keys

SPELLINGS: list[tuple[str, str, list[Any]]] = [
    ("integer", "1545", [1545, 1545.0, "1545", "1545.0", "1.545e3"]),
    ("integer", "0", [0, 0.0, -0.0, "0", "-0", "-0.0"]),
    ("integer", "-7", [-7, -7.0, "-7"]),
    ("integer", str(2**53), [2**53, float(2**53), str(2**53)]),
    ("integer", str(2**53 + 1), [2**53 + 1, str(2**53 + 1)]),
    ("integer", str(2**63 - 1), [2**63 - 1, str(2**63 - 1)]),
    ("integer", str(-(2**63)), [-(2**63)]),
    ("number", "0.1", [0.1, "0.1", "1e-1"]),
    ("number", "0.0", [0, 0.0, -0.0, "-0.0"]),
    ("number", "1545.0", [1545, 1545.0, "1545"]),
    ("number", "1e+20", [1e20, 10**20, "1e20", "1E+20"]),
    ("number", "5e-324", [5e-324]),
    ("boolean", "true", [True]),
    ("boolean", "false", [False]),
    ("string", '""', [""]),
    ("string", '" 1545 "', [" 1545 "]),
    ("string", '"caf\\u00e9"', ["caf\u00e9"]),
    ("string", '"cafe\\u0301"', ["cafe\u0301"]),
    ("date", '"2026-05-03"', ["2026-05-03"]),
    (
        "timestamp",
        '"2026-05-03T14:30:00.000000Z"',
        [
            "2026-05-03T14:30:00Z",
            "2026-05-03T10:30:00-04:00",
            "2026-05-03 14:30+00:00",
            "2026-05-04T00:15:00.000000999+09:45",
            datetime(2026, 5, 3, 14, 30, tzinfo=UTC),
        ],
    ),
    ("timestamp", '"2026-05-03T14:30:00.123456Z"', ["2026-05-03T14:30:00.123456Z", "2026-05-03T14:30:00.1234567Z"]),
    ("timestamp", '"0001-01-02T00:00:00.000000Z"', ["0001-01-02T00:00:00Z"]),
]
REFUSED: list[tuple[str, Any]] = [
    *((kind, None) for kind in ("string", "integer", "number", "boolean", "timestamp", "date")),
    *(("integer", value) for value in (1.5, "1.5", "007", " 7", "7 ", "", "x", "1_0", "+1", "٣", True)),
    ("integer", [1]),
    ("integer", {}),
    *(("integer", value) for value in (float(2**53 + 2), "9007199254740994.0", 2**63, "1e400", 10**5000, "9" * 5000)),
    *(("integer", value) for value in (float("nan"), float("inf"))),
    *(("number", value) for value in (float("nan"), float("inf"), "1e400", "nan", "Infinity", 10**400, True, "x", "")),
    *(("string", value) for value in (1545, 1545.0, True, ["x"])),
    *(("boolean", value) for value in (0, 1, 1.0, "true", "")),
    *(("date", value) for value in ("2026-5-3", "2026-02-30", "2026-05-03T00:00:00Z", "", 20260503)),
    *(("timestamp", value) for value in ("2026-05-03T14:30:00", "yesterday", "", 1.7e9, "0001-01-01T00:00:00+09:00")),
]


@pytest.mark.parametrize(("kind", "wanted", "spelled"), SPELLINGS, ids=lambda value: str(value)[:30])
def test_every_spelling_of_a_value_gives_one_text(kind: str, wanted: str, spelled: list[Any]) -> None:
    assert {keys.text(kind, value) for value in spelled} == {wanted}
    json.loads(wanted)


def test_different_values_have_different_texts() -> None:
    for kind in {kind for kind, _, _ in SPELLINGS}:
        texts = [wanted for of, wanted, _ in SPELLINGS if of == kind]
        assert len(texts) == len(set(texts))


@pytest.mark.parametrize(("kind", "value"), REFUSED, ids=lambda value: str(value)[:30] if value != 10**5000 else "huge")
def test_a_value_that_does_not_fit_is_refused_with_the_name_of_its_column(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^key column 'bus', declared {kind}: ") as refused:
        keys.canonical((("bus", kind),), {"bus": value})
    assert len(str(refused.value)) < 200


def test_a_key_has_the_inputs_among_its_columns_in_order_and_nothing_else() -> None:
    inputs = [("origin", "string"), ("bus", "integer"), ("heat", "number")]
    key = keys.of(inputs, ("origin", "bus", "late"))  # a label can be part of a key
    assert key == (("bus", "integer"), ("origin", "string"))
    found = keys.canonical(key, {"origin": "EWR", "bus": 1545.0, "heat": 3, "other": None})
    assert found == '{"bus": 1545, "origin": "EWR"}'
    assert keys.canonical((), {}) == "{}"
    with pytest.raises(ValueError, match="key column 'bus'.*it is missing"):
        keys.canonical(key, {"origin": "EWR"})
