"""Loading the model servers' prediction spools into the table `predictions`, each segment exactly once."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction

from include.data import files
from include.errors import IntegrityError

if TYPE_CHECKING:
    from include.data.lake import Lake

log = logging.getLogger(__name__)


def load(lake: Lake, segment: Path, app_id: str, number: int) -> int:
    """Append one closed segment and return its rows; 0 where it was loaded before.

    The commit that adds the rows also records ``app_id`` and ``number`` (a Delta application transaction), so that a
    crash between the commit and the removal of the file, or two loaders at once, cannot double a row. Numbers of one
    ``app_id`` must come in ascending order. A line that cannot be read is kept under ``rejected/`` and does not hold up
    the others.
    """
    from include.data.lake import PREDICTIONS

    zone = ZoneInfo(lake.model.timezone)
    rows: list[dict[str, Any]] = []
    rejected: list[str] = []
    try:
        lines = segment.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        raise IntegrityError(f"the spool segment {segment} is gone before it was loaded") from None
    for line in lines:
        try:
            rows.append(_row(json.loads(line), zone, f"{app_id}/{number}"))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            if line.strip():
                rejected.append(line)
    if rejected:
        name = f"{app_id.replace('/', '_').replace(':', '_')}-{number:012d}.jsonl"
        files.write(lake.root / "rejected" / name, ("\n".join(rejected) + "\n").encode())
        log.error(
            "%d of %d lines of the spool segment %s cannot be read; they are kept in %s.",
            len(rejected),
            len(lines),
            segment,
            lake.root / "rejected" / name,
        )
    if not rows:
        return 0
    data = pa.Table.from_pylist(rows, schema=PREDICTIONS)
    appended = lake.append(
        "predictions",
        data,
        CommitProperties(app_transactions=[Transaction(app_id, number)]),
        done=lambda table: _loaded(table, app_id) >= number,
    )
    return len(rows) if appended else 0


def _loaded(table: DeltaTable, app_id: str) -> int:
    """The number of the last segment of ``app_id`` in the table; -1 where there is none."""
    version = table.transaction_version(app_id)
    return -1 if version is None else int(version)


def _row(line: dict[str, Any], zone: ZoneInfo, segment: str) -> dict[str, Any]:
    event_time = _instant(line["event_time"])
    scores = line.get("scores")
    score = line.get("score")
    return {
        "partition": event_time.astimezone(zone).date().isoformat(),
        "request_id": str(line["request_id"]),
        "row": int(line["row"]),
        "key": json.dumps(line["key"], sort_keys=True),
        "event_time": event_time,
        "version": int(line["version"]),
        "digest": str(line["digest"]),
        "features": json.dumps(line["features"], sort_keys=True),
        "score": None if score is None else float(score),
        "scores": None if scores is None else json.dumps(scores, sort_keys=True),
        "predicted_at": _instant(line["predicted_at"]),
        "_segment": segment,
    }


def _instant(value: str | float | int) -> datetime:
    moment = datetime.fromtimestamp(value, UTC) if isinstance(value, (int, float)) else datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no timezone")
    return moment.astimezone(UTC)
