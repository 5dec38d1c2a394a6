"""What a valid day of the toy looks like."""

from __future__ import annotations

import great_expectations.expectations as gxe


def suite() -> list[gxe.Expectation]:
    """One critical expectation about the table, and row-level ones whose failing rows go to quarantine."""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=50, max_value=1000, severity="critical"),
        gxe.ExpectColumnValuesToBeBetween(column="x", min_value=-10, max_value=10, severity="warning"),
        gxe.ExpectColumnValuesToBeInSet(
            column="shop", value_set=["Aarhus", "Bergen", "Cork", "Delft"], severity="warning"
        ),
        gxe.ExpectColumnMeanToBeBetween(column="late", min_value=0.05, max_value=0.95, severity="info"),
    ]
