"""What monitoring asks for in the ledger: a retraining for an as-of, within a cool-down and a budget."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, insert, select

from include.registry import schema
from include.registry.database import Database
from include.registry.rows import _AsDict
from include.settings import Settings

log = logging.getLogger(__name__)

MONTH = timedelta(days=30)


@dataclass(frozen=True)
class Reservation:
    """The answer to a request. ``reason``: one sentence, why it is retrained or why not."""

    granted: bool
    run_id: str
    reason: str


@dataclass(frozen=True)
class RequestRow(_AsDict):
    """A request of monitoring: ``reason`` is why it was asked for, ``answer`` what it was answered.

    ``day`` is when it was asked; ``run_id`` that of the retraining which it starts if it is granted.
    """

    model: str
    as_of: str
    run_id: str
    day: str
    cause: str
    reason: str
    granted: bool
    answer: str
    at: datetime


class RetrainingRequests:
    """The requests of one deployment. No connection is kept between calls."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    @classmethod
    def default(cls) -> RetrainingRequests:
        """The requests of this deployment (``PERENNIAL_DATABASE_URL``)."""
        return cls(Settings.from_environment().require("database_url"))

    def reserve(
        self, model: str, as_of: str, reason: str, cause: str, *, cooldown_days: int, per_month: int, today: date
    ) -> Reservation:
        """Ask whether monitoring may start a retraining for this as-of. Each as-of is asked and answered once.

        The same as-of again gets the same answer, also later and with another cool-down or budget: a repeated task
        starts the same run, or none. Checks and row are one transaction under the lock of the model.

        Parameters
        ----------
        cooldown_days : after a granted request, this many days pass before the next one is granted.
        per_month : requests that are granted within 30 days.
        today : the day of the request, in which cool-down and budget are counted.
        """
        with self._database.change(model, f"reserve a retraining of {model} for {as_of}") as connection:
            known = _request(connection, model, as_of)
            if known is not None:
                return Reservation(known.granted, known.run_id, known.answer)
            refusal = _refusal(_granted(connection, model), as_of, cooldown_days, per_month, today)
            run_id = f"monitor__{as_of}"
            row = {"model": model, "as_of": as_of, "run_id": run_id, "day": today.isoformat(), "cause": cause}
            answer = {"reason": reason, "granted": refusal is None, "answer": refusal or reason}
            connection.execute(insert(schema.retraining_request).values(**row, **answer))
        if refusal is None:
            log.info("A retraining of %s for %s is granted (%s): %s", model, as_of, run_id, reason)
        else:
            log.warning("A retraining of %s for %s is refused: %s", model, as_of, refusal)
        return Reservation(refusal is None, run_id, refusal or reason)

    def newest(self, model: str) -> RequestRow | None:
        """The request with the newest as-of, granted or refused."""
        r = schema.retraining_request
        query = select(r).where(r.c.model == model).order_by(r.c.as_of.desc()).limit(1)
        with self._database.read(f"read the newest request to retrain {model}") as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else RequestRow.of(row)


def _request(connection: Connection, model: str, as_of: str) -> RequestRow | None:
    r = schema.retraining_request
    row = connection.execute(select(r).where(r.c.model == model, r.c.as_of == as_of)).one_or_none()
    return None if row is None else RequestRow.of(row)


def _granted(connection: Connection, model: str) -> list[RequestRow]:
    """Granted requests of a model, by day."""
    r = schema.retraining_request
    query = select(r).where(r.c.model == model, r.c.granted).order_by(r.c.day, r.c.as_of)
    return [RequestRow.of(row) for row in connection.execute(query)]


def _refusal(granted: list[RequestRow], as_of: str, cooldown_days: int, per_month: int, today: date) -> str | None:
    """Why a retraining is refused, in one sentence; ``None`` if it is not."""
    if not granted:
        return None
    newest = max(granted, key=lambda one: one.as_of)
    if as_of < newest.as_of:
        return f"Monitoring has already started a retraining for a newer day, {newest.as_of}."
    free = date.fromisoformat(granted[-1].day) + timedelta(days=cooldown_days)
    if today < free:
        return (
            f"Monitoring started a retraining on {granted[-1].day}, and the cool-down is {_days(cooldown_days)}: "
            f"the next one is possible from {free} (monitoring.cooldown_days)."
        )
    spent = [one for one in granted if today - MONTH < date.fromisoformat(one.day) <= today]
    if len(spent) >= per_month:
        free = date.fromisoformat(spent[len(spent) - per_month].day) + MONTH
        return (
            f"Monitoring has started {len(spent)} of at most {per_month} retrainings within {MONTH.days} days: the "
            f"next one is possible from {free} (monitoring.retrainings_per_month)."
        )
    return None


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"
