"""The users of the embedded PostgreSQL: a role for Airflow, one for MLflow, one for the ledger; none is superuser.

Each owns one database and gets into no other. The administrator ``postgres`` has no password: the server takes the
system user who runs the stack for it, and nobody else.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from include.stack import credentials
from include.stack.layout import Stack

ADMINISTRATOR = "postgres"
MAP = "perennial"

# Databases of an earlier release belong to the administrator. `REASSIGN OWNED` refuses the administrator's objects, so
# each is named. A sequence of a column follows its table, and so does the type of a table's rows.
OWNERS = """
DO $$
DECLARE item record;
BEGIN
    FOR item IN
        SELECT format('SCHEMA %I', nspname) AS what FROM pg_namespace
        WHERE nspowner = 'postgres'::regrole AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
        UNION ALL
        SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW'
                      WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE relowner = 'postgres'::regrole AND relkind IN ('r', 'p', 'v', 'm', 'S')
          AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                          AND relkind = 'S' AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT format('TYPE %s', t.oid::regtype) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE typowner = 'postgres'::regrole AND typtype IN ('e', 'd')
          AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
        UNION ALL
        SELECT format('ROUTINE %s', p.oid::regprocedure) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE proowner = 'postgres'::regrole AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
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


def prepare(stack: Stack) -> None:
    """Make the roles and databases that are missing; give each role its password and what is in its database."""
    for role in credentials.ROLES:
        with closing(_connect(stack, ADMINISTRATOR)) as connection, connection.cursor() as cursor:
            _prepare_role(cursor, role, credentials.read(stack, f"database_{role}") or "")
        with closing(_connect(stack, role)) as connection, connection.cursor() as cursor:
            _hand_over(cursor, role)


def _connect(stack: Stack, database: str) -> Any:
    import psycopg2

    connection = psycopg2.connect(stack.database_url(database))
    connection.autocommit = True  # a database cannot be created in a transaction
    return connection


def _prepare_role(cursor: Any, role: str, password: str) -> None:
    from psycopg2.extensions import encrypt_password
    from psycopg2.sql import SQL, Identifier

    name = Identifier(role)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    if not cursor.fetchall():
        cursor.execute(SQL("CREATE ROLE {}").format(name))
    # hashed here: the server sees no password, so it can log none
    hashed = encrypt_password(password, role, cursor.connection, "scram-sha-256")
    cursor.execute(
        SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD %s").format(name), [hashed]
    )
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [role])
    if cursor.fetchall():
        cursor.execute(SQL("ALTER DATABASE {} OWNER TO {}").format(name, name))
    else:
        cursor.execute(SQL("CREATE DATABASE {} OWNER {} STRATEGY WAL_LOG").format(name, name))
    cursor.execute(SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))


def _hand_over(cursor: Any, role: str) -> None:
    from psycopg2.sql import SQL, Literal

    cursor.execute(SQL(OWNERS).format(role=Literal(role)))
