"""What a day has to look like."""

from __future__ import annotations

import great_expectations.expectations as gxe


def suite() -> list[gxe.Expectation]:
    """Nothing is rented less than not at all."""
    return [gxe.ExpectColumnValuesToBeBetween(column="rentals", min_value=0, severity="warning")]
