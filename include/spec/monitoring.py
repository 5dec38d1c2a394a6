"""How long predictions are kept."""

from __future__ import annotations

from datetime import timedelta

from pydantic import field_validator

from include.errors import Finding, Misdeclared
from include.spec.base import Declaration

LEAST, MOST = timedelta(days=1), timedelta(days=36_500)


class Monitoring(Declaration):
    """How long predictions are kept."""

    keep: timedelta = timedelta(days=400)
    """How long predictions stay in the lake: 1 to 36,500 days. Days before that are deleted, at most once a day."""

    former = {
        "schedule": "predictions of all models are loaded together, every 15 minutes, by perennial_predictions",
    }

    @field_validator("keep")
    @classmethod
    def _some_days(cls, value: timedelta) -> timedelta:
        if not LEAST <= value <= MOST:
            what = f"keep is {value}, and must be {LEAST.days} to {MOST.days:,} days"
            raise Misdeclared(
                [Finding((), what, wanted=f"timedelta(days={LEAST.days if value < LEAST else MOST.days})")]
            )
        return value
