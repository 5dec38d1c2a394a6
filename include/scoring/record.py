"""The prediction spool as files: what the model server writes and what a task loads into `predictions`.

``<spool>/<server_id>/<model>/<number:012d>.jsonl``, one JSON object a line. A segment that is still written to ends
in ``.jsonl.open`` and is not listed. Numbers of one ``<server_id>/<model>`` only ever grow, also across restarts and
after segments were deleted, so (``app_id``, ``number``) can be a Delta application transaction: loaded exactly once.

Each line is a `Line` and ends with a line feed. Split at line feeds only: texts may contain any other line separator.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from include.errors import IntegrityError
from include.scoring.messages import Row

CLOSED = ".jsonl"
OPEN = ".jsonl.open"
PROBE_HEADER = "X-Perennial-Probe"
"""Marks a request as an internal check (verification, the example of `make run`): answered as usual, not spooled."""


class Line(msgspec.Struct, frozen=True):
    """One predicted row, as it is written to the spool and loaded from it. Fields are only ever added, with a default.

    Attributes
    ----------
    row : index of the row in its request.
    key, features : the columns of the model's key, and all raw inputs as they were sent.
    event_time, predicted_at : ISO 8601 in UTC.
    score : probability of the positive class, or the predicted value; None for several classes.
    scores : the probability of each of several classes, else None.
    """

    request_id: str
    row: int
    key: Row
    event_time: str
    version: int
    digest: str
    features: Row
    score: float | None
    scores: dict[str, float] | None
    predicted_at: str


encode = msgspec.json.Encoder().encode
"""The bytes of a `Line`, without the line break."""
decode = msgspec.json.Decoder(Line).decode
"""The `Line` in these bytes; ValueError or RecursionError if they are not one."""


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
    """The closed segments of a model from all servers, each server's in the order in which they must be loaded."""
    return sorted(segment for server in _folders(spool_root) for segment in segments_in(server / model_name))


def folders_by_model(spool_root: Path) -> dict[str, list[Path]]:
    """The folders of each model, one for each server that has one. Only names are read."""
    found: dict[str, list[Path]] = {}
    for server in _folders(spool_root):
        for folder in _folders(server):
            found.setdefault(folder.name, []).append(folder)
    return found


def segments_in(folder: Path) -> list[Segment]:
    """The closed segments in the folder of a server and model, in the order in which they must be loaded."""
    app_id = f"{folder.parent.name}/{folder.name}"
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in found if entry.name.endswith(CLOSED)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    numbers = ((name, name.removesuffix(CLOSED)) for name in names)
    return sorted(Segment(app_id, int(number), folder / name) for name, number in numbers if number.isdecimal())


def _folders(parent: Path) -> list[Path]:
    """The folders in a folder, by name; none if it does not exist."""
    try:
        with os.scandir(parent) as found:
            return sorted(parent / entry.name for entry in found if entry.is_dir())
    except FileNotFoundError:
        return []


def lines(segment: Segment) -> list[Line]:
    """All lines of a closed segment.

    Raises
    ------
    IntegrityError : a line is not a `Line`; the message names file and line.
    """
    found = []
    for at, data in enumerate(segment.path.read_bytes().removesuffix(b"\n").split(b"\n"), start=1):
        try:
            found.append(decode(data))
        except (ValueError, RecursionError) as error:
            raise IntegrityError(
                f"{segment.path} line {at} is not a prediction ({error}): closed segments hold whole lines only, so "
                f"the file was changed after it was closed. Move it away to load the segments after it."
            ) from None
    return found
