"""What a valid day looks like."""

from __future__ import annotations

import great_expectations.expectations as gxe


def suite() -> list[gxe.Expectation]:
    """Rows with an unknown level go to quarantine, so that training never gets an undeclared class."""
    levels = ["quiet", "normal", "busy"]
    return [gxe.ExpectColumnValuesToBeInSet(column="level", value_set=levels, severity="warning")]
