"""Watches the components of a running stack: says what has ended, and starts again what supervisord has given up.

A component never ends the stack. Whatever is broken, the others go on: the model server serves while Airflow is down.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from include.errors import TransientError
from include.stack.layout import Stack
from include.stack.supervision import State, Supervisor, tail

RESTARTS = 4  # of one component within RESTART_WINDOW seconds: more is not bad luck
RESTART_WINDOW = 180.0
FIRST_REST = 5.0  # seconds before a component that is down is started again; doubled at each failure
LONGEST_REST = 60.0
BACK_SECONDS = 15  # a component that was down has to live so long before it is called back
LINES = 12  # of a log


@dataclass
class Part:
    """What was seen of one component.

    Attributes
    ----------
    down_since : when it was given up; None while it is not.
    rest : seconds that it rests before the next start.
    retry_at : when it is started again; None while a start is under way.
    """

    pid: int = 0
    restarts: list[float] = field(default_factory=list)
    down_since: float | None = None
    rest: float = FIRST_REST
    retry_at: float | None = None


class Watch:
    """Looks at all components; call `look` often.

    Parameters
    ----------
    say : prints to the terminal.
    clock : seconds; for tests.
    """

    def __init__(
        self, stack: Stack, supervisor: Supervisor, say: Callable[[str], None], clock: Callable[[], float] | None = None
    ) -> None:
        self._stack = stack
        self._supervisor = supervisor
        self._say = say
        self._clock = clock or time.monotonic
        self._parts: dict[str, Part] = {}

    @property
    def down(self) -> list[str]:
        """Names of the components that are given up at present."""
        return [name for name, part in self._parts.items() if part.down_since is not None]

    def look(self) -> None:
        """Ask supervisord once, say what is new, and start what has rested long enough."""
        with contextlib.suppress(TransientError):  # whether supervisord lives is somebody else's question
            for state in self._supervisor.states():
                part = self._parts.setdefault(state.name, Part())
                if part.down_since is None:
                    self._see(state, part)
                else:
                    self._retry(state, part)

    def _see(self, state: State, part: Part) -> None:
        """A component that is thought to be well."""
        now = self._clock()
        if self._is_new(state, part):
            part.restarts = [moment for moment in part.restarts if now - moment < RESTART_WINDOW] + [now]
            self._say(f"{state.name} has ended and was started again (pid {state.pid}).")
        if state.running and state.uptime > RESTART_WINDOW:
            part.rest = FIRST_REST
        if state.given_up or len(part.restarts) > RESTARTS:
            why = f"it has ended {len(part.restarts)} times within {RESTART_WINDOW:.0f} s"
            if state.given_up:
                why = "it ends as soon as it is started"
            part.down_since = now
            self._rest(state, part)
            log = self._stack.logs / f"{state.name}.log"
            self._say(
                f"\n{state.name} is down: {why}. Everything else keeps running; {state.name} is started again in "
                f"{part.rest:.0f} s. The end of {log}:\n{tail(log, LINES)}\n"
            )

    def _retry(self, state: State, part: Part) -> None:
        """A component that is down: rests, is started, comes back or rests longer."""
        now = self._clock()
        if part.retry_at is not None:
            if now >= part.retry_at and not state.pid:
                part.retry_at, part.pid = None, 0
                self._supervisor.start(state.name)
        elif state.state == "RUNNING" and state.uptime >= BACK_SECONDS:
            self._say(f"{state.name} is back; it was down for {now - (part.down_since or now):.0f} s.")
            part.down_since, part.restarts, part.pid = None, [], state.pid
            self._try_the_others()  # they may have been down because of this one
        elif state.given_up or self._is_new(state, part):
            part.rest = min(2 * part.rest, LONGEST_REST)
            self._rest(state, part)
            self._say(
                f"{state.name} is still down; it is started again in {part.rest:.0f} s. "
                f"See {self._stack.logs / state.name}.log."
            )

    def _rest(self, state: State, part: Part) -> None:
        part.retry_at = self._clock() + part.rest
        if not state.given_up:  # supervisord would start it again at once
            self._supervisor.stop_one(state.name)

    def _try_the_others(self) -> None:
        for part in self._parts.values():
            if part.retry_at is not None:
                part.retry_at, part.rest = self._clock(), FIRST_REST

    @staticmethod
    def _is_new(state: State, part: Part) -> bool:
        """Whether another process than before runs; remembers it."""
        if not state.running or not state.pid:
            return False
        before, part.pid = part.pid, state.pid
        return before not in (0, state.pid)
