"""Judges the lint on one mutant: was the mistake found, was it found at its line, and is it repaired?"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from include.linting.folder import lint
from include.mistakes.problem import Problem, Suggestion
from tests.linting.mutants import Mutant


@dataclass(frozen=True)
class Verdict:
    """The result of the lint for a mutant; ``left`` are the problems that remain after the suggested edit."""

    mutant: Mutant
    found: bool
    placed: bool
    repaired: bool
    reported: tuple[str, ...]
    left: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        return self.found and self.placed and self.repaired

    def __str__(self) -> str:
        what = "not found" if not self.found else "not at its line" if not self.placed else "not repaired"
        reported = "".join(f"\n      reported: {text}" for text in self.reported[:4])
        return f"{what}: {self.mutant}{reported}" + "".join(f"\n      left: {text}" for text in self.left[:3])


def copy(valid: Path, target: Path) -> Path:
    """Make a fresh copy of a valid folder."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(valid, target, ignore=shutil.ignore_patterns("__pycache__", "data"))
    return target


def judge(mutant: Mutant, valid: Path, scratch: Path) -> Verdict:
    """Make the mistake in a copy, lint it, apply the suggestion at its line, and lint again."""
    folder = copy(valid, scratch / valid.name)
    mutant.made(folder)
    problems = lint(valid.name, folder, fit=False)
    reported = tuple(map(str, problems))
    here = (folder / f"{mutant.file}.py", mutant.line)
    at = [p for p in problems if (p.place.file, p.place.line) == here]
    edits = [p.suggestion for p in at]
    for problem in problems:
        for end in problem.also:
            if (end.place.file, end.place.line) == here:
                at.append(problem)
                edits.append(end.suggestion)
    if mutant.named and any(mutant.token in p.sentence for p in at):
        return Verdict(mutant, bool(problems), bool(at), True, reported)
    left: tuple[str, ...] = ()
    for edit in filter(None, edits):
        left = after(edit, valid.name, folder, rounds=2)
        if not left:
            return Verdict(mutant, bool(problems), bool(at), True, reported)
    return Verdict(mutant, bool(problems), bool(at), False, reported, left)


def after(edit: Suggestion, name: str, folder: Path, rounds: int) -> tuple[str, ...]:
    """Return the problems that remain after the edit, and revert the edit.

    A repaired value may no longer fit another one, so a remaining problem may have its own suggestion.
    """
    path = edit.start.file
    before = path.read_text()
    path.write_text(edit.applied(before))
    try:
        left: list[Problem] = lint(name, folder, fit=False)
        for next_edit in [p.suggestion for p in left if p.suggestion] if rounds > 1 else []:
            if not after(next_edit, name, folder, rounds - 1):
                return ()
    finally:
        path.write_text(before)
    return tuple(map(str, left))
