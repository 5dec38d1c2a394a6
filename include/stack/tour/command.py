"""The command `make tour`: one tour at a time, and what it has made is removed at its end, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from include import catalog
from include.errors import ConfigurationError, PerennialError
from include.partitions import utc_now
from include.progress import Progress
from include.stack.following import Follower, Runs
from include.stack.layout import Stack
from include.stack.night import runs_on
from include.stack.tour import place, removal
from include.stack.tour.steps import STEPS, Guide


def tour(stack: Stack) -> int:
    """Lead through the steps on the running stack; 0: all of them, 1: a failure, 130: ended by Ctrl-C.

    Raises
    ------
    ConfigurationError : no stack runs on this home, or a tour runs already.
    """
    runs = runs_on(stack)
    stack = stack.as_recorded()
    progress = Progress()
    with _alone(stack), _ended_by_signals():
        for name in removal.left_over(stack):
            progress.say(f"An earlier tour, {name}, was not removed.")
            removal.remove(stack, runs, name, progress)
        name = place.new_name(utc_now())
        removal.begin(stack, name)
        try:
            return _walk(stack, runs, name, progress)
        finally:
            removal.remove(stack, runs, name, progress)


def _walk(stack: Stack, runs: Runs, name: str, progress: Progress) -> int:
    progress.say(
        f"A tour of Perennial in {STEPS} steps, with real runs on this stack. Its model, {name}, is removed at the "
        "end; Ctrl-C ends the tour at any time.\n"
        f"Airflow is at {stack.airflow_url} (user and password: see `make run`)."
    )
    try:
        folder = place.write(stack, name)
        follower = Follower(runs.api, catalog.load(name), runs.check)
        Guide(stack, follower, folder, progress, _pause).walk()
    except KeyboardInterrupt:
        progress.say("\nThe tour ends here.")
        return 130
    except PerennialError as failure:
        progress.say(f"\nerror: the tour cannot continue: {failure}")
        return 1
    progress.say("\nThat was the tour. `make new-model` makes a model from your own table; README.md has the rest.")
    return 0


def _pause() -> None:
    """Wait until a person has looked; without a terminal, continue at once."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        with contextlib.suppress(EOFError):
            input("\nEnter: continue. Ctrl-C: end the tour. ")


@contextlib.contextmanager
def _alone(stack: Stack) -> Iterator[None]:
    """Refuse a second tour on the same stack."""
    with open(stack.run / "tour.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"a tour runs already on {stack.home}: end it there with Ctrl-C.") from None
        yield


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Treat a closed terminal and a `kill` like Ctrl-C, so that the tour is removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    ends = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
