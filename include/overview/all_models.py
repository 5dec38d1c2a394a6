"""The rows of the Models page, from the folders, the ledger, Airflow's runs and the model server."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from include.overview.records import Filter, ModelOverview, Overview, Runs


def overview(
    runs: Runs | None, now: datetime, wanted: Filter | None = None, names: Collection[str] | None = None
) -> Overview:
    """How every model is. Never raises because a service is down: what it knows is unknown, and `problems` says so.

    Reads the folders and the ledger (four queries), and asks the model server at most half a second. Safe in a thread.

    Parameters
    ----------
    runs : of Airflow; ``None`` if they are not known.
    wanted : which models to show; ``None``: all.
    names : the models that the reader may see; ``None``: all. The headline counts only what is shown.
    """
    raise NotImplementedError


def model_overview(name: str, runs: Runs | None, now: datetime) -> ModelOverview | None:
    """The row of one model; ``None`` if neither a folder nor the ledger knows the name. ``runs`` may be of this model
    only."""
    raise NotImplementedError
