"""What a day has to look like."""

from __future__ import annotations

import great_expectations.expectations as gxe


def suite() -> list[gxe.Expectation]:
    """Rows of an unknown level go to quarantine, so that training never meets a class that is not declared."""
    levels = ["quiet", "normal", "busy"]
    return [gxe.ExpectColumnValuesToBeInSet(column="level", value_set=levels, severity="warning")]
