"""Watches the memory of the tasks of a load from outside, while the number of loaded days grows."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import psutil

EVERY = 0.5  # seconds
PRIVATE = re.compile(r"^Private_(?:Clean|Dirty): +(\d+) kB", re.MULTILINE)
RESIDENT = re.compile(r"^Rss: +(\d+) kB", re.MULTILINE)


class Watch(threading.Thread):
    """Samples the largest process below another one, until the end of the block.

    Parameters
    ----------
    above : the pid of the scheduler, whose descendants work on tasks.
    done : returns how many days are done.
    """

    def __init__(self, above: int, done: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self._above, self._done = above, done
        self._ended = threading.Event()
        self.samples: list[tuple[int, float, float]] = []  # days done, resident and private MB of the largest process
        self.together = 0.0  # MB that the processes have for themselves, at most

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(EVERY):
            with contextlib.suppress(psutil.Error):
                sizes = [_size(child.pid) for child in psutil.Process(self._above).children(recursive=True)]
                if sizes:
                    self.samples.append((self._done(), max(s[0] for s in sizes), max(s[1] for s in sizes)))
                    self.together = max(self.together, sum(private for _, private in sizes))

    def third(self, which: int) -> float:
        """The peak of resident memory in the first (0), second (1) or last (-1) third of the days, in MB."""
        most = max(days for days, _, _ in self.samples)
        number = which % 3
        part = [size for days, size, _ in self.samples if number * most <= 3 * days <= (number + 1) * most]
        return max(part)

    def __str__(self) -> str:
        resident, private = (max(sample[n] for sample in self.samples) for n in (1, 2))
        return (
            f"largest process {resident:,.0f} MB, of which {private:,.0f} MB are its own; all processes of the "
            f"scheduler together {self.together:,.0f} MB of their own"
        )


def _size(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and the part that it shares with no other, in MB; zeros if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0, 0.0
    resident = RESIDENT.search(text)
    return (int(resident[1]) / 1024 if resident else 0.0), sum(map(int, PRIVATE.findall(text))) / 1024
