"""The tables of the ledger and the numbered migrations that create them; a later change appends a migration.

The tables are declared twice on purpose: as SQL, which defines the database and never changes once released,
and as SQLAlchemy tables, which define what today's code reads. A test compares them.
"""

from __future__ import annotations

import logging

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Engine, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from include.errors import ConfigurationError

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

FIRST = """
CREATE TABLE perennial.version (
    model       text        NOT NULL,
    version     integer     NOT NULL CHECK (version > 0),
    run_id      text        NOT NULL,
    candidate   text        NOT NULL,
    recipe      jsonb       NOT NULL,
    twin        text        NOT NULL,
    twin_first  text        NOT NULL,
    twin_last   text        NOT NULL,
    metrics     jsonb       NOT NULL,
    bundle      text,
    state       text        NOT NULL
        CHECK (state IN ('challenger', 'packaged', 'champion', 'retired', 'rejected', 'held', 'failed')),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, version),
    UNIQUE (model, run_id),
    CHECK (bundle IS NOT NULL OR state NOT IN ('packaged', 'champion', 'retired', 'failed'))
);
-- at most one champion of a model, whatever the code above this line does
CREATE UNIQUE INDEX one_champion ON perennial.version (model) WHERE state = 'champion';

-- version NULL: nothing serves (never released, or taken out of service); the epoch stays and only grows
CREATE TABLE perennial.champion (
    model         text        PRIMARY KEY,
    version       integer,
    digest        text,
    epoch         bigint      NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    frozen        boolean     NOT NULL DEFAULT false,
    frozen_reason text,
    run_id        text,
    since         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((version IS NULL) = (digest IS NULL)),
    FOREIGN KEY (model, version) REFERENCES perennial.version (model, version)
);

CREATE TABLE perennial.decision (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model           text        NOT NULL,
    run_id          text        NOT NULL,
    as_of           text        NOT NULL,
    verdict         text        NOT NULL CHECK (verdict IN ('promote', 'hold', 'reject')),
    reason          text        NOT NULL,
    version         integer,
    parameters      jsonb       NOT NULL,
    code_digest     text        NOT NULL,
    snapshot_digest text        NOT NULL,
    checks          jsonb       NOT NULL,
    decided_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (model, run_id)
);
CREATE INDEX decision_newest ON perennial.decision (model, decided_at DESC, id DESC);

CREATE TABLE perennial.audit (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text        NOT NULL,
    action       text        NOT NULL,
    model        text        NOT NULL,
    version      integer,
    from_version integer,
    epoch        bigint,
    reason       text        NOT NULL,
    run_id       text
);
CREATE INDEX audit_of_model ON perennial.audit (model, id);

CREATE FUNCTION perennial.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'perennial.audit is append-only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON perennial.audit
    FOR EACH STATEMENT EXECUTE FUNCTION perennial.refuse_change();
CREATE FUNCTION perennial.epoch_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.epoch < OLD.epoch
       OR (NEW.epoch = OLD.epoch AND (NEW.version, NEW.digest) IS DISTINCT FROM (OLD.version, OLD.digest)) THEN
        RAISE EXCEPTION 'perennial.champion: the epoch of % grows with every change and never falls', OLD.model;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER epoch_only_grows BEFORE UPDATE OR DELETE ON perennial.champion
    FOR EACH ROW EXECUTE FUNCTION perennial.epoch_only_grows();
"""

# Before this migration MLflow numbered the versions, so each has the same number there.
NUMBERS = """
CREATE TABLE perennial.version_number (
    model          text        NOT NULL,
    version        integer     NOT NULL CHECK (version > 0),
    run_id         text        NOT NULL,
    mlflow_run_id  text,
    -- NULL: not registered in MLflow (yet, or no longer)
    mlflow_version integer     CHECK (mlflow_version > 0),
    allocated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, version),
    UNIQUE (model, run_id),
    UNIQUE (model, mlflow_version)
);
INSERT INTO perennial.version_number (model, version, run_id, mlflow_version, allocated_at)
SELECT model, version, run_id, version, created_at FROM perennial.version;
"""

# What became of each day, and what a decision was made from, so that a page about all models reads neither lakes nor
# MLflow. Of older decisions only one figure is a number in the ledger; the others stay unknown.
OVERVIEW = """
CREATE TABLE perennial.day (
    model       text        NOT NULL,
    key         text        NOT NULL CHECK (key ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
    state       text        NOT NULL CHECK (state IN ('published', 'empty', 'rejected', 'failed')),
    -- that are published in the lake, by whichever batch; NULL: none were ever published
    rows        bigint      CHECK (rows >= 0),
    -- of the newest validated batch; NULL: not known
    quarantined bigint      CHECK (quarantined >= 0),
    reason      text        NOT NULL,
    batch       text,
    run_id      text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, key),
    CHECK (rows IS NOT NULL OR state NOT IN ('published', 'empty'))
);
ALTER TABLE perennial.decision ADD COLUMN figures jsonb, ADD COLUMN evidence jsonb;
UPDATE perennial.decision SET figures = jsonb_build_object('over_baseline', jsonb_build_object('value', found.value))
FROM (
    SELECT id, jsonb_path_query_first(checks, '$[*] ? (@.name == "better than the baseline").value') AS value
    FROM perennial.decision
) AS found
WHERE found.id = decision.id AND jsonb_typeof(found.value) = 'number';
CREATE INDEX audit_of_freezes ON perennial.audit (model, id) WHERE action IN ('freeze', 'unfreeze', 'rollback');
"""

MIGRATIONS: tuple[tuple[int, str], ...] = ((1, FIRST), (2, NUMBERS), (3, OVERVIEW))


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
