"""Watches the components of a running stack: reports what has ended, and restarts what supervisord has given up.

A component never ends the stack. If one is broken, the others continue: the model server serves while Airflow is down.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from include.errors import TransientError
from include.stack import ports
from include.stack.layout import Stack
from include.stack.supervision import State, Supervisor, tail

RESTARTS = 4  # of one component within RESTART_WINDOW seconds; more are not a coincidence
RESTART_WINDOW = 180.0
# Consecutive ends of a component before it has worked; more are not a coincidence, however long a failed start takes.
IN_VAIN = {"port": 2, "no port": RESTARTS}
# Seconds after which a component without a port has worked. A component with a port has worked once it listens on it.
WORKED_SECONDS = 1800.0
FIRST_REST = 5.0  # seconds before a component that is down is started again; doubled at each failure
LONGEST_REST = 60.0
BACK_SECONDS = 15  # how long a component that was down must run before it is reported as back
LINES = 12  # of a log


@dataclass
class Part:
    """The observed state of one component.

    Attributes
    ----------
    restarts : when it was started again, within RESTART_WINDOW.
    in_vain : its consecutive ends before it had worked.
    works : whether the process that runs now has worked: it listens on its port, or is old enough.
    down_since : when it was given up; None while it is not.
    rest : seconds that it pauses before the next start.
    retry_at : when it is started again; None while a start is under way.
    """

    pid: int = 0
    restarts: list[float] = field(default_factory=list)
    in_vain: int = 0
    works: bool = False
    down_since: float | None = None
    rest: float = FIRST_REST
    retry_at: float | None = None


class Watch:
    """Checks all components; call `look` often.

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
        """Query supervisord once, report changes, and start components that have paused long enough."""
        with contextlib.suppress(TransientError):  # the session checks whether supervisord lives
            for state in self._supervisor.states():
                part = self._parts.setdefault(state.name, Part())
                with contextlib.suppress(TransientError):  # a component that cannot be started must not hide the others
                    if part.down_since is None:
                        self._see(state, part)
                    else:
                        self._retry(state, part)

    def _see(self, state: State, part: Part) -> None:
        """Check a component that counts as healthy."""
        now = self._clock()
        if self._is_new(state, part):
            part.restarts = [moment for moment in part.restarts if now - moment < RESTART_WINDOW] + [now]
            part.in_vain, part.works = (0 if part.works else part.in_vain + 1), False
            self._say(self._restarted(state, part))
        self._look_whether_it_works(state, part)
        if state.uptime > RESTART_WINDOW and self._serves(state, part):
            part.rest = FIRST_REST
        if why := self._why_down(state, part):
            part.down_since = now
            self._say(
                f"\n{state.name} is down: {why}{ports.taken(self._stack, state.name)}. Everything else keeps running; "
                f"{state.name} is started again in {part.rest:.0f} s. {self._end_of_log(state)}\n"
            )
            self._rest(state, part)

    def _restarted(self, state: State, part: Part) -> str:
        """The message that a component has ended and runs again; from the second time on with a possible cause."""
        if other := ports.taken(self._stack, state.name):
            return f"{state.name} has ended{other}. It works only after that program is stopped."
        line = f"{state.name} has ended and was restarted (pid {state.pid})."
        # without a port, a young process does not count as broken
        if part.in_vain < (2 if self._port(state) is None else 1):
            return line
        return (
            f"\n{line} It had not {self._worked(state)} before ({part.in_vain} in a row). {self._end_of_log(state)}\n"
        )

    def _why_down(self, state: State, part: Part) -> str:
        """Why a component is given up; empty while it is not."""
        if state.given_up:
            return "it ends as soon as it is started"
        if len(part.restarts) > RESTARTS:
            return f"it has ended {len(part.restarts)} times within {RESTART_WINDOW:.0f} s"
        if part.in_vain > IN_VAIN["no port" if self._port(state) is None else "port"]:
            return f"it has ended {part.in_vain} times in a row without having {self._worked(state)}"
        return ""

    def _port(self, state: State) -> int | None:
        return ports.of_component(self._stack, state.name)

    def _worked(self, state: State) -> str:
        return f"run for {WORKED_SECONDS / 60:.0f} minutes" if self._port(state) is None else "answered on its port"

    def _end_of_log(self, state: State) -> str:
        log = self._stack.logs / f"{state.name}.log"
        return f"The end of {log}:\n{tail(log, LINES)}"

    def _look_whether_it_works(self, state: State, part: Part) -> None:
        if part.works or not state.running:
            return
        port = self._port(state)
        part.works = state.uptime > WORKED_SECONDS if port is None else ports.listens(state.pid, port)

    def _serves(self, state: State, part: Part) -> bool:
        """Whether a running process seems to work: if it has a port, it listens on it."""
        return part.works or self._port(state) is None

    def _retry(self, state: State, part: Part) -> None:
        """Handle a component that is down: it pauses, is started, and comes back or pauses longer."""
        now = self._clock()
        if part.retry_at is not None:
            if now >= part.retry_at and state.running:
                part.retry_at = None  # the request to stop it did not arrive
            elif now >= part.retry_at and not state.pid:
                self._start(state, part)
            return
        self._look_whether_it_works(state, part)
        if state.state == "RUNNING" and state.uptime >= BACK_SECONDS and self._serves(state, part):
            self._say(f"{state.name} is back; it was down for {now - (part.down_since or now):.0f} s.")
            part.down_since, part.restarts, part.in_vain, part.pid = None, [], 0, state.pid
            self._try_the_others()  # they can have been down because of this component
        elif state.given_up or state.stopped or self._is_new(state, part):
            self._still_down(state, part, ports.taken(self._stack, state.name))

    def _start(self, state: State, part: Part) -> None:
        try:
            self._supervisor.start(state.name)
        except TransientError as error:
            self._still_down(state, part, f": {error}")
        else:
            part.retry_at, part.pid, part.works = None, 0, False

    def _still_down(self, state: State, part: Part, why: str) -> None:
        part.rest = min(2 * part.rest, LONGEST_REST)
        self._say(
            f"{state.name} is still down{why}; it is started again in {part.rest:.0f} s. "
            f"See {self._stack.logs / state.name}.log."
        )
        self._rest(state, part)

    def _rest(self, state: State, part: Part) -> None:
        part.retry_at = self._clock() + part.rest
        if not (state.given_up or state.stopped):  # supervisord would start it again at once
            self._supervisor.stop_one(state.name)

    def _try_the_others(self) -> None:
        for part in self._parts.values():
            if part.retry_at is not None:
                part.retry_at, part.rest = self._clock(), FIRST_REST

    @staticmethod
    def _is_new(state: State, part: Part) -> bool:
        """Whether the process differs from the last one; records it."""
        if not state.running or not state.pid:
            return False
        before, part.pid = part.pid, state.pid
        return before not in (0, state.pid)
