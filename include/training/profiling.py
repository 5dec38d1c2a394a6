"""Raw inputs and scores of rows as columns that can be profiled: of the days of a reference and of a monitored day.

An absolute moment differs from that of every earlier day, so it would always drift. A timestamp is therefore taken
relative to the beginning of the row's own day, and a date relative to that day:

=================  ============================================================  =======
declared type      profiled as                                                   missing
=================  ============================================================  =======
string             text                                                          ``""``
boolean            text, ``true`` or ``false``                                   ``""``
integer, number    number                                                        ``nan``
timestamp          seconds after midnight of the row's day, by its local clock   ``nan``
date               days after the row's day                                      ``nan``
=================  ============================================================  =======

A local clock, because on the day of a clock change every elapsed time would be an hour off.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from include.errors import DataError
from include.partitions import FIRST_YEAR, LAST_YEAR
from include.scoring.columns import columns_for
from include.spec import Column, ColumnType, Model
from include.spelling import did_you_mean
from include.statistics.profiles import Names
from include.statistics.reference import DayProfile, FeatureReference, Reference
from include.training import measures

SCORE = "score"
"""The name of a score; of several classes there is one for each, ``score.<class>``."""
SECOND, DAY = np.timedelta64(1, "s"), np.timedelta64(1, "D")
FIRST, LAST = np.datetime64(f"{FIRST_YEAR}-01-01"), np.datetime64(f"{LAST_YEAR + 1}-01-01")


def watched(model: Model) -> tuple[Column, ...]:
    """The raw inputs whose drift is measured: all but those of ``monitoring.leave_out``."""
    return tuple(column for column in model.data.inputs if column.name not in model.monitoring.leave_out)


def columns(model: Model, rows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of every watched input, one after the other: together they would need as much memory as ``rows``.

    Parameters
    ----------
    rows : as in the lake, with the column ``partition``. An input that they do not have is missing in all of them.

    Raises
    ------
    DataError : a value does not have the declared type.
    """
    zone = model.timezone
    days = rows["partition"].to_numpy(dtype=object).astype("datetime64[D]")
    for column in watched(model):
        yield column.name, _values(column, rows, days, zone)


def scores(model: Model, found: np.ndarray) -> dict[str, np.ndarray]:
    """Scores as `measures.score` gives them, by the name under which they are profiled."""
    return measures.named(model, SCORE, found)


def duplicated(model: Model, rows: pd.DataFrame) -> np.ndarray:
    """Whether an earlier row of the same day has the same key; of shape (rows,)."""
    return np.asarray(rows.duplicated(["partition", *model.data.key]), dtype=bool)


def profile(
    model: Model, reference: Reference, rows: pd.DataFrame, found: np.ndarray | None = None, key: str | None = None
) -> DayProfile:
    """Profile one day on the schemes of a reference.

    Parameters
    ----------
    rows : all rows of the day, as in the lake. found : scores as `measures.score` gives them, of these rows or of some.
    key : the partition key; it is needed if the day has no row.

    Raises
    ------
    DataError : the rows are not of one day, or a value does not have the declared type.
    """
    days = sorted({*rows["partition"].astype(str), *([] if key is None else [key])})
    if len(days) != 1:
        raise DataError(f"a profile is of one day, and these rows are of {', '.join(days[:3]) or 'none'}")
    values = {} if found is None else scores(model, np.asarray(found, dtype=np.float64))
    known = {one.name: one for one in reference.features}
    return reference.profile(
        days[0],
        len(rows),
        int(duplicated(model, rows).sum()),
        {name: one for name, one in columns(model, rows) if name in known and _fits(known[name], one)},
        values,
    )


def _fits(feature: FeatureReference, values: np.ndarray) -> bool:
    """Whether the values are of the kind that the reference was made of: the declaration may have changed since."""
    return isinstance(feature.scheme, Names) == (values.dtype == object)


def _values(column: Column, rows: pd.DataFrame, days: np.ndarray, zone: str) -> np.ndarray:
    text = column.type in (ColumnType.STRING, ColumnType.BOOLEAN)
    if column.name not in rows.columns:
        return np.full(len(rows), "", dtype=object) if text else np.full(len(rows), np.nan)
    raw = columns_for([(column.name, column.type.value)], rows)[column.name]
    match column.type:
        case ColumnType.STRING:
            return raw
        case ColumnType.BOOLEAN:
            return np.select([np.isnan(raw), raw != 0], ["", "true"], "false").astype(object)
        case ColumnType.TIMESTAMP:
            moments = pd.Series(np.clip(raw, FIRST, LAST)).dt.tz_localize("UTC").dt.tz_convert(zone)
            return _relative(moments.dt.tz_localize(None).to_numpy(), days, SECOND)
        case ColumnType.DATE:
            return _relative(raw, days, DAY)
        case ColumnType.INTEGER | ColumnType.NUMBER:
            return raw
    raise DataError(f"{column.type} is not a column type{did_you_mean(column.type, [one.value for one in ColumnType])}")


def _relative(moments: np.ndarray, days: np.ndarray, unit: np.timedelta64) -> np.ndarray:
    """By how many units these moments are after the beginning of the days; nan if missing."""
    apart: np.ndarray = (moments - days) / unit  # NaT becomes nan
    return apart
