"""The rows of the Models page, from the folders, the ledger, Airflow's runs and the model server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from include import catalog
from include.errors import ConfigurationError, PerennialError, TransientError
from include.overview import days, model_server
from include.overview.health import shared_incidents
from include.overview.needs import headline, in_order, matches, shared_problems
from include.overview.records import Filter, ModelOverview, Overview, Runs
from include.overview.rows import Evidence, by_model, row
from include.registry.overview import LedgerView

log = logging.getLogger(__name__)

AirflowRuns = Runs | None | Callable[[], Runs | None]


def overview(
    runs: AirflowRuns,
    now: datetime,
    wanted: Filter | None = None,
    names: Collection[str] | None = None,
    patience: float = model_server.PATIENCE,
) -> Overview:
    """How every model is. Never raises because a service is down: what it knows is unknown, and `problems` says so.

    Reads the folders and the ledger (one query a table), and asks the model server. Safe in a thread.

    Parameters
    ----------
    runs : of Airflow; ``None`` if they are not known. A function that reads them is called while the ledger is asked.
    wanted : which models to show; ``None``: all.
    names : the models that the reader may see; ``None``: all. The headline counts only what is shown.
    patience : seconds that the model server has for its answer.
    """
    entries = {entry.name: entry for entry in catalog.entries()}
    known, why = _evidence(entries, runs, now, patience=patience)
    champions = known.ledger.champions.values() if known.ledger else ()
    # without a folder, a champion or a freeze, a model is history: only its own page shows it
    listed = sorted({*entries, *(one.model for one in champions if one.version is not None or one.frozen)})
    found = [row(name, entries.get(name), known, now) for name in listed if names is None or name in names]
    problems = shared_problems(why, known.since is not None, known.server is not None)
    incidents = shared_incidents(known.ledger.incidents.get("", ()) if known.ledger else ())
    return shown(Overview(now, "", tuple(found), problems, incidents), wanted or Filter())


def shown(of: Overview, wanted: Filter) -> Overview:
    """The models of an overview that a filter leaves, in order, with the headline about them."""
    models = in_order([model for model in of.models if matches(model, wanted)])
    return replace(of, models=models, headline=headline(models, of.at, complete=not of.problems))


def model_overview(name: str, runs: Runs | None, now: datetime) -> ModelOverview | None:
    """The row of one model; ``None`` if neither a folder nor the ledger knows the name. ``runs`` may be of this model
    only.

    Raises
    ------
    TransientError : the model has no folder, and the ledger, which may know it, does not answer.
    """
    try:
        entry = catalog.entry(name)
    except ConfigurationError:
        entry = None
    known, why = _evidence({name: entry}, runs, now, only=True)
    if entry is None and known.ledger is None:
        raise TransientError(f"{name} has no folder, and the ledger does not answer: {why}")
    if entry is None and known.ledger is not None and name not in known.ledger.champions:
        return None
    return row(name, entry, known, now)


def _evidence(
    entries: Mapping[str, catalog.Entry | None],
    runs: AirflowRuns,
    now: datetime,
    only: bool = False,
    patience: float = model_server.PATIENCE,
) -> tuple[Evidence, str | None]:
    """What every source says, and why the ledger does not answer. All sources are asked at once."""
    names = {name: days.since(entry.model if entry else None, now) for name, entry in entries.items()}
    with ThreadPoolExecutor(2, thread_name_prefix="overview") as pool:
        asked, looked = pool.submit(model_server.ask, patience), pool.submit(_ledger, names, now, only)
        runs = runs() if callable(runs) else runs
        (ledger, why), server = looked.result(), asked.result()
    if runs is None:
        return Evidence(ledger, server), why
    of_models = by_model(runs)
    return Evidence(ledger, server, of_models, runs.since, runs.paused, runs.partial, runs.first_seen), why


def _ledger(names: Mapping[str, str], now: datetime, only: bool) -> tuple[LedgerView | None, str | None]:
    from include.registry import overview as ledger

    try:
        return ledger.read(names, days.since(None, now), now, only), None
    except PerennialError as error:
        log.warning("The ledger does not answer: %s", error)
        return None, str(error)
