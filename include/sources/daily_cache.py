"""A cache of a file as Arrow by day, so that the file is read once and not once for each day.

One process builds the cache while the others wait (the lock ends with the process that holds it). It appears at once,
by a rename, so it is never incomplete. It is built in one pass over batches of rows, so memory does not grow with the
file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc

from include.settings import UMASK, Settings
from include.sources.times import EventTime, days_between, local_days

ROWS, INDEX = "rows.arrow", "index.json"


@dataclass(frozen=True)
class DailyCache:
    """``folder`` has the rows as Arrow batches of one day each, and an index of the batches of each day."""

    folder: Path

    def counts(self) -> dict[date, int]:
        """The number of rows of each day, in the order of days."""
        return {date.fromisoformat(day): rows for day, (rows, _) in sorted(self._index()["days"].items())}

    def without_time(self) -> int:
        """The number of rows that belong to no day, because their time is missing or cannot be read."""
        return int(self._index()["without_time"])

    def between(self, first: date, last: date) -> pa.Table:
        """The rows of these days (both included), in the order of days, then of the file."""
        days = self._index()["days"]
        with pa.memory_map(str(self.folder / ROWS)) as file:
            reader = ipc.open_file(file)
            wanted = [day for day in sorted(days) if first.isoformat() <= day <= last.isoformat()]
            batches = [reader.get_batch(number) for day in wanted for number in days[day][1]]
            return pa.Table.from_batches(batches, schema=reader.schema)

    def by_day(self, first: date, last: date) -> Iterator[tuple[date, pa.Table]]:
        """Each of these days (both included) with its rows, in the order of days; index and file are opened once."""
        days = self._index()["days"]
        with pa.memory_map(str(self.folder / ROWS)) as file:
            reader = ipc.open_file(file)
            for day in days_between(first, last):
                _, numbers = days.get(day.isoformat(), (0, ()))
                yield day, pa.Table.from_batches([reader.get_batch(n) for n in numbers], schema=reader.schema)

    def _index(self) -> dict:
        index: dict = json.loads((self.folder / INDEX).read_text())
        return index


def open_cache(
    path: Path, options: str, when: EventTime, batches: Callable[[], Iterable[pa.RecordBatch]]
) -> DailyCache:
    """The cache of this file in its current state (size and time of its last change); built on first use.

    Parameters
    ----------
    options : a text of all other settings that affect what is read; each text has its own cache.
    batches : reads the file.
    """
    name = hashlib.sha256(f"{path.resolve()}\0{options}\0{when}".encode()).hexdigest()[:16]
    state = "-".join(f"{s.st_size:x}.{s.st_mtime_ns:x}" for s in _stats(path))
    root = Settings.from_environment().home / "cache" / f"{path.name.split('.')[0][:40]}-{name}"
    folder = root / hashlib.sha256(state.encode()).hexdigest()[:16]
    if not folder.is_dir():
        with _locked(root / "lock"):
            if not folder.is_dir():
                _remove_outdated(root)
                _build(batches(), when, folder)
    return DailyCache(folder)


def decompressed(path: Path, open_file: Callable[[Path], pa.NativeFile]) -> Path:
    """A plain copy of a compressed file, kept next to the caches while the file does not change."""
    state = path.stat()
    name = hashlib.sha256(f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()[:16]
    target = Settings.from_environment().home / "cache" / f"plain-{name}"
    if not target.is_file():
        with _locked(target.with_suffix(".lock")):
            if not target.is_file():
                working = target.with_suffix(".building")
                with open_file(path) as source, open(working, "wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 22)
                os.replace(working, target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a cache. Only the owner can read files written under it, whatever the caller's umask."""
    before = os.umask(UMASK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    finally:
        os.umask(before)


def _stats(path: Path) -> list[os.stat_result]:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [file.stat() for file in files]


def _remove_outdated(root: Path) -> None:
    """Delete all caches of this file but the newest: a file that grows daily would leave one a day, and a process can
    still be reading the newest."""
    made = sorted((f for f in root.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime, reverse=True)
    for folder in made[1:]:
        shutil.rmtree(folder, ignore_errors=True)


def _build(batches: Iterable[pa.RecordBatch], when: EventTime, folder: Path) -> None:
    working = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    days: dict[str, tuple[int, list[int]]] = {}
    without_time = written = 0
    writer = None
    try:
        with open(working / ROWS, "wb") as sink:
            for batch in batches:
                if writer is None:
                    writer = ipc.new_file(sink, batch.schema, options=ipc.IpcWriteOptions(compression="lz4"))
                day_of = local_days(batch.column(when.column), when)
                known = np.flatnonzero(~np.isnat(day_of))
                without_time += len(day_of) - len(known)
                order = known[np.argsort(day_of[known], kind="stable")]
                ordered, sorted_days = batch.take(pa.array(order)), day_of[order]
                found, starts = np.unique(sorted_days, return_index=True)
                for day, start, end in zip(found, starts, [*starts[1:], len(order)], strict=True):
                    writer.write_batch(ordered.slice(start, end - start))
                    rows, numbers = days.get(str(day), (0, []))
                    days[str(day)] = (rows + int(end - start), [*numbers, written])
                    written += 1
            if writer is None:
                raise ValueError("the file holds no rows")
            writer.close()
            sink.flush()
            os.fsync(sink.fileno())
        (working / INDEX).write_text(json.dumps({"days": days, "without_time": without_time}))
        os.replace(working, folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)
