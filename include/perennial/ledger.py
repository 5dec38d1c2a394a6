"""The gate's decisions as a DataFrame, from the ledger of the running stack or of a deployment."""

from __future__ import annotations

import pandas as pd

from include import catalog
from include.errors import ConfigurationError
from include.registry.ledger import Ledger
from include.settings import Settings
from include.stack import environment, leftovers
from include.stack.layout import Stack

COLUMNS = ["decided_at", "as_of", "verdict", "version", "reason", "run_id", "checks"]


def decisions(name: str) -> pd.DataFrame:
    """`include.perennial.decisions`."""
    model = catalog.load(name).name
    found = [row.as_dict() for row in Ledger(_address()).all_decisions(model)]
    frame = pd.DataFrame(found, columns=COLUMNS)
    frame["decided_at"] = pd.to_datetime(frame["decided_at"], utc=True)
    return frame.astype({"version": "Int64"})


def _address() -> str:
    """The database of the ledger. The environment of the notebook does not change."""
    if (named := Settings.from_environment().database_url) is not None:
        return named
    stack = Stack.from_environment()
    if not leftovers.owner(stack):
        raise ConfigurationError(
            f"decisions are in the ledger, and no stack runs on {stack.home}: start it with `make run`, or set "
            "PERENNIAL_HOME to the home of a running one (PERENNIAL_DATABASE_URL for a deployment)."
        )
    return environment.perennial_environment(stack.as_recorded())["PERENNIAL_DATABASE_URL"]
