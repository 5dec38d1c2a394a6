"""The days of every model in the ledger: which were published, empty, rejected or failed, with how many rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select, true
from sqlalchemy.dialects.postgresql import insert as upsert

from include.registry import schema
from include.registry.database import Database
from include.registry.rows import DayRow
from include.settings import Settings

AT_ONCE = 1000  # rows of one statement


class Days:
    """The table ``day`` of one deployment. No connection is kept between calls."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    @classmethod
    def default(cls) -> Days:
        """The days of this deployment (``PERENNIAL_DATABASE_URL``)."""
        return cls(Settings.from_environment().require("database_url"))

    def now(self) -> datetime:
        """The time of the ledger's clock."""
        with self._database.read("read the time") as connection:
            found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return found

    def record(self, days: Sequence[DayRow], unless_since: datetime | None = None) -> None:
        """Record what became of days, in one transaction. The same days again change nothing but the time.

        The newest report about a day counts, with two exceptions: a source that fails does not replace what is known
        about earlier batches, and rows that were published stay when a newer batch is rejected.

        Parameters
        ----------
        unless_since : leave out days that were recorded at or after this moment, because the report is older.
        """
        newest = {(day.model, day.key): day for day in days}
        ordered = [newest[name] for name in sorted(newest)]  # always in this order: no deadlock between two writers
        d = schema.day.c
        old = true() if unless_since is None else d.at < unless_since
        with self._database.write(f"record {len(ordered)} days") as connection:
            for begin in range(0, len(ordered), AT_ONCE):
                values = [
                    {name: value for name, value in vars(day).items() if name != "at"}
                    for day in ordered[begin : begin + AT_ONCE]
                ]
                new = upsert(schema.day).values(values)
                changes = {name: new.excluded[name] for name in ("state", "quarantined", "reason", "batch", "run_id")}
                connection.execute(
                    new.on_conflict_do_update(
                        index_elements=[d.model, d.key],
                        set_={
                            **changes,
                            "rows": func.coalesce(new.excluded.rows, d.rows),
                            "at": func.clock_timestamp(),
                        },
                        where=old & ((new.excluded.state != "failed") | (d.state == "failed")),
                    )
                )

    def of(self, model: str, first: str, last: str) -> list[DayRow]:
        """The recorded days of a model between two keys, both included, oldest first."""
        d = schema.day.c
        query = select(schema.day).where(d.model == model, d.key >= first, d.key <= last).order_by(d.key)
        with self._database.read(f"read the days of {model}") as connection:
            return [DayRow.of(row) for row in connection.execute(query)]

    def never_recorded(self, models: Collection[str]) -> list[str]:
        """Those of these models of which no day is recorded."""
        if not models:
            return []
        names = func.unnest(sorted(models)).table_valued("name")
        any_day = select(schema.day.c.key).where(schema.day.c.model == names.c.name).exists()
        with self._database.read("read which models have days") as connection:
            return list(connection.execute(select(names.c.name).where(~any_day).order_by(names.c.name)).scalars())
