"""One Python file: its syntax tree, where each node stands in characters, and the edits that a hint may propose."""

from __future__ import annotations
import __future__

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from include.mistakes.problem import Place, Problem, Suggestion
from include.spelling import nearest

BRACKETS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, eq=False)
class Source:
    """A file that parses. `read` returns what is wrong with one that does not."""

    path: Path
    text: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path, thorough: bool = True) -> Source | Problem:
        """Parse a file; a `Problem` if it is not Python.

        Parameters
        ----------
        thorough : compile it as well, which shows a few mistakes more (a keyword twice) and takes as long again, and
            keep the tree for the next call. A kept tree makes each of Python's garbage collections slower, which
            tripled the time for the files of 500 models.
        """
        try:
            text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except (OSError, UnicodeDecodeError) as error:
            return Problem(Place(path), f"cannot be read: {error}", "wanted: Python in UTF-8")
        return _kept(path, text) if thorough else _parsed(path, text)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the tree, the outer ones first."""
        return list(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @cached_property
    def assigned(self) -> dict[str, ast.expr]:
        """Values of names that the module assigns exactly once."""
        found: dict[str, list[ast.expr]] = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target, value = node.targets[0], node.value
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(value)
                elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                    for name, part in zip(target.elts, value.elts, strict=False):
                        if isinstance(name, ast.Name):
                            found.setdefault(name.id, []).append(part)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
                found.setdefault(node.target.id, []).append(node.value)
        return {name: values[0] for name, values in found.items() if len(values) == 1}

    def place(self, node: ast.AST) -> Place:
        """Where a node begins."""
        line = getattr(node, "lineno", 1)
        return Place(self.path, line, self._column(line, getattr(node, "col_offset", 0)))

    def end(self, node: ast.AST) -> Place:
        """The position after a node's last character."""
        line = getattr(node, "end_lineno", None) or 1
        return Place(self.path, line, self._column(line, getattr(node, "end_col_offset", None) or 0))

    def replace(self, node: ast.AST, text: str) -> Suggestion:
        """Put ``text`` in the place of a node."""
        return Suggestion(self.place(node), self.end(node), text)

    def rename(self, node: ast.AST, old: str, new: str) -> Suggestion | None:
        """Replace the first identifier ``old`` inside a node (a keyword, ``def`` or import alias) by ``new``."""
        start, end = self.place(node), self.end(node)
        for line in range(start.line, end.line + 1):
            text = self.lines[line - 1]
            at = text.find(old, start.column if line == start.line else 0)
            while at >= 0:
                before, after = text[at - 1 : at], text[at + len(old) : at + len(old) + 1]
                if not (before.isidentifier() or after.isidentifier() or after.isdigit()):
                    return Suggestion(Place(self.path, line, at), Place(self.path, line, at + len(old)), new)
                at = text.find(old, at + 1)
        return None

    def quoted(self, node: ast.AST, text: str) -> str:
        """``text`` as a string literal, in the quotes that the node has."""
        quote = (ast.get_source_segment(self.text, node) or '"').lstrip("rRbBuUfF")[:1]
        literal = repr(text)
        return literal if quote == "'" or '"' in text else '"' + literal[1:-1].replace("\\'", "'") + '"'

    def add_argument(self, call: ast.Call, text: str) -> Suggestion:
        """Add ``text`` behind the last argument of a call."""
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        if arguments:
            at = self.end(max(arguments, key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0)))
            return Suggestion(at, at, f", {text}")
        end = self.end(call)
        at = Place(self.path, end.line, end.column - 1)
        return Suggestion(at, at, text)

    def new_arguments(self, function: ast.FunctionDef | ast.AsyncFunctionDef, text: str) -> Suggestion | None:
        """Put ``text`` between the parentheses of a ``def``."""
        segment = ast.get_source_segment(self.text, function) or ""
        start = segment.find("(")
        depth = 0
        for at in range(start, len(segment)):
            depth += (segment[at] in BRACKETS) - (segment[at] in BRACKETS.values())
            if not depth:
                return Suggestion(
                    self._within(function, segment[: start + 1]), self._within(function, segment[:at]), text
                )
        return None

    def without(self, node: ast.AST) -> Suggestion | None:
        """Take an element out of its tuple, dict or call, and the comma next to it; a statement with its lines."""
        parent = self.parents.get(node)
        if isinstance(parent, ast.Dict) and node in parent.keys:
            at = parent.keys.index(node)
            pairs = zip(parent.keys, parent.values, strict=True)
            return self._cut([(self.place(k) if k else self._before(v, "**"), self.end(v)) for k, v in pairs], at)
        if isinstance(parent, (ast.Tuple, ast.List, ast.Set)):
            elements: list[ast.AST] = list(parent.elts)
            return self._cut([(self.place(e), self.end(e)) for e in elements], elements.index(node))
        if isinstance(parent, ast.Call):
            parts: list[ast.AST] = sorted([*parent.args, *parent.keywords], key=self.place)
            spans = [(self.place(p), self.end(p)) for p in parts]
            return self._cut(spans, parts.index(node)) if node in parts else None
        if isinstance(node, ast.stmt):
            start, end = self.place(node), self.end(node)
            if start.column == 0 and end.line < len(self.lines):
                return Suggestion(start, Place(self.path, end.line + 1), "")
            return Suggestion(start, end, "pass")
        return None

    def resolved(self, node: ast.AST) -> ast.AST:
        """What a name of the module stands for, else the node itself."""
        seen: set[str] = set()
        while isinstance(node, ast.Name) and node.id in self.assigned and node.id not in seen:
            seen.add(node.id)
            node = self.assigned[node.id]
        return node

    def at(self, positions: tuple[int | None, ...]) -> ast.AST | None:
        """The outermost node with exactly these ``(line, end_line, column, end_column)`` of the compiler."""
        for node in self.nodes:
            where = (getattr(node, n, None) for n in ("lineno", "end_lineno", "col_offset", "end_col_offset"))
            if tuple(where) == positions:
                return node
        return None

    def _within(self, node: ast.AST, before: str) -> Place:
        """The position in a node behind ``before``, the first part of its text."""
        start = self.place(node)
        down = before.count("\n")
        return Place(self.path, start.line + down, len(before) - before.rfind("\n") - 1 + (0 if down else start.column))

    def _cut(self, parts: list[tuple[Place, Place]], number: int) -> Suggestion:
        """Take one of several parts out, up to the next one, or the last one from the end of the one before it."""
        first, last = parts[number]
        if number + 1 < len(parts):
            return Suggestion(first, parts[number + 1][0], "")
        return Suggestion(parts[number - 1][1] if number else first, last, "")

    def _before(self, node: ast.AST, sign: str) -> Place:
        """Where the operator before a node begins (``**`` in a dict has no node)."""
        place = self.place(node)
        at = self.lines[place.line - 1].rfind(sign, 0, place.column)
        return Place(self.path, place.line, at if at >= 0 else place.column)

    def _column(self, line: int, offset: int) -> int:
        """Characters, from the UTF-8 bytes that the compiler counts."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return offset if text.isascii() else len(text.encode()[:offset].decode(errors="ignore"))


@lru_cache(maxsize=64)
def _kept(path: Path, text: str) -> Source | Problem:
    return _parsed(path, text, _compiled)


def _parsed(path: Path, text: str, check: Callable[[str, Path], None] | None = None) -> Source | Problem:
    try:
        if check:
            check(text, path)
        return Source(path, text, ast.parse(text, filename=str(path)))
    except SyntaxError as error:
        return _syntax_problem(path, text, error)
    except ValueError as error:  # a NUL byte
        return Problem(Place(path), f"cannot be parsed: {error}", "wanted: Python in UTF-8")


def _compiled(text: str, path: Path) -> None:
    """SyntaxError if the text is not Python; some errors appear only when it is compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(text, str(path), "exec", dont_inherit=True)


def _syntax_problem(path: Path, text: str, error: SyntaxError) -> Problem:
    repeated = re.match(r"keyword argument repeated: (\w+)", error.msg)
    if repeated:
        return _repeated_keyword(path, text, error, repeated[1])
    feature = re.match(r"future feature (\w+) is not defined", error.msg)
    if feature and (near := nearest(feature[1], __future__.all_feature_names)):
        source = Source(path, text, ast.parse(text))
        for node in source.tree.body:
            if isinstance(node, ast.ImportFrom) and node.lineno == error.lineno:
                fix = source.rename(node, feature[1], near)
                return Problem(source.place(node), error.msg, f"did you mean {near!r}?", suggestion=fix)
    line = min(error.lineno or 1, len(text.rstrip("\n").split("\n")))
    column = max((error.offset or 1) - 1, 0)
    fix = _repair(path, text, line, column)
    hint = ""
    if fix is not None:
        mended = fix.applied(text).split("\n")
        hint = f"did you mean `{mended[line - 1].strip()}`?" if line <= len(mended) else ""
    what = f"no valid Python: {error.msg}"
    return Problem(Place(path, line, column), what, hint or "see the line and the one before it", suggestion=fix)


def _repeated_keyword(path: Path, text: str, error: SyntaxError, name: str) -> Problem:
    source = Source(path, text, ast.parse(text))
    doubles = [
        keyword
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        for n, keyword in enumerate(node.keywords)
        if keyword.arg == name and name in [k.arg for k in node.keywords[:n]]
    ]
    keyword = next((k for k in doubles if k.lineno == error.lineno), doubles[0])
    what = f"{name!r} is given twice in one call"
    return Problem(source.place(keyword), what, "take one out", suggestion=source.without(keyword))


def _repair(path: Path, text: str, line: int, column: int) -> Suggestion | None:
    """The smallest edit near the error that makes the file parse: take out one token, put in one sign, dedent."""
    source = text.split("\n")
    row = source[line - 1] if line <= len(source) else ""
    code = len(row.rstrip())
    edits: list[tuple[int, int, str]] = []
    token = column
    while token < len(row) and not row[token].isspace():
        token += 1
    stray = [n for n, sign in enumerate(row) if not (sign.isalnum() or sign in " _\"'")]
    edits += [
        (start, end, "") for start, end in ((column, column + 1), (column, token), (code - 1, code)) if end > start
    ]
    edits += [(at, at, sign) for sign in (":", ")", "]", "}", ",", '"', "'", "(", "[") for at in (code, column)]
    edits += [(at, at, sign) for sign in (")", "]", "}", ",", '"', "'", "=") for at in range(len(row) + 1)]
    for at in stray:
        behind = at + 1 + len(row[at + 1 :]) - len(row[at + 1 :].lstrip())
        edits += [(at, at + 1, ""), (at, behind, "")]
    indent = len(row) - len(row.lstrip())
    above = next((r for r in reversed(source[: line - 1]) if r.strip()), "")
    before = len(above) - len(above.lstrip())
    edits += [(0, indent, " " * before), (0, indent, " " * (before + 4)), (0, indent, "")]
    for start, end, sign in edits:
        fix = Suggestion(Place(path, line, max(start, 0)), Place(path, line, max(end, 0)), sign)
        try:
            _compiled(fix.applied(text), path)
        except (SyntaxError, ValueError):
            continue
        return fix
    return None
