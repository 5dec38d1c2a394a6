"""The past of one model, the lineage of a version, and two versions side by side: from ledger and bundles."""

from __future__ import annotations

from datetime import datetime

from include.overview.records import Comparison, Lineage, ModelHistory, Runs

NEWEST = 60
"""Versions and decisions of a history, unless another number is asked for."""
CALENDAR_DAYS = 91


def history(
    name: str, runs: Runs | None, now: datetime, newest: int = NEWEST, days: int = CALENDAR_DAYS
) -> ModelHistory | None:
    """The past of a model; ``None`` if neither a folder nor the ledger knows the name.

    Raises
    ------
    TransientError : the ledger does not answer.
    """
    raise NotImplementedError


def lineage(name: str, version: int) -> Lineage | None:
    """Where a version comes from; ``None`` if the ledger has no such version.

    Raises
    ------
    TransientError : the ledger does not answer.
    """
    raise NotImplementedError


def compare(name: str, left: int, right: int) -> Comparison | None:
    """Two versions side by side; ``None`` if the ledger does not have both.

    Raises
    ------
    TransientError : the ledger does not answer.
    """
    raise NotImplementedError
