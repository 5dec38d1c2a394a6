"""Which columns can be features: identifiers, constants and free text cannot; and what identifies a row."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd

from include.authoring.findings import Findings, FoundColumn, Role
from include.authoring.names import free_name
from include.errors import DataError
from include.spec import ColumnType

FEW_TEXTS = 50  # a text with more values than this is encoded by what its values mean, not by one column each
IDENTIFYING = re.compile(
    r"(^|_)(id|ids|uuid|guid|key|pk|nr|no|num|number|code|hash|token|ref|reference|serial|index|idx|row)($|_)|Id$|ID$|Nr$",
)
CANDIDATES = 10  # columns that are tried as parts of a composite key


def settle_roles(found: Findings) -> None:
    """Give every column but target and time its role, by its own values."""
    found.change(found.time, Role.EVENT_TIME, "the event time")
    for column in found.of(Role.FEATURE):
        role, why = _role(column, found.rows[column.name], found.rows[found.time])
        if column.type is ColumnType.DATE and role is Role.AGE:
            role, why = _role_of_date(found, column)
        found.change(column.name, role, why)
    wall = found.rows[found.time].dt.tz_convert(found.request.timezone)
    found.whole_days = bool((wall == wall.dt.normalize()).all())


def settle_key(found: Findings) -> None:
    """Find what identifies a row: the columns named in KEY, one identifier, few columns, or a number of our own."""
    if found.request.key:
        found.key = tuple(next(c.name for c in found.columns if c.original == k) for k in found.request.key)
        _require_key_columns([found.column(name) for name in found.key])
        twice = int(pd.concat([found.rows[list(found.key)], local_days(found)], axis=1).duplicated().sum())
        if twice:
            raise DataError(
                f"KEY={','.join(found.request.key)} does not identify a row: {twice:,} rows have the key of another "
                "row of their day. Name more columns, or leave KEY out."
            )
        found.say("Key", f"{', '.join(found.key)}, as given.")
        return
    usable = [
        c for c in found.columns if c.role in (Role.UNUSED, Role.FEATURE, Role.MANY, Role.EVENT_TIME) and not c.nulls
    ]
    rows = len(found.rows)
    for column in usable:
        if column.role is Role.UNUSED and column.distinct == rows and column.type in _OF_KEYS:
            found.key = (column.name,)
            found.say("Key", f"{column.name}: it is never missing and different in all {rows:,} rows.")
            return
    parts = sorted(
        (c for c in usable if c.type in _OF_KEYS and c.distinct > 1 and c.role is not Role.EVENT_TIME),
        key=lambda c: (not IDENTIFYING.search(c.name), -c.distinct),
    )[:CANDIDATES]
    frame = found.rows
    for size in (0, 1, 2):
        for chosen in itertools.combinations(parts, size):
            key = [found.time, *(c.name for c in chosen)]
            if not frame.duplicated(key).any() and _no_accident(found, key):
                found.key = tuple(key)
                found.say("Key", f"{', '.join(key)}: together different in all {rows:,} rows, and not by accident.")
                return
    name = free_name("row_of_day", [c.name for c in found.columns])
    found.row_number = name
    found.key = (found.time, name)
    found.say(
        "Key",
        f"No column and no few columns identify a row, so {name} numbers the rows of a day, in the order of their time "
        "and values (KEY=a,b if you know better).",
    )


def _require_key_columns(columns: list[FoundColumn]) -> None:
    for column in columns:
        if column.role in (Role.AFTER, Role.TARGET, Role.LEFT_OUT):
            raise DataError(f"KEY names {column.name}, which cannot be part of a key: it {column.why}")
        if column.nulls:
            raise DataError(
                f"KEY names {column.name}, which cannot be part of a key: it is missing in {column.nulls:.1%} of rows"
            )


_OF_KEYS = (ColumnType.STRING, ColumnType.INTEGER)


def _role(column: FoundColumn, values: pd.Series, times: pd.Series) -> tuple[Role, str]:
    known = values.dropna()
    if column.distinct == 1:
        empty = f" or missing ({column.nulls:.0%})" if column.nulls else ""
        if not column.nulls:
            return Role.UNUSED, f"is constant: {_shown(known.iloc[0])} in every row"
        if column.nulls > 0.99:
            return Role.UNUSED, f"is always {_shown(known.iloc[0])}{empty}"
    if column.type in (ColumnType.TIMESTAMP, ColumnType.DATE):
        return Role.AGE, ""
    reason = identifier(column, known, times[known.index])
    if reason:
        return Role.UNUSED, reason
    if column.type is not ColumnType.STRING:
        return Role.FEATURE, ""
    share = column.distinct / max(len(known), 1)
    if share > 0.5 and column.distinct > FEW_TEXTS:
        words = known.str.count(" ").mean()
        kind = "free text" if words > 3 else "nearly unique"
        return Role.UNUSED, f"is {kind}: {column.distinct:,} values in {len(known):,} rows, hardly one comes twice"
    return (Role.MANY if column.distinct > FEW_TEXTS else Role.FEATURE), ""


def _role_of_date(found: Findings, column: FoundColumn) -> tuple[Role, str]:
    """A date at a constant distance from the event carries no more information than the event time."""
    wall = (found.rows[name].dt.tz_convert(found.request.timezone).dt.normalize() for name in (found.time, column.name))
    event, day = (times.dt.tz_localize(None) for times in wall)
    ages = (event - day).dropna().dt.days.unique()
    if len(ages) > 1:
        return Role.AGE, ""
    return Role.UNUSED, "is the day of the event" if ages[0] == 0 else f"is always {ages[0]} days before the event"


def identifier(column: FoundColumn, known: pd.Series, times: pd.Series) -> str:
    """Why a column looks like an identifier, or an empty string. A measured number may be unique by chance."""
    if len(known) < 50 or column.type not in _OF_KEYS:
        return ""
    share = column.distinct / len(known)
    if share < 0.95:
        return ""
    if column.type is ColumnType.STRING:
        unique = "every value comes once" if share == 1 else f"{share:.1%} of its values come once"
        return "" if known.str.count(" ").mean() > 3 else f"looks like an identifier: {unique}"
    numbers = known.to_numpy(dtype=float)
    rising = abs(float(pd.Series(numbers).corr(pd.Series(times.astype("int64").to_numpy()), method="spearman")))
    span = float(numbers.max() - numbers.min() + 1)
    digits = pd.Series(np.abs(numbers)).map(lambda n: len(f"{n:.0f}"))
    for true, reason in (
        (bool(IDENTIFYING.search(column.name)), "its name says so"),
        (rising > 0.98, f"it grows with time (rank correlation {rising:.3f})"),
        (span < 3 * len(numbers) and share == 1, f"it fills the range {numbers.min():.0f} to {numbers.max():.0f}"),
        (share == 1 and digits.nunique() == 1 and digits.iloc[0] >= 6, f"all have {digits.iloc[0]} digits"),
    ):
        if true:
            return f"looks like an identifier: {share:.1%} of its values come once, and {reason}"
    return ""


def _no_accident(found: Findings, key: list[str]) -> bool:
    """Whether the rows are distinct because of what the columns mean: were the columns drawn independently, doubles
    would be seen (3 or more are expected), or would come less than once in a thousand days."""
    frame = found.rows
    days = local_days(found)
    expected = 0.0
    for _, day in frame.groupby(days.to_numpy()):
        match = 1.0
        for name in key:
            shares = day[name].value_counts(normalize=True).to_numpy()
            # equal pairs among distinct rows: the share of pairs, not of draws with replacement
            match *= max(float((shares**2).sum()), 1 / len(day)) if len(day) else 0.0
        expected += len(day) * (len(day) - 1) / 2 * match
    return expected >= 3 or expected < 0.001 * days.nunique()


def local_days(found: Findings) -> pd.Series:
    """The partition of each row."""
    return found.rows[found.time].dt.tz_convert(found.request.timezone).dt.strftime("%Y-%m-%d").rename("day of the row")


def _shown(value: object) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 40 else f"{text[:37]}..."
