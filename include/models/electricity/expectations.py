"""What a day of the electricity market must look like.

Severity ``warning`` sends the rows that fail to quarantine, or reports a table that is unusual; ``info`` reports what
is known and harmless.
"""

from __future__ import annotations

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

FIGURES = ("nsw_price", "nsw_demand", "vic_price", "vic_demand", "transfer")


def suite() -> list[Expectation]:
    """The expectations of one partition, most serious first."""
    return [*_table(), *_rows(), *_movement(), *_history()]


def _table() -> list[Expectation]:
    return [
        # The market is always open: another number means half a delivery, or two days in one. (Also on the days of a
        # clock change: the history is replayed by the wall clock, and has 48 half-hours on every day.)
        gxe.ExpectTableRowCountToBeBetween(
            min_value=48, max_value=48, severity="critical", description="a day has 48 half-hours"
        ),
    ]


def _rows() -> list[Expectation]:
    """The publisher has normalised every figure to 0..1 over the whole history, so nothing lies outside."""
    return [
        _between("half_hour", 0, 47, "half-hours are 0 to 47"),
        *(
            _between(f"{prefix}{name}", 0, 1, f"{prefix}{name} is normalised to 0..1")
            for prefix in ("", "previous_")
            for name in FIGURES
        ),
        *(
            gxe.ExpectColumnValuesToBeInSet(
                column=name, value_set=[0, 1], severity="warning", description=f"{name} is 0 or 1"
            )
            for name in ("up", "previous_up")
        ),
    ]


def _movement() -> list[Expectation]:
    """A figure that never changes during a day is not a measurement."""
    return [
        # Victoria's market joined in May 1997: on the 363 days before, these three are constants put in by the
        # publisher (0.003467, 0.422915, 0.414912). Known and harmless: a constant has no effect.
        # Later the transfer stands still on single days, too.
        *(
            gxe.ExpectColumnUniqueValueCountToBeBetween(
                column=name,
                min_value=2,
                severity="info",
                description=f"{name} moves (it is a constant on the first 363 days of the history)",
            )
            for name in ("vic_price", "vic_demand", "transfer")
        ),
        # These always do: prices have at least 3 values on every day, demand 44.
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="nsw_price", min_value=2, severity="warning", description="nsw_price moves during the day"
        ),
        gxe.ExpectColumnUniqueValueCountToBeBetween(
            column="nsw_demand", min_value=20, severity="warning", description="nsw_demand moves during the day"
        ),
    ]


def _history() -> list[Expectation]:
    return [
        # Missing only in the first half-hour of the history, which has none before it.
        gxe.ExpectColumnProportionOfNonNullValuesToBeBetween(
            column="previous_up",
            min_value=1.0,
            severity="info",
            description="every half-hour knows the one before (except the first of the history)",
        ),
        # 6 days have none at all; the most is 42 of 48. A source whose labels are all 1 is broken.
        gxe.ExpectColumnMeanToBeBetween(
            column="up",
            min_value=0.0,
            max_value=0.95,
            severity="warning",
            description="the price is not above its mean all day long",
        ),
    ]


def _between(column: str, low: float, high: float, sentence: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, severity="warning", description=sentence
    )
