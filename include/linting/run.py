"""Lints folders in a process of their own, so that one that hangs or crashes is reported like any other mistake."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from include import catalog
from include.errors import ConfigurationError
from include.mistakes.problem import Place, Problem
from include.settings import PROJECT

SECONDS = 60.0  # of processor time
WAITING = 10  # times as long by the clock: a busy machine is slow, and only code that waits for ever gets there
PATIENCE = 600.0  # beyond the folders' own time: imports, and a process that does not even end itself


def lint(folders: Mapping[str, Path], seconds: float = SECONDS) -> list[Problem]:
    """All mistakes of these model folders; the code of each may take so many seconds of processor time."""
    problems: list[Problem] = []
    left = dict(folders)
    while left:
        done, unfinished = _one_process(left, seconds)
        problems += done
        if unfinished is not None and unfinished not in left:
            raise ConfigurationError("the process that lints ended before it began; its last words are above")
        for name in [*left]:
            del left[name]
            if name == unfinished:
                break
        if unfinished is None:
            break
    return problems


def _one_process(folders: Mapping[str, Path], seconds: float) -> tuple[list[Problem], str | None]:
    """The problems that one process finds before it ends, and the name of the folder that ended it too early."""
    names = {str(folder): name for name, folder in folders.items()}
    asked = json.dumps([{"name": name, "folder": str(folder)} for name, folder in folders.items()])
    with tempfile.TemporaryDirectory(prefix="perennial-lint-") as scratch:
        output = Path(scratch) / "output"
        command = [sys.executable, "-m", "include.linting.child", str(output), str(seconds), str(WAITING * seconds)]
        # in its own process group: Ctrl-C reaches this process, which then ends the child, and not the code that it
        # runs
        process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, text=True, process_group=0)
        try:
            process.communicate(asked, timeout=WAITING * seconds * len(folders) + PATIENCE)
            hung = False
        except subprocess.TimeoutExpired:
            hung = True
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        lines = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
        trace = Path(f"{output}.trace")
        frames = trace.read_text() if trace.exists() else ""
    problems = [Problem.from_dict(p) for line in lines if "problems" in line for p in line["problems"]]
    started = [line["start"] for line in lines if "start" in line]
    finished = {line["folder"] for line in lines if "folder" in line}
    cut = [folder for folder in started if folder not in finished]
    if not cut and len(finished) == len(folders):
        return problems, None
    if not cut:
        return problems, ""
    folder = Path(cut[-1])
    stages = [Path(line["stage"]) for line in lines if "stage" in line]
    place = _stopped_at(frames, folder) or Place(stages[-1] if stages else folder / "model.py")
    problems.append(_ended(place, process.returncode, bool(frames) or hung, seconds))
    problems += [p for p in catalog.file_problems(folder) if p not in problems]
    return problems, names[str(folder)]


def _ended(place: Place, code: int, late: bool, seconds: float) -> Problem:
    if late:
        busy = code == -signal.SIGPROF
        what = (
            f"running it takes longer than {f'{seconds:g} s of processor time' if busy else f'{WAITING * seconds:g} s'}"
        )
        return Problem(place, what, "wanted: files that import at once; what takes time belongs into fetch()")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    return Problem(place, f"running it ends the process ({how})", "wanted: a function that returns, or raises")


def _stopped_at(frames: str, folder: Path) -> Place | None:
    """The innermost line of the folder in a traceback of `faulthandler` (the most recent call comes first)."""
    for file, line in re.findall(r'File "(.*?)", line (\d+)', frames):
        if Path(file).is_relative_to(folder):
            return Place(Path(file), int(line))
    return None


def chosen(names: list[str]) -> dict[str, Path]:
    """The folders of these models, or of all.

    Raises
    ------
    ConfigurationError : there are none, or not one of this name (with the nearest).
    """
    known = catalog.folders()
    if not known:
        raise ConfigurationError(
            "no model folder found: create one in include/models/ (`make new-model`), or name a folder of models in "
            "PERENNIAL_MODELS"
        )
    return {name: catalog.folder(name) for name in names} if names else known
