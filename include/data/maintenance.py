"""Keeps the tables of all lakes fast to read, and deletes files that nothing refers to any longer.

Every night, for each model whose tables have changed:

- *compaction*: the loader adds a file to `predictions` every 15 minutes. The files of each day that is over become one,
  sorted by ``event_time``. Same rows, same transactions of segments, and statistics by which readers skip files.
- *checkpoint*: the log of a table is summed up, so that opening it does not take longer with its age.

Once a week, for each model:

- *vacuum*: files of a table are deleted that no version refers to which is still kept (`include.data.retention`). A
  snapshot has rows of its own, and the version that it names stays readable for ``data.keep``.
- *leftovers*: staged rows older than ``data.keep``, notes of collect runs that were killed, files that a killed process
  has not finished.

Raw batches and snapshots are never deleted. Each step is one atomic commit or deletes what is not referred to, so a
process can be killed at any moment, and the next one continues. A model that fails does not stop the others.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake

from include.data import retention
from include.data.lake import WORK, Lake
from include.data.problems import Problem, many, model_or_reason, reported, require_none
from include.files import UNFINISHED
from include.partitions import newest_closed
from include.records import Record
from include.settings import Settings
from include.spec import Model

log = logging.getLogger(__name__)

PREDICTIONS = "predictions"
SETTLED = timedelta(days=1)
"""How long a day must be over before it is compacted: its last predictions are loaded by then."""
LARGEST_BYTES = 64 * 2**20
"""A day that is larger is not compacted: its files are not small, and all of its rows are in memory."""
ROW_GROUP = 65_536
"""Rows of a row group: a reader skips those groups whose event times it does not need."""
CHECKPOINT_COMMITS = 10
SWEEP = timedelta(days=7)
NOTE = "maintained.json"
LOG = "_delta_log"
NOT_MAINTAINED = "The tables of %s could not all be maintained."


class Maintained(Record):
    """What was done for a model.

    Attributes
    ----------
    days : of predictions that were compacted. ``files`` : how many files they had before.
    deleted : files of tables that no kept version refers to. ``leftovers`` : other files.
    """

    model: str
    days: int = 0
    files: int = 0
    deleted: int = 0
    leftovers: int = 0

    @property
    def nothing(self) -> bool:
        return not (self.days or self.files or self.deleted or self.leftovers)


class MaintainedLakes(Record):
    """What a run has done; models without anything to do are left out."""

    models: tuple[Maintained, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def note(self) -> str:
        """The result as a text for the note of the run; empty if there was nothing to do."""
        days, files, deleted, leftovers = (
            sum(getattr(one, name) for one in self.models) for name in ("days", "files", "deleted", "leftovers")
        )
        parts = []
        if days:
            of = many(len([one for one in self.models if one.days]), "model")
            parts.append(f"COMPACTED {many(days, 'day')} of predictions of {of}: {many(files, 'file')} before.")
        if deleted or leftovers:
            parts.append(
                f"DELETED {many(deleted, 'file')} of older versions of tables and {many(leftovers, 'leftover')}."
            )
        return " ".join(parts)

    def require_complete(self) -> None:
        """Raise if a model had a problem.

        Raises
        ------
        TransientError, IntegrityError : the reason of each problem; transient if a later try can succeed.
        """
        require_none(self.problems, "the tables of {models} could not all be maintained", self.note)


@dataclass(frozen=True)
class _Note:
    """When a lake was swept last, and the version of each table after which there was nothing left to do."""

    swept: str = ""
    versions: dict[str, int] = field(default_factory=dict)


def maintain_all(now: datetime) -> MaintainedLakes:
    """Maintain the lakes of all models; never raises for a single model.

    If nothing has changed, only names of files are read.
    """
    done: list[Maintained] = []
    problems: list[Problem] = []
    for root in _folders(Settings.from_environment().lake):
        with reported(root.name, NOT_MAINTAINED, problems, log):
            note = _read(root)
            if not _due(root, note, now):
                continue
            model = model_or_reason(root.name)
            if not isinstance(model, Model):
                log.warning(
                    "The tables of %s are not maintained, because its model does not load: %s", root.name, model
                )
                continue
            found = maintain(model, now)
            done += [] if found.nothing else [found]
    return MaintainedLakes(models=tuple(done), problems=tuple(problems))


def maintain(model: Model, now: datetime) -> Maintained:
    """Maintain the tables of one model.

    Raises
    ------
    TransientError : other processes kept committing to a table.
    """
    lake = Lake.of(model)
    note = _read(lake.root)
    sweep = _sweep_is_due(note, now)
    versions: dict[str, int] = {}
    days = files = deleted = 0
    for name in _tables(lake.root):
        if not sweep and note.versions.get(name) == _newest(lake.root / name):
            versions[name] = note.versions[name]
            continue
        waiting = False
        lake.committing(name, partial(retention.apply, model=model, name=name))
        if name == PREDICTIONS:
            found = compact(lake, now)
            days, files, waiting = len(found.days), found.files, found.waiting
        deleted += _tend(lake.table(name), lake.root / name, sweep)
        if not waiting:
            versions[name] = _newest(lake.root / name)
    leftovers = _remove_leftovers(lake, now) if sweep else 0
    swept = now.isoformat() if sweep else note.swept
    # not synced: without the note, the same is done again
    (lake.root / NOTE).write_text(json.dumps(asdict(_Note(swept, versions))))
    return Maintained(model=model.name, days=days, files=files, deleted=deleted, leftovers=leftovers)


@dataclass(frozen=True)
class Compacted:
    """The days that were compacted, their number of files before, and whether younger days wait."""

    days: tuple[str, ...]
    files: int
    waiting: bool


def compact(lake: Lake, now: datetime) -> Compacted:
    """Make one file of the files of each day of `predictions` that is over, in one commit for each day.

    Raises
    ------
    TransientError : other processes kept committing to the same day.
    """
    lake.create()  # in an older layout, partitions are days of events
    newest = newest_closed(now - SETTLED, lake.model.timezone).key
    fragmented = _fragmented(lake.table(PREDICTIONS))
    days = [key for key in fragmented if key <= newest]
    files = sum(int(lake.committing(PREDICTIONS, partial(_compact, key=key))) for key in days)
    if days:
        log.info("Compacted %d days of predictions of %s, %s to %s.", len(days), lake.model.name, days[0], days[-1])
    return Compacted(tuple(days), files, len(fragmented) > len(days))


def _compact(table: DeltaTable, key: str) -> int:
    """Replace the files of one day by one with the same rows; returns how many they were.

    An overwrite of the partition is refused if another commit has touched the day meanwhile. The `optimize` of
    deltalake 1.6.6 is not: if two of them run at once, both succeed, and every row is there twice.
    """
    files = _files(table).get(key, _Files())
    if files.count < 2:
        return 0
    rows = table.to_pyarrow_table(partitions=[("partition", "=", key)]).sort_by("event_time")
    write_deltalake(
        table,
        rows,
        mode="overwrite",
        predicate=f"partition = '{key}'",
        writer_properties=WriterProperties(compression="ZSTD", max_row_group_size=ROW_GROUP),
    )
    return files.count


@dataclass(frozen=True)
class _Files:
    """The files of a day: how many, and their size together."""

    count: int = 0
    size: int = 0


def _fragmented(table: DeltaTable) -> list[str]:
    """The days that consist of several small files."""
    return sorted(key for key, files in _files(table).items() if files.count > 1 and files.size <= LARGEST_BYTES)


def _files(table: DeltaTable) -> dict[str, _Files]:
    actions = pa.table(table.get_add_actions(flatten=True))
    if not actions.num_rows:
        return {}
    days = actions.group_by("partition.partition").aggregate([("size_bytes", "count"), ("size_bytes", "sum")])
    return {
        day["partition.partition"]: _Files(day["size_bytes_count"], day["size_bytes_sum"]) for day in days.to_pylist()
    }


def _tend(table: DeltaTable, folder: Path, vacuum: bool) -> int:
    """Sum up the log of a table, and delete what no kept version refers to; returns how many files were deleted."""
    deleted = 0
    # "full" finds files of killed processes, too. Files of others that are not committed yet are younger.
    if vacuum and (unused := table.vacuum(dry_run=True, full=True)):
        deleted = len(unused)
        table.vacuum(dry_run=False, full=True)
    if table.version() - _last_checkpoint(folder) >= CHECKPOINT_COMMITS:
        table.create_checkpoint()
    table.cleanup_metadata()
    return deleted


def _remove_leftovers(lake: Lake, now: datetime) -> int:
    """Delete staged rows that are too old, notes of killed collect runs, and unfinished files."""
    old, killed = now - lake.model.data.keep, now - 2 * WORK
    removed = sum(_remove_older(path, old) for path in (lake.root / "staged").glob("*/*.parquet"))
    removed += sum(_remove_older(path, killed) for path in (lake.root / "collecting").glob("*"))
    removed += sum(_remove_older(path, now - SETTLED) for path in _unfinished(lake.root))
    for folder in (lake.root / "staged").glob("*"):
        with suppress(OSError):  # not empty
            folder.rmdir()
    return removed


def _unfinished(root: Path) -> Iterator[Path]:
    """Files of `include.files` that were not finished, outside of the tables."""
    tables = set(_tables(root))
    for folder in _folders(root):
        if folder.name not in tables:
            yield from folder.rglob(f"{UNFINISHED}*")


def _remove_older(path: Path, moment: datetime) -> int:
    with suppress(FileNotFoundError):
        if path.stat().st_mtime < moment.timestamp():
            path.unlink()
            return 1
    return 0


def _due(root: Path, note: _Note, now: datetime) -> bool:
    """Whether a lake has a table that has changed, or is to be swept."""
    versions: Mapping[str, int] = {name: _newest(root / name) for name in _tables(root)}
    return bool(versions) and (_sweep_is_due(note, now) or versions != note.versions)


def _sweep_is_due(note: _Note, now: datetime) -> bool:
    return not note.swept or now - datetime.fromisoformat(note.swept) >= SWEEP


def _tables(root: Path) -> list[str]:
    return [folder.name for folder in _folders(root) if (folder / LOG).is_dir()]


def _newest(folder: Path) -> int:
    """The newest version of a table, from the names of the files in its log."""
    return max(_versions(folder, ".json"), default=-1)


def _last_checkpoint(folder: Path) -> int:
    return max(_versions(folder, ".checkpoint.parquet"), default=-1)


def _versions(folder: Path, suffix: str) -> Iterable[int]:
    with os.scandir(folder / LOG) as found:
        names = [entry.name.removesuffix(suffix) for entry in found if entry.name.endswith(suffix)]
    return [int(name) for name in names if name.isdecimal()]


def _folders(parent: Path) -> list[Path]:
    with suppress(FileNotFoundError), os.scandir(parent) as found:
        return sorted(parent / entry.name for entry in found if entry.is_dir())
    return []


def _read(root: Path) -> _Note:
    try:
        note = _Note(**json.loads((root / NOTE).read_text()))
        return note if isinstance(note.versions, dict) else _Note()
    except (OSError, ValueError, TypeError):
        return _Note()
