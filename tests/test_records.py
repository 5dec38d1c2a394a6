"""Records are frozen and strict, are read from and written to JSON, and name the field in errors."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from include.errors import IntegrityError
from include.records import PartitionKey, Record, Text


class Part(Record):
    days: tuple[PartitionKey, ...]
    value: float | None = None


class Whole(Record):
    name: Text
    count: int
    part: Part
    note: str = ""


DOCUMENT = {"name": "a", "count": 3, "part": {"days": ["2026-05-03"], "value": 0.5}}


def test_a_document_is_unchanged_after_reading_and_writing() -> None:
    found = Whole.of(DOCUMENT)
    assert found == Whole(name="a", count=3, part=Part(days=("2026-05-03",), value=0.5))
    assert found.as_dict() == DOCUMENT, "fields that were never set are not written"
    assert found.replace(note="").as_dict() == {**DOCUMENT, "note": ""}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"count": True}, "count: input should be a valid integer"),
        ({"count": "3"}, "count: input should be a valid integer"),
        ({"count": 3.0}, "count: input should be a valid integer"),
        ({"name": ""}, "name: string should have at least 1 character"),
        ({"part": {"days": [], "value": math.nan}}, "part.value: input should be a finite number"),
        ({"part": {"days": [], "value": math.inf}}, "part.value: input should be a finite number"),
        ({"part": {"days": ["2026-5-3"]}}, "part.days.0: value error"),
        ({"part": {}}, "part.days: field required"),
        ({"conut": 3}, "conut: extra inputs are not permitted; did you mean 'count'?"),
        ({"name": b"a"}, "it is not JSON"),
    ],
)
def test_the_error_of_an_invalid_document_names_the_field(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(IntegrityError) as refused:
        Whole.of({**DOCUMENT, **changes})
    assert "this cannot be read as Whole" in str(refused.value) and found in str(refused.value)


def test_a_record_is_frozen_and_a_copy_is_validated() -> None:
    record = Whole.of(DOCUMENT)
    with pytest.raises(ValidationError):
        record.count = 4
    with pytest.raises(ValidationError):
        record.replace(count="4")
    assert record.replace(count=4).count == 4 and record.count == 3
