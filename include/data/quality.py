"""Validation of a partition: the declared schema as a contract, then the model's Great Expectations suite.

The effect of a failed expectation depends on its severity (Great Expectations' own). ``critical`` rejects the
partition. ``warning`` sends the rows that fail to quarantine; if it is about the whole table, it is reported. ``info``
is reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from great_expectations import expectations as gxe
from great_expectations.expectations.expectation import Expectation

from include.data import schema, suite
from include.data.lake import QUARANTINE
from include.data.suite import EXAMPLES, Check
from include.errors import ConfigurationError
from include.partitions import Partition
from include.spec import ColumnType, Model, Severity


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes
    ----------
    rows : the number of collected rows.
    table : rows that can be published, in the types of the lake.
    quarantined : the others, as rows of the quarantine table (one per row, with every check that it failed).
    critical : sentences with numbers; if there are any, nothing can be published.
    new_columns : undeclared columns that the lake does not have yet.
    """

    partition: str
    rows: int
    table: pa.Table
    quarantined: pd.DataFrame
    checks: list[Check]
    critical: list[str]
    new_columns: list[str]

    @cached_property
    def good(self) -> pd.DataFrame:
        """The rows that can be published, as pandas."""
        return schema.to_frame(self.table)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.success]

    @property
    def warnings(self) -> list[str]:
        """Findings that do not reject the partition, with numbers."""
        return [c.finding for c in self.failed if c.severity is not Severity.CRITICAL]

    def as_dict(self) -> dict[str, Any]:
        return {
            "partition": self.partition,
            "rows": self.rows,
            "good": self.table.num_rows,
            "quarantined": len(self.quarantined),
            "checks": len(self.checks),
            "failed": len(self.failed),
            "critical": self.critical,
            "warnings": self.warnings,
            "new_columns": self.new_columns,
        }


@dataclass(frozen=True)
class Conformed:
    """A batch in the declared types, before the suite has looked at it.

    Attributes
    ----------
    checks : of the schema and of declared dates. ``not_dates`` : for each of the latter, the rows that fail it.
    rejected : whether the schema alone rejects the batch.
    """

    partition: Partition
    size: int
    table: pa.Table
    checks: tuple[Check, ...]
    not_dates: tuple[np.ndarray, ...]
    new_columns: list[str]
    rejected: bool

    @cached_property
    def rows(self) -> pd.DataFrame:
        return schema.to_frame(self.table)

    @property
    def needs_suite(self) -> bool:
        """Whether expectations apply: not to an empty batch, and not to one without its columns."""
        return not self.rejected and self.size > 0


def validate(
    model: Model,
    partition: Partition,
    frame: pd.DataFrame,
    expectations: Sequence[Expectation],
    known: Mapping[str, pa.DataType] | None = None,
) -> Validation:
    """Validate the raw rows of a partition.

    Parameters
    ----------
    expectations : the model's suite.
    known : undeclared columns that the lake has already (`Lake.undeclared`).

    Raises
    ------
    ConfigurationError : the suite has an element that is not an expectation.
    """
    require_suite(model, expectations)
    return validate_days(model, [conform(model, partition, frame, known)], expectations)[0]


def require_suite(model: Model, expectations: Sequence[object]) -> None:
    """Refuse a suite with an element that is not an expectation."""
    wrong = [e for e in expectations if not isinstance(e, Expectation)]
    if wrong:
        raise ConfigurationError(
            f"suite() of {model.name} returned {type(wrong[0]).__name__!r}; "
            f"it should return a list of great_expectations.expectations, e.g. ExpectColumnValuesToBeBetween(...)"
        )


def conform(
    model: Model, partition: Partition, frame: pd.DataFrame, known: Mapping[str, pa.DataType] | None = None
) -> Conformed:
    """Cast the raw rows of a partition to the declared types; parameters as of `validate`."""
    conformed = schema.conform(model, frame, known)
    checks = _schema_checks(conformed, len(frame), model.data.empty_days)
    rejected = any(check.severity is Severity.CRITICAL and not check.success for check in checks)
    found = Conformed(partition, len(frame), conformed.table, (), (), conformed.new, rejected)
    dated = [*_date_checks(model, found.rows, conformed.not_dates)] if found.needs_suite else []
    return replace(
        found, checks=(*checks, *(check for check, _ in dated)), not_dates=tuple(wrong for _, wrong in dated)
    )


def validate_days(model: Model, days: Sequence[Conformed], expectations: Sequence[Expectation]) -> list[Validation]:
    """Validate many partitions; each gets the result that it would have got alone."""
    found: dict[int, list[suite.Result]] = {}
    for same in _alike(days):
        promised = contracts(model, [day.partition for _, day in same])
        suites = [[*promises, *expectations] for promises in promised]
        results = suite.run_days([(day.rows, own) for (_, day), own in zip(same, suites, strict=True)])
        found |= {number: result for (number, _), result in zip(same, results, strict=True)}
    return [_validation(model, day, found.get(number, [])) for number, day in enumerate(days)]


def _alike(days: Sequence[Conformed]) -> Iterator[list[tuple[int, Conformed]]]:
    """The days to which expectations apply, with their numbers, by their columns."""
    groups: dict[tuple[str, ...], list[tuple[int, Conformed]]] = {}
    for number, day in enumerate(days):
        if day.needs_suite:
            groups.setdefault(tuple(day.rows.columns), []).append((number, day))
    yield from groups.values()


def _validation(model: Model, day: Conformed, results: Sequence[suite.Result]) -> Validation:
    failed: dict[int, list[Check]] = {}  # row number -> what it failed
    checks = [*day.checks, *(result.check for result in results)]
    if day.needs_suite:
        dated = day.checks[len(day.checks) - len(day.not_dates) :]
        for check, wrong in zip(dated, day.not_dates, strict=True):
            for position in np.flatnonzero(wrong).tolist():
                failed.setdefault(position, []).append(check)
    for result in results:
        if not result.check.success and result.check.severity is not Severity.INFO:
            for position in result.rows:
                failed.setdefault(position, []).append(result.check)
    critical = [c.finding for c in checks if not c.success and c.severity is Severity.CRITICAL]
    share = len(failed) / day.size if day.size else 0.0
    if not critical and failed and (share > model.data.max_quarantined or len(failed) == day.size):
        critical.append(
            f"{len(failed)} of {day.size} rows ({share:.1%}) failed, and at most {model.data.max_quarantined:.1%} "
            f"may be quarantined: {'; '.join(c.finding for c in checks if not c.success and c.level == 'row')}"
        )
    bad = sorted(failed)
    return Validation(
        partition=day.partition.key,
        rows=day.size,
        # Without its columns, no row of a batch can be published.
        table=day.table.slice(0, 0) if day.rejected else _without(day.table, bad),
        quarantined=_quarantine(model, day.table, {n: failed[n] for n in bad}),
        checks=checks,
        critical=critical,
        new_columns=day.new_columns,
    )


def _without(table: pa.Table, bad: Sequence[int]) -> pa.Table:
    """The table without these rows; not a copy if there are none."""
    if not bad:
        return table
    good = np.ones(table.num_rows, dtype=bool)
    good[list(bad)] = False
    return table.filter(pa.array(good)).combine_chunks()


def contracts(model: Model, partitions: Sequence[Partition]) -> list[list[Expectation]]:
    """The promises of a model's declaration about every batch, as expectations for each of these partitions.

    Those that do not depend on the partition are the same objects for all of them, because a wide table has dozens.
    """
    data = model.data
    key = list(data.key)
    unique: Expectation = (
        gxe.ExpectColumnValuesToBeUnique(
            column=key[0], severity="critical", description=f"the key ({key[0]}) identifies one row"
        )
        if len(key) == 1
        else gxe.ExpectCompoundColumnsToBeUnique(
            column_list=key,
            ignore_row_if="any_value_is_missing",
            severity="critical",
            description=f"the key ({', '.join(key)}) identifies one row",
        )
    )
    filled = [
        gxe.ExpectColumnValuesToNotBeNull(column=c.name, severity="warning", description=f"{c.name} has a value")
        for c in data.columns
        if not c.nullable
    ]
    return [[unique, _inside(model, partition), *filled] for partition in partitions]


def _inside(model: Model, partition: Partition) -> Expectation:
    event_time = model.data.event_time
    return gxe.ExpectColumnValuesToBeBetween(
        column=event_time,
        min_value=partition.start,
        max_value=partition.end,
        strict_max=True,
        severity="critical",
        description=(
            f"{event_time} is within {partition.key} of {model.timezone} "
            f"({partition.start:%Y-%m-%d %H:%M} to {partition.end:%Y-%m-%d %H:%M} UTC)"
        ),
    )


def _date_checks(
    model: Model, rows: pd.DataFrame, not_dates: Mapping[str, np.ndarray]
) -> Iterator[tuple[Check, np.ndarray]]:
    """A check of each declared date, with the rule of the model server, and the rows that fail it."""
    for column in model.data.columns:
        if column.type is not ColumnType.DATE:
            continue
        wrong = not_dates.get(column.name, np.zeros(len(rows), dtype=bool))
        examples = tuple(dict.fromkeys(rows.loc[wrong, column.name]))[:EXAMPLES]
        sentence = f"{column.name} is a date of the calendar, written like 2026-05-03"
        found = int(wrong.sum())
        yield (
            Check(
                "date",
                sentence,
                Severity.WARNING,
                column.name,
                not found,
                level="row",
                unexpected=found,
                examples=examples,
            ),  # fmt: skip
            wrong,
        )


def _schema_checks(conformed: schema.Conformed, rows: int, may_be_empty: bool) -> list[Check]:
    def check(sentence: str, severity: Severity, success: bool, column: str = "") -> Check:
        return Check("schema", sentence, severity, column, success)

    checks = [check(problem, Severity.CRITICAL, False) for problem in conformed.problems]
    if not checks:
        checks = [check("every declared column is present with its declared type", Severity.CRITICAL, True)]
    checks += [check(note, Severity.INFO, False) for note in conformed.notes]
    checks += [
        check(f"new column {name!r}, which is not declared, is added to the table", Severity.INFO, False, name)
        for name in conformed.new
    ]
    has_rows = "the batch has rows" if rows else "the batch is empty: 0 rows"
    return [*checks, check(has_rows, Severity.INFO if may_be_empty else Severity.CRITICAL, rows > 0)]


def _quarantine(model: Model, table: pa.Table, failed: Mapping[int, Sequence[Check]]) -> pd.DataFrame:
    if not failed:
        return _no_quarantine()
    rows = table.take(pa.array(list(failed))).to_pylist()
    records = [
        {
            "_expectation": "; ".join(c.sentence for c in checks),
            "_column": ", ".join(dict.fromkeys(c.column for c in checks if c.column)),
            "_key": json.dumps({k: row[k] for k in model.data.key}, default=_iso),
            "_row": json.dumps(row, default=_iso),
        }
        for row, checks in zip(rows, failed.values(), strict=True)
    ]
    return pd.DataFrame(records).reindex(columns=_no_quarantine().columns)


@cache
def _no_quarantine() -> pd.DataFrame:
    names = [name for name in QUARANTINE.names if name not in ("partition", "_batch")]
    return pd.DataFrame({name: pd.Series(dtype="str") for name in names})


def _iso(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
