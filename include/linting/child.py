"""The process in which the code of model folders runs: it may hang, crash or end itself, and only it does.

Reads folders as JSON from standard input and writes one JSON line for each thing that it does to the file named as its
argument: ``{"stage": path}`` before a file's code runs, ``{"folder": ..., "problems": [...]}`` when a folder is done.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from include.errors import PerennialError
from include.mistakes.problem import Place, Problem


class NoNetwork(PerennialError):
    """The code of a folder opens a connection while it is linted."""


def main(output: str, seconds: float, waiting: float) -> int:
    """Lint the folders of standard input; each has so many seconds before the process ends with its traceback.

    Parameters
    ----------
    seconds : of processor time; what else the machine does is not the folder's fault.
    waiting : by the clock, for code that waits for something that never comes.
    """
    from include import catalog
    from include.linting.folder import lint  # takes seconds, which belong to no folder

    asked = json.load(sys.stdin)
    sys.stdout = sys.stderr  # what a folder prints is not a result
    sys.addaudithook(_refuse_connections)
    with open(output, "a", buffering=1) as out, open(f"{output}.trace", "w") as trace:
        faulthandler.register(signal.SIGPROF, file=trace, chain=True)  # then the default action ends the process

        def say(what: dict[str, object]) -> None:
            out.write(json.dumps(what) + "\n")
            out.flush()

        for item in asked:
            say({"start": item["folder"]})
            faulthandler.dump_traceback_later(waiting, exit=True, file=trace)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            folder = Path(item["folder"])
            try:
                problems = lint(item["name"], folder, lambda path: say({"stage": str(path)}))
            except Exception as error:  # a folder that breaks the lint has not been checked
                traceback.print_exc()
                what = f"could not be linted to the end: {type(error).__name__}: {error}"
                problems = [Problem(Place(folder / "model.py"), what, "fix the mistakes that are known and lint again")]
                problems += catalog.file_problems(folder)
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()
            say({"folder": item["folder"], "problems": [problem.as_dict() for problem in problems]})
    return 0


def _refuse_connections(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise NoNetwork("the lint has no network: only fetch() may open a connection, and the lint does not call it")


if __name__ == "__main__":
    code = main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
    sys.stderr.flush()
    os._exit(code)  # threads that a folder has left behind end here
