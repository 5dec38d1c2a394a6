"""Reads what the overview does not show: the spools of all models, and the disks. Never raises.

What cannot be read is unknown, which is logged. Of spools only names, sizes and times are read.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from include.scoring.record import CLOSED, folders_by_model
from include.settings import Settings
from include.watchdog.records import Disk, Spool

log = logging.getLogger(__name__)


def spools(root: Path) -> tuple[Spool, ...] | None:
    """The spools with closed segments or rejected lines, by model; ``None`` if they cannot be read."""
    from include.data.spools import REJECTED

    try:
        found = []
        for model, folders in folders_by_model(root).items():
            one = Spool(model)
            for folder in folders:
                one = _with_segments(one, folder)
                one = _with_rejected(one, folder / REJECTED)
            if one.segments or one.rejected:
                found.append(one)
        return tuple(sorted(found, key=lambda one: one.model))
    except OSError as error:
        log.warning("The spools in %s cannot be read: %s", root, error)
        return None


def disks(settings: Settings) -> tuple[Disk, ...] | None:
    """The disks of lake, spool, bundles and home (in which the embedded stack has its database), each once; ``None`` if
    they cannot be read."""
    places = {"lake": settings.lake, "spool": settings.spool, "bundles": settings.bundles, "home": settings.home}
    by_device: dict[int, list[str]] = {}
    paths: dict[int, Path] = {}
    try:
        for name, folder in places.items():
            path = _existing(folder)
            device = path.stat().st_dev
            by_device.setdefault(device, []).append(name)
            paths.setdefault(device, path)
        return tuple(_disk(", ".join(by_device[device]), path) for device, path in paths.items())
    except OSError as error:
        log.warning("The disks cannot be read: %s", error)
        return None


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _disk(name: str, path: Path) -> Disk:
    found = os.statvfs(path)
    return Disk(
        name,
        str(path),
        found.f_blocks * found.f_frsize,
        found.f_bavail * found.f_frsize,
        found.f_files,
        found.f_favail,
    )


def _with_segments(one: Spool, folder: Path) -> Spool:
    stats = [stat for name, stat in _files(folder) if name.endswith(CLOSED)]
    if not stats:
        return one
    oldest = _moment(min(stat.st_mtime for stat in stats))
    return replace(
        one,
        segments=one.segments + len(stats),
        size=one.size + sum(stat.st_size for stat in stats),
        oldest=min(one.oldest or oldest, oldest),
    )


def _with_rejected(one: Spool, folder: Path) -> Spool:
    stats = [stat for name, stat in _files(folder) if name.endswith(CLOSED)]
    if not stats:
        return one
    newest = _moment(max(stat.st_mtime for stat in stats))
    return replace(
        one,
        rejected=one.rejected + len(stats),
        newest_rejected=max(one.newest_rejected or newest, newest),
        folders=(*one.folders, str(folder)),
    )


def _files(folder: Path) -> Iterable[tuple[str, os.stat_result]]:
    """The files in a folder; one that is removed meanwhile was loaded."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file():
                        found.append((entry.name, entry.stat()))
                except FileNotFoundError:
                    continue
    except (FileNotFoundError, NotADirectoryError):
        return []
    return found


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
