"""One mistake: where, what, what is wanted instead, and, if it is known, the edit that fixes it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from include.spelling import nearest

Severity = Literal["error", "warning"]


@dataclass(frozen=True, order=True)
class Place:
    """A position in a file; lines count from 1, columns (in characters) from 0."""

    file: Path
    line: int = 1
    column: int = 0

    def __str__(self) -> str:
        return f"{shown(self.file)}:{self.line}"


@dataclass(frozen=True)
class Suggestion:
    """An edit: the text between two positions of a file is replaced by ``text``."""

    start: Place
    end: Place
    text: str

    def applied(self, source: str) -> str:
        """The file's text with the edit made."""
        lines = source.split("\n")
        lines += [""] * (self.end.line - len(lines))
        before, after = lines[: self.start.line - 1], lines[self.end.line :]
        head, tail = lines[self.start.line - 1][: self.start.column], lines[self.end.line - 1][self.end.column :]
        return "\n".join([*before, head + self.text + tail, *after])

    def as_dict(self) -> dict[str, Any]:
        return {
            "file": str(self.start.file),
            "line": self.start.line,
            "column": self.start.column,
            "end_line": self.end.line,
            "end_column": self.end.column,
            "text": self.text,
        }


@dataclass(frozen=True)
class OtherEnd:
    """The second of two places that contradict each other, and the edit there that would also fix it."""

    place: Place
    what: str
    suggestion: Suggestion | None = None


@dataclass(frozen=True)
class Problem:
    """A mistake. ``hint`` names what is wanted, as the end of the sentence ``what``; an error ends the lint with 1."""

    place: Place
    what: str
    hint: str = ""
    severity: Severity = "error"
    suggestion: Suggestion | None = None
    also: tuple[OtherEnd, ...] = ()

    @property
    def sentence(self) -> str:
        """What is wrong and what is wanted, without the place."""
        ends = "".join(f" ({end.what}: {end.place})" for end in self.also)
        # a hint continues the sentence; a hint from training is a separate sentence
        link = ". " if re.match(r"[A-Z][a-z ]", self.hint) else "; " if self.hint else ""
        return f"{self.what}{link}{self.hint}{ends}"

    def __str__(self) -> str:
        kind = "warning: " if self.severity == "warning" else ""
        return f"{self.place}: {kind}{self.sentence}"

    @property
    def annotation(self) -> str:
        """The line that GitHub Actions shows next to the line of the pull request."""
        text = self.sentence.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        file = str(shown(self.place.file)).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
        return f"::{self.severity} file={file},line={self.place.line},col={self.place.column + 1}::{text}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return {
            "file": str(self.place.file),
            "line": self.place.line,
            "column": self.place.column,
            "severity": self.severity,
            "what": self.what,
            "hint": self.hint,
            "suggestion": self.suggestion.as_dict() if self.suggestion else None,
            "also": [
                {
                    "file": str(end.place.file),
                    "line": end.place.line,
                    "column": end.place.column,
                    "what": end.what,
                    "suggestion": end.suggestion.as_dict() if end.suggestion else None,
                }
                for end in self.also
            ],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Problem:
        ends = tuple(OtherEnd(_place(end), end["what"], _suggestion(end["suggestion"])) for end in values["also"])
        suggestion = _suggestion(values["suggestion"])
        return cls(_place(values), values["what"], values["hint"], values["severity"], suggestion, ends)


def shown(path: Path) -> Path:
    """The path as a person types it: relative to the working folder if possible (GitHub matches on that)."""
    try:
        return path.relative_to(os.getcwd())
    except ValueError:
        return path


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By file and line, each place and sentence once, an error before a warning about the same place."""
    ranked = sorted(problems, key=lambda p: (p.severity == "error", len(p.also), p.suggestion is not None))
    unique = {(p.place.file, p.place.line, p.what): p for p in ranked}
    return sorted(unique.values(), key=lambda p: (p.place, p.severity, p.what))


def one_of(wrong: str, known: Iterable[str], most: int = 12) -> str:
    """The hint for a wrong name: the nearest one, else the known ones, else nothing."""
    names = sorted(set(map(str, known)))
    near = nearest(wrong, names)
    if near:
        return f"did you mean {near!r}?"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return f"known: {', '.join(names[:most])}{rest}" if names else ""


def _place(values: dict[str, Any]) -> Place:
    return Place(Path(values["file"]), values["line"], values["column"])


def _suggestion(values: dict[str, Any] | None) -> Suggestion | None:
    if values is None:
        return None
    file = Path(values["file"])
    end = Place(file, values["end_line"], values["end_column"])
    return Suggestion(Place(file, values["line"], values["column"]), end, values["text"])


def to_json(problems: Iterable[Problem]) -> str:
    """All problems as a JSON list."""
    return json.dumps([problem.as_dict() for problem in problems], indent=2)
