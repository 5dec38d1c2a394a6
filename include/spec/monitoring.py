"""How a model in service is monitored: what a day is compared with, and what follows from a difference."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from include.errors import Finding, Misdeclared
from include.spec.base import Declaration
from include.spec.cron import Cron

LEAST, MOST = timedelta(days=1), timedelta(days=36_500)
FEWEST_REFERENCE_DAYS = 60
"""Days without which a reference gives no limit: the largest of fewer distances is exceeded too often by chance."""


class Monitoring(Declaration):
    """How a model in service is monitored: what a day is compared with, and what follows from a difference."""

    schedule: Cron = "0 5 * * *"
    """When the newest collected day is monitored: five cron fields in the model's timezone; later than
    `Training.schedule`."""
    keep: timedelta = timedelta(days=400)
    """How long predictions stay in the lake: 1 to 36,500 days. Days before that are deleted, at most once a day."""
    reference_days: Annotated[int, Field(ge=FEWEST_REFERENCE_DAYS, le=730)] = 90
    """The newest days of a version's training data with which a day is compared, 60 or more."""
    leave_out: tuple[str, ...] = ()
    """Inputs that differ from day to day on purpose (a running number): no drift is measured of them."""
    alarm_days: Annotated[int, Field(ge=1, le=30)] = 3
    """Days beyond a limit, the newest one included, among the last ``of_days``, after which drift or staleness opens an
    incident."""
    of_days: Annotated[int, Field(ge=1, le=30)] = 5
    """The days among which ``alarm_days`` are counted."""
    paired_days: Annotated[int, Field(ge=7, le=91)] = 14
    """The newest matured days on which the champion is compared with a newer fit of its recipe."""
    stale_margin: Annotated[float, Field(gt=0)] | None = None
    """How much worse than a newer fit the champion may be, in units of ``training.metric``; ``None``: a tenth of
    ``gate.margin``."""
    probe_days: Annotated[int, Field(ge=1, le=91)] = 7
    """A model that is not retrained every night: after how many days without a newer fit the monitor makes one to
    compare with."""
    retrain: bool = True
    """Whether monitoring may start a retraining."""
    cooldown_days: Annotated[int, Field(ge=1, le=91)] = 7
    """Days after a retraining that monitoring has started, before it may start another one."""
    retrainings_per_month: Annotated[int, Field(ge=1, le=31)] = 4
    """Retrainings that monitoring may start within 30 days."""

    @field_validator("keep")
    @classmethod
    def _some_days(cls, value: timedelta) -> timedelta:
        if not LEAST <= value <= MOST:
            what = f"keep is {value}, and must be {LEAST.days} to {MOST.days:,} days"
            raise Misdeclared(
                [Finding((), what, wanted=f"timedelta(days={LEAST.days if value < LEAST else MOST.days})")]
            )
        return value

    @model_validator(mode="after")
    def _countable(self) -> Monitoring:
        if self.alarm_days > self.of_days:
            what = f"alarm_days is {self.alarm_days}, but only of_days = {self.of_days} days are counted"
            raise Misdeclared([Finding(("alarm_days",), what, wanted=str(self.of_days))])
        return self
