"""The users of PostgreSQL: a role for Airflow, one for MLflow, one for the ledger. None of them is a superuser.

Each owns one database and has no access to others. The administrator ``postgres`` of the embedded server has no
password: the server lets only the system user who runs the stack log in as administrator.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from include.stack import credentials
from include.stack.layout import Stack

ADMINISTRATOR = "postgres"
MAP = "perennial"

# Databases of an earlier release belong to the administrator. `REASSIGN OWNED` refuses the administrator's objects, so
# each object is named. A column's sequence and the type of a table's rows follow their table.
OWNERS = """
DO $$
DECLARE item record;
BEGIN
    FOR item IN
        SELECT format('SCHEMA %I', nspname) AS what FROM pg_namespace
        WHERE nspowner = current_user::text::regrole AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
        UNION ALL
        SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
                      WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE relowner = current_user::text::regrole AND relkind IN ('r', 'p', 'v', 'm', 'S')
          AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                          AND relkind = 'S' AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT format('TYPE %s', t.oid::regtype) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE typowner = current_user::text::regrole AND typtype IN ('e', 'd')
          AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
        UNION ALL
        SELECT format('ROUTINE %s', p.oid::regprocedure) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE proowner = current_user::text::regrole AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
    LOOP
        EXECUTE format('ALTER %s OWNER TO %I', item.what, {role});
    END LOOP;
END $$
"""


def logins(system_user: str) -> dict[str, str]:
    """Text of ``pg_hba.conf`` and ``pg_ident.conf``: who may log in, and as which role."""
    rules = [f"local all {ADMINISTRATOR} peer map={MAP}"]
    rules += [f"local {role} {role} scram-sha-256" for role in credentials.ROLES]
    head = "# Written by `make run` at every start.\n"
    return {
        "pg_hba.conf": head + "\n".join(rules) + "\n",
        "pg_ident.conf": f'{head}{MAP} "{system_user}" {ADMINISTRATOR}\n',
    }


@dataclass(frozen=True)
class Role:
    """A login that owns one database and has no access to others."""

    name: str
    database: str


def prepare(stack: Stack) -> None:
    """Create missing roles and databases of the embedded server; see `install`."""
    for name in credentials.ROLES:
        install(partial(connect, stack), Role(name, name), credentials.read(stack, f"database_{name}") or "")


def install(connect: Callable[[str], Any], role: Role, password: str) -> None:
    """Make a role and its database if they are missing, set the password, hand over what the administrator owns in it.

    Parameters
    ----------
    connect : an administrator's connection (psycopg2, autocommit) to the database of this name.
    """
    with closing(connect(ADMINISTRATOR)) as connection, connection.cursor() as cursor:
        _make(cursor, role, password)
    with closing(connect(role.database)) as connection, connection.cursor() as cursor:
        _hand_over(cursor, role)


def connect(stack: Stack, database: str) -> Any:
    """An administrator's connection to a database of the embedded server; each statement is its own transaction."""
    import psycopg2

    connection = psycopg2.connect(stack.database_url(database))
    connection.autocommit = True  # a database cannot be created in a transaction
    return connection


def _make(cursor: Any, role: Role, password: str) -> None:
    from psycopg2.extensions import encrypt_password
    from psycopg2.sql import SQL, Identifier

    name, database = Identifier(role.name), Identifier(role.database)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role.name])
    if not cursor.fetchall():
        cursor.execute(SQL("CREATE ROLE {}").format(name))
    # hashed here, so that the server never sees the password and cannot log it
    hashed = encrypt_password(password, role.name, cursor.connection, "scram-sha-256")
    cursor.execute(
        SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD %s").format(name), [hashed]
    )
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [role.database])
    if cursor.fetchall():
        cursor.execute(SQL("ALTER DATABASE {} OWNER TO {}").format(database, name))
    else:
        cursor.execute(SQL("CREATE DATABASE {} OWNER {} STRATEGY WAL_LOG").format(database, name))
    cursor.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))


def _hand_over(cursor: Any, role: Role) -> None:
    from psycopg2.sql import SQL, Identifier, Literal

    cursor.execute(SQL(OWNERS).format(role=Literal(role.name)))
    # since PostgreSQL 15 only the owner of a schema may create tables in it
    cursor.execute(SQL("ALTER SCHEMA public OWNER TO {}").format(Identifier(role.name)))
