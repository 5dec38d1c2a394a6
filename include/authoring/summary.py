"""What new-model tells a person: what it inferred and why, what it left out and why, what to do next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from include.authoring.findings import Findings, FoundColumn, Role
from include.settings import PROJECT

WIDTH = 110
MOST_NAMES = 12


def summary(found: Findings, folder: Path, test: Path) -> str:
    """Plain text, some dozen lines."""
    _say_columns(found)
    lines = [f"{found.request.name}: written to {_short(folder)} and {_short(test)}", ""]
    for heading in ("Data", "Target", "Key", "Days", "Features", "Left out", "After", "Look at"):
        for number, sentence in enumerate(found.said.get(heading, ())):
            lines += _wrapped(heading if number == 0 else "", sentence)
    return "\n".join([*lines, "", *_next_steps(found, folder, test)])


def _say_columns(found: Findings) -> None:
    plain = [c.name for c in found.of(Role.FEATURE)]
    many = [f"{c.name} ({c.distinct:,} values)" for c in found.of(Role.MANY)]
    ages = [c.name for c in found.of(Role.AGE)]
    found.say("Features", f"{len(plain)} as they are: {_listed(plain)}." if plain else "None as it is.")
    if many:
        found.say("Features", f"Texts with many values, by what they mean for the target: {_listed(many)}.")
    if ages:
        found.say("Features", f"How many days before the event: {_listed(ages)}.")
    found.say("Features", f"Of {found.time}: weekday{'' if found.whole_days else ' and hour'}, local.")
    for heading, roles in (("Left out", (Role.UNUSED, Role.LEFT_OUT)), ("After", (Role.AFTER,))):
        for sentence in _grouped(found.of(*roles)):
            found.say(heading, sentence)


def _grouped(columns: list[FoundColumn]) -> Iterator[str]:
    """One sentence per column; in a wide table, columns with the same reason share one."""
    reasons: dict[str, list[str]] = {}
    for column in columns:
        reasons.setdefault(column.why if len(columns) > MOST_NAMES else column.name, []).append(column.name)
    why = {column.name: column.why for column in columns}
    for names in reasons.values():
        yield f"{_listed(names)}{':' if len(names) > 1 else ''} {why[names[0]]}."


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + rest


def _wrapped(heading: str, sentence: str) -> list[str]:
    return textwrap.wrap(
        sentence, WIDTH, initial_indent=f"{heading:10}", subsequent_indent=" " * 10, break_long_words=False
    )


def _next_steps(found: Findings, folder: Path, test: Path) -> Iterator[str]:
    name = found.request.name
    elsewhere = folder.parent != PROJECT / "include" / "models"
    models = f"PERENNIAL_MODELS={folder.parent} " if elsewhere else ""
    yield "Next:"
    yield f"  {models}make lint-models MODEL={name}"
    yield f"  {models}python -m pytest {_short(test)}"
    yield f"  {models}make night MODEL={name}      # on the running stack: collect, train, gate, release"
    if elsewhere:
        yield f"  (the stack must have been started with PERENNIAL_MODELS={folder.parent}, too)"


def _short(path: Path) -> str:
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
