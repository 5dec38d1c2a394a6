"""The tables of a model's lake as DataFrames."""

from __future__ import annotations

import json
from collections.abc import Iterable
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include import catalog
from include.data import counted, keys, schema
from include.data import predictions as layout
from include.data import rows as rows_of
from include.data.lake import Lake
from include.errors import ConfigurationError, DataError
from include.partitions import partition, shift
from include.scoring.pyfunc import OF_CLASS
from include.spec import Model

WEEK = 7
QUARANTINE = ("partition", "expectation", "column", "value", "key", "row")


def rows(name: str, first: str, last: str | None) -> pd.DataFrame:
    """`include.perennial.rows`."""
    model = catalog.load(name)
    begin, end = _days(model, first, last)
    lake = Lake.of(model)
    there = sorted(lake.published())
    wanted = [key for key in there if begin <= key <= end]
    if not wanted:
        known = f"published are days from {there[0]} to {there[-1]}" if there else "no day is published yet"
        raise DataError(f"{name} has no rows from {begin} to {end}: {known} (in {lake.root}).")
    return _frame(rows_of.of_days(lake.table("rows"), wanted, rows_of.columns_of(model)))


def quarantine(name: str, first: str | None, last: str | None) -> pd.DataFrame:
    """`include.perennial.quarantine`."""
    lake = Lake.of(catalog.load(name))
    begin, end = _days(lake.model, first, last) if first else ("0001-01-01", "9999-12-31")
    lake.table("quarantine")  # says so if there is none
    return bad_rows(lake, sorted(lake.quarantined(begin, end), reverse=True))


def bad_rows(lake: Lake, days: Iterable[str]) -> pd.DataFrame:
    """The rows of some days in quarantine, in the order of the days; columns `QUARANTINE`."""
    found = []
    for key in days:
        for row in lake.read_quarantine(key).to_dict("records"):
            values = json.loads(row["_row"])
            about = [name for name in row["_column"].split(", ") if name in values]
            value = ", ".join(str(values[name]) for name in about)
            found.append((key, row["_expectation"], row["_column"], value, row["_key"], row["_row"]))
    return pd.DataFrame(found, columns=list(QUARANTINE))


def predictions(name: str, first: str | None, last: str | None) -> pd.DataFrame:
    """`include.perennial.predictions`."""
    model = catalog.load(name)
    lake = Lake.of(model)
    if first is None:
        newest = _newest_event(lake)
        if newest is None:
            return with_labels(lake, counted.COLUMNS.empty_table())
        begin, end = shift(partition(newest, model.timezone), 1 - WEEK, model.timezone).key, newest
    else:
        begin, end = _days(model, first, last)
    return with_labels(lake, counted.read(lake, begin, end).rows)


def newest_predictions(lake: Lake, most: int) -> tuple[pd.DataFrame, int]:
    """The newest predictions of the server, all of each event, newest first, and how many there are in all."""
    held: dict[str, int] = {}
    for action in pa.table(lake.table("predictions").get_add_actions(flatten=True)).to_pylist():
        key = action["partition.partition"]
        held[key] = held.get(key, 0) + action["num_records"]
    wanted, taken = [], 0
    for key in sorted(held, reverse=True):
        if taken >= most:
            break
        wanted.append(key)
        taken += held[key]
    columns = [name for name in layout.COLUMNS.names if name not in ("partition", "features", "digest", "_segment")]
    dataset = lake.table("predictions").to_pyarrow_dataset(as_large_types=True)
    found = dataset.to_table(columns=columns, filter=pc.field("partition").isin(wanted))
    found = found.sort_by([("predicted_at", "descending"), ("request_id", "ascending"), ("row", "ascending")])
    found = found.slice(0, most)
    days = [_local_day(lake.model, moment) for moment in found.column("event_time").to_pylist()]
    found = found.add_column(0, "partition", pa.array(days, pa.large_string()))
    return with_labels(lake, found), sum(held.values())


def with_labels(lake: Lake, found: pa.Table) -> pd.DataFrame:
    """Predictions with a column ``partition``, joined with the labels of the events; missing if not known."""
    model = lake.model
    days = sorted(set(found.column("partition").to_pylist()))
    frame = _frame(found)
    classes = model.data.label.classes if model.data.label.multiclass else None
    if classes:
        parsed = [json.loads(text) if isinstance(text, str) else {} for text in frame["scores"]]
        names = {str(one): one for one in classes}
        for text in names:
            frame[f"{OF_CLASS}{text}"] = [scores.get(text, float("nan")) for scores in parsed]
        frame["label_predicted"] = [names.get(max(one, key=one.__getitem__)) if one else None for one in parsed]
        frame = frame.drop(columns="score")
    labels = _labels(lake, days)
    pairs = zip(frame["partition"], frame["key"], strict=True)
    frame["label"] = pd.Series([labels.get(pair) for pair in pairs], index=frame.index, dtype=object).infer_objects()
    order = ["partition", "key", "event_time", "version", "score", "label_predicted", "label"]
    first = [name for name in order if name in frame.columns]
    return frame[[*first, *(name for name in frame.columns if name not in (*first, "scores"))]]


def _labels(lake: Lake, days: Iterable[str]) -> dict[tuple[str, str], object]:
    """The known labels of the events of some days, by day and canonical key."""
    model, label = lake.model, lake.model.data.label.column
    published = lake.published()
    wanted = [key for key in days if key in published]
    if not wanted:
        return {}
    table = rows_of.of_days(lake.table("rows"), wanted, rows_of.columns_of(model))
    triples = zip(
        table.column("partition").to_pylist(),
        keys.canonical(model, table).to_pylist(),
        table.column(label).to_pylist(),
        strict=True,
    )
    return {(day, key): value for day, key, value in triples if value is not None}


def _newest_event(lake: Lake) -> str | None:
    """The day of the newest event that was predicted, from the table's log."""
    actions = pa.table(lake.table("predictions").get_add_actions(flatten=True)).to_pylist()
    newest = max((a["max.event_time"] for a in actions if a.get("max.event_time") is not None), default=None)
    return None if newest is None else _local_day(lake.model, newest)


def _local_day(model: Model, moment: pd.Timestamp) -> str:
    return str(moment.astimezone(ZoneInfo(model.timezone)).date().isoformat())


def _days(model: Model, first: str, last: str | None) -> tuple[str, str]:
    begin, end = (partition(key, model.timezone).key for key in (first, last or first))
    if begin > end:
        raise ConfigurationError(f"the first day, {begin}, is after the last one, {end}.")
    return begin, end


def _frame(table: pa.Table) -> pd.DataFrame:
    return schema.to_frame(table)
