"""Says what happens while it happens: a spinner with the newest detail on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console

Report = Callable[[str], None]
QUIET_SECONDS = 5.0


class Progress:
    """The steps of one command, each with its duration.

    Parameters
    ----------
    terminal : draw a spinner; default: when standard output is a terminal.
    quiet : seconds between two plain lines of one step.
    """

    def __init__(self, terminal: bool | None = None, quiet: float = QUIET_SECONDS) -> None:
        self.quiet = quiet
        self.terminal = sys.stdout.isatty() if terminal is None else terminal
        self.durations: list[tuple[str, float]] = []
        self._console = Console(highlight=False, soft_wrap=True, force_terminal=self.terminal or None)

    def say(self, text: str = "") -> None:
        """Print one or several lines, exactly as they are."""
        self._console.print(text, markup=False)
        sys.stdout.flush()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Report]:
        """Time one step. The value is called with each new detail ("43/85 partitions"; "": nothing more to say)."""
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
            detail = f": {newest}" if newest else ""
            if done:
                self.say(f"{'✓' if self.terminal else 'done:'} {title}{detail} ({seconds:.1f} s)")

    def summary(self) -> None:
        """Every step's duration, and their sum."""
        width = max((len(title) for title, _ in self.durations), default=0)
        self.say()
        for title, seconds in self.durations:
            self.say(f"  {title:<{width}}  {seconds:6.1f} s")
        self.say(f"  {'total':<{width}}  {sum(s for _, s in self.durations):6.1f} s")
