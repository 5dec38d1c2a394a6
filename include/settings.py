"""Locations of folders, databases and services, read from the environment only.

Every process of the stack (tasks, model server, command line) gets the same variables, so this is the whole
deployment configuration. Secrets are only ever read here; they are never logged and never part of a task's arguments.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from include.errors import ConfigurationError

PROJECT = Path(__file__).resolve().parent.parent
MOST_WORKERS = 64
UMASK = 0o077
"""Of every command that writes into the home: its files are readable by their owner only."""


@dataclass(frozen=True)
class Settings:
    """One deployment of Perennial.

    Attributes
    ----------
    home : folder of all local state (``PERENNIAL_HOME``, default ``<project>/var``).
    lake : folder of the Delta tables and raw batches (``PERENNIAL_LAKE``, default ``<home>/lake``).
    bundles : folder of bundles, twins and release records (``PERENNIAL_BUNDLES``, default ``<home>/bundles``).
    spool : folder of the model server's prediction spool (``PERENNIAL_SPOOL``, default ``<home>/spool``).
    models : additional folders holding model folders (``PERENNIAL_MODELS``, separated by ``:``).
    tracking_url : MLflow server (``MLFLOW_TRACKING_URI``), ``None`` if it is not set.
    tracking_public_url : the address of the same server as a browser sees it (``PERENNIAL_MLFLOW_PUBLIC_URL``).
    airflow_public_url : Airflow as a browser sees it (``AIRFLOW__API__BASE_URL``), for links.
    serving_url : model server (``PERENNIAL_SERVING_URL``).
    serving_public_url : the address of the same server outside of containers (``PERENNIAL_SERVING_PUBLIC_URL``).
    database_url : PostgreSQL of the ledger (``PERENNIAL_DATABASE_URL``), a SQLAlchemy URL.
    commit : the commit that the code was installed from, if the project is not a git repository (``PERENNIAL_COMMIT``).
    serving_token : bearer token of the model server (``PERENNIAL_SERVING_TOKEN``); ``None``: none asked for.
    serving_read_seconds : how long the model server waits for the head of a request, or for a body that makes no
        progress (``PERENNIAL_SERVING_READ_SECONDS``, default 20).
    serving_connections : open connections that it accepts (``PERENNIAL_SERVING_CONNECTIONS``, default 512), in each of
        its processes.
    serving_workers : its processes (``SERVING_WORKERS``, default 1).
    """

    home: Path
    lake: Path
    bundles: Path
    spool: Path
    models: tuple[Path, ...] = ()
    tracking_url: str | None = None
    tracking_public_url: str | None = None
    airflow_public_url: str | None = None
    serving_url: str | None = None
    serving_public_url: str | None = None
    commit: str | None = None
    database_url: str | None = field(default=None, repr=False)
    serving_token: str | None = field(default=None, repr=False)
    serving_read_seconds: float = 20.0
    serving_connections: int = 512
    serving_workers: int = 1

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the settings; cheap, so call it where they are needed rather than keeping them."""
        env = os.environ.get
        home = Path(env("PERENNIAL_HOME") or PROJECT / "var").expanduser().absolute()
        return cls(
            home=home,
            lake=Path(env("PERENNIAL_LAKE") or home / "lake"),
            bundles=Path(env("PERENNIAL_BUNDLES") or home / "bundles"),
            spool=Path(env("PERENNIAL_SPOOL") or home / "spool"),
            models=tuple(Path(p) for p in (env("PERENNIAL_MODELS") or "").split(":") if p),
            tracking_url=env("MLFLOW_TRACKING_URI") or None,
            tracking_public_url=env("PERENNIAL_MLFLOW_PUBLIC_URL") or env("MLFLOW_TRACKING_URI") or None,
            airflow_public_url=env("AIRFLOW__API__BASE_URL") or None,
            serving_url=env("PERENNIAL_SERVING_URL") or None,
            serving_public_url=env("PERENNIAL_SERVING_PUBLIC_URL") or env("PERENNIAL_SERVING_URL") or None,
            commit=env("PERENNIAL_COMMIT") or None,
            database_url=env("PERENNIAL_DATABASE_URL") or None,
            serving_token=env("PERENNIAL_SERVING_TOKEN") or None,
            serving_read_seconds=_number("PERENNIAL_SERVING_READ_SECONDS", 20.0, at_least=0.1),
            serving_connections=int(_number("PERENNIAL_SERVING_CONNECTIONS", 512, at_least=1)),
            serving_workers=_workers("SERVING_WORKERS"),
        )

    @property
    def matplotlib(self) -> Path:
        """Where matplotlib keeps the list of fonts that its first import makes (``MPLCONFIGDIR``): not in the home."""
        return self.home / "cache" / "matplotlib"

    def require(self, name: str) -> str:
        """Return the value of an optional setting, or raise with the variable to set.

        Raises
        ------
        ConfigurationError : the setting has no value.
        """
        value = getattr(self, name)
        if value is None:
            variable = {
                "tracking_url": "MLFLOW_TRACKING_URI",
                "tracking_public_url": "PERENNIAL_MLFLOW_PUBLIC_URL",
                "serving_url": "PERENNIAL_SERVING_URL",
                "database_url": "PERENNIAL_DATABASE_URL",
                "serving_token": "PERENNIAL_SERVING_TOKEN",
            }[name]
            raise ConfigurationError(
                f"{variable} is not set: `make run` sets it for everything that it starts; "
                f"elsewhere, set it to the address of that service."
            )
        return str(value)


def _workers(variable: str) -> int:
    value = os.environ.get(variable) or "1"
    if value.isdecimal() and 1 <= int(value) <= MOST_WORKERS:
        return int(value)
    number = float(value) if re.fullmatch(r"[+-]?\d+(\.\d+)?", value) else 1.0
    nearest = round(min(max(number, 1), MOST_WORKERS))
    raise ConfigurationError(
        f"{variable} is {value!r}: set it to the number of processes of the model server, a whole number from 1 to "
        f"{MOST_WORKERS} ({nearest})."
    )


def _number(variable: str, default: float, at_least: float) -> float:
    value = os.environ.get(variable)
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not at_least <= number < float("inf"):
        raise ConfigurationError(f"{variable} is {value!r}: set it to a number, at least {at_least:g} ({default:g}).")
    return number
