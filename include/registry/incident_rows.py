"""What a look at a model finds wrong, and the incident that becomes of it: frozen, and without logic of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from include.records import Record, Text
from include.registry.rows import _AsDict


class IncidentKind(StrEnum):
    """What an incident is about.

    ``data``: rows are damaged. ``drift``: the world or its population changed. ``stale``: a newer fit is better.
    ``service``: the model server. The others are what did not happen: ``night`` (no decision), ``day`` (a day did not
    arrive), ``folder`` (a model folder does not load), ``run`` (a run of our DAGs failed), ``spool`` (predictions are
    not loaded), ``disk`` (a disk is full).
    """

    DATA = "data"
    DRIFT = "drift"
    STALE = "stale"
    SERVICE = "service"
    NIGHT = "night"
    DAY = "day"
    FOLDER = "folder"
    RUN = "run"
    SPOOL = "spool"
    DISK = "disk"


class Severity(StrEnum):
    """``warning``: someone should know. ``critical``: it pages a person."""

    WARNING = "warning"
    CRITICAL = "critical"


class IncidentState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Seen(Record):
    """One thing that a look found wrong. Two looks at the same thing give the same model, kind and cause.

    Attributes
    ----------
    model : ``""`` for what belongs to no model (a disk).
    cause : a short stable name within model and kind, e.g. ``missing:dep_delay``.
    since : the day or moment since when, for people.
    what, how_bad, done, todo : one sentence each: what is wrong; how bad it is, in the unit of the measure; what
        Perennial did about it; what a person should do.
    page : where to look, below the web server's address, e.g. ``/perennial/-/models/toy``.
    """

    model: str
    kind: IncidentKind
    cause: Text
    severity: Severity
    since: Text
    what: Text
    how_bad: str = ""
    done: str = ""
    todo: str = ""
    page: str = ""


@dataclass(frozen=True)
class IncidentRow(_AsDict):
    """An incident of the ledger.

    ``closed_by`` is None while it is not closed, and ``perennial`` if a later look found it over. ``looks`` is how many
    looks have found it. ``number`` identifies it in messages and on the page.
    """

    number: int
    model: str
    kind: str
    cause: str
    severity: str
    state: str
    since: str
    what: str
    how_bad: str
    done: str
    todo: str
    page: str
    looks: int
    opened_at: datetime
    updated_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None
