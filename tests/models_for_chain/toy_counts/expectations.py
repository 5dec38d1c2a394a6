"""What a valid day looks like."""

from __future__ import annotations

import great_expectations.expectations as gxe


def suite() -> list[gxe.Expectation]:
    """A number of rentals is never negative."""
    return [gxe.ExpectColumnValuesToBeBetween(column="rentals", min_value=0, severity="warning")]
