"""Shows what a command does while it does it: spinners and bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

Report = Callable[[str], None]
Advance = Callable[[str], None]
QUIET_SECONDS = 5.0
FEWEST = 3  # done, before the time left is estimated


class Progress:
    """What a command prints: lines, steps with a duration, and bars that count.

    Parameters
    ----------
    terminal : draw spinners and bars; default: when standard output is a terminal.
    quiet : seconds between two plain lines of one step; default: `QUIET_SECONDS`.
    """

    def __init__(self, terminal: bool | None = None, quiet: float | None = None) -> None:
        self.quiet = QUIET_SECONDS if quiet is None else quiet
        self.terminal = sys.stdout.isatty() if terminal is None else terminal
        self.durations: list[tuple[str, float]] = []
        self._console = Console(highlight=False, soft_wrap=True, force_terminal=self.terminal or None)

    def say(self, text: str = "") -> None:
        """Print one or several lines, exactly as they are."""
        self._console.print(text, markup=False)
        sys.stdout.flush()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Report]:
        """Time one step. The value is called with each new detail ("43/85 partitions"; "" removes the last one)."""
        began = time.monotonic()
        newest, printed = "", 0.0
        spinner = self._console.status(title) if self.terminal else contextlib.nullcontext()
        if not self.terminal:
            self.say(f"{title} ...")

        def report(detail: str) -> None:
            nonlocal newest, printed
            newest = detail
            if not detail:
                return
            elapsed = time.monotonic() - began
            if self.terminal:
                spinner.update(f"{title}: {detail} [dim]({elapsed:.0f} s)[/dim]")  # type: ignore[union-attr]
            elif elapsed - printed >= self.quiet:
                printed = elapsed
                self.say(f"  {title}: {detail} ({elapsed:.0f} s)")

        done = False
        try:
            with spinner:
                yield report
            done = True
        finally:
            seconds = time.monotonic() - began
            self.durations.append((title, seconds))
            if done:
                self._done(f"{title}{f': {newest}' if newest else ''} ({seconds:.1f} s)")

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Iterator[Advance]:
        """Count ``total`` things; the value is called after each, with its name. Shows nothing if ``total`` is 0."""
        if total == 0:
            yield lambda detail: None
            return
        began = time.monotonic()
        with self._bar(title, total) if self.terminal else self._lines(title, total) as advance:
            yield advance
        seconds = time.monotonic() - began
        self.durations.append((title, seconds))
        self._done(f"{title}: {total} in {spell(seconds)}")

    def summary(self) -> None:
        """Every step's duration, and their sum."""
        width = max((len(title) for title, _ in self.durations), default=0)
        self.say()
        for title, seconds in self.durations:
            self.say(f"  {title:<{width}}  {seconds:6.1f} s")
        self.say(f"  {'total':<{width}}  {sum(s for _, s in self.durations):6.1f} s")

    def _done(self, text: str) -> None:
        self.say(f"{'✓' if self.terminal else 'done:'} {text}")

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
            if time.monotonic() - printed >= self.quiet and done < total:
                printed = time.monotonic()
                self.say(f"  {title}: {done}/{total} {detail}, {pace(done, total, began)}")

        self.say(f"{title}: {total} ...")
        yield advance


def pace(done: int, total: int, began: float) -> str:
    """The rate so far and the time that is left at this rate; only the rate while it says nothing about the rest."""
    each = max((time.monotonic() - began) / done, 1e-9)
    rate = f"{each:.1f} s each" if each >= 1 else f"{1 / each:.1f}/s"
    return f"{rate}, {spell(each * (total - done))} left" if done >= FEWEST else rate


def spell(seconds: float) -> str:
    """A duration in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
