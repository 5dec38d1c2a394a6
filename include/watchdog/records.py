"""What the watchdog is given about Airflow, spools and disks, and what it concludes: frozen, and without logic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from include.overview.records import RunRow, Runs
from include.registry.incident_rows import IncidentKind, Seen


@dataclass(frozen=True)
class AirflowView:
    """What Airflow's web server answers about our runs; `encode` and `decode` in `include.watchdog.airflow`.

    Attributes
    ----------
    runs : what the overview needs.
    failed : the newest run that has ended of each DAG of ours, those that failed. DAGs that no longer exist are left
        out, because no run of theirs can succeed.
    loading : models whose history is being loaded by a run of ``<model>_load``.
    scheduling : since when Airflow's scheduler runs; ``None`` if none reports itself.
    """

    runs: Runs
    failed: tuple[RunRow, ...] = ()
    loading: frozenset[str] = frozenset()
    scheduling: datetime | None = None


@dataclass(frozen=True)
class Spool:
    """The spools of a model's predictions, of all model servers together.

    Attributes
    ----------
    segments, size : of the closed segments, which wait to be loaded; the size in bytes.
    oldest : when the oldest of them was closed; ``None`` without one.
    rejected : files with lines that cannot be loaded. ``newest_rejected`` : when the newest was written.
    folders : in which these files are.
    """

    model: str
    segments: int = 0
    size: int = 0
    oldest: datetime | None = None
    rejected: int = 0
    newest_rejected: datetime | None = None
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disk:
    """A disk that we write to.

    Attributes
    ----------
    name : a short name of what lies on it, which stays the same: ``lake, spool``.
    path : a folder on it.
    total, free : bytes; free for a process without privileges.
    files, free_files : the number of files that it can have, and of those that can be added; 0 and 0: without a limit.
    """

    name: str
    path: str
    total: int
    free: int
    files: int = 0
    free_files: int = 0


@dataclass(frozen=True)
class Unsure:
    """Evidence that is missing: incidents of this model and kind neither open nor close.

    Attributes
    ----------
    cause : ``None``: every cause.
    """

    model: str
    kind: IncidentKind
    cause: str | None = None


@dataclass(frozen=True)
class Findings:
    """What one part of a look concludes."""

    seen: tuple[Seen, ...] = ()
    unsure: frozenset[Unsure] = frozenset()

    def __add__(self, other: Findings) -> Findings:
        return Findings(self.seen + other.seen, self.unsure | other.unsure)


@dataclass(frozen=True)
class Evidence:
    """Everything that one look has, except for the overview.

    Attributes
    ----------
    airflow : ``None`` if the web server did not answer.
    behind : models of which the server was already behind in an earlier look; ``silent`` : whether it did not answer.
        ``None``: there was no earlier look, so neither is confirmed.
    served : whether this deployment has a model server at all.
    spools, disks : ``None`` if they could not be read.
    broken_since : when the incident of a broken folder was opened, by model.
    """

    airflow: AirflowView | None
    behind: frozenset[str] | None = None
    silent: bool | None = None
    served: bool = True
    spools: tuple[Spool, ...] | None = None
    disks: tuple[Disk, ...] | None = None
    broken_since: Mapping[str, datetime] = field(default_factory=dict)
