"""Runs Great Expectations: a suite on the rows of one day, or of many days at once with the results of each day.

Great Expectations costs about 8 ms for each expectation, whether there is one row or a million. So for many days,
whatever looks at each row on its own is evaluated once on the rows of all of them. A day without failing rows gets the
result that it would have got alone; the other days are evaluated again, each on its own. The number of rows and the
share of values that are not missing are counted here, with the result of Great Expectations.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations import expectations as gxe
from great_expectations.core import ExpectationSuite, ExpectationValidationResult
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.datasource.fluent.pandas_datasource import DataFrameAsset
from great_expectations.expectations.expectation import Expectation

from include.spec import Severity

EXAMPLES = 5
DAY = "perennial_day"
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
        found = {one.name: getattr(self, one.name) for one in fields(self)}  # `asdict` copies: ten times as slow
        return {**found, "observed": dict(self.observed), "severity": str(self.severity), "examples": [*self.examples]}

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
    """A check, and the positions of the rows that do not fit it, if single rows can fail it."""

    check: Check
    rows: tuple[int, ...] = ()


def run(rows: pd.DataFrame, suite: Sequence[Expectation]) -> list[Result]:
    """The results of a suite on some rows, in the order of the suite; nothing is written, shown or sent."""
    return _run(_asset(), rows, suite)


def run_days(days: Sequence[tuple[pd.DataFrame, Sequence[Expectation]]]) -> list[list[Result]]:
    """What `run` returns for the rows and the suite of each day.

    Parameters
    ----------
    days : with rows, with the same columns, and with suites of the same length.
    """
    asset = _asset()
    if len(days) < 2:
        return [_run(asset, rows, suite) for rows, suite in days]
    clean, counted = _clean(asset, days), _counted(days)
    found = []
    for number, (rows, suite) in enumerate(days):
        of_day = {n: one.result(suite[n], number, len(rows)) for n, one in clean.items() if number in one.days}
        of_day |= {n: one.result(rows) for n, one in counted.items()}
        alone = [n for n in range(len(suite)) if n not in of_day]
        of_day |= zip(alone, _run(asset, rows, [suite[n] for n in alone]), strict=True)
        found.append([of_day[n] for n in range(len(suite))])
    return found


def _asset() -> DataFrameAsset:
    """What Great Expectations makes batches of; its context is made for one call, so that no rows are kept."""
    # Set here and not at import, because Airflow configures logging again in every task. The second logger has its own
    # level and would report a temporary folder.
    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context.data_sources.add_pandas("batch").add_dataframe_asset("rows")


def _run(asset: DataFrameAsset, rows: pd.DataFrame, suite: Sequence[Expectation], locate: bool = False) -> list[Result]:
    """The suite runs with counts only first. What failed runs once more, with the numbers of all failing rows:
    searching for failing rows where there are none would take 40 % of the whole time.

    Parameters
    ----------
    locate : give the positions of failing rows also of an expectation that tolerates them (``mostly``).
    """
    if not suite:
        return []
    batch = _batch_definition(asset).get_batch({"dataframe": rows})

    def results(numbers: Sequence[int], result_format: str) -> dict[int, ExpectationValidationResult]:
        marked = [suite[n].copy(update={"meta": {**(suite[n].meta or {}), POSITION: n}}) for n in numbers]
        outcome = batch.validate(
            ExpectationSuite("suite", expectations=marked), result_format={"result_format": result_format}
        )
        return {_position(result): result for result in outcome.results}

    found = results(range(len(suite)), "BASIC")
    again = [n for n, r in found.items() if r.result.get("unexpected_count") and (locate or not r.success)]
    if again:
        found |= results(again, "COMPLETE")
    return [_result(expectation, found[n]) for n, expectation in enumerate(suite)]


def _batch_definition(asset: DataFrameAsset) -> BatchDefinition:
    return asset.batch_definitions[0] if asset.batch_definitions else asset.add_batch_definition_whole_dataframe("all")


@dataclass(frozen=True)
class _Clean:
    """The days in which no row fails an expectation about single rows.

    Attributes
    ----------
    days : their numbers. ``missing`` : of each day, the rows that the expectation does not look at; None if it looks at
        all of them.
    """

    days: frozenset[int]
    missing: np.ndarray | None
    expectation: str
    column: str
    severity: Severity

    @classmethod
    def of(cls, expectation: Expectation, days: Iterable[int], missing: np.ndarray | None) -> _Clean:
        severity = Severity(str(expectation.severity.value))
        config = expectation.configuration  # slow: once for all days
        return cls(frozenset(days), missing, config.type, _columns(expectation), severity)

    def result(self, expectation: Expectation, number: int, size: int) -> Result:
        """What Great Expectations returns about a day without failing rows."""
        observed: dict[str, object] = {"element_count": size, "unexpected_count": 0}
        missing = 0 if self.missing is None else int(self.missing[number])
        if missing < size:
            observed["unexpected_percent"] = 0.0
        if self.missing is not None:
            observed["missing_percent"] = missing / size * 100
        return Result(
            Check(
                expectation=self.expectation,
                sentence=expectation.description or _sentence(self.expectation, expectation.configuration.kwargs),
                severity=self.severity,
                column=self.column,
                success=True,
                level="row",
                observed=observed,
            )
        )


def _clean(asset: DataFrameAsset, days: Sequence[tuple[pd.DataFrame, Sequence[Expectation]]]) -> dict[int, _Clean]:
    """For each expectation about single rows, by its number, the days in which no row fails it."""
    suite = days[0][1]
    rows = pd.concat([rows for rows, _ in days], ignore_index=True)
    sizes = np.array([len(rows) for rows, _ in days])
    of_day = np.repeat(np.arange(len(days)), sizes)
    clean: dict[int, _Clean] = {}
    together: dict[int, np.ndarray | None] = {}
    for n, expectation in enumerate(suite):
        kind = type(expectation)
        if getattr(expectation, "row_condition", None) or any(type(own[n]) is not kind for _, own in days):
            continue
        same = all(own[n] is expectation or own[n] == expectation for _, own in days)
        if not same and kind is not gxe.ExpectColumnValuesToBeBetween:
            continue
        if kind not in (*UNIQUE, *BY_ROW):
            continue
        missing = _missing_rows(expectation, rows)
        counts = None if missing is None else np.bincount(of_day[missing], minlength=len(days))
        if kind in UNIQUE:
            keys = rows.loc[~missing if missing is not None else slice(None), _column_list(expectation)]
            doubled = keys.assign(**{DAY: of_day[keys.index]}).duplicated()
            bad = set(of_day[keys.index[doubled]].tolist())
            clean[n] = _Clean.of(expectation, set(range(len(days))) - bad, counts)
        elif not same:
            inside = {number for number, (rows, own) in enumerate(days) if _is_between(own[n], rows)}
            clean[n] = _Clean.of(expectation, inside, counts)
        else:
            together[n] = counts
    for n, result in zip(together, _run(asset, rows, [suite[n] for n in together], locate=True), strict=True):
        counts = together[n]
        percent = None if counts is None else int(counts.sum()) / len(rows) * 100
        if not result.check.error and result.check.observed.get("missing_percent") == percent:
            bad = set(of_day[list(result.rows)].tolist())
            clean[n] = _Clean.of(suite[n], set(range(len(days))) - bad, counts)
    return clean


@dataclass(frozen=True)
class _Counted:
    """An expectation about the number of rows, or about the share of a column's values that are not missing.

    Attributes
    ----------
    check : its result for any day, without what differs between days. ``low``, ``high`` : its limits.
    """

    check: Check
    low: float | None
    high: float | None
    strict_low: bool
    strict_high: bool

    @classmethod
    def of(cls, expectation: Any) -> _Counted:
        config = expectation.configuration
        check = Check(
            expectation=config.type,
            sentence=expectation.description or _sentence(config.type, config.kwargs),
            severity=Severity(str(expectation.severity.value)),
            column=_columns(expectation),
            success=True,
        )
        strict = (bool(getattr(expectation, name, False)) for name in ("strict_min", "strict_max"))
        return cls(check, expectation.min_value, expectation.max_value, *strict)

    def result(self, rows: pd.DataFrame) -> Result:
        """What Great Expectations returns about a day with rows."""
        column = self.check.column
        value = int(rows[column].notna().sum()) / len(rows) if column else len(rows)
        inside = self.low is None or (value > self.low if self.strict_low else value >= self.low)
        inside = inside and (self.high is None or (value < self.high if self.strict_high else value <= self.high))
        return Result(replace(self.check, success=inside, observed={"observed_value": value}))


def _counted(days: Sequence[tuple[pd.DataFrame, Sequence[Expectation]]]) -> dict[int, _Counted]:
    """The expectations that are counted, by their number: the same one for every day, with numbers as limits."""
    rows, suite = days[0]
    found: dict[int, _Counted] = {}
    for n, expectation in enumerate(suite):
        if type(expectation) not in COUNTED or getattr(expectation, "row_condition", None):
            continue
        limits: Any = expectation
        numbers = all(type(limit) in (int, float, type(None)) for limit in (limits.min_value, limits.max_value))
        there = all(column in rows for column in _column_list(expectation))
        if numbers and there and all(own[n] is expectation or own[n] == expectation for _, own in days):
            found[n] = _Counted.of(expectation)
    return found


def _missing_rows(expectation: Expectation, rows: pd.DataFrame) -> np.ndarray | None:
    """Which rows an expectation does not look at, because values are missing; None if it looks at all of them."""
    if isinstance(expectation, (gxe.ExpectColumnValuesToNotBeNull, gxe.ExpectColumnValuesToBeNull)):
        return None
    missing = rows[_column_list(expectation)].isna().to_numpy()
    rule = getattr(expectation, "ignore_row_if", None) or "any_value_is_missing"
    rule = str(getattr(rule, "value", rule))
    if rule == "never":
        return np.zeros(len(rows), dtype=bool)
    return missing.all(axis=1) if rule.startswith(("all", "both")) else missing.any(axis=1)


def _is_between(expectation: Any, rows: pd.DataFrame) -> bool:
    """Whether every value lies within the bounds of its day."""
    values = rows[expectation.column].dropna()
    try:
        low = (values > expectation.min_value) if expectation.strict_min else (values >= expectation.min_value)
        high = (values < expectation.max_value) if expectation.strict_max else (values <= expectation.max_value)
    except TypeError:
        return False
    return bool((low & high).all())


COUNTED = (gxe.ExpectTableRowCountToBeBetween, gxe.ExpectColumnProportionOfNonNullValuesToBeBetween)
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
    positions = result.result.get("unexpected_index_list") or ()
    return Result(_check(expectation, result), tuple(int(position) for position in positions))


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
