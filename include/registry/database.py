"""Access to the ledger's PostgreSQL: addresses, connections, locks, and errors turned into ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Connection, Engine, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from include.errors import ConfigurationError, IntegrityError, TransientError
from include.registry import schema
from include.spelling import did_you_mean

LOCK_SECONDS = 60  # longest wait for another process's transition or projection of the same model
RECORD = 0x70726F6A  # "proj": first key of the advisory locks under which release records are written
MLFLOW = 0x6D6C666C  # "mlfl": first key of those under which MLflow is written


class Database:
    """Connections to one PostgreSQL. None is kept between calls, so it can be used after a fork."""

    def __init__(self, url: str) -> None:
        self._url = _psycopg2(url)

    def __repr__(self) -> str:
        return f"Database({self._url.render_as_string(hide_password=True)!r})"

    def migrate(self) -> int:
        """See `include.registry.schema.migrate`."""
        with self._speaking("migrate the ledger's schema"):
            return schema.migrate(self._engine())

    @contextmanager
    def change(self, model: str, what: str) -> Iterator[Connection]:
        """One transaction that holds the row lock of the model; committed at the end, rolled back on any error."""
        with self._speaking(what), self._engine().begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            connection.execute(upsert(schema.champion).values(model=model).on_conflict_do_nothing())
            connection.execute(
                select(schema.champion.c.model).where(schema.champion.c.model == model).with_for_update()
            )
            yield connection

    @contextmanager
    def write(self, what: str) -> Iterator[Connection]:
        """One transaction without the lock of a model, for facts that no transition depends on."""
        with self._speaking(what), self._engine().begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            yield connection

    @contextmanager
    def read(self, what: str) -> Iterator[Connection]:
        with self._speaking(what), self._engine().connect() as connection:
            yield connection

    @contextmanager
    def locked(self, model: str, what: int) -> Iterator[None]:
        """Hold an advisory lock of a model's projections (`RECORD` or `MLFLOW`); see `Ledger.locked`."""
        with self._speaking(f"lock the projection of {model}"):
            connection = self._engine().connect()
        try:
            with self._speaking(f"lock the projection of {model}"):
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
                connection.execute(select(func.pg_advisory_xact_lock(what, func.hashtext(model))))
            yield
        finally:
            connection.close()

    def _engine(self) -> Engine:
        return _engine(self._url, os.getpid())

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Turn the database's errors into ours: without the password, and without the values of the statement."""
        try:
            yield
        except SQLAlchemyError as error:
            raise _translated(error, what, self._url) from None


def _psycopg2(url: str) -> URL:
    """A PostgreSQL address for psycopg2, from any of its usual forms."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "PERENNIAL_DATABASE_URL is not a database address: write postgresql://user:password@host:5432/database."
        ) from None
    known = ("postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg")
    if parsed.drivername not in known:
        raise ConfigurationError(
            f"the ledger needs PostgreSQL, not {parsed.drivername!r}{did_you_mean(parsed.drivername, known)}."
        )
    return parsed.set(drivername="postgresql+psycopg2")


@lru_cache(maxsize=8)
def _engine(url: URL, process: int) -> Engine:
    """One engine per process (so that a fork creates its own); no connection outlives its use."""
    return create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": 10, "application_name": "perennial", "options": "-c timezone=UTC"},
    )


def _translated(error: SQLAlchemyError, what: str, url: URL) -> Exception:
    where = url.render_as_string(hide_password=True)
    reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
    if url.password:
        reason = reason.replace(str(url.password), "***")
    code = getattr(getattr(error, "orig", None), "pgcode", None) or ""
    if code in ("42P01", "3F000"):
        return ConfigurationError(f"could not {what}: {where} has no ledger yet. Call Ledger.migrate() once, first.")
    temporary = type(error).__name__ in ("OperationalError", "InterfaceError")
    if temporary or code[:2] in ("08", "40", "53", "55", "57") or getattr(error, "connection_invalidated", False):
        return TransientError(f"could not {what}: the ledger at {where} did not answer as expected: {reason}")
    if isinstance(error, DBAPIError):
        return IntegrityError(f"could not {what}: the ledger at {where} refused: {reason}")
    return error
