"""What a valid day of parcels looks like."""

from __future__ import annotations

import great_expectations.expectations as gxe


def suite() -> list[gxe.Expectation]:
    """A row that fails a warning goes to quarantine. If too many do, the day is rejected (`max_quarantined`)."""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=50, max_value=1000, severity="critical"),
        gxe.ExpectColumnValuesToBeBetween(column="weight", min_value=0, max_value=100, severity="warning"),
        gxe.ExpectColumnValuesToBeBetween(column="truck", min_value=-120, max_value=120, severity="warning"),
        gxe.ExpectColumnValuesToBeInSet(
            column="depot", value_set=["Aarhus", "Bergen", "Cork", "Delft"], severity="warning"
        ),
    ]
