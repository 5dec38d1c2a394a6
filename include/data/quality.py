"""Validation of a partition: the declared schema as a contract, then the model's Great Expectations suite.

The effect of a failed expectation depends on its severity (Great Expectations' own). ``critical`` rejects the
partition. ``warning`` sends the rows that fail to quarantine; if it is about the whole table, it is reported. ``info``
is reported.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
import pyarrow as pa
from great_expectations import expectations as gxe
from great_expectations.core import ExpectationSuite, ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation import Expectation

from include.data import schema
from include.data.lake import QUARANTINE
from include.errors import ConfigurationError
from include.partitions import Partition
from include.spec import ColumnType, Model, Severity

log = logging.getLogger(__name__)

EXAMPLES = 5
POSITION = "perennial_position"  # Great Expectations sorts its results; this identifies the expectation


@dataclass(frozen=True)
class Check:
    """One expectation and its result.

    Attributes
    ----------
    expectation : the type of the expectation in Great Expectations, or ``schema``.
    sentence : the expectation in words.
    level : ``row`` if single rows can fail it, else ``table``.
    observed : the value that Great Expectations measured, JSON-able.
    unexpected : rows that failed it. ``examples`` : some of their values.
    error : the reason if it could not be evaluated.
    """

    expectation: str
    sentence: str
    severity: Severity
    column: str
    success: bool
    level: str = "table"
    observed: Mapping[str, object] = field(default_factory=dict)
    unexpected: int = 0
    examples: tuple[Any, ...] = ()
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "severity": str(self.severity), "examples": list(self.examples)}

    @property
    def finding(self) -> str:
        """One sentence with numbers about a failure."""
        if self.error:
            return f"could not be checked: {self.sentence} ({self.error})"
        if self.level == "row":
            examples = ", ".join(_short(e) for e in self.examples[:3])
            return f"{self.sentence}: {self.unexpected} rows fail" + (f", e.g. {examples}" if examples else "")
        observed = self.observed.get("observed_value")
        return self.sentence if observed is None else f"{self.sentence}: observed {_short(observed)}"


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
    wrong = [e for e in expectations if not isinstance(e, Expectation)]
    if wrong:
        raise ConfigurationError(
            f"suite() of {model.name} returned {type(wrong[0]).__name__!r}; "
            f"it should return a list of great_expectations.expectations, e.g. ExpectColumnValuesToBeBetween(...)"
        )
    conformed = schema.conform(model, frame, known)
    checks = _schema_checks(conformed, len(frame), model.data.empty_days)
    if not all(check.success or check.severity is not Severity.CRITICAL for check in checks):
        # Without its columns, the suite would only repeat this problem for each expectation.
        return Validation(
            partition.key,
            len(frame),
            conformed.table.slice(0, 0),
            _no_quarantine(),
            checks,
            [c.finding for c in checks if not c.success and c.severity is Severity.CRITICAL],
            conformed.new,
        )
    if not len(frame):  # expected, or it would be critical; no expectation applies to an empty batch
        return Validation(partition.key, 0, conformed.table, _no_quarantine(), checks, [], conformed.new)
    rows = schema.to_frame(conformed.table)
    suite = [*contract(model, partition), *expectations]
    failed: dict[int, list[Check]] = {}  # row number -> the checks that it failed
    for check, not_a_date in _date_checks(model, rows, conformed.not_dates):
        checks.append(check)
        for position in np.flatnonzero(not_a_date):
            failed.setdefault(int(position), []).append(check)
    for expectation, result in zip(suite, _run(rows, suite), strict=True):
        check = _check(expectation, result)
        checks.append(check)
        if check.level == "row" and not check.success and check.severity is not Severity.INFO:
            for position in result.result.get("unexpected_index_list") or ():
                failed.setdefault(int(position), []).append(check)
    critical = [c.finding for c in checks if not c.success and c.severity is Severity.CRITICAL]
    share = len(failed) / len(rows)
    if not critical and (share > model.data.max_quarantined or len(failed) == len(rows)):
        critical.append(
            f"{len(failed)} of {len(rows)} rows ({share:.1%}) failed, and at most {model.data.max_quarantined:.1%} "
            f"may be quarantined: {'; '.join(c.finding for c in checks if not c.success and c.level == 'row')}"
        )
    bad = sorted(failed)
    return Validation(
        partition=partition.key,
        rows=len(rows),
        table=_without(conformed.table, bad),
        quarantined=_quarantine(model, conformed.table, {n: failed[n] for n in bad}),
        checks=checks,
        critical=critical,
        new_columns=conformed.new,
    )


def _without(table: pa.Table, bad: Sequence[int]) -> pa.Table:
    """The table without these rows; not a copy if there are none."""
    if not bad:
        return table
    good = np.ones(table.num_rows, dtype=bool)
    good[list(bad)] = False
    return table.filter(pa.array(good)).combine_chunks()


def contract(model: Model, partition: Partition) -> list[Expectation]:
    """The promises of a model's declaration about every batch, as expectations."""
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
    inside = gxe.ExpectColumnValuesToBeBetween(
        column=data.event_time,
        min_value=partition.start,
        max_value=partition.end,
        strict_max=True,
        severity="critical",
        description=(
            f"{data.event_time} is within {partition.key} of {model.timezone} "
            f"({partition.start:%Y-%m-%d %H:%M} to {partition.end:%Y-%m-%d %H:%M} UTC)"
        ),
    )
    filled = [
        gxe.ExpectColumnValuesToNotBeNull(column=c.name, severity="warning", description=f"{c.name} has a value")
        for c in data.columns
        if not c.nullable
    ]
    return [unique, inside, *filled]


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


def _run(rows: pd.DataFrame, suite: Sequence[Expectation]) -> list[ExpectationValidationResult]:
    """Results in the order of ``suite``; nothing is written, shown or sent.

    The suite first runs with counts only. Failed expectations run once more, with the numbers of all failing rows:
    searching for failing rows if there are none would take 40 % of the whole time.
    """
    # Set here and not at import, because Airflow configures logging again in every task. The second logger has its own
    # level and would report a temporary folder.
    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("batch").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": rows})

    def results(numbers: Sequence[int], result_format: str) -> dict[int, ExpectationValidationResult]:
        marked = [suite[n].copy(update={"meta": {**(suite[n].meta or {}), POSITION: n}}) for n in numbers]
        outcome = batch.validate(
            ExpectationSuite("suite", expectations=marked), result_format={"result_format": result_format}
        )
        return {_position(result): result for result in outcome.results}

    found = results(range(len(suite)), "BASIC")
    again = [n for n, r in found.items() if not r.success and "unexpected_count" in r.result]
    if again:
        found |= results(again, "COMPLETE")
    return [found[n] for n in range(len(suite))]


def _position(result: ExpectationValidationResult) -> int:
    config = result.expectation_config
    assert config is not None and config.meta is not None
    return int(config.meta[POSITION])


def _check(expectation: Expectation, result: ExpectationValidationResult) -> Check:
    found = result.result or {}
    error = _error(result.exception_info)
    row_level = "unexpected_count" in found
    config = expectation.configuration
    columns = [config.kwargs.get(k) for k in ("column", "column_A", "column_B")] + list(
        config.kwargs.get("column_list") or ()
    )
    observed = {
        k: _plain(found[k])
        for k in ("observed_value", "element_count", "unexpected_count", "unexpected_percent", "missing_percent")
        if found.get(k) is not None
    }
    return Check(
        expectation=config.type,
        sentence=expectation.description or _sentence(config.type, config.kwargs),
        # An expectation that cannot be evaluated is not evidence that the data is good.
        severity=Severity.CRITICAL if error else Severity(str(expectation.severity.value)),
        column=", ".join(c for c in columns if c),
        success=bool(result.success) and not error,
        level="row" if row_level else "table",
        observed=observed,
        unexpected=int(found.get("unexpected_count") or 0),
        examples=tuple(_plain(v) for v in (found.get("partial_unexpected_list") or [])[:EXAMPLES] if not _missing(v)),
        error=error,
    )


def _error(info: Any) -> str | None:
    """The message of an expectation that raised: Great Expectations returns one record, or one for each metric."""
    records = [info] if isinstance(info, dict) and "raised_exception" in info else list((info or {}).values())
    for record in records:
        if record and record["raised_exception"]:
            return str(record["exception_message"]).splitlines()[0]
    return None


def _sentence(kind: str, kwargs: Mapping[str, object]) -> str:
    parts = ", ".join(f"{k} {_short(v)}" for k, v in kwargs.items() if v is not None and k != "column")
    words = kind.removeprefix("expect_").replace("_", " ")
    return " ".join(filter(None, (str(kwargs.get("column") or ""), words, f"({parts})" if parts else "")))


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


def _no_quarantine() -> pd.DataFrame:
    names = [name for name in QUARANTINE.names if name not in ("partition", "_batch")]
    return pd.DataFrame({name: pd.Series(dtype="str") for name in names})


def _iso(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def _plain(value: Any) -> Any:
    """A JSON-able version of a value that Great Expectations measured."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (str, int, float, bool)) else _iso(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return " ".join(_short(v) for v in value.values())
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
