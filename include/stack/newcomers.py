"""Model folders before their first training: which of them are new, and whether they have mistakes."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping

from include import catalog, files
from include.linting import run as linting
from include.mistakes.problem import Problem
from include.settings import Settings
from include.stack.layout import Stack

SHOWN = 5  # mistakes of one folder; `make lint-models` shows all


class Newcomers:
    """The model folders of a home. ``run/folders.json`` records which of them were seen and linted earlier.

    Parameters
    ----------
    starting : whether the stack is being started. Folders that are new now are not new at the next start.

    The file maps each folder that an earlier start has seen to the digest of the content that had no mistake, or to
    an empty text if it was not linted or had mistakes.
    """

    def __init__(self, stack: Stack, starting: bool = True) -> None:
        self._path = stack.run / "folders.json"
        self._linting: dict[str, threading.Lock] = {name: threading.Lock() for name in catalog.folders()}
        self._writing = threading.Lock()
        self._found: dict[tuple[str, str], tuple[Problem, ...]] = {}
        try:
            seen = json.loads(self._path.read_text())
        except (OSError, ValueError):
            seen = None
        self._seen: dict[str, str] = seen if isinstance(seen, dict) else {}
        names = list(catalog.folders())
        # at the first start on a home everything is new, which is not reported
        self.new = [name for name in names if name not in self._seen] if self._seen else []
        if starting:
            self._write({name: self._seen.get(name, "") for name in names})

    def lint_early(self, name: str) -> None:
        """Lint a folder while the stack starts, unless it has made a version before."""
        if not (Settings.from_environment().bundles / name).exists():
            self.mistakes(name)

    def mistakes(self, name: str) -> tuple[Problem, ...]:
        """The mistakes of a folder, without warnings; the same content is linted once."""
        with self._linting[name]:
            digest = catalog.digest(name)
            if self._seen.get(name) == digest:
                return ()
            if (name, digest) not in self._found:
                problems = linting.lint({name: catalog.folder(name)})
                self._found[name, digest] = tuple(p for p in problems if p.severity == "error")
                if not self._found[name, digest]:
                    with self._writing:
                        self._write(self._seen | {name: digest})
            return self._found[name, digest]

    def _write(self, seen: Mapping[str, str]) -> None:
        self._seen = dict(seen)
        files.write(self._path, json.dumps(self._seen, indent=1).encode())


def refusal(name: str, problems: tuple[Problem, ...], command: str = "make run") -> str:
    """The reason why a folder is not trained, the command that shows its mistakes, and the command to repeat."""
    count = f"{len(problems)} mistake{'' if len(problems) == 1 else 's'}"
    lines = [f"model {name} is not trained: its folder has {count}.", *(f"  {p}" for p in problems[:SHOWN])]
    if len(problems) > SHOWN:
        lines.append(f"  and {len(problems) - SHOWN} more")
    return "\n".join([*lines, f"Correct them (make lint-models MODELS={name}) and start `{command}` again."])
