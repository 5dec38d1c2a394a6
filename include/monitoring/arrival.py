"""How a day arrived: published or rejected, in time or late, and how many of its rows were quarantined."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from include.data.lake import Lake
from include.monitoring.counters import DayFacts, Usual
from include.monitoring.days import PublishedDays
from include.partitions import days_back, partition
from include.registry.days import Days
from include.registry.in_service import InService
from include.spec import Model
from include.spec.cron import time_of_day


def facts(model: Model, lake: Lake, days: PublishedDays, key: str, in_service: InService) -> DayFacts | None:
    """What is known about a day from the ledger and the log of the lake; None if it was neither published nor rejected.

    Raises
    ------
    TransientError : the ledger did not answer.
    """
    known = next(iter(Days.default().of(model.name, key, key)), None)
    rejected = known is not None and known.state == "rejected"
    if key not in days and not rejected:
        return None
    return DayFacts(
        rows=days.published[key].rows if key in days else None,
        quarantined=lake.quarantined(key, key).get(key, 0),
        rejected=rejected,
        late=_late(model, lake, days, key, in_service),
    )


def usual(lake: Lake, days: PublishedDays, key: str) -> Usual:
    """The shares of quarantined rows of the newest days before this one, as many as a reference has."""
    before = days.up_to(key, days.model.monitoring.reference_days)
    if not before:
        return Usual()
    quarantined = lake.quarantined(before[0], before[-1])
    counts = [(quarantined.get(one, 0), days.published[one].rows) for one in before]
    return Usual(quarantined=tuple(bad / (bad + rows) for bad, rows in counts if bad + rows))


def due(model: Model, key: str) -> datetime | None:
    """When a day is collected, in UTC; None if the schedule has no single time of the day."""
    at = time_of_day(model.data.schedule)
    if at is None:
        return None
    day = partition(key, model.timezone).date + timedelta(days=days_back(at, model.data.label.delay))
    return datetime.combine(day, time(at.hour, at.minute), ZoneInfo(model.timezone))


def _late(model: Model, lake: Lake, days: PublishedDays, key: str, in_service: InService) -> bool | None:
    """Whether a day arrived when the night had stopped to wait for it.

    None if that is not known: nothing served when it was due, because the history was loaded later, or the day was
    fetched again, so that its rows tell when it was corrected and not when it arrived.
    """
    wanted = due(model, key)
    if wanted is None or key not in days:
        return None
    service = in_service.at(wanted)
    if service is None or service.early or len(list((lake.root / "raw" / key).glob("*.parquet"))) > 1:
        return None
    return days.published[key].collected_at > wanted + model.training.wait_for_data
