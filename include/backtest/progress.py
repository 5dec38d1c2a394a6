"""Shows the progress of a long command: a bar with rate and time left on a terminal, else an occasional plain line."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

QUIET_SECONDS = 5.0  # between two plain lines
Advance = Callable[[str], None]


class Progress:
    """The output of a command, and its progress bars.

    Parameters
    ----------
    terminal : draw bars; default: when standard output is a terminal.
    """

    def __init__(self, terminal: bool | None = None) -> None:
        self.terminal = sys.stdout.isatty() if terminal is None else terminal
        self._console = Console(highlight=False, soft_wrap=True, force_terminal=self.terminal or None)

    def say(self, text: str = "") -> None:
        """Print one or several lines, exactly as they are."""
        self._console.print(text, markup=False)
        sys.stdout.flush()

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        """Count ``total`` things; the value is called after each, with its name. Nothing is shown for none."""
        if total == 0:
            yield lambda detail: None
            return
        began = time.monotonic()
        with self._bar(title, total) if self.terminal else self._lines(title, total) as advance:
            yield advance
        self.say(f"{'✓' if self.terminal else 'done:'} {title}: {total} in {spell(time.monotonic() - began)}")

    @contextlib.contextmanager
    def _bar(self, title: str, total: int) -> Iterator[Advance]:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        times = (TextColumn("{task.fields[pace]}"), TimeElapsedColumn())
        began, done = time.monotonic(), 0
        with Bars(*columns, *times, console=self._console, transient=True) as bars:
            task = bars.add_task(title, total=total, pace="")

            def advance(detail: str) -> None:
                nonlocal done
                done += 1
                bars.update(task, advance=1, description=f"{title} {detail}", pace=pace(done, total, began))

            yield advance

    @contextlib.contextmanager
    def _lines(self, title: str, total: int) -> Iterator[Advance]:
        began = printed = time.monotonic()
        done = 0

        def advance(detail: str) -> None:
            nonlocal done, printed
            done += 1
            if time.monotonic() - printed >= QUIET_SECONDS and done < total:
                printed = time.monotonic()
                self.say(f"  {title}: {done}/{total} {detail}, {pace(done, total, began)}")

        self.say(f"{title}: {total} ...")
        yield advance


def pace(done: int, total: int, began: float) -> str:
    """The rate so far and the time that is left at this rate."""
    each = max((time.monotonic() - began) / done, 1e-9)
    rate = f"{each:.1f} s each" if each >= 1 else f"{1 / each:.1f}/s"
    return f"{rate}, {spell(each * (total - done))} left"


def spell(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
