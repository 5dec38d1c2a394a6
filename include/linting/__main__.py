"""Lints model folders: ``python -m include.linting [--model X ...] [--format text|github|json]``.

``python -m include.linting changed --base REF`` prints the names of the models that a branch changes, one a line.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from include.errors import ConfigurationError, PerennialError
from include.linting import run
from include.linting.changed import changed
from include.mistakes.problem import Problem, to_json


def main(arguments: list[str] | None = None) -> int:
    """0: no error; 1: errors, each with its place; 2: there is nothing to lint, or not what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m include.linting", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="lint this one (may be repeated)")
    parser.add_argument("--from", dest="file", type=Path, metavar="FILE", help="lint the models named in this file")
    parser.add_argument("--format", choices=("text", "github", "json"), default="text")
    parser.add_argument("--seconds", type=float, default=run.SECONDS, help="processor time of a folder's code")
    commands = parser.add_subparsers(dest="command")
    branch = commands.add_parser("changed", help="print the models that the working tree changes against REF")
    branch.add_argument("--base", default="", metavar="REF", help="what the branch will be merged into")
    branch.add_argument("--model", dest="only", default="", metavar="NAME", help="this model, changed or not")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "changed":
            for name in run.chosen([asked.only]) if asked.only else changed(asked.base):
                print(name)
            return 0
        _require_roots()
        names = asked.model if asked.file is None else asked.file.read_text().split()
        if asked.file is not None and not names:
            print("0 models to lint")
            return 0
        folders = run.chosen(names)
        return _report(run.lint(folders, asked.seconds), len(folders), asked.format)
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _report(problems: list[Problem], models: int, form: str) -> int:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if form == "json":
        print(to_json(problems))
        return 1 if errors else 0
    for problem in problems:
        print(problem.annotation if form == "github" else problem)
    found = ", ".join(_counted(n, what) for n, what in ((errors, "mistake"), (warnings, "warning")) if n)
    print(f"{_counted(models, 'model')}, {found or 'no mistake'}")
    return 1 if errors else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _require_roots() -> None:
    for root in os.environ.get("PERENNIAL_MODELS", "").split(":"):
        if root and not os.path.isdir(root):
            raise ConfigurationError(f"PERENNIAL_MODELS names {root!r}, which is not a folder")


if __name__ == "__main__":
    sys.exit(main())
