"""From a source's raw rows to the result of `fetch`: declared names and types, re-dated if a history is replayed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.partitions import Partition, is_day, partitions_between
from include.sources.missing import NULLS, is_text, without
from include.sources.numbers import NumberFormat
from include.sources.replay import Replay
from include.sources.times import ISO, EventTime, instants, localized, wall_clock
from include.spec import Column, ColumnType, Model

log = logging.getLogger(__name__)

TRUE = ("true", "t", "yes", "y", "1")
FALSE = ("false", "f", "no", "n", "0")


class Source(Protocol):
    """A place of raw rows."""

    @property
    def time(self) -> EventTime: ...

    def between(self, first: date, last: date, connections: Mapping[str, str]) -> pa.Table: ...

    def by_day(self, first: date, last: date, connections: Mapping[str, str]) -> Iterator[tuple[date, pa.Table]]: ...

    def counts(self, connections: Mapping[str, str]) -> dict[date, int]: ...

    def without_time(self, connections: Mapping[str, str]) -> int: ...


@dataclass(frozen=True)
class Reading:
    """How the rows of a source become those that a model declares.

    Parameters
    ----------
    names : the declared name by the name in the source, if they differ.
    formats : the format of a timestamp column, by declared name (see `EventTime.format`); ISO without an entry.
    left_out : columns of the source to leave out.
    row_number : declared name of a column that numbers the rows of a day, if the source has no key. Rows
        are put in the order of their time and values first, so that the same rows always get the same numbers.
    missing : the texts of a column that are a missing value, by declared name, next to those that are never a number or
        time (`include.sources.missing.NULLS`).
    numbers : how the texts of a number column are written, by declared name, if not plainly.
    spellings : the text to store instead of another one, by declared name: ``{"late": {"Yes ": "Yes"}}``.
    replay : the finished history to replay, if any; every timestamp and date moves by the same number of days.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    row_number: str | None = None
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: Mapping[str, NumberFormat] = field(default_factory=dict)
    spellings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    replay: Replay | None = None

    def original(self, day: date) -> date:
        """The day of the source whose rows stand for this one."""
        return self.replay.original(day) if self.replay else day

    def frame(self, source: Source, model: Model, partition: Partition, raw: pa.Table) -> pd.DataFrame:
        """The rows of a day of the source, as the model declares them."""
        decimal = getattr(source, "decimal", ".")
        declared = {column.name: column for column in model.data.columns}
        moved = np.timedelta64((partition.date - self.original(partition.date)).days, "D")
        columns: dict[str, pd.Series] = {}
        for position, original in enumerate(raw.column_names):
            if original in self.left_out:
                continue
            name = self.names.get(original, original)
            values = raw.column(position).combine_chunks()
            values = values if isinstance(values, pa.Array) else pa.concat_arrays(values.chunks)
            if name in declared:
                values = self.texts(values, declared[name])
            if name not in declared:
                columns[name] = values.to_pandas()
            elif declared[name].type is ColumnType.TIMESTAMP:
                at_time = original == source.time.column
                when = source.time if at_time else EventTime(original, self.formats.get(name, ISO))
                columns[name] = _moments(values, when.format, model.timezone, moved)
            elif declared[name].type is ColumnType.DATE:
                columns[name] = _days(typed(values, declared[name], decimal), moved).to_pandas()
            else:
                columns[name] = typed(values, declared[name], self.numbers.get(name, decimal)).to_pandas()
        # Without their indexes, which pandas would align: that takes longer than everything else for a few rows.
        frame = pd.DataFrame({name: series.array for name, series in columns.items()})
        if self.row_number:
            frame = numbered(frame, model.data.event_time, self.row_number)
        return _without_repeats(frame, model) if self.replay else frame

    def texts(self, values: pa.Array, column: Column) -> pa.Array:
        """The texts of a declared column, without those that mean a missing value, and in their declared spelling."""
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        words = self.missing.get(column.name, ())
        values = without(values, words if column.type is ColumnType.STRING else {*NULLS, *words})
        known = self.spellings.get(column.name)
        if not known or not is_text(values):
            return values
        found = pc.index_in(values, value_set=pa.array(list(known), values.type))
        return pc.coalesce(pa.array(list(known.values()), values.type).take(found), values)


def rows_of_day(
    source: Source,
    model: Model,
    partition: Partition,
    connections: Mapping[str, str],
    reading: Reading | None = None,
    **fields: Any,
) -> pd.DataFrame:
    """The rows of a partition, as the model declares them.

    A value that does not fit its declared type is passed on unchanged: validation then names it and rejects the day.

    Parameters
    ----------
    fields : of `Reading`, given one by one.
    """
    how = replace(reading or Reading(), **fields)
    day = how.original(partition.date)
    return how.frame(source, model, partition, source.between(day, day, connections))


def rows_of_days(
    source: Source,
    model: Model,
    first: Partition,
    last: Partition,
    connections: Mapping[str, str],
    reading: Reading | None = None,
) -> Iterator[tuple[Partition, pd.DataFrame]]:
    """Each partition from ``first`` to ``last``, in order, with the rows that `rows_of_day` returns for it.

    The source is read once for all days, or once for each pass of a replayed history. Frames are made as they are
    asked for, so memory does not grow with the number of days.
    """
    how = reading or Reading()
    wanted = partitions_between(first, last, model.timezone)
    while wanted:
        begin = how.original(wanted[0].date)
        together = [p for n, p in enumerate(wanted) if how.original(p.date) == begin + timedelta(days=n)]
        end = begin + timedelta(days=len(together) - 1)
        for about, (_, raw) in zip(together, source.by_day(begin, end, connections), strict=True):
            yield about, how.frame(source, model, about, raw)
        wanted = wanted[len(together) :]


def typed(values: pa.Array, column: Column, decimal: str | NumberFormat = ".") -> pa.Array:
    """The values in the declared type, or unchanged if one of them does not fit."""
    if isinstance(decimal, NumberFormat):
        if is_text(values) and column.type in (ColumnType.NUMBER, ColumnType.INTEGER):
            numbers, wrong = decimal.read(values)
            return values if wrong.any() else typed(numbers, column)
        decimal = "."
    try:
        return _CASTS[column.type](values, decimal)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        return values


def numbered(frame: pd.DataFrame, event_time: str, name: str) -> pd.DataFrame:
    """The rows in the order of their time and values, with a column that numbers them from 0."""
    order = pd.DataFrame({n: frame[n].astype("str") for n in sorted(frame.columns, key=lambda n: (n != event_time, n))})
    frame = frame.loc[order.sort_values(list(order.columns), kind="stable").index].reset_index(drop=True)
    return frame.assign(**{name: np.arange(len(frame), dtype="int64")})


def _moments(values: pa.Array, format: str, timezone: str, moved: np.timedelta64) -> pd.Series:
    if moved == np.timedelta64(0, "D"):
        return pd.Series(instants(values, format, timezone))
    return pd.Series(localized(wall_clock(values, format, timezone) + moved, timezone))


def _days(values: pa.Array, moved: np.timedelta64) -> pa.Array:
    """ISO texts of dates, moved. Other values stay unchanged, so that validation can name them."""
    if moved == np.timedelta64(0, "D") or not is_text(values):
        return values
    known = {text: text for text in pc.unique(values).to_pylist()}
    known |= {text: str(np.datetime64(text, "D") + moved) for text in known if text and is_day(text)}
    return pa.array([known[text] for text in values.to_pylist()], values.type)


def _without_repeats(frame: pd.DataFrame, model: Model) -> pd.DataFrame:
    """Drop rows whose key appears twice because a repeated hour of a clock change was re-dated onto another day."""
    if model.data.event_time not in model.data.key or not set(model.data.key) <= set(frame.columns):
        return frame
    twice = frame.duplicated(list(model.data.key))
    if twice.any():
        log.warning("%d rows of an hour that a clock change repeats were left out of the replay.", int(twice.sum()))
    return frame.loc[~twice].reset_index(drop=True)


def _text(values: pa.Array, decimal: str) -> pa.Array:
    return values if pa.types.is_large_string(values.type) else values.cast(pa.string())


def _stripped(values: pa.Array, decimal: str) -> pa.Array:
    texts = pc.utf8_trim_whitespace(values)
    if decimal == ".":
        return texts
    grouped = pc.match_substring_regex(texts, r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?$")
    if pc.any(pc.and_(pc.match_substring(texts, "."), pc.invert(grouped))).as_py():
        raise ValueError("a point that separates no thousands, in a file with decimal commas")
    return pc.replace_substring(pc.replace_substring(texts, ".", ""), ",", ".")


def _number(values: pa.Array, decimal: str) -> pa.Array:
    """float64; infinite values become missing."""
    numbers = (_stripped(values, decimal) if is_text(values) else values).cast(pa.float64())
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))


def _integer(values: pa.Array, decimal: str) -> pa.Array:
    if not is_text(values):
        return values.cast(pa.int64())
    texts = _stripped(values, decimal)
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts.cast(pa.float64()).cast(pa.int64())  # 3.0


def _boolean(values: pa.Array, decimal: str) -> pa.Array:
    if not is_text(values):
        return values.cast(pa.bool_())
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    known = pc.is_in(texts, value_set=pa.array([*TRUE, *FALSE]))
    if not pc.all(pc.or_(known, pc.is_null(texts))).as_py():
        raise ValueError("a text that means neither true nor false")
    return pc.if_else(pc.is_null(texts), pa.scalar(None, pa.bool_()), pc.is_in(texts, value_set=pa.array(TRUE)))


def _date(values: pa.Array, decimal: str) -> pa.Array:
    """ISO text; raises for anything except texts, dates, and midnight timestamps without a timezone."""
    if is_text(values):
        return pc.utf8_trim_whitespace(values)
    if pa.types.is_date(values.type) or (pa.types.is_timestamp(values.type) and values.type.tz is None):
        days = values.cast(pa.date32())
        if pc.all(pc.equal(days.cast(values.type), values)).as_py() is not False:
            return days.cast(pa.string())
    raise ValueError("neither a text nor a date")


_CASTS = {
    ColumnType.STRING: _text,
    ColumnType.NUMBER: _number,
    ColumnType.INTEGER: _integer,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DATE: _date,
}
