"""The prediction spool as files: what the model server writes and what a task loads into `predictions`.

``<spool>/<server_id>/<model>/<number:012d>.jsonl``, one JSON object a line. A segment that is still written to ends
in ``.jsonl.open`` and is not listed. Numbers of one ``<server_id>/<model>`` only ever grow, also across restarts and
after segments were deleted, so (``app_id``, ``number``) can be a Delta application transaction: loaded exactly once.

A line: ``{"request_id", "row", "key": {...}, "event_time", "version", "digest", "features": {raw inputs as sent},
"score": float | null, "scores": {label: float} | null, "predicted_at"}``; times are ISO 8601 in UTC; ``row`` is the
index of the row in its request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.errors import IntegrityError

CLOSED = ".jsonl"
OPEN = ".jsonl.open"
PROBE_HEADER = "X-Perennial-Probe"
"""Marks a request as a check of ours (verification, the example of `make run`): answered as any other, not spooled."""


@dataclass(frozen=True, order=True)
class Segment:
    """One closed segment: the Delta application id and transaction number to load it under, and its file."""

    app_id: str
    number: int
    path: Path


def segment_name(number: int, suffix: str = CLOSED) -> str:
    """The file name of a segment."""
    return f"{number:012d}{suffix}"


def closed_segments(spool_root: Path, model_name: str) -> list[Segment]:
    """The closed segments of a model from all servers, each server's in the order they have to be loaded in."""
    found = []
    for path in Path(spool_root).glob(f"*/{model_name}/*{CLOSED}"):
        number = path.name[: -len(CLOSED)]
        if number.isdigit():
            found.append(Segment(f"{path.parent.parent.name}/{model_name}", int(number), path))
    return sorted(found)


def read(segment: Segment) -> list[dict[str, Any]]:
    """All lines of a closed segment; IntegrityError names file and line where one is no JSON object."""
    rows = []
    with open(segment.path, "rb") as lines:
        for at, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not an object")
            except ValueError as error:
                raise IntegrityError(
                    f"{segment.path} line {at} is no prediction ({error}): closed segments hold whole lines only, so "
                    f"the file was changed after it was closed. Move it away to load the segments after it."
                ) from None
            rows.append(row)
    return rows
