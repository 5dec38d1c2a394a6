"""`make monitor`: days of one model measured in this process, with the ledger and the lake of the running stack."""

from __future__ import annotations

from include.settings import Settings
from include.stack.layout import Stack
from include.stack.night import runs_on


def monitor(stack: Stack, model: str | None, first: str | None, last: str | None) -> int:
    """Monitor the days from ``first`` to ``last``; the exit status.

    Raises
    ------
    ConfigurationError : no such model or day; no stack runs on this home, and no deployment's ledger is named by
        ``PERENNIAL_DATABASE_URL``.
    """
    if Settings.from_environment().database_url is None:
        runs_on(stack)
    from include.monitoring import command

    return command.monitor_days(model, first, last)
