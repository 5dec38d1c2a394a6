"""The predictions of the last days, by day, from the statistics in the table's log: no row is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from include.errors import TransientError
from include.settings import Settings

DAYS = 14


@dataclass(frozen=True)
class PredictedDay:
    """Predictions that the server answered on a local day and that are in the lake.

    Attributes
    ----------
    versions : the lowest and the highest version that answered; equal if it was one. ``None``: not known.
    """

    key: str
    rows: int
    versions: tuple[int, int] | None


def recent(model: str, today: date, days: int = DAYS) -> tuple[PredictedDay, ...]:
    """The days up to ``today`` that have predictions, newest first. Empty before the first load.

    Raises
    ------
    TransientError : the table cannot be read.
    """
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    path = str(Settings.from_environment().lake / model / "predictions")
    since = (today - timedelta(days=days - 1)).isoformat()
    try:
        if not DeltaTable.is_deltatable(path):
            return ()
        table = DeltaTable(path)
        actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    except (DeltaError, OSError) as error:
        raise TransientError(f"the predictions of {model} cannot be read from {path}: {error}") from error
    found: dict[str, PredictedDay] = {}
    for action in actions:
        key, low, high = action["partition.partition"], action.get("min.version"), action.get("max.version")
        if key < since:
            continue
        versions = None if low is None or high is None else (int(low), int(high))
        found[key] = _together(found.get(key), PredictedDay(key, int(action["num_records"]), versions))
    return tuple(found[key] for key in sorted(found, reverse=True))


def _together(one: PredictedDay | None, other: PredictedDay) -> PredictedDay:
    if one is None:
        return other
    ranges = [each.versions for each in (one, other) if each.versions]
    versions = (min(low for low, _ in ranges), max(high for _, high in ranges)) if len(ranges) == 2 else None
    return PredictedDay(one.key, one.rows + other.rows, versions)
