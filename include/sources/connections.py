"""Addresses of databases: named by connections, never written into code, and converted for SQLAlchemy."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from urllib.parse import quote, urlencode

from include.errors import ConfigurationError

PREFIX = "AIRFLOW_CONN_"
# Airflow's names of connection types whose dialect has another name in SQLAlchemy.
DIALECTS = {"postgres": "postgresql+psycopg2", "postgresql": "postgresql+psycopg2", "mysql": "mysql+pymysql"}
_WITH_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def from_environment(names: Iterable[str]) -> dict[str, str]:
    """URIs by name from ``AIRFLOW_CONN_<NAME>`` (a URI, or Airflow's JSON), for use outside of Airflow.

    Raises
    ------
    ConfigurationError : a variable is not set, or its JSON cannot be read. The value is never part of the message.
    """
    found = {}
    for name in names:
        variable = f"{PREFIX}{name.upper()}"
        value = os.environ.get(variable, "").strip()
        if not value:
            raise ConfigurationError(
                f"the connection {name!r} is not known here: set {variable} to its URI, e.g. "
                f"export {variable}='postgresql://user:password@host:5432/database' (Airflow reads the same variable)."
            )
        found[name] = _uri_of_json(variable, value) if value.startswith("{") else value
    return found


def for_sqlalchemy(uri: str) -> str:
    """A connection's URI with the dialect that SQLAlchemy knows."""
    scheme, separator, rest = uri.partition("://")
    return f"{DIALECTS.get(scheme, scheme.replace('-', '+'))}{separator}{rest}"


def holds_password(text: str) -> bool:
    """Whether a text is an address with a password in it."""
    return bool(_WITH_PASSWORD.search(text))


def _uri_of_json(variable: str, value: str) -> str:
    try:
        part = json.loads(value)
        kind = str(part["conn_type"])
        extra = part.get("extra") or {}
        extra = json.loads(extra) if isinstance(extra, str) else extra
        port = f":{int(part['port'])}" if part.get("port") else ""
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{variable} holds no connection in Airflow's JSON (conn_type, host, ...).") from None
    login = quote(str(part.get("login") or ""), safe="")
    password = f":{quote(str(part['password']), safe='')}" if part.get("password") else ""
    at = "@" if login or password else ""
    host = quote(str(part.get("host") or ""), safe="")
    query = f"?{urlencode({k: str(v) for k, v in extra.items()})}" if extra else ""
    return f"{kind}://{login}{password}{at}{host}{port}/{quote(str(part.get('schema') or ''), safe='/')}{query}"
