"""The outbox of the ledger: which alerts about incidents are due, and what became of each on each channel."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, case, literal, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert

from include.registry import schema
from include.registry.database import Database
from include.registry.incident_rows import IncidentRow, IncidentState, Severity
from include.settings import Settings

AT_ONCE = 1000  # alerts of one message
BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 120, 240, 480))
"""How long to wait after the first, second, ... try that failed. After one more try an alert is given up."""


@dataclass(frozen=True)
class AlertRow:
    """An alert. ``event``: opened, worse, closed, or report, which is about a day and has no incident of its own.

    ``tries`` are those of one channel before this one.
    """

    id: int
    event: str
    tries: int
    incident: IncidentRow | None = None
    day: str | None = None


class Claim:
    """Alerts that no other sender can claim while this object lives, and where to write what became of them."""

    def __init__(self, connection: Connection, channel: str, alerts: tuple[AlertRow, ...]) -> None:
        self._connection = connection
        self._channel = channel
        self.alerts = alerts

    def sent(self, now: datetime) -> None:
        """The channel has accepted the message; whatever else waits for it is due at once."""
        d = schema.delivery
        mine = d.c.channel == self._channel
        done = {"state": "sent", "sent_at": now, "tries": d.c.tries + 1, "next_at": None, "last_error": None}
        ids = [one.id for one in self.alerts]
        self._connection.execute(update(d).where(mine, d.c.alert.in_(ids)).values(**done))
        others = select(d.c.alert).where(mine, d.c.state == "waiting").with_for_update(skip_locked=True)
        self._connection.execute(update(d).where(mine, d.c.alert.in_(others)).values(next_at=None))

    def failed(self, now: datetime, error: str, final: bool = False) -> int:
        """The channel has not accepted the message; return how many alerts are given up. ``final``: do not retry."""
        d = schema.delivery
        given_up = 0
        for one in self.alerts:
            over = final or one.tries >= len(BACK_OFF)
            given_up += over
            values = {"state": "failed", "next_at": None} if over else {"next_at": now + BACK_OFF[one.tries]}
            where = (d.c.channel == self._channel, d.c.alert == one.id)
            self._connection.execute(update(d).where(*where).values(**values, tries=one.tries + 1, last_error=error))
        return given_up


class Alerts:
    """The outbox of one deployment. No connection is kept between calls.

    Alerts are queued by `include.registry.incidents` in the transaction that changes the incident.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    @classmethod
    def default(cls) -> Alerts:
        """The outbox of this deployment (``PERENNIAL_DATABASE_URL``)."""
        return cls(Settings.from_environment().require("database_url"))

    def queue_report(self, day: str) -> bool:
        """Queue the list of open incidents, at most once for each day; return whether it was. Without any: not."""
        i = schema.incident.c
        some = select(literal("report"), literal(day)).where(
            select(i.number).where(i.state != IncidentState.CLOSED).exists()
        )
        new = upsert(schema.alert).from_select(["event", "day"], some).on_conflict_do_nothing()
        with self._database.write(f"queue the report of {day}") as connection:
            return connection.execute(new).rowcount == 1

    def waiting(self) -> list[int]:
        """The alerts that are not settled, by their ids, oldest first."""
        a = schema.alert.c
        with self._database.read("read the alerts that are due") as connection:
            return list(connection.execute(select(a.id).where(a.settled_at.is_(None)).order_by(a.id)).scalars())

    @contextmanager
    def claimed(
        self, alerts: Collection[int], channel: str, name: str, now: datetime, *, only_critical: bool = False
    ) -> Iterator[Claim]:
        """Claim those of the alerts that are due on a channel, while the block runs; empty if there are none.

        The claim is a lock of their rows, which ends with the process: alerts of a sender that was killed are due
        again at once. What the block writes is committed at its end.

        Parameters
        ----------
        channel : identifies the channel without revealing its address; ``name`` is for people.
        only_critical : leave out warnings and reports.
        """
        d, a, i = schema.delivery, schema.alert, schema.incident
        both = a.outerjoin(i, a.c.incident == i.c.number)
        about = i.c.severity == Severity.CRITICAL if only_critical else true()
        due = select(a.c.id, literal(channel), literal(name)).select_from(both).where(a.c.id.in_(alerts), about)
        new = upsert(d).from_select(["alert", "channel", "name"], due.where(a.c.settled_at.is_(None)))
        with self._database.write("note the channel of the alerts that are due") as connection:
            connection.execute(new.on_conflict_do_nothing())
        mine = (d.c.channel == channel, d.c.state == "waiting", d.c.alert.in_(alerts))
        query = (
            select(d.c.tries, a.c.id, a.c.event, a.c.day, i)
            .select_from(both.join(d, d.c.alert == a.c.id))
            .where(*mine, d.c.next_at.is_(None) | (d.c.next_at <= now))
            .order_by(a.c.id)
            .limit(AT_ONCE)
            .with_for_update(of=d, skip_locked=True)
        )
        with self._database.write("claim the alerts that are due") as connection:
            rows = connection.execute(query)
            yield Claim(
                connection,
                channel,
                tuple(
                    AlertRow(row.id, row.event, row.tries, None if row.number is None else IncidentRow.of(row), row.day)
                    for row in rows
                ),
            )

    def settle(self, alerts: Collection[int], channels: Collection[str], now: datetime) -> dict[str, int]:
        """Settle those of the alerts that wait for none of these channels; return how many by outcome.

        ``sent`` : at least one channel accepted it. ``failed`` : every channel was given up. ``page`` : it was for no
        channel, so it is on the page only.
        """
        a, d = schema.alert, schema.delivery
        its = select(d.c.alert).where(d.c.alert == a.c.id)
        waits = its.where(d.c.state == "waiting", d.c.channel.in_(channels)).exists()
        outcome = case(
            (its.where(d.c.state == "sent").exists(), "sent"),
            (its.where(d.c.state == "failed").exists(), "failed"),
            else_="page",
        )
        change = update(a).where(a.c.id.in_(alerts), a.c.settled_at.is_(None), ~waits)
        with self._database.write("settle the alerts") as connection:
            done = connection.execute(change.values(settled_at=now, outcome=outcome).returning(a.c.outcome)).scalars()
            found = list(done)
        return {name: found.count(name) for name in ("sent", "failed", "page")}
