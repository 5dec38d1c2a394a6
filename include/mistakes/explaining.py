"""Turns an exception of a model's file into a problem: the node that raised it, the nearest right thing, the edit."""

from __future__ import annotations

import ast
import inspect
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from include import extras
from include.mistakes.problem import Place, Problem, one_of
from include.mistakes.source import Source
from include.spelling import nearest, one_slip

SEE = "see the line; what it needs is in the message"


def explain(error: BaseException, source: Source) -> Problem:
    """The problem that an exception tells of, at the innermost line of the file that took part in it."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename) != source.path:
        return Problem(Place(Path(error.filename), error.lineno or 1), f"no valid Python: {error.msg}")
    node, place = _raised_at(error.__traceback__, source)
    if isinstance(error, AttributeError) and isinstance(node, ast.Attribute) and error.name == node.attr:
        return no_attribute(source, node, error.obj, node.attr)
    if isinstance(error, TypeError) and isinstance(node, ast.Call):
        lacking = re.search(r"missing \d+ required .*?arguments?: (.*)", str(error))
        if lacking:
            names = re.findall(r"'(\w+)'", lacking[1])
            for keyword in node.keywords:
                if keyword.arg and any(one_slip(keyword.arg, name) for name in names):
                    return unknown_keyword(source, keyword, _named(source, node.func), names)
            return Problem(
                place,
                f"{_named(source, node.func)}() lacks {_listed(names)}",
                f"wanted: {', '.join(f'{n}=...' for n in names)}",
            )
    if isinstance(error, KeyError) and error.args and hasattr(error.args[0], "node"):
        place = source.place(error.args[0].node)
    if isinstance(error, SystemExit):
        return Problem(place, "ends the process (SystemExit)", "wanted: a function that returns")
    if package := extras.lacking(error):
        return Problem(place, f"needs {package}, which is not installed", extras.advice(package))
    return Problem(place, f"fails: {message_of(error)}", SEE)


def blamed(error: BaseException, source: Source) -> tuple[Path, Place | None] | None:
    """The other file of the folder that an error of this file comes from, and the line of another file that failed.

    Only what fails while that file is imported comes from it: a function may be called with the wrong arguments. None
    where the error is one of this file; no line where it is here that a name is missing in the other file.
    """
    folder = source.path.parent

    def other(file: Path) -> bool:
        return file.parent == folder and file != source.path

    if isinstance(error, SyntaxError) and error.filename:
        file = Path(error.filename)
        return (file, Place(file, error.lineno or 1)) if other(file) else None
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = Path(frame.f_code.co_filename)
        if other(file) and frame.f_code.co_name == "<module>":
            place = Place(file, line)
    lacking = Path(error.path) if isinstance(error, ImportError) and error.path else None
    if lacking is not None and other(lacking):
        return lacking, place
    return (place.file, place) if place else None


def message_of(error: BaseException) -> str:
    """Type and message on one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")


def no_attribute(source: Source, node: ast.Attribute, value: Any, name: str) -> Problem:
    """A module, class or object has no such attribute."""
    known = [n for n in dir(value) if not n.startswith("_")]
    called = any(isinstance(n, ast.Call) and n.func is node for n in source.nodes)
    # `np.an` is as near to `any` as to `nan`: what is called is a function, and what is not is none
    alike = [n for n in known if one_slip(name, n) and callable(getattr(value, n, None)) == called]
    near = nearest(name, alike) or nearest(name, known)
    end = source.end(node)
    start = Place(end.file, end.line, end.column - len(name))
    what = value.__name__ if isinstance(value, (type, ModuleType)) else type(value).__name__
    suggestion = None
    if near:
        replaced = source.replace(node, near)
        suggestion = type(replaced)(start, end, near)
    hint = f"did you mean {near!r}?" if near else one_of(name, known)
    return Problem(start, f"{what} has no {name!r}", hint, suggestion=suggestion)


def unknown_keyword(source: Source, keyword: ast.keyword, function: Any, known: Iterable[str]) -> Problem:
    """A call has a keyword that its function does not take."""
    wrong = keyword.arg or ""
    near = nearest(wrong, known)
    fix = source.rename(keyword, wrong, near) if near else source.without(keyword)
    name = getattr(function, "__name__", str(function))
    hint = one_of(wrong, known)
    return Problem(source.place(keyword), f"{name} has no {wrong!r}", hint, suggestion=fix)


def parameters(function: Any) -> list[str]:
    """Names that are accepted as keywords; empty if they are unknown, or if any keyword is accepted."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        # Classes written in C tell their arguments in the docstring only: "timedelta(days=0, seconds=0, ...)".
        first = re.search(rf"\b{getattr(function, '__name__', ' ')}\(([^)]*)\)", inspect.getdoc(function) or "")
        return re.findall(r"(\w+)\s*=", first[1]) if first else []
    if any(p.kind is p.VAR_KEYWORD for p in found):
        return []
    return [p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _raised_at(trace: TracebackType | None, source: Source) -> tuple[ast.AST | None, Place]:
    """The innermost node of the file on the way to the error."""
    node: ast.AST | None = None
    place = Place(source.path)
    for frame, line in traceback.walk_tb(trace):
        if frame.f_code.co_filename != str(source.path):
            continue
        place = Place(source.path, line)
        while trace is not None and trace.tb_frame is not frame:
            trace = trace.tb_next
        if trace is not None:
            positions = list(frame.f_code.co_positions())[trace.tb_lasti // 2]
            node = source.at((positions[0], positions[1], positions[2], positions[3]))
            place = source.place(node) if node is not None and hasattr(node, "lineno") else place
    return node, place


def _named(source: Source, function: ast.expr) -> str:
    return ast.get_source_segment(source.text, function) or "the call"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
