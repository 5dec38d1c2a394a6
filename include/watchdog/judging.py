"""From the overview and the other evidence to what is wrong. Pure: it reads no file, no table and no clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from include.overview.records import Overview
from include.registry.incident_rows import IncidentKind
from include.spec import Model
from include.watchdog.days import days
from include.watchdog.disks import disks
from include.watchdog.folders import folder
from include.watchdog.nights import night
from include.watchdog.records import Evidence, Findings
from include.watchdog.runs import runs
from include.watchdog.service import service
from include.watchdog.spools import spools


def judge(of: Overview, declared: Mapping[str, Model], known: Evidence, now: datetime) -> Findings:
    """Everything that is wrong, and everything that is not known.

    Parameters
    ----------
    of : whose ledger has answered.
    declared : the models whose folders load, by name.
    """
    arrived = {one.name: days(one, known.airflow, now) for one in of.models}
    found = Findings()
    for one in of.models:
        found += night(one, declared.get(one.name), known.airflow, now)
        found += arrived[one.name]
        found += folder(one, known.broken_since.get(one.name), now)
    found += service(of.models, known, now)
    found += runs(known.airflow, {one.name for one in of.models}, {name for name, day in arrived.items() if day.seen})
    if known.spools is not None:
        found += spools(known.spools, now)
    if known.disks is not None:
        found += disks(known.disks, now)
    return found


def asked(known: Evidence) -> frozenset[IncidentKind]:
    """The kinds of incidents about which there is evidence at all. Those of the others neither open nor close."""
    found = {IncidentKind.NIGHT, IncidentKind.DAY, IncidentKind.FOLDER}
    found |= {IncidentKind.RUN} if known.airflow is not None else set()
    found |= {IncidentKind.SERVICE} if known.served else set()
    found |= {IncidentKind.SPOOL} if known.spools is not None else set()
    found |= {IncidentKind.DISK} if known.disks is not None else set()
    return frozenset(found)
