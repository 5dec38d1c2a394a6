"""What Airflow and the model server say, as the overview takes it: whoever asks them fills these records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class RunRow(NamedTuple):
    """A run of an Airflow DAG. (There are many: a tuple is made in half the time.)

    Attributes
    ----------
    state : ``queued``, ``running``, ``success`` or ``failed``.
    run_type : ``scheduled``, ``manual``, ``backfill`` or ``asset_triggered``.
    note : of the run, as Airflow shows it.
    failed_tasks : ids of the tasks that failed (not ``upstream_failed``), in the order of their end.
    day : the partition that a collect run is about; ``None`` if it is not known, or the run is about many.
    """

    dag_id: str
    run_id: str
    state: str
    run_type: str
    run_after: datetime
    start: datetime | None = None
    end: datetime | None = None
    note: str | None = None
    failed_tasks: tuple[str, ...] = ()
    day: str | None = None


@dataclass(frozen=True)
class Runs:
    """What Airflow knows about the runs of all models.

    Attributes
    ----------
    rows : since ``since``, in any order: every run of ``<model>_retrain``, ``<model>_release`` and ``<model>_broken``,
        and the runs of ``<model>_collect`` that are queued, running or failed, back-fills included.
    since : the moment from which the rows are complete; at least 15 days ago. Earlier nights stay unknown.
    paused : ids of the DAGs that are paused.
    partial : models of which the reader may not read all DAGs: that a run of them is missing means nothing.
    first_seen : when Airflow read ``<model>_retrain`` for the first time, by model; ``None`` if this is not known.
    """

    rows: tuple[RunRow, ...]
    since: datetime
    paused: frozenset[str] = frozenset()
    partial: frozenset[str] = frozenset()
    first_seen: Mapping[str, datetime] | None = None


@dataclass(frozen=True)
class Live:
    """Requests of clients to one model, summed over all processes of the model server.

    Attributes
    ----------
    requests : answered, refused as invalid, or failed; probes of releases are not counted.
    errors : requests that the server could not answer although they were valid.
    invalid : requests that were refused because of their content.
    p95 : 95th percentile of the time inside the server, in milliseconds (upper limit of its bucket); ``None`` if no
        request was answered.
    hours : covered by these figures, at most 24; fewer after a restart of the server.
    """

    requests: int
    errors: int
    invalid: int
    p95: float | None
    hours: float


@dataclass(frozen=True)
class ServedModel:
    """What the model server says about one model.

    Attributes
    ----------
    problem : why a newer version, or nothing at all, is in service; ``None`` if all is well.
    live : ``None`` if the server does not report it.
    """

    name: str
    version: int | None
    problem: str | None
    live: Live | None


@dataclass(frozen=True)
class Server:
    """The answer of the model server about all models, by name."""

    by_name: Mapping[str, ServedModel]
