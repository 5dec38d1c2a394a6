"""Many days at once get the results that Great Expectations gives each of them alone."""

from __future__ import annotations

from typing import Any

import great_expectations.expectations as gxe
import pandas as pd
import pytest

from include.data import suite

ROWS = gxe.ExpectTableRowCountToBeBetween
FILLED = gxe.ExpectColumnProportionOfNonNullValuesToBeBetween


def days() -> list[pd.DataFrame]:
    """Days of 1 to 6 rows; of the column ``heat`` a third is missing, on one day everything."""
    frames = [pd.DataFrame({"heat": [None if n % 3 == 0 else float(n) for n in range(rows)]}) for rows in range(1, 7)]
    return [
        frame.assign(heat=frame["heat"].astype(float), name=[f"n{n}" for n in range(len(frame))]) for frame in frames
    ]


@pytest.mark.parametrize(
    "expectation",
    [
        ROWS(min_value=3, max_value=4, description="3 or 4 rows", severity="warning"),
        ROWS(min_value=2, strict_min=True, severity="info"),
        ROWS(max_value=5, strict_max=True),
        ROWS(min_value=2.5),
        FILLED(column="heat", min_value=0.5, severity="warning", description="half of heat"),
        FILLED(column="heat", min_value=0.5, max_value=2 / 3, strict_max=True),
        FILLED(column="name", min_value=1),
        FILLED(column="heat", max_value=0),
        FILLED(column="absent", min_value=0.5),
    ],
    ids=repr,
)
def test_counted_expectations_have_the_results_of_great_expectations(expectation: Any) -> None:
    together = suite.run_days([(rows, [expectation]) for rows in days()])
    alone = [suite.run(rows, [expectation]) for rows in days()]
    assert together == alone
    for mine, theirs in zip(together, alone, strict=True):
        assert mine[0].check.as_dict() == theirs[0].check.as_dict()
        value = mine[0].check.observed.get("observed_value")
        assert type(value) is type(theirs[0].check.observed.get("observed_value"))


def test_an_expectation_that_differs_from_day_to_day_is_not_counted_once_for_all() -> None:
    given = [(rows, [ROWS(min_value=len(rows) - 1, max_value=5 - len(rows) % 2)]) for rows in days()]
    assert suite.run_days(given) == [suite.run(*one) for one in given]
