"""Perennial in a notebook: load a version and score with it, and read rows, quarantine, predictions and decisions.

``from include import perennial``. Every table comes as a pandas DataFrame. See README.md in this folder.

Importing it takes no time: pandas, onnxruntime and the others are imported by the first call that needs them. All calls
read; none changes anything. They find the deployment as the commands do: ``PERENNIAL_HOME``, or the folder ``var`` of
the project, wherever the notebook runs. Only `decisions` needs a running stack, or ``PERENNIAL_DATABASE_URL``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from include.perennial.loaded import Loaded

__all__ = ["decisions", "load", "predictions", "quarantine", "rows"]


def load(model: str, version: int | str = "champion") -> Loaded:
    """A packaged version of a model, ready to score; every byte of its bundle is verified.

    Parameters
    ----------
    version : its number (``7``), or ``"champion"``, the version that serves.

    Raises
    ------
    ConfigurationError : no such model or version, or nothing serves; names the nearest valid value.
    IntegrityError : the bundle is damaged.
    """
    from include.perennial import loaded

    return loaded.load(model, version)


def rows(model: str, first: str, last: str | None = None) -> pd.DataFrame:
    """The validated rows of some days: all declared columns, the label among them, and ``partition``, the day.

    Parameters
    ----------
    first, last : partition keys (``"2026-05-03"``), both included; without ``last``, only the first day.

    Raises
    ------
    ConfigurationError : no such model, a day that is none, or days in the wrong order.
    DataError : no day of them is published; names those that are.
    """
    from include.perennial import tables

    return tables.rows(model, first, last)


def quarantine(model: str, first: str | None = None, last: str | None = None) -> pd.DataFrame:
    """The rows that failed an expectation, newest day first.

    Parameters
    ----------
    first, last : partition keys, both included; without ``last``, only the first day; without both, all days.

    Returns
    -------
    DataFrame with ``partition``; ``expectation``, what the row failed; ``column`` and ``value``, what it is about;
    ``key`` and ``row``, as JSON texts. It is empty if nothing is in quarantine.

    Raises
    ------
    ConfigurationError : as `rows`. DataError : no day was collected yet.
    """
    from include.perennial import tables

    return tables.quarantine(model, first, last)


def predictions(model: str, first: str | None = None, last: str | None = None) -> pd.DataFrame:
    """The predictions of the model server for the events of some days, one for each event, with their labels.

    If there are several of one event, the one counts that monitoring counts: the last one before the event.
    Predictions arrive in the lake within 15 minutes.

    Parameters
    ----------
    first, last : days of the events, both included; without ``last``, only the first day; without both, the seven days
        up to the newest event that was predicted.

    Returns
    -------
    DataFrame with ``partition``, ``key`` (JSON text), ``event_time``, ``version``, ``score`` (or ``label_predicted``
    and ``scores.<class>`` for more than two classes), ``label`` (missing until it is known), ``predicted_at``,
    ``late`` (made after the event), ``predictions`` (how many of this event), ``request_id`` and ``row``.

    Raises
    ------
    ConfigurationError, DataError : as `quarantine`.
    """
    from include.perennial import tables

    return tables.predictions(model, first, last)


def decisions(model: str) -> pd.DataFrame:
    """What the gate decided about a model, newest first.

    Returns
    -------
    DataFrame with ``decided_at``, ``as_of``, ``verdict``, ``version``, ``reason``, ``run_id`` and ``checks``.

    Raises
    ------
    ConfigurationError : no such model; no stack runs, and ``PERENNIAL_DATABASE_URL`` is not set.
    TransientError : the ledger did not answer.
    """
    from include.perennial import ledger

    return ledger.decisions(model)
