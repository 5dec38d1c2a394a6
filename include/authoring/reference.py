"""The reference in `include/models/README.md`, made from the code: every part of a model, and its functions.

``python -m include.authoring.reference`` writes it between its two markers; with ``--check`` it only says whether it is
up to date.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import enum
import inspect
import re
import sys
import types
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from include import catalog, spec
from include.errors import ConfigurationError, PerennialError
from include.scoring import columns
from include.settings import PROJECT
from include.statistics.metrics import METRICS

README = PROJECT / "include" / "models" / "README.md"
BEGIN = "<!-- reference: made by `make docs`; write below the fields in include/spec/, not here -->"
END = "<!-- end of the reference -->"

PARTS: tuple[type, ...] = (
    spec.Model, spec.Data, spec.Column, spec.Label, spec.Training, spec.Scorer, spec.Gate, spec.Floor, spec.Fairness,
    spec.Power, spec.Release, spec.Serving, spec.Monitoring,
)  # fmt: skip
ENUMS: tuple[type[enum.StrEnum], ...] = (spec.ColumnType, spec.Known, spec.Task, spec.Severity)
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", date: "date", Any: "anything"}
# Types of the vocabulary that have a name of their own (a list: pydantic's limits have no hash).
_NAMED = [
    (spec.Metric, "[metric](#metrics)"),
    (spec.Cron, "cron, five fields"),
    (spec.Class, "label value"),
]
_LIMITS = {
    "ge": "{} or more",
    "gt": "more than {}",
    "le": "{} at most",
    "lt": "less than {}",
    "min_length": "at least {} long",
    "pattern": "that matches `{}`",
}
_RULE = re.compile(r"^=+(?: +=+)+$")


def reference() -> str:
    """The reference as Markdown, without the markers."""
    parts = ["### `model.py`", "", *_model_file()]
    parts += ["### The functions", "", *_functions()]
    parts += ["### What `build` receives", "", *_columns_of_build()]
    parts += ["### Candidates", "", *_part(spec.Candidate, heading=False)]
    parts += ["### Metrics", "", *_metrics()]
    return "\n".join(parts).strip() + "\n"


def updated(readme: str) -> str:
    """The README with the reference of now between its markers.

    Raises
    ------
    ConfigurationError : the markers are not there, once each, in this order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(END) < readme.index(BEGIN):
        raise ConfigurationError(f"{README}: the reference belongs between these two lines, once each:\n{BEGIN}\n{END}")
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def meanings(part: type) -> dict[str, str]:
    """The text below each field of a class of `include.spec`, one paragraph each."""
    (node,) = ast.parse(inspect.getsource(part)).body
    assert isinstance(node, ast.ClassDef)
    found = {}
    for pair in zip(node.body, node.body[1:], strict=False):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                found[field] = " ".join(text.split())
    return found


def in_words(annotation: Any) -> str:
    """A type in words: ``int`` with ``ge=1`` is ``whole number, 1 or more``.

    Raises
    ------
    TypeError : a type that has no words yet; give it some here.
    """
    for known, words in _NAMED:
        if annotation == known:
            return words
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = [text for field in arguments[1:] for limit in field.metadata for text in _limit(limit)]
        if len(limits) == 2 and all(text.endswith(("or more", "at most")) for text in limits):
            limits = [" to ".join(text.rsplit(" ", 2)[0] for text in limits)]
        return ", ".join([in_words(arguments[0]), *limits])
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(f'`"{value}"`' for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(argument) for argument in arguments)
    if origin is tuple:
        return f"tuple of {in_words(arguments[0])}"
    if annotation is types.NoneType:
        return "`None`"
    if annotation is timedelta:
        return "`timedelta`"
    if isinstance(annotation, type) and annotation in (*PARTS, *ENUMS):
        return f"[`{annotation.__name__}`](#{annotation.__name__.lower()})"
    if annotation in _WORDS:
        return _WORDS[annotation]
    raise TypeError(f"no words for the type {annotation!r}")


def _limit(limit: Any) -> list[str]:
    """What one limit of pydantic's ``Field`` requires of a value; TypeError if there are no words for it yet."""
    words = [text.format(getattr(limit, n)) for n, text in _LIMITS.items() if getattr(limit, n, None) is not None]
    if not words:
        raise TypeError(f"no words for the limit {limit!r}")
    return words


def _model_file() -> list[str]:
    """Every part of a model, then the enumerations that they use."""
    lines = ["`model.py` imports from `include.spec` only, and assigns `MODEL = Model(...)`.", ""]
    for part in PARTS:
        lines += _part(part)
    for kind in ENUMS:
        lines += [f"#### {kind.__name__}", "", *_paragraphs(kind.__doc__)]
        lines += [", ".join(f'`{kind.__name__}.{m.name}` (`"{m.value}"`)' for m in kind) + ".", ""]
    return lines


def _part(part: type, heading: bool = True) -> list[str]:
    """One class: what it is, and a table of its fields."""
    lines = [f"#### {part.__name__}", ""] if heading else []
    lines += [*_paragraphs(part.__doc__), "| field | type | default | meaning |", "|---|---|---|---|"]
    # what a base declares is written in the words of its own module
    known = {name: value for one in reversed(part.__mro__) for name, value in vars(sys.modules[one.__module__]).items()}
    below, types_of = meanings(part), get_type_hints(part, known, include_extras=True)
    for name, default in _defaults(part):
        cells = (f"`{name}`", in_words(types_of[name]), default, below.get(name, ""))
        lines.append("| " + " | ".join(_markdown(cell).replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def _defaults(part: type) -> Iterator[tuple[str, str]]:
    """Field names in the order of declaration, with their defaults as Python."""
    if dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield field.name, "required" if field.default is dataclasses.MISSING else f"`{_literal(field.default)}`"
        return
    for name, info in part.model_fields.items():  # type: ignore[attr-defined]
        yield name, "required" if info.is_required() else f"`{_literal(info.default)}`"


def _literal(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, PARTS):
        return f"{type(value).__name__}()"
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:_}" if type(value) is int else repr(value)


def _duration(value: timedelta) -> str:
    for unit in ("days", "hours", "minutes"):
        number, rest = divmod(value, timedelta(**{unit: 1}))
        if number and not rest:
            return f"timedelta({unit}={number})"
    return f"timedelta(seconds={value.seconds})" if value else "timedelta(0)"


def _functions() -> list[str]:
    """The signatures that the catalog expects, and what each function is for."""
    lines = ["| file | function |", "|---|---|"]
    lines += [f"| `{file}.py` | `{_markdown(wanted.removeprefix('def '))}` |" for file, wanted in _signatures()]
    return [*lines, ""]


def _signatures() -> Iterator[tuple[str, str]]:
    for file in catalog.FILES:
        yield file, catalog.SIGNATURES[file]
        if file in catalog.OPTIONAL:
            yield file, catalog.RANGE


def _columns_of_build() -> list[str]:
    """The table in the docstring of `include.scoring.columns`."""
    lines = (columns.__doc__ or "").splitlines()
    rules = [n for n, line in enumerate(lines) if _RULE.match(line)]
    starts = [m.start() for m in re.finditer("=+", lines[rules[0]])]
    table = [
        [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        for line in lines[rules[0] : rules[-1]]
        if not _RULE.match(line)
    ]
    head, rows = table[0], table[1:]
    shown = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*shown, *(f"| {' | '.join(_markdown(cell) for cell in row)} |" for row in rows), ""]


def _metrics() -> list[str]:
    lines = ["| metric | task | better is |", "|---|---|---|"]
    lines += [
        f"| `{n}` | {m.task.value} | {'larger' if m.larger_is_better else 'smaller'} |" for n, m in METRICS.items()
    ]
    return [*lines, ""]


def _paragraphs(docstring: str | None) -> list[str]:
    """A docstring as Markdown: each paragraph on one line."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(docstring or ""))
    return [line for block in blocks for line in (_markdown(" ".join(block.split())), "")]


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def main(arguments: list[str] | None = None) -> int:
    """Write the reference, or report whether it is stale; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.authoring.reference", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the reference is stale")
    parser.add_argument("--file", type=Path, default=README, help="the README; default: %(default)s")
    asked = parser.parse_args(arguments)
    try:
        text = asked.file.read_text()
        wanted = updated(text)
    except (OSError, PerennialError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if wanted == text:
        print(f"{asked.file}: the reference is up to date")
        return 0
    if asked.check:
        print(f"error: {asked.file}: the reference is not that of the code: run `make docs`", file=sys.stderr)
        return 1
    asked.file.write_text(wanted)
    print(f"{asked.file}: the reference is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
