"""The lines of the prediction spool: one definition writes and reads them, and reads those of older versions."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from include.scoring.record import Line, closed_segments, decode, encode, segment_name

OLD = (
    b'{"request_id":"a-1","row":1,"key":{"carrier":"UA","parcel":1545},"event_time":"2026-05-03T09:15:00.000000Z",'
    b'"version":3,"digest":"ddd","features":{"carrier":"UA","parcel":1545,"dest":null,"heat":-0.5,"night":false},'
    b'"score":0.25,"scores":null,"predicted_at":"2026-05-28T20:26:40.250000Z"}'
)
OLD_CLASSES = (
    b'{"request_id":"b","row":0,"key":{},"event_time":"2026-05-03T09:15:00.000000Z","version":12,"digest":"ddd",'
    b'"features":{"text":"line\xe2\x80\xa8paragraph\xe2\x80\xa9next\xc2\x85\\u001c\\n"},"score":null,'
    b'"scores":{"quiet":0.5,"busy":0.5},"predicted_at":"2026-05-28T20:26:40.250000Z"}'
)
"""Lines of segments that the previous version wrote and that are not loaded yet."""


def test_lines_of_the_previous_version_are_read_and_written_again_byte_for_byte() -> None:
    line = decode(OLD)
    assert line == Line(
        "a-1", 1, {"carrier": "UA", "parcel": 1545}, "2026-05-03T09:15:00.000000Z", 3, "ddd",
        {"carrier": "UA", "parcel": 1545, "dest": None, "heat": -0.5, "night": False}, 0.25, None,
        "2026-05-28T20:26:40.250000Z",
    )  # fmt: skip
    assert encode(line) == OLD
    classes = decode(OLD_CLASSES)
    assert classes.scores == {"quiet": 0.5, "busy": 0.5} and classes.score is None
    assert classes.features == {"text": "line\u2028paragraph\u2029next\x85\x1c\n"}
    assert encode(classes) == OLD_CLASSES and b"\n" not in OLD_CLASSES


def test_segments_are_listed_in_the_order_in_which_they_are_loaded(tmp_path: Path) -> None:
    """A segment with a lower number than the last one loaded would count as loaded already."""
    written = [(server, number) for server in ("one", "two") for number in range(1, 40)]
    for server, number in random.Random(0).sample(written, len(written)):
        path = tmp_path / server / "parcels" / segment_name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(OLD + b"\n")
    found = [(segment.app_id, segment.number) for segment in closed_segments(tmp_path, "parcels")]
    assert found == [(f"{server}/parcels", number) for server, number in written]


def test_a_line_of_a_newer_version_is_read() -> None:
    assert decode(OLD[:-1] + b',"later":[1]}') == decode(OLD)


@pytest.mark.parametrize("name", Line.__struct_fields__)
def test_each_field_is_required_and_typed(name: str) -> None:
    content = json.loads(OLD)
    for wrong in ({**content, name: [1]}, {n: v for n, v in content.items() if n != name}):
        with pytest.raises(ValueError, match=name):
            decode(json.dumps(wrong).encode())


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"5", b"null", b"\xff", OLD[:-1], OLD + b"}", OLD.replace(b"UA", b"\xff")]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)
