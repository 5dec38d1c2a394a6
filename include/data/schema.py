"""The declared columns as Arrow types, and the one strict cast of a source's frame into them.

Delta's own ``schema_mode="merge"`` silently stores 1.5 in an integer column as 1 and fills a missing column with nulls.
So everything passes through `conform` before it reaches a table: a cast keeps every value or is reported as a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.partitions import is_day
from include.spec import ColumnType, Model

ARROW: dict[ColumnType, pa.DataType] = {
    ColumnType.STRING: pa.large_string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.NUMBER: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.DATE: pa.large_string(),  # ISO text, so that a text column of an existing table can be declared a date
}
OURS = ("partition", "_batch", "_collected_at")  # the columns that the lake adds to `rows`
EXACT_IN_FLOAT = 2**53


class CannotCast(ValueError):
    """The values do not fit the type; the message is the reason, as the end of a sentence."""


@dataclass
class Conformed:
    """A frame in the types of the lake.

    Attributes
    ----------
    table : declared columns that could be cast, then undeclared ones.
    problems : sentences about missing, duplicate and retyped columns; the table is complete only if there are none.
    notes : sentences about lossless casts and about undeclared columns that were left out.
    new : names of undeclared columns that the lake does not have yet.
    not_dates : the rows with a text that is not a date, by name of the declared date. They cannot be published.
    """

    table: pa.Table
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    not_dates: dict[str, np.ndarray] = field(default_factory=dict)


def declared(model: Model) -> pa.Schema:
    """The declared columns in the types of the lake."""
    return pa.schema([(column.name, ARROW[column.type]) for column in model.data.columns])


def is_conformed(model: Model, table: pa.Table) -> bool:
    """Whether a table from an earlier `conform` (the staged rows of a run) fits the current declaration.

    The columns and types are compared, and texts of declared dates are parsed, because a column of texts can be
    declared a date later without a change of its type.
    """
    wanted = declared(model)
    if any(f.name not in table.column_names or table.schema.field(f.name).type != f.type for f in wanted):
        return False
    dated = [column.name for column in model.data.columns if column.type is ColumnType.DATE]
    return not any(_not_dates(table.column(name)).any() for name in dated)


def conform(model: Model, frame: pd.DataFrame, known: Mapping[str, pa.DataType] | None = None) -> Conformed:
    """Cast a source's frame to the declared types, losing nothing. An empty text is a missing value.

    Parameters
    ----------
    known : undeclared columns that the lake has from earlier batches, with their types.
    """
    known = known or {}
    wanted = declared(model)
    names = [str(name) for name in frame.columns]
    all_series = [series for _, series in frame.items()]  # by position, and a tenth of the time of `iloc`
    found = Conformed(pa.table({}))
    arrays: dict[str, pa.Array] = {}
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        found.problems.append(f"column {_listed(doubled)} comes more than once")
    reserved = sorted(set(names) & set(OURS) | {n for n in names if n.startswith("_")} - set(wanted.names))
    if reserved:
        found.problems.append(f"column {_listed(reserved)} has a name that is reserved for the lake")
    missing = [name for name in wanted.names if name not in names]
    if missing:
        found.problems.append(f"column {_listed(missing)} is missing")
    for name in [*wanted.names, *(n for n in names if n not in wanted.names)]:
        if name in missing or name in doubled or name in reserved:
            continue
        series = all_series[names.index(name)]
        kind = model.data.column(name).type if name in wanted.names else None
        target = wanted.field(name).type if name in wanted.names else known.get(name)
        try:
            arrays[name] = dates(series) if kind is ColumnType.DATE else cast(series, target)
        except CannotCast as reason:
            if name in wanted.names or name in known:
                found.problems.append(f"column {name!r} changed its type: {reason}")
            else:
                found.notes.append(f"new column {name!r} was left out of the table: {reason}")
            continue
        if kind in (ColumnType.STRING, ColumnType.DATE) and name != model.data.label.column:
            arrays[name] = _without_empty(name, arrays[name], found)
        if kind is ColumnType.DATE:
            wrong = _not_dates(arrays[name])
            if wrong.any():
                found.not_dates[name] = wrong
        if name in wanted.names and _changes_kind(series, arrays[name], model.data.column(name).nullable):
            found.notes.append(f"column {name!r} came as {series.dtype} and was stored as {target}, without loss")
        if name not in wanted.names and name not in known:
            found.new.append(name)
    found.table = pa.table(arrays)
    return found


def cast(series: pd.Series, target: pa.DataType | None) -> pa.Array:
    """The values as an Arrow array of this type, or of the nearest type of the lake if it is None.

    Raises
    ------
    CannotCast : a value would be changed (fraction to integer, text to number, local time to instant, ...).
    """
    array = _arrow(series)
    if target is None:
        target = _nearest(array.type)
    if array.null_count == len(array):
        return pa.nulls(len(array), target)
    if not _same_kind(array.type, target):
        raise CannotCast(f"it came as {array.type}, e.g. {_example(array)!r}, and {target} is declared")
    # Arrow's safe cast accepts 1e17 as an integer, although a float of this size may already have been rounded.
    from_float = pa.types.is_floating(array.type) and pa.types.is_int64(target)
    if from_float and (pc.max(pc.abs(array)).as_py() or 0) > EXACT_IN_FLOAT:
        raise CannotCast(f"it came as {array.type} with values beyond 2^53, which floats do not hold exactly")
    try:
        return array.cast(target, safe=True)
    except pa.ArrowInvalid as reason:
        raise CannotCast(f"it came as {array.type} and {target} is declared ({str(reason).splitlines()[0]})") from None


def dates(series: pd.Series) -> pa.Array:
    """Dates as ISO text, ``2026-05-03``. Texts are not changed; `conform` reports those that are not dates.

    Raises
    ------
    CannotCast : the values are neither texts nor dates, or have a time of day or a timezone (the day of which zone?).
    """
    array, text = _arrow(series), ARROW[ColumnType.DATE]
    kind = array.type
    if array.null_count == len(array):
        return pa.nulls(len(array), text)
    if _same_kind(kind, text):
        return array.cast(text)
    if pa.types.is_timestamp(kind) and kind.tz is None:
        days = array.cast(pa.date32(), safe=False)
        if not pc.all(pc.equal(days.cast(pa.timestamp("us")), array.cast(pa.timestamp("us"), safe=False))).as_py():
            raise CannotCast(f"it came as {kind} with a time of day, e.g. {_example(array)!r}, and a date is declared")
        return days.cast(text)
    if pa.types.is_date(kind):
        return array.cast(pa.date32()).cast(text)
    raise CannotCast(f"it came as {kind}, e.g. {_example(array)!r}, and a date is declared")


def _arrow(series: pd.Series) -> pa.Array:
    try:
        array = pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError) as reason:
        raise CannotCast(f"its values are of mixed or unknown types ({str(reason).splitlines()[0]})") from None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array


def _without_empty(name: str, array: pa.Array, found: Conformed) -> pa.Array:
    """The texts with empty ones as missing. `features.build` and the model server do not distinguish them, either."""
    empty = pc.fill_null(pc.equal(array, ""), False)
    count = pc.sum(empty).as_py() or 0
    if not count:
        return array
    found.notes.append(f"column {name!r} has {count} empty texts, which are stored as missing values")
    return pc.if_else(empty, pa.scalar(None, array.type), array)


def _not_dates(array: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A boolean for each text: whether it is not a date of the calendar."""
    wrong = [text for text in pc.unique(array).to_pylist() if text is not None and not is_day(text)]
    found = pc.is_in(array, value_set=pa.array(wrong, array.type))
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table as pandas: text as ``str``, integers with nulls as float64 (as Int64 if floats would round them)."""
    frame = table.to_pandas()
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_int64(column.type) and column.null_count and column.null_count < len(column):
            bounds = pc.min_max(column).as_py()
            if max(abs(bounds["min"]), abs(bounds["max"])) > EXACT_IN_FLOAT:
                frame[name] = pd.Series(column.to_pylist(), dtype="Int64", index=frame.index)
    return frame


def interchangeable(given: pa.DataType, stored: pa.DataType) -> bool:
    """Whether two Arrow types are the same type in Delta, which has a single text type."""
    return given == stored or (pa.types.is_large_string(given) and _same_kind(stored, given))


def _same_kind(given: pa.DataType, target: pa.DataType) -> bool:
    if pa.types.is_large_string(target):
        return pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given)
    if pa.types.is_int64(target) or pa.types.is_float64(target):
        return pa.types.is_integer(given) or pa.types.is_floating(given)
    if pa.types.is_timestamp(target):
        return pa.types.is_timestamp(given) and given.tz is not None
    return bool(given == target)


def _nearest(given: pa.DataType) -> pa.DataType:
    if pa.types.is_null(given):
        raise CannotCast("it has no value, so its type is not known yet")
    if pa.types.is_floating(given):
        return ARROW[ColumnType.NUMBER]
    for candidate in ARROW.values():
        if _same_kind(given, candidate):
            return candidate
    raise CannotCast(
        f"the lake has no type for {given}" + (" without a timezone" if pa.types.is_timestamp(given) else "")
    )


def _changes_kind(series: pd.Series, array: pa.Array, nullable: bool) -> bool:
    """Whether a number changed its kind; for integers with nulls, pandas has only floats."""
    if pa.types.is_float64(array.type):
        return bool(pd.api.types.is_integer_dtype(series.dtype))
    return pa.types.is_int64(array.type) and bool(pd.api.types.is_float_dtype(series.dtype)) and not nullable


def _example(array: pa.Array) -> object:
    value = array.drop_null()[0].as_py()
    return value if len(repr(value)) <= 40 else repr(value)[:40]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
