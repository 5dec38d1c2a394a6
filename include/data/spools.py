"""Loads the model servers' spools of all models into their lakes: one commit for each model, each row exactly once.

The segments of a model are read one after the other, lines that cannot be loaded are kept next to the spool, the rows
of all segments are appended in one commit, and then the segments are removed. A process that is killed at any point
leaves segments that are loaded, or recognised as loaded, by the next one. A model that cannot be loaded does not stop
the others. Where no segment is closed, only names of files are read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include import files
from include.data import expiry, predictions
from include.data.lake import Lake
from include.data.predictions import Part
from include.data.problems import LONGEST_REASON, Problem, many, model_or_reason, reported, require_none
from include.data.segments import Accepted, Content, read
from include.records import Record
from include.scoring.record import Segment, folders_by_model, segment_name, segments_in
from include.settings import Settings
from include.spec import Model

log = logging.getLogger(__name__)

COMMIT_BYTES = 64 * 2**20
"""Rows in memory, as Arrow tables, at which a commit is made before the model's other segments are read."""
NOT_LOADED = "The predictions of %s could not all be loaded."
REJECTED = "rejected"
"""The folder next to the segments with the lines that cannot be loaded."""


class LoadedModel(Record):
    """The segments of a model that were loaded.

    Attributes
    ----------
    rows : predictions that were added to the lake. ``rejected`` : lines that cannot be loaded.
    kept : the folders with the rejected lines. ``reason`` : why the first of them was rejected.
    """

    model: str
    segments: int
    rows: int
    rejected: int = 0
    kept: tuple[str, ...] = ()
    reason: str = ""


class Waiting(Record):
    """Closed segments that wait because their model does not load: its folder was removed, or is broken."""

    model: str
    segments: int
    reason: str


class RejectedLines(Record):
    """The files with lines that could not be loaded, of one model.

    Attributes
    ----------
    files : one for each segment that had such lines. ``newest`` : when the last of them was written.
    folders : where they are.
    """

    files: int
    newest: datetime
    folders: tuple[str, ...]


class Expired(Record):
    """Days of predictions of a model that were deleted, because they are older than `Monitoring.keep`."""

    model: str
    days: int


class LoadedSpools(Record):
    """What a run has done. Models without anything to do are left out."""

    loaded: tuple[LoadedModel, ...] = ()
    problems: tuple[Problem, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    expired: tuple[Expired, ...] = ()

    @property
    def note(self) -> str:
        """The result as a text for the note of the run; empty if there was nothing to load."""
        parts = []
        rejected = [one for one in self.loaded if one.rejected]
        if self.loaded:
            rows, segments = (sum(getattr(one, name) for one in self.loaded) for name in ("rows", "segments"))
            models = self.loaded[0].model if len(self.loaded) == 1 else f"{len(self.loaded)} models"
            parts.append(f"LOADED {many(rows, 'prediction')} of {models} from {many(segments, 'spool segment')}.")
        elif self.waiting:
            parts.append("NOTHING TO load.")
        parts += [
            f"**{many(one.rejected, 'rejected line')} of {one.model}** ({one.reason}). Rejected lines are not lost: "
            f"they are kept, with their reasons, in {', '.join(one.kept)}."
            for one in rejected
        ]
        parts += [f"Waiting: {many(one.segments, 'segment')} of {one.model}. {one.reason}" for one in self.waiting]
        return " ".join(parts)

    def require_complete(self) -> None:
        """Raise if a model had a problem.

        Raises
        ------
        TransientError, IntegrityError : the reason of each problem; transient if a later try can succeed.
        """
        require_none(self.problems, "the predictions of {models} could not all be loaded", self.note)


@dataclass(frozen=True)
class Commit:
    """One commit: its segments, the rows that it added, rejected lines, and the first reason with its folder."""

    segments: int
    rows: int
    rejected: int
    kept: tuple[Path, ...]
    reason: str


@dataclass(frozen=True)
class _Read:
    """A segment whose rows wait for the next commit; its rejected lines are kept already."""

    segment: Segment
    part: Part
    rejected: int
    reason: str


def load_all(now: datetime) -> LoadedSpools:
    """Load the spools of all models, and delete predictions that are too old; never raises for a single model."""
    settings = Settings.from_environment()
    spools = folders_by_model(settings.spool)
    loaded: list[LoadedModel] = []
    problems: list[Problem] = []
    waiting: list[Waiting] = []
    expired: list[Expired] = []
    for name, segments in _filled(spools, problems):
        model = model_or_reason(name)
        if not isinstance(model, Model):
            waiting.append(Waiting(model=name, segments=len(segments), reason=model))
            log.warning("%d spool segments of %s wait, because its model does not load: %s", len(segments), name, model)
            continue
        commits: list[Commit] = []
        with reported(name, NOT_LOADED, problems, log):
            for commit in load(model, segments, now):
                commits.append(commit)
        if commits:
            loaded.append(_summed(name, commits))
    for name in expiry.due(settings.lake, now):
        model = model_or_reason(name)
        if isinstance(model, Model):
            with reported(name, NOT_LOADED, problems, log):
                days = expiry.expire(model, now, [folder / REJECTED for folder in spools.get(name, ())])
                expired += [Expired(model=name, days=days)] if days else []
    return LoadedSpools(loaded=tuple(loaded), problems=tuple(problems), waiting=tuple(waiting), expired=tuple(expired))


def rejected(spool: Path) -> dict[str, RejectedLines]:
    """The files with lines that could not be loaded, by model; models without any are left out.

    Only names and times of files are read. They stay until a person has removed them, at most ``monitoring.keep``.

    Parameters
    ----------
    spool : `Settings.spool`.
    """
    found = {}
    for name, folders in folders_by_model(spool).items():
        kept = {folder / REJECTED: [one.path for one in segments_in(folder / REJECTED)] for folder in folders}
        times = []
        for path in (path for paths in kept.values() for path in paths):
            with suppress(FileNotFoundError):  # a person or the expiry has removed it at this moment
                times.append(path.stat().st_mtime)
        if times:
            found[name] = RejectedLines(
                files=len(times),
                newest=datetime.fromtimestamp(max(times), UTC),
                folders=tuple(str(folder) for folder, paths in kept.items() if paths),
            )
    return found


def load(model: Model, segments: Iterable[Segment], now: datetime) -> Iterator[Commit]:
    """Load segments of a model, each server's in ascending order, and remove them; one commit if memory allows.

    Raises
    ------
    OSError : a segment cannot be read, or its rejected lines not be kept; raised after all others were loaded.
    """
    lake, accepted = Lake.of(model), Accepted.of(model, now)
    lake.create()
    chunk: list[_Read] = []
    size = 0
    unreadable: OSError | None = None
    for segment in segments:
        try:
            chunk.append(_kept(segment, read(segment, accepted)))
        except FileNotFoundError:
            log.info("The spool segment %s is gone: another process has loaded it.", segment.path)
            continue
        except OSError as error:  # the others are loaded, which also frees a full disk
            unreadable = unreadable or error
            continue
        size += chunk[-1].part.rows.nbytes
        if size >= COMMIT_BYTES:
            yield _commit(lake, chunk)
            chunk, size = [], 0
    if chunk:
        yield _commit(lake, chunk)
    if unreadable:
        raise unreadable


def _kept(segment: Segment, content: Content) -> _Read:
    """Write the rejected lines of a segment to their file, before its rows are committed and the segment is removed."""
    rejected, reason = content.rejected, ""
    if rejected:
        reason = f"line {rejected[0].line}: {rejected[0].reason}"[:LONGEST_REASON]
        kept = segment.path.parent / REJECTED / segment_name(segment.number)
        files.write(kept, b"".join(one.as_line() for one in rejected))
        log.error(
            "%d of %d lines of the spool segment %s cannot be loaded (%s); they are kept in %s.",
            len(rejected),
            len(rejected) + content.rows.num_rows,
            segment.path,
            reason,
            kept,
        )
    return _Read(segment, Part(segment.app_id, segment.number, content.rows), len(rejected), reason)


def _commit(lake: Lake, chunk: Sequence[_Read]) -> Commit:
    """Add the rows of the segments to the table, and then remove the segments."""
    rows = predictions.append(lake, [one.part for one in chunk])
    bad = [one for one in chunk if one.rejected]
    for one in chunk:
        one.segment.path.unlink(missing_ok=True)
    log.info("Loaded %d predictions of %s from %d spool segments.", rows, lake.model.name, len(chunk))
    return Commit(
        segments=len(chunk),
        rows=rows,
        rejected=sum(one.rejected for one in bad),
        kept=tuple(dict.fromkeys(one.segment.path.parent / REJECTED for one in bad)),
        reason=bad[0].reason if bad else "",
    )


def _summed(model: str, commits: Sequence[Commit]) -> LoadedModel:
    return LoadedModel(
        model=model,
        segments=sum(one.segments for one in commits),
        rows=sum(one.rows for one in commits),
        rejected=sum(one.rejected for one in commits),
        kept=tuple(dict.fromkeys(str(folder) for one in commits for folder in one.kept)),
        reason=next((one.reason for one in commits if one.reason), ""),
    )


def _filled(spools: dict[str, list[Path]], problems: list[Problem]) -> list[tuple[str, list[Segment]]]:
    """The models with closed segments; the shortest spool first, so that a long one does not delay the others."""
    found = []
    for name, folders in spools.items():
        with reported(name, NOT_LOADED, problems, log):
            if segments := [segment for folder in folders for segment in segments_in(folder)]:
                found.append((name, segments))
    return sorted(found, key=lambda one: (len(one[1]), one[0]))
