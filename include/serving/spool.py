"""The prediction spool: accepted predictions go to local files, off the request path, for a task to load into the lake.

`offer` puts a request on a bounded queue and returns. One thread writes the queue out every 50 ms, syncs to disk
every second, and closes a segment after 60 s or 5 MB; the files are those of `include.scoring.record`. So a killed
process loses the last 50 ms of predictions, and a power cut the last second. Both are counted: mmapped counters of the
rows accepted and settled (written or dropped) survive the process, together with a note of the write under way, and
the next start reports the difference.

Each server owns one folder by a lock on its file `lock`. A server that starts takes over the first folder that no other
one holds, and closes what dead servers left open in all such folders.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from include import files
from include.scoring.columns import utc_naive
from include.scoring.messages import Row
from include.scoring.predictor import Scores
from include.scoring.record import OPEN, Line, encode, segment_name
from include.serving.score_counts import ScoresByVersion
from include.serving.spool_files import cut_torn_end, next_number, publish, whole

logger = logging.getLogger(__name__)

MAX_QUEUED_ROWS = 50_000
WRITE_EVERY = 0.05
SYNC_EVERY = 1.0
CLOSE_AFTER_SECONDS = 60.0
CLOSE_AFTER_BYTES = 5 * 2**20

_COUNTER = struct.Struct("<Q")
# Offsets in the file `counters`. The last three note a write under way: the file's inode (0: none), its size and the
# rows settled before. So a process killed between the write and the count of its rows does not count them as lost.
_ACCEPTED, _SETTLED, _INODE, _SIZE, _BEFORE = (n * _COUNTER.size for n in range(5))
_COUNTERS_SIZE = 5 * _COUNTER.size


class Entry(msgspec.Struct, frozen=True):
    """One answered request: the data for its rows' lines in the spool. ``at`` is POSIX seconds."""

    model: str
    version: int
    digest: str
    key: Sequence[str]
    event_time: str
    request_id: str
    rows: Sequence[Row]
    scores: Scores
    at: float


@dataclass
class SpoolCounts:
    """What happened to predictions since this process started, in rows unless the name gives another unit."""

    accepted: int = 0
    dropped: int = 0
    written: int = 0
    synced: int = 0
    taken: int = 0
    write_errors: int = 0
    segments_closed: int = 0
    lost_by_last_crash: int = 0
    torn_lines: int = 0

    @property
    def depth(self) -> int:
        """Rows that are queued and not written yet."""
        return self.accepted - self.taken


@dataclass
class _OpenSegment:
    path: Path
    file: IO[bytes]
    inode: int
    opened: float
    size: int = 0
    unsynced: int = 0


class Spool:
    """The spool of one server process.

    Parameters
    ----------
    folder : the spool's root, shared with other servers and with the task that loads it.
    scores : counts the scores of what is recorded.

    Notes
    -----
    `offer` belongs to one thread (the event loop); everything else happens in the spool's own thread, so the counters
    need no lock: each is written by one thread only.
    """

    def __init__(
        self,
        folder: Path,
        max_queued_rows: int = MAX_QUEUED_ROWS,
        close_after_seconds: float = CLOSE_AFTER_SECONDS,
        close_after_bytes: int = CLOSE_AFTER_BYTES,
        scores: ScoresByVersion | None = None,
    ) -> None:
        self.root = Path(folder)
        self.counts = SpoolCounts()
        self._max_rows = max_queued_rows
        self._close_seconds, self._close_bytes = close_after_seconds, close_after_bytes
        self._queue: deque[Entry] = deque()
        self._segments: dict[str, _OpenSegment] = {}
        self._stop = threading.Event()
        self._failing: str | None = None
        self._full = False
        self._scores = scores
        self.root.mkdir(parents=True, exist_ok=True)
        self.server_id, self._lock = self._take_a_folder()
        self.folder = self.root / self.server_id
        self._counters = _open_counters(self.folder)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def offer(self, entry: Entry) -> bool:
        """Queue one answered request; ``False``, and counted as dropped, if the queue is full. Never blocks."""
        rows, counts = len(entry.rows), self.counts
        if counts.accepted - counts.taken + rows > self._max_rows:
            counts.dropped += rows
            if not self._full:
                self._full = True
                logger.error(
                    "The prediction spool's queue is full (%d rows): predictions are answered but not recorded. "
                    "Look for a slow or full disk at %s.",
                    self._max_rows,
                    self.folder,
                )
            return False
        counts.accepted += rows
        _COUNTER.pack_into(self._counters, _ACCEPTED, counts.accepted)
        self._queue.append(entry)
        self._full = False
        return True

    def close(self, timeout: float = 3.0) -> None:
        """Write, sync and close everything, and release the folder, for a clean stop of the server."""
        self._stop.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            logger.error(
                "The prediction spool was not flushed in %.0f s: %d rows are left.", timeout, self.counts.depth
            )
            return
        self._counters.close()
        os.close(self._lock)

    # The writer's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        last_sync = time.monotonic()
        stopping = False
        while not stopping or self._queue:
            stopping = self._stop.wait(WRITE_EVERY)
            try:
                self._write_queue()
                now = time.monotonic()
                if stopping or now - last_sync >= SYNC_EVERY:
                    last_sync = now
                    self._sync()
                for model, segment in list(self._segments.items()):
                    if stopping or now - segment.opened >= self._close_seconds:
                        self._close_segment(model)
            except Exception:  # the thread must survive any failure of one batch
                logger.exception("The prediction spool's writer failed; it continues.")

    def _write_queue(self) -> None:
        while self._queue:
            batches: dict[str, list[bytes]] = {}
            rows = 0
            while self._queue and rows < 1000:
                entry = self._queue.popleft()
                try:
                    batches.setdefault(entry.model, []).extend(_lines(entry))
                except Exception:  # the thread must survive any failure of one entry
                    self.counts.dropped += len(entry.rows)
                    self._settle(len(entry.rows))
                    logger.exception("A prediction of %s could not be written to the spool.", entry.model)
                else:
                    if self._scores is not None:
                        self._scores.add(entry.model, entry.version, entry.scores.scores)
                rows += len(entry.rows)
            for model, lines in batches.items():
                self._append(model, lines)
                self._settle(len(lines))
                segment = self._segments.get(model)
                if segment and segment.size >= self._close_bytes:
                    self._close_segment(model)

    def _settle(self, rows: int) -> None:
        self.counts.taken += rows
        _COUNTER.pack_into(self._counters, _SETTLED, self.counts.taken)
        _COUNTER.pack_into(self._counters, _INODE, 0)

    def _append(self, model: str, lines: list[bytes]) -> None:
        data = b"".join(lines)
        try:
            segment = self._segments.get(model) or self._open_segment(model)
            _COUNTER.pack_into(self._counters, _SIZE, segment.size)
            _COUNTER.pack_into(self._counters, _BEFORE, self.counts.taken)
            _COUNTER.pack_into(self._counters, _INODE, segment.inode)  # last: it makes the note valid
            try:
                if segment.file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, "the disk took only part of it")
            except OSError:
                segment.file.truncate(segment.size)  # no torn line in the middle
                segment.file.seek(segment.size)
                raise
        except (OSError, ValueError) as error:
            self.counts.dropped += len(lines)
            self.counts.write_errors += 1
            if self._failing != str(error):
                self._failing = str(error)
                logger.error(
                    "The prediction spool cannot write to %s (%s): predictions are answered but not recorded "
                    "until it can.",
                    self.folder,
                    error,
                )
            return
        if self._failing:
            self._failing = None
            logger.warning("The prediction spool can write again; %d rows were dropped so far.", self.counts.dropped)
        segment.size += len(data)
        segment.unsynced += len(lines)
        self.counts.written += len(lines)

    def _sync(self) -> None:
        for segment in self._segments.values():
            if segment.unsynced:
                try:
                    os.fsync(segment.file.fileno())
                except OSError as error:
                    logger.error("The prediction spool cannot sync %s: %s", segment.path, error)
                    continue
                self.counts.synced += segment.unsynced
                segment.unsynced = 0

    def _open_segment(self, model: str) -> _OpenSegment:
        folder = self.folder / model
        folder.mkdir(exist_ok=True)
        number = next_number(folder)
        path = folder / segment_name(number, OPEN)
        file = open(path, "xb", buffering=0)  # noqa: SIM115 kept open
        segment = _OpenSegment(path, file, os.fstat(file.fileno()).st_ino, time.monotonic())
        files.sync(folder)
        self._segments[model] = segment
        return segment

    def _close_segment(self, model: str) -> None:
        segment = self._segments[model]
        try:
            os.fsync(segment.file.fileno())
            self.counts.synced += segment.unsynced
            segment.file.close()
            publish(segment.path)
            self.counts.segments_closed += 1
        except OSError as error:
            logger.error("The prediction spool cannot close %s: %s. The next start closes it.", segment.path, error)
        del self._segments[model]

    # Starting ----------------------------------------------------------------------------------------------------

    def _take_a_folder(self) -> tuple[str, int]:
        """Lock the first free folder, or a new one; close what was left open in every free one."""
        mine: tuple[str, int] | None = None
        for folder in sorted(f for f in self.root.iterdir() if (f / "lock").is_file()):
            lock = _try_lock(folder)
            if lock is None:
                continue
            self._recover(folder)
            if mine is None:
                mine = (folder.name, lock)
            else:
                os.close(lock)
        while mine is None:
            folder = self.root / f"server-{secrets.token_hex(4)}"
            folder.mkdir()
            lock = _try_lock(folder)
            if lock is not None:  # else another server that starts now was faster
                mine = (folder.name, lock)
        return mine

    def _recover(self, folder: Path) -> None:
        counters = _open_counters(folder)
        accepted, settled, inode, size, before = struct.unpack(f"<{_COUNTERS_SIZE // _COUNTER.size}Q", counters[:])
        left_open = list(folder.glob(f"*/*{OPEN}"))
        under_way = next((path for path in left_open if path.stat().st_ino == inode), None)
        if under_way:
            settled = max(settled, before + whole(under_way.read_bytes()[size:])[1])
        lost = max(0, accepted - settled)
        counters[:] = bytes(_COUNTERS_SIZE)
        counters.close()
        torn = 0
        for path in left_open:
            cut = cut_torn_end(path)
            torn += cut
            lost -= min(lost, cut) if path == under_way else 0  # counted among the lost already
            publish(path)
            self.counts.segments_closed += 1
        self.counts.torn_lines += torn
        self.counts.lost_by_last_crash += lost + torn
        if lost or torn:
            logger.warning(
                "The last run of %s ended without closing its spool: %d accepted predictions were not written, and %d "
                "torn lines were cut. Everything before them is kept.",
                folder.name,
                lost,
                torn,
            )


def _lines(entry: Entry) -> list[bytes]:
    """The spool lines of one request."""
    scores, by_label = entry.scores.scores, entry.scores.by_label
    predicted_at = _utc_text(datetime.fromtimestamp(entry.at, UTC).replace(tzinfo=None))
    return [
        encode(
            Line(
                entry.request_id,
                at,
                {name: row.get(name) for name in entry.key},
                _utc_text(utc_naive(row[entry.event_time])),
                entry.version,
                entry.digest,
                row,
                scores[at] if scores is not None else None,
                by_label[at] if by_label is not None else None,
                predicted_at,
            )
        )
        + b"\n"
        for at, row in enumerate(entry.rows)
    ]


def _utc_text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds") + "Z"


def _try_lock(folder: Path) -> int | None:
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _open_counters(folder: Path) -> mmap.mmap:
    with open(folder / "counters", "a+b") as file:
        if os.fstat(file.fileno()).st_size != _COUNTERS_SIZE:
            file.truncate(0)
            file.truncate(_COUNTERS_SIZE)
        return mmap.mmap(file.fileno(), _COUNTERS_SIZE)
