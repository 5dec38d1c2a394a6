"""One look of the watchdog at all models: what did not happen becomes incidents, and what is over closes them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from include import catalog
from include.errors import TransientError
from include.overview.all_models import overview
from include.overview.records import Overview
from include.partitions import utc_now
from include.records import Record
from include.registry.incident_rows import IncidentKind, IncidentRow
from include.registry.incidents import Incidents, Observed, Scope
from include.settings import Settings
from include.watchdog import days, reading, service
from include.watchdog.judging import asked, judge
from include.watchdog.records import AirflowView, Evidence, Findings

log = logging.getLogger(__name__)

CONFIRMED_AFTER = 120.0
"""Seconds after which the model server is asked again before it becomes an incident."""
PATIENCE = 10.0
"""Seconds that the model server has for an answer; on a busy machine it needs longer than a page would wait."""
NAMED = 5
"""Incidents that a note names."""
CAUSES = {IncidentKind.DAY: days.PREFIX, IncidentKind.SERVICE: service.PREFIX}
"""Kinds of incidents that others open, too: only the causes that begin so are the watchdog's."""


class Looked(Record):
    """What a look has changed.

    Attributes
    ----------
    opened, closed : the incidents, each as ``#7 what is wrong``.
    found : incidents that were open before and were found again.
    unknown : what could not be looked at, as sentences.
    """

    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    found: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """The result for the note of the run; empty if nothing has changed."""
        parts = [
            f"{word} {len(those)} incident{'' if len(those) == 1 else 's'}: {' '.join(those[:NAMED])}"
            + (f" and {len(those) - NAMED} more." if len(those) > NAMED else "")
            for word, those in (("OPENED", self.opened), ("CLOSED", self.closed))
            if those
        ]
        return " ".join(parts)


def look(
    airflow: Callable[[], AirflowView | None],
    run_id: str | None,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = utc_now,
) -> Looked:
    """Look at everything once, and record what is wrong. Idempotent: the same look twice has one incident.

    Parameters
    ----------
    airflow : asks for Airflow's runs; ``None``: they are not known.
    wait : is called before a model server that does not answer, or is behind, is asked again.

    Raises
    ------
    TransientError : the ledger does not answer. Then nothing is known about nights, days and versions, and nothing can
        be recorded.
    """
    incidents = Incidents.default()
    settings = Settings.from_environment()
    began = clock()
    open_ones = incidents.open()
    view = airflow()
    of = _overview(view, began)
    known = Evidence(
        airflow=view,
        served=settings.serving_url is not None,
        spools=reading.spools(settings.spool),
        disks=reading.disks(settings),
        broken_since={one.model: one.opened_at for one in open_ones if one.kind == IncidentKind.FOLDER},
    )
    if known.served:
        of, known = _confirmed(of, known, open_ones, view, wait, began)
    declared = {entry.name: entry.model for entry in catalog.entries() if entry.model is not None}
    found = judge(of, declared, known, began)
    observed = [_observe(incidents, kind, found, began, run_id) for kind in sorted(asked(known))]
    opened = tuple(row for one in observed for row in one.opened)
    closed = tuple(row for one in observed for row in one.closed)
    for row in opened:
        log.info("#%d: %s %s", row.number, row.how_bad, row.todo)
    unknown = _unknown(known)
    for sentence in unknown:
        log.warning("%s", sentence)
    return Looked(
        opened=tuple(map(_named, opened)),
        closed=tuple(map(_named, closed)),
        found=sum(len(one.updated) for one in observed),
        unknown=unknown,
    )


def _overview(view: AirflowView | None, now: datetime) -> Overview:
    """Every model.

    Raises
    ------
    TransientError : the ledger does not answer.
    """
    of = overview(view.runs if view else None, now, patience=PATIENCE)
    if any(one.serving is None for one in of.models):
        raise TransientError(" ".join(of.problems))
    return of


def _confirmed(
    of: Overview,
    known: Evidence,
    open_ones: list[IncidentRow],
    view: AirflowView | None,
    wait: Callable[[float], None],
    began: datetime,
) -> tuple[Overview, Evidence]:
    """The state of the servers, which is looked at again after a while if something new seems to be wrong."""
    before = {(one.model, one.cause) for one in open_ones if one.kind == IncidentKind.SERVICE}
    behind, silent = service.behind(of.models, began), service.silent(of.models)
    known = replace(known, behind=behind, silent=silent)
    new = {(name, service.BEHIND) for name in behind} | ({("", service.SILENT)} if silent else set())
    if new <= before:
        return of, known
    log.info("The model server seems to be behind or silent: it is asked again in %.0f s.", CONFIRMED_AFTER)
    wait(CONFIRMED_AFTER)
    again = {one.name: one.serving for one in _overview(view, began).models}
    models = tuple(replace(one, serving=again.get(one.name, one.serving)) for one in of.models)
    return replace(of, models=models), known


def _observe(
    incidents: Incidents, kind: IncidentKind, found: Findings, began: datetime, run_id: str | None
) -> Observed:
    """Record what a look found of one kind. Each kind has its own scope, which is the same for every look."""
    scope = Scope(model=None, kinds=frozenset({kind}), causes=CAUSES.get(kind))
    seen = [one for one in found.seen if one.kind == kind]
    unknown = [(one.model, one.kind, one.cause or "") for one in found.unsure if one.kind == kind]
    return incidents.observe(scope, seen, began, run_id, unknown)


def _named(row: IncidentRow) -> str:
    return f"#{row.number} {row.what}"


def _unknown(known: Evidence) -> tuple[str, ...]:
    found = []
    if known.airflow is None:
        found.append("Airflow's runs are not known, so nights, missing days and failed runs were not looked at.")
    if not known.served:
        found.append("PERENNIAL_SERVING_URL is not set, so no model server was looked at.")
    if known.spools is None:
        found.append("The spools could not be read.")
    if known.disks is None:
        found.append("The disks could not be read.")
    return tuple(found)
