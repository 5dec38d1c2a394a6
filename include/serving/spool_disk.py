"""What a server's spool has on disk, read when Prometheus asks: segments that wait for the loader, and free space."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from include.scoring.record import CLOSED, OPEN


@dataclass
class OnDisk:
    """The files of one model in the folder of one server.

    Attributes
    ----------
    waiting, waiting_bytes : closed segments that no task has loaded yet. ``oldest`` : seconds since the first of them
        was closed; 0 if there is none. ``open_bytes`` : of the segment that is still written to.
    """

    waiting: int = 0
    waiting_bytes: int = 0
    oldest: float = 0.0
    open_bytes: int = 0


@dataclass(frozen=True)
class SpoolDisk:
    """The files by model, and what is free on their disk; ``None`` if that cannot be read."""

    models: dict[str, OnDisk] = field(default_factory=dict)
    free_bytes: int | None = None


def look(folder: Path) -> SpoolDisk:
    """Look at the folder of one server. Names and sizes are read, and no file is opened."""
    now = time.time()
    models = {one.name: _of_model(Path(one.path), now) for one in _entries(folder) if one.is_dir()}
    free = None
    with suppress(OSError):
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
    return SpoolDisk(models, free)


def _of_model(folder: Path, now: float) -> OnDisk:
    found = OnDisk()
    for entry in _entries(folder):
        with suppress(OSError):  # loaded and removed at this moment
            if entry.name.endswith(OPEN):
                found.open_bytes += entry.stat().st_size
            elif entry.name.endswith(CLOSED):
                status = entry.stat()
                found.waiting += 1
                found.waiting_bytes += status.st_size
                found.oldest = max(found.oldest, now - status.st_mtime)
    return found


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError:
        return
