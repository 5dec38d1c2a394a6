"""The last 24 hours of each model in a fixed amount of memory: counts, and a histogram of the times of answers.

One ring of half-hour slots for each model that was asked; totals over the ring are kept up to date, so that reading
them takes as long as one slot. A request adds one to two numbers, in less than a microsecond. Everything happens on the
event loop, so there is no lock.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from include.scoring.messages import Recent

SLOT_SECONDS = 1800.0
SLOTS = 48
LIMITS = tuple(0.0001 * 2 ** (step / 3) for step in range(52))
"""Upper limits of the times in seconds, 0.1 ms to 13 s, each 26 % above the one before."""
INVALID, ERROR = len(LIMITS) + 1, len(LIMITS) + 2
WIDTH = len(LIMITS) + 3  # the times, one for longer ones, and the two counts


class Counts(msgspec.Struct, frozen=True):
    """What one process has counted for one model.

    Attributes
    ----------
    times : how many requests were answered within each of `LIMITS`, and above the last.
    """

    times: list[int]
    invalid: int
    errors: int


class Counted(msgspec.Struct, frozen=True):
    """What one process has counted in the last ``hours``, by model; models without a request are left out."""

    hours: float
    models: dict[str, Counts]


class Ring:
    """The counts of one model. Moments are readings of `time.perf_counter`."""

    __slots__ = ("_base", "_counts", "_slot", "_until", "total")

    def __init__(self) -> None:
        self._counts: array[int] | None = None
        self.total = array("L", bytes(array("L").itemsize * WIDTH))
        self._slot, self._base, self._until = 0, 0, 0.0

    def answered(self, now: float, seconds: float) -> None:
        """Count an answer that took so long."""
        self._add(now, bisect_left(LIMITS, seconds))

    def refused(self, now: float, error: bool) -> None:
        """Count a request without an answer: a fault of the server (``error``), or of the request."""
        self._add(now, ERROR if error else INVALID)

    def read(self, now: float) -> Counts:
        """The counts of the last `SLOTS` slots."""
        if self._counts is not None and now >= self._until:
            self._turn(now)
        return Counts(self.total[:INVALID].tolist(), self.total[INVALID], self.total[ERROR])

    def _add(self, now: float, column: int) -> None:
        if now >= self._until:
            self._turn(now)
        assert self._counts is not None
        self._counts[self._base + column] += 1
        self.total[column] += 1

    def _turn(self, now: float) -> None:
        """Go on to the slot of this moment, and empty those that lie more than a turn back."""
        slot = int(now // SLOT_SECONDS)
        if self._counts is None:
            self._counts = array("I", bytes(array("I").itemsize * WIDTH * SLOTS))
            self._slot = slot
        for passed in range(self._slot + 1, min(slot, self._slot + SLOTS) + 1):
            begin = (passed % SLOTS) * WIDTH
            for column in range(WIDTH):
                self.total[column] -= self._counts[begin + column]
                self._counts[begin + column] = 0
        # after a longer pause, the loop has emptied every slot, whichever its number was
        self._slot, self._base, self._until = slot, (slot % SLOTS) * WIDTH, (slot + 1) * SLOT_SECONDS


class Rings:
    """The rings of one process by model. Names come from release records, never from clients."""

    def __init__(self) -> None:
        self._rings: dict[str, Ring] = {}
        self._began = time.perf_counter()

    def of(self, model: str) -> Ring:
        """The ring of a model; the same one whatever version serves."""
        return self._rings.setdefault(model, Ring())

    def read(self) -> Counted:
        """What this process has counted."""
        now = time.perf_counter()
        # the slot of now has only begun, and the oldest one ends where it began a day ago
        covered = min(now - self._began, (SLOTS - 1) * SLOT_SECONDS + now % SLOT_SECONDS)
        counts = {name: ring.read(now) for name, ring in list(self._rings.items())}
        return Counted(
            covered / 3600.0, {name: one for name, one in counts.items() if any(one.times) or one.invalid or one.errors}
        )


def together(parts: Sequence[Counted | None], models: Iterable[str]) -> Mapping[str, Recent]:
    """The sum over all processes of a server, by model; empty if one of them does not answer, because its part is not
    known."""
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return {}
    hours = min(part.hours for part in known)
    return {name: _sum([part.models[name] for part in known if name in part.models], hours) for name in models}


def _sum(counts: Sequence[Counts], hours: float) -> Recent:
    times = [sum(column) for column in zip(*(one.times for one in counts), strict=True)]
    answered, invalid, errors = sum(times), sum(one.invalid for one in counts), sum(one.errors for one in counts)
    return Recent(
        requests=answered + invalid + errors,
        errors=errors,
        invalid=invalid,
        p95_ms=None if not answered else 1e3 * _percentile(times, 0.95),
        p99_ms=None if not answered else 1e3 * _percentile(times, 0.99),
        hours=round(hours, 2),
    )


def _percentile(times: Sequence[int], share: float) -> float:
    """The upper limit of the bucket in which this share of the answers is reached, in seconds."""
    wanted, seen = share * sum(times), 0
    for place, count in enumerate(times):
        seen += count
        if seen >= wanted:
            return LIMITS[min(place, len(LIMITS) - 1)]
    return LIMITS[-1]
