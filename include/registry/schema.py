"""The tables of the ledger, and the function that brings a database up to date.

The tables are declared twice on purpose: as SQL (`include.registry.migrations`), which defines the database and never
changes once released, and as SQLAlchemy tables, which define what today's code reads. A test compares them.
"""

from __future__ import annotations

import logging

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Engine, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from include.errors import ConfigurationError
from include.registry.migrations import MIGRATIONS as MIGRATIONS

log = logging.getLogger(__name__)

SCHEMA = "perennial"
MIGRATION_LOCK = 0x7065726E  # "pern": the advisory lock under which migrations run

metadata = MetaData(schema=SCHEMA)

version = Table(
    "version",
    metadata,
    Column("model", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("run_id", Text),
    Column("candidate", Text),
    Column("recipe", JSONB),
    Column("twin", Text),
    Column("twin_first", Text),
    Column("twin_last", Text),
    Column("metrics", JSONB),
    Column("bundle", Text),
    Column("state", Text),
    Column("created_at", DateTime(timezone=True)),
)

champion = Table(
    "champion",
    metadata,
    Column("model", Text, primary_key=True),
    Column("version", Integer),
    Column("digest", Text),
    Column("epoch", BigInteger),
    Column("frozen", Boolean),
    Column("frozen_reason", Text),
    Column("run_id", Text),
    Column("since", DateTime(timezone=True)),
)

decision = Table(
    "decision",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("model", Text),
    Column("run_id", Text),
    Column("as_of", Text),
    Column("verdict", Text),
    Column("reason", Text),
    Column("version", Integer),
    Column("parameters", JSONB),
    Column("code_digest", Text),
    Column("snapshot_digest", Text),
    Column("checks", JSONB),
    Column("decided_at", DateTime(timezone=True)),
    Column("figures", JSONB(none_as_null=True)),
    Column("evidence", JSONB(none_as_null=True)),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("at", DateTime(timezone=True)),
    Column("actor", Text),
    Column("action", Text),
    Column("model", Text),
    Column("version", Integer),
    Column("from_version", Integer),
    Column("epoch", BigInteger),
    Column("reason", Text),
    Column("run_id", Text),
)

version_number = Table(
    "version_number",
    metadata,
    Column("model", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("run_id", Text),
    Column("mlflow_run_id", Text),
    Column("mlflow_version", Integer),
    Column("allocated_at", DateTime(timezone=True)),
)

day = Table(
    "day",
    metadata,
    Column("model", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("state", Text),
    Column("rows", BigInteger),
    Column("quarantined", BigInteger),
    Column("reason", Text),
    Column("batch", Text),
    Column("run_id", Text),
    Column("at", DateTime(timezone=True)),
)

incident = Table(
    "incident",
    metadata,
    Column("number", BigInteger, primary_key=True),
    Column("model", Text),
    Column("kind", Text),
    Column("cause", Text),
    Column("severity", Text),
    Column("state", Text),
    Column("since", Text),
    Column("what", Text),
    Column("how_bad", Text),
    Column("done", Text),
    Column("todo", Text),
    Column("page", Text),
    Column("looks", BigInteger),
    Column("began", DateTime(timezone=True)),
    Column("run_id", Text),
    Column("muted", Boolean),
    Column("opened_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
    Column("acknowledged_at", DateTime(timezone=True)),
    Column("acknowledged_by", Text),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_by", Text),
    Column("reason", Text),
)

look = Table(
    "look",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("began", DateTime(timezone=True)),
    Column("run_id", Text),
)

alert = Table(
    "alert",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("incident", BigInteger),
    Column("event", Text),
    Column("day", Text),
    Column("queued_at", DateTime(timezone=True)),
    Column("settled_at", DateTime(timezone=True)),
    Column("outcome", Text),
)

delivery = Table(
    "delivery",
    metadata,
    Column("alert", BigInteger, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("name", Text),
    Column("state", Text),
    Column("tries", Integer),
    Column("next_at", DateTime(timezone=True)),
    Column("sent_at", DateTime(timezone=True)),
    Column("last_error", Text),
)

retraining_request = Table(
    "retraining_request",
    metadata,
    Column("model", Text, primary_key=True),
    Column("as_of", Text, primary_key=True),
    Column("run_id", Text),
    Column("day", Text),
    Column("cause", Text),
    Column("reason", Text),
    Column("granted", Boolean),
    Column("answer", Text),
    Column("at", DateTime(timezone=True)),
)


def migrate(engine: Engine, migrations: tuple[tuple[int, str], ...] = MIGRATIONS) -> int:
    """Bring the schema to the newest migration and return its number; many processes may call this at once.

    Raises
    ------
    ConfigurationError : the database is ahead of this code (a newer Perennial has migrated it).
    """
    newest = migrations[-1][0]
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {SCHEMA}.schema_version "
                "(number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
            )
        )
        current = connection.execute(text(f"SELECT coalesce(max(number), 0) FROM {SCHEMA}.schema_version")).scalar_one()
        if current > newest:
            raise ConfigurationError(
                f"The ledger's schema is at version {current} and this code knows {newest}: a newer Perennial has "
                f"migrated this database. Run the newer code, or give this one a database of its own."
            )
        for number, statements in migrations:
            if number > current:
                connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
                connection.execute(text(f"INSERT INTO {SCHEMA}.schema_version (number) VALUES (:n)"), {"n": number})
                log.info("The ledger's schema was migrated to version %d.", number)
    return int(newest)
