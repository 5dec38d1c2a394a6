"""Runs Great Expectations: a suite on the rows of one day, or of many days at once with the results of each day.

Great Expectations costs about 8 ms for each expectation, whether there is one row or a million. So for many days,
whatever looks at each row on its own is evaluated once on the rows of all of them. A day without failing rows gets the
result that it would have got alone; the other days are evaluated again, each on its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations import expectations as gxe
from great_expectations.core import ExpectationSuite, ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation import Expectation

from include.spec import Severity

EXAMPLES = 5
POSITION = "perennial_position"  # Great Expectations sorts its results; this leads back to the expectation


@dataclass(frozen=True)
class Check:
    """One expectation and its result.

    Attributes
    ----------
    expectation : its type in Great Expectations, or ``schema``.
    sentence : what was expected, for a person.
    level : ``row`` if single rows can fail it, else ``table``.
    observed : what Great Expectations measured, JSON-able.
    unexpected : rows that failed it. ``examples`` : some of their values.
    error : why it could not be evaluated, if it could not.
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
class Result:
    """A check, and the positions of the rows that failed it, if single rows can fail it."""

    check: Check
    rows: tuple[int, ...] = ()


def run(rows: pd.DataFrame, suite: Sequence[Expectation]) -> list[Result]:
    """The results of a suite on some rows, in the order of the suite; nothing is written, shown or sent.

    The suite runs with counts only first. What failed runs once more, with the numbers of all failing rows: searching
    for failing rows where there are none would take 40 % of the whole time.
    """
    if not suite:
        return []
    # Set here and not at import, because Airflow configures logging anew in every task. The second logger has a level
    # of its own, and would report a temporary folder.
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
    return [_result(expectation, found[n]) for n, expectation in enumerate(suite)]


def run_days(days: Sequence[tuple[pd.DataFrame, Sequence[Expectation]]]) -> list[list[Result]]:
    """What `run` returns for the rows and the suite of each day.

    Parameters
    ----------
    days : with the same columns, and suites of the same length.
    """
    if len(days) < 2:
        return [run(rows, suite) for rows, suite in days]
    clean = _clean(days)
    found = []
    for number, (rows, suite) in enumerate(days):
        alone = [n for n in range(len(suite)) if number not in clean[n]]
        results = dict(zip(alone, run(rows, [suite[n] for n in alone]), strict=True))
        found.append([results.get(n) or _without_failures(e, rows) for n, e in enumerate(suite)])
    return found


def _clean(days: Sequence[tuple[pd.DataFrame, Sequence[Expectation]]]) -> list[set[int]]:
    """For each expectation, the days (by number) in which no row fails it."""
    suite = days[0][1]
    clean: list[set[int]] = [set() for _ in suite]
    together: list[int] = []
    for n, expectation in enumerate(suite):
        kind = type(expectation)
        if getattr(expectation, "row_condition", None) or any(type(own[n]) is not kind for _, own in days):
            continue
        same = all(own[n] is expectation or own[n] == expectation for _, own in days)
        if kind in UNIQUE:
            clean[n] = {number for number, (rows, own) in enumerate(days) if _is_unique(own[n], rows)}
        elif kind is gxe.ExpectColumnValuesToBeBetween and not same:
            clean[n] = {number for number, (rows, own) in enumerate(days) if _is_between(own[n], rows)}
        elif kind in BY_ROW and same:
            together.append(n)
    rows = pd.concat([rows for rows, _ in days], ignore_index=True)
    ends = np.cumsum([len(rows) for rows, _ in days])
    for n, result in zip(together, run(rows, [suite[n] for n in together]), strict=True):
        if not result.check.error and result.check.observed.get("missing_percent") == _missing_percent(suite[n], rows):
            clean[n] = set(range(len(days))) - set(np.searchsorted(ends, result.rows, side="right").tolist())
    return clean


def _without_failures(expectation: Expectation, rows: pd.DataFrame) -> Result:
    """The result of an expectation about single rows on rows of which none fails it."""
    config = expectation.configuration
    missing = _missing_rows(expectation, rows)
    count = 0 if missing is None else int(missing.sum())
    observed: dict[str, object] = {"element_count": len(rows), "unexpected_count": 0}
    if count < len(rows):
        observed["unexpected_percent"] = 0.0
    if missing is not None:
        observed["missing_percent"] = count / len(rows) * 100
    return Result(
        Check(
            expectation=config.type,
            sentence=expectation.description or _sentence(config.type, config.kwargs),
            severity=Severity(str(expectation.severity.value)),
            column=_columns(expectation),
            success=True,
            level="row",
            observed=observed,
        )
    )


def _missing_percent(expectation: Expectation, rows: pd.DataFrame) -> float | None:
    missing = _missing_rows(expectation, rows)
    return None if missing is None else int(missing.sum()) / len(rows) * 100


def _missing_rows(expectation: Expectation, rows: pd.DataFrame) -> pd.Series | None:
    """The rows that an expectation does not look at; ``None`` if it does not leave out any."""
    if isinstance(expectation, (gxe.ExpectColumnValuesToNotBeNull, gxe.ExpectColumnValuesToBeNull)):
        return None
    columns = _column_list(expectation)
    missing = rows[columns].isna()
    rule = getattr(expectation, "ignore_row_if", None) or "any_value_is_missing"
    rule = str(getattr(rule, "value", rule))
    if rule == "never":
        return missing.any(axis="columns") & False
    return missing.all(axis="columns") if rule.startswith(("all", "both")) else missing.any(axis="columns")


def _is_unique(expectation: Any, rows: pd.DataFrame) -> bool:
    """Whether the values of each row are unique among the rows that have them."""
    columns = _column_list(expectation)
    missing = _missing_rows(expectation, rows)
    return not rows.loc[~missing if missing is not None else slice(None), columns].duplicated().any()


def _is_between(expectation: Any, rows: pd.DataFrame) -> bool:
    """Whether every value lies within bounds that differ from day to day."""
    values = rows[expectation.column].dropna()
    try:
        low = (values > expectation.min_value) if expectation.strict_min else (values >= expectation.min_value)
        high = (values < expectation.max_value) if expectation.strict_max else (values <= expectation.max_value)
    except TypeError:
        return False
    return bool((low & high).all())


UNIQUE = (gxe.ExpectColumnValuesToBeUnique, gxe.ExpectCompoundColumnsToBeUnique)
BY_ROW = (
    gxe.ExpectColumnPairValuesAToBeGreaterThanB,
    gxe.ExpectColumnPairValuesToBeEqual,
    gxe.ExpectColumnValueLengthsToBeBetween,
    gxe.ExpectColumnValueLengthsToEqual,
    gxe.ExpectColumnValuesToBeBetween,
    gxe.ExpectColumnValuesToBeInSet,
    gxe.ExpectColumnValuesToBeNull,
    gxe.ExpectColumnValuesToMatchRegex,
    gxe.ExpectColumnValuesToMatchRegexList,
    gxe.ExpectColumnValuesToNotBeInSet,
    gxe.ExpectColumnValuesToNotBeNull,
    gxe.ExpectColumnValuesToNotMatchRegex,
    gxe.ExpectColumnValuesToNotMatchRegexList,
)
"""Whether a row fails them does not depend on other rows."""


def _position(result: ExpectationValidationResult) -> int:
    config = result.expectation_config
    assert config is not None and config.meta is not None
    return int(config.meta[POSITION])


def _result(expectation: Expectation, result: ExpectationValidationResult) -> Result:
    check = _check(expectation, result)
    failing = result.result.get("unexpected_index_list") if check.level == "row" and not check.success else None
    return Result(check, tuple(int(position) for position in failing or ()))


def _check(expectation: Expectation, result: ExpectationValidationResult) -> Check:
    found = result.result or {}
    error = _error(result.exception_info)
    row_level = "unexpected_count" in found
    config = expectation.configuration
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
        column=_columns(expectation),
        success=bool(result.success) and not error,
        level="row" if row_level else "table",
        observed=observed,
        unexpected=int(found.get("unexpected_count") or 0),
        examples=tuple(_plain(v) for v in (found.get("partial_unexpected_list") or [])[:EXAMPLES] if not _missing(v)),
        error=error,
    )


def _column_list(expectation: Expectation) -> list[str]:
    kwargs = expectation.configuration.kwargs
    columns = [kwargs.get(name) for name in ("column", "column_A", "column_B")] + list(kwargs.get("column_list") or ())
    return [str(column) for column in columns if column]


def _columns(expectation: Expectation) -> str:
    return ", ".join(_column_list(expectation))


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


def _iso(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def _plain(value: Any) -> Any:
    """A JSON-able version of what Great Expectations measured."""
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
