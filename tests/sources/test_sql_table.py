"""A table of a real PostgreSQL by day. No message contains an address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from include.errors import ConfigurationError, TransientError
from include.sources import EventTime, SqlTable, from_environment
from include.sources.connections import for_sqlalchemy
from include.sources.sql_table import _array
from tests.services import shared

ZONE = "Europe/Berlin"
DAY = date(2024, 3, 31)  # 23 hours long in this timezone


@pytest.fixture(scope="module")
def database(pytestconfig: pytest.Config) -> Iterator[tuple[str, sa.Engine]]:
    address = shared(pytestconfig).new_database("sources_of_tests")
    engine = sa.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA sales"))
        connection.execute(
            sa.text(
                'CREATE TABLE sales.orders ("bought at" timestamptz, wall timestamp, day date, price numeric(9, 2), '
                "id uuid DEFAULT gen_random_uuid(), words text)"
            )
        )
        for moment in ("2024-03-30 22:59:59+00", "2024-03-30 23:00+00", "2024-03-31 21:59+00", "2024-03-31 22:00+00"):
            connection.execute(
                sa.text(
                    "INSERT INTO sales.orders SELECT t, t AT TIME ZONE :zone, (t AT TIME ZONE :zone)::date, 12.5, "
                    "gen_random_uuid(), 'x' FROM (SELECT CAST(:moment AS timestamptz) AS t) AS s"
                ),
                {"zone": ZONE, "moment": moment},
            )
    yield address, engine
    engine.dispose()


@pytest.mark.parametrize("column", ["bought at", "wall", "day"])
def test_a_local_day_of_every_kind_of_time(database: tuple[str, sa.Engine], column: str) -> None:
    connections = {"shop": database[0]}
    source = SqlTable("shop", "sales.orders", EventTime(column, timezone=ZONE))
    assert source.counts(connections) == {date(2024, 3, 30): 1, DAY: 2, date(2024, 4, 1): 1}
    found = source.between(DAY, DAY, connections)
    assert found.num_rows == 2 and found["price"].to_pylist() == [12.5, 12.5]
    assert all(isinstance(value, str) for value in found["id"].to_pylist())
    assert source.between(date(2020, 1, 1), date(2020, 1, 1), connections).num_rows == 0


def test_the_query_of_a_day_uses_bound_parameters(database: tuple[str, sa.Engine]) -> None:
    asked: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        SqlTable("shop", "sales.orders", EventTime("bought at", timezone=ZONE)).between(DAY, DAY, {"shop": database[0]})
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)
    statement, parameters = asked[-1]
    assert "WHERE" in statement and "2024" not in statement and len(parameters) == 2


def test_a_missing_table_schema_column_or_connection_is_named(database: tuple[str, sa.Engine]) -> None:
    def ask(table: str, column: str = "wall") -> None:
        SqlTable("shop", table, EventTime(column, timezone=ZONE)).counts({"shop": database[0]})

    with pytest.raises(ConfigurationError, match=r"no table or view 'sales.order'; did you mean 'orders'"):
        ask("sales.order")
    with pytest.raises(ConfigurationError, match=r"no schema 'sale'; did you mean 'sales'"):
        ask("sale.orders")
    with pytest.raises(ConfigurationError, match="no column 'walls'; did you mean 'wall'"):
        ask("sales.orders", "walls")
    with pytest.raises(ConfigurationError, match="is of type TEXT: .* Make a view that casts it"):
        ask("sales.orders", "words")
    with pytest.raises(ConfigurationError, match="connection 'shop' was not handed over; did you mean 'shops'"):
        SqlTable("shop", "orders", EventTime("wall")).counts({"shops": database[0]})


def test_no_error_contains_a_password() -> None:
    source = SqlTable("shop", "orders", EventTime("wall"))
    with pytest.raises(TransientError) as away:
        source.counts({"shop": "postgres://reader:s3cret@127.0.0.1:1/sales"})
    assert (
        "s3cret" not in str(away.value) and away.value.__cause__ is None and "'shop' did not answer" in str(away.value)
    )
    with pytest.raises(ConfigurationError) as unknown:
        source.counts({"shop": "nosuchdb://reader:s3cret@127.0.0.1/sales"})
    assert "s3cret" not in str(unknown.value) and unknown.value.__cause__ is None


def test_connections_come_from_the_environment_as_airflow_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", "postgres://u:p@h:5432/db")
    monkeypatch.setenv(
        "AIRFLOW_CONN_OTHER",
        '{"conn_type": "postgres", "login": "u", "password": "p@ss", "host": "h", "port": 5432, "schema": "db"}',
    )
    found = from_environment(["shop", "other"])
    assert found == {"shop": "postgres://u:p@h:5432/db", "other": "postgres://u:p%40ss@h:5432/db"}
    assert for_sqlalchemy(found["shop"]).startswith("postgresql+psycopg2://u:p@h")
    with pytest.raises(ConfigurationError, match="set AIRFLOW_CONN_NOWHERE to its URI"):
        from_environment(["nowhere"])
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", '{"password": "s3cret"}')
    with pytest.raises(ConfigurationError) as broken:
        from_environment(["broken"])
    assert "s3cret" not in str(broken.value)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([Decimal(2**62 + 1), None], [2**62 + 1, None]),  # NUMERIC(20, 0)
        ([Decimal(2**64 + 1), Decimal(7)], [str(2**64 + 1), "7"]),
        ([2**64 + 1, None, 7], [str(2**64 + 1), None, "7"]),  # UNSIGNED BIGINT
        ([None, Decimal("1.50"), Decimal(2)], [None, 1.5, 2.0]),
        ([Decimal("NaN"), Decimal(2)], [None, 2.0]),
        ([3, None, 2**62], [3, None, 2**62]),
    ],
)
def test_whole_numbers_of_a_database_keep_their_digits(values: list[Any], kept: list[Any]) -> None:
    found = _array(values).to_pylist()
    assert [None if value != value else value for value in found] == kept
