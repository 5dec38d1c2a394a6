"""What a day of rentals must look like: the known faults of the real data, each with its consequence.

Severity ``warning`` sends the rows that fail to quarantine, or reports a table that is unusual; ``info`` reports what
is known and harmless. Four days of the two years are stopped: one because its humidity is impossible in every row,
three because less than half of their hours are there.
"""

from __future__ import annotations

from typing import Any

import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import Expectation, MulticolumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    MulticolumnMapMetricProvider,
    multicolumn_condition_partial,
)
from great_expectations.expectations.row_conditions import Column

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
WEATHER = ["Clear", "Mist", "Light Rain", "Heavy Rain"]
SEASONS = ["spring", "summer", "fall", "winter"]


def suite() -> list[Expectation]:
    """The expectations of one partition, most serious first."""
    return [*_table(), *_calendar(), *_weather(), *_outcome(), *_coverage()]


def _table() -> list[Expectation]:
    return [
        # An hour without rentals is absent, so a day can have fewer than 24. But a day with less than half its hours is
        # not day to learn from, and looks like half a delivery: 27 January 2011 (snow, 8 hours), 29 and 30 October 2012
        # (hurricane Sandy, 1 and 11).
        gxe.ExpectTableRowCountToBeBetween(
            min_value=12, max_value=24, severity="critical", description="a day has 12 to 24 hours with rentals"
        ),
        # 76 of the 731 days lack an hour or more, 165 hours in all, most of them at 3 and 4 on winter nights.
        gxe.ExpectTableRowCountToBeBetween(
            min_value=24, max_value=24, severity="info", description="the day has every hour"
        ),
    ]


def _calendar() -> list[Expectation]:
    return [
        _between("hour", 0, 23, "hours are 0 to 23"),
        _in_set("season", SEASONS, "season is spring, summer, fall or winter"),
        _in_set("weekday", WEEKDAYS, "weekday is Mon to Sun"),
        # Rows are shuffled in the file: two weekdays in one batch would be rows of another day.
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="weekday", max_value=1, severity="warning", description="all rows of a day have the same weekday"
        ),
        gxe.ExpectColumnValuesToBeInSet(
            column="workingday",
            value_set=[False],
            row_condition=Column("holiday") == True,  # noqa: E712 - a condition for Great Expectations, not for Python
            severity="warning",
            description="a holiday is not a working day",
        ),
    ]


def _weather() -> list[Expectation]:
    return [
        _in_set("weathersit", WEATHER, "weathersit is Clear, Mist, Light Rain or Heavy Rain"),
        _between("temp", -30, 45, "temperature is -30 to 45 C (-7 to 39 in the data)"),
        # Humidity is 0 in all 22 rows of 10 March 2011: the sensor was dead. It is a feature, so such rows must not be
        # learned from; because nothing is left of that day, it is rejected.
        _between("hum", 1, 100, "humidity is 1 to 100 % (0 is a dead sensor)"),
        _between("windspeed", 0, 100, "wind is at most 100 km/h (57 in the data; 0 is calm, 13 % of the hours)"),
        # The felt temperature is stuck at -0.0016 all day on 17 August 2012, at 24 C and more. It is not a feature, so
        # the rows are good enough to keep.
        gxe.ExpectColumnValuesToBeBetween(
            column="atemp",
            min_value=5,
            row_condition=Column("temp") > 18,
            severity="info",
            description="above 18 C it does not feel colder than 5 C",
        ),
    ]


def _outcome() -> list[Expectation]:
    return [
        _between("cnt", 1, 5000, "1 to 5,000 bikes are rented in an hour that is listed (977 at most in the data)"),
        _between("casual", 0, 5000, "no negative rentals"),
        _between("registered", 0, 5000, "no negative rentals"),
        # Holds in every row of the two years; if it does not, the label itself is in doubt.
        ExpectColumnToBeSumOfOthers(
            column_list=["cnt", "casual", "registered"],
            severity="warning",
            description="cnt is casual + registered",
        ),
    ]


def _coverage() -> list[Expectation]:
    """What is often missing: tolerated up to a share, never a reason to lose rows."""
    return [
        gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
            column="weekday",
            min_value=0.7,
            severity="warning",
            description="70 % of the rows have a weekday (5 % lack it, 22 % on the worst day; no feature needs it)",
        ),
        gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
            column="weathersit",
            min_value=0.6,
            severity="warning",
            description="60 % of the rows have weathersit (7 % lack it, 37.5 % on the worst day)",
        ),
    ]


def _between(column: str, low: float, high: float, sentence: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, severity="warning", description=sentence
    )


def _in_set(column: str, values: list[str], sentence: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=values, severity="warning", description=sentence)


class FirstIsSumOfOthers(MulticolumnMapMetricProvider):
    """Whether the first column is the sum of the others, row by row. Great Expectations has fixed sums only."""

    condition_metric_name = "multicolumn_values.first_is_sum_of_others"
    condition_domain_keys = ("batch_id", "table", "column_list", "row_condition", "condition_parser", "ignore_row_if")
    condition_value_keys = ()

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **kwargs: Any) -> pd.Series:
        return column_list.iloc[:, 0] == column_list.iloc[:, 1:].sum(axis=1)


class ExpectColumnToBeSumOfOthers(MulticolumnMapExpectation):
    """Expect the first of ``column_list`` to be the sum of the others."""

    map_metric = "multicolumn_values.first_is_sum_of_others"
