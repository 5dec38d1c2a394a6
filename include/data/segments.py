"""Reads a spool segment: lines that become rows of the table `predictions`, and lines that cannot, each with a reason.

A client chooses the values of a line, except for ``predicted_at``, which is the server's clock. So no client can choose
a partition, which is a day of ``predicted_at``. A line whose ``predicted_at`` is in the future or older than
predictions are kept is rejected, because the clock of its server was wrong or its partition would be deleted at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa

from include.data.keys import of_model
from include.data.predictions import COLUMNS, segment_id
from include.partitions import FIRST_YEAR, LAST_YEAR
from include.scoring import keys
from include.scoring.record import Line, Segment, decode
from include.spec import Model

CLOCKS = timedelta(days=1)
"""How far the clock of a server can be ahead of ours."""


@dataclass(frozen=True)
class Accepted:
    """What a line must be for its model, at the moment of loading.

    Attributes
    ----------
    key, zone : the columns of the model's key, and the timezone of its partitions.
    first, last : of ``predicted_at``.
    """

    key: keys.Key
    zone: ZoneInfo
    first: datetime
    last: datetime

    @classmethod
    def of(cls, model: Model, now: datetime) -> Accepted:
        """Those of a model."""
        return cls(of_model(model), ZoneInfo(model.timezone), now - model.monitoring.keep, now + CLOCKS)


@dataclass(frozen=True)
class Rejected:
    """A line that cannot be loaded: its number in the file, why, and its bytes."""

    line: int
    reason: str
    text: bytes

    def as_line(self) -> bytes:
        """One JSON line. Bytes that are not UTF-8 become lone surrogates, from which they can be restored."""
        text = self.text.decode(errors="surrogateescape")
        return json.dumps({"line": self.line, "reason": self.reason, "text": text}).encode() + b"\n"


@dataclass(frozen=True)
class Content:
    """A segment's rows, of the schema `COLUMNS`, and the lines that cannot be rows."""

    rows: pa.Table
    rejected: tuple[Rejected, ...] = ()


def read(segment: Segment, accepted: Accepted) -> Content:
    """The content of a closed segment.

    Raises
    ------
    FileNotFoundError : it is gone: another loader has loaded it.
    OSError : it cannot be read.
    """
    name = segment_id(segment.app_id, segment.number)
    rows: list[dict[str, object]] = []
    lines: list[tuple[int, bytes]] = []
    rejected: list[Rejected] = []
    with open(segment.path, "rb") as file:  # read as bytes, because texts can contain every other line separator
        for at, line in enumerate(file, start=1):
            text = line.removesuffix(b"\n")
            if not text.strip():
                continue
            try:
                rows.append(_row(decode(text), accepted, name))
                lines.append((at, text))
            except (ValueError, OverflowError, RecursionError) as error:
                rejected.append(Rejected(at, _reason(error), text))
    try:
        return Content(pa.Table.from_pylist(rows, schema=COLUMNS), tuple(rejected))
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        pass  # a value does not fit into its column, such as a version of 30 digits: find it below
    good: list[pa.Table] = []
    for (at, text), row in zip(lines, rows, strict=True):
        try:
            good.append(pa.Table.from_pylist([row], schema=COLUMNS))
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            rejected.append(Rejected(at, _reason(error), text))
    rejected.sort(key=lambda one: one.line)
    return Content(pa.concat_tables([COLUMNS.empty_table(), *good]), tuple(rejected))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _row(line: Line, accepted: Accepted, segment: str) -> dict[str, object]:
    """A row of the table; ValueError or OverflowError if a time or the key of the line is not accepted."""
    predicted_at, event_time = _instant(line.predicted_at), _instant(line.event_time)
    if not accepted.first <= predicted_at <= accepted.last:
        raise ValueError(
            f"predicted_at {line.predicted_at} is not between {accepted.first:%Y-%m-%d} (monitoring.keep) and now"
        )
    if not FIRST_YEAR <= event_time.year <= LAST_YEAR:
        raise ValueError(f"event_time {line.event_time} is not in the years {FIRST_YEAR} to {LAST_YEAR}")
    return {
        "partition": predicted_at.astimezone(accepted.zone).date().isoformat(),
        "request_id": line.request_id,
        "row": line.row,
        "key": keys.canonical(accepted.key, line.features | line.key),
        "event_time": event_time,
        "version": line.version,
        "digest": line.digest,
        "features": json.dumps(line.features, sort_keys=True),
        "score": line.score,
        "scores": None if line.scores is None else json.dumps(line.scores, sort_keys=True),
        "predicted_at": predicted_at,
        "_segment": segment,
    }


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no timezone")
    return moment.astimezone(UTC)
