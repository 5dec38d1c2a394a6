"""The fenced blocks of a README, and the folder of a user who follows them: commands are run, snippets inserted.

A python block begins with a comment that tells the reader and the test where the block goes:

``# make_parcels.py``                                 a whole file in the project's folder
``# source.py``                                       into a file of the model; replaces what has the same name
                                                      ``Data(..., x=1)`` adds an argument to the existing call
``# expectations.py, at the end of what suite() returns``   items of the list or dict that the function returns
``# features.py, first in build()``                  lines of the function, below its docstring
``# features.py, before build() returns``             lines of the function, above its last return
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from include import catalog

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "include" / "models" / "README.md"
MODEL_FILES = {f"{file}.py" for file in ("model", *catalog.FILES, "scorers")}
_FENCE = re.compile(r"^```(\w*)$")
_PLACE = re.compile(
    r"^# (?P<file>[\w/]+\.py)(?:, (?:at the end of what (?P<returned>\w+)\(\) returns"
    r"|first in (?P<first>\w+)\(\)|before (?P<before>\w+)\(\) returns))?$"
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, the heading above it (with its chapter) and its first line."""

    kind: str
    text: str
    section: str
    heading: str
    line: int

    def __str__(self) -> str:
        return f"{README.name}:{self.line} ({self.heading}) {self.kind}: {self.text.splitlines()[0]}"


def blocks(text: str) -> Iterator[Block]:
    """Yield every fenced block in order. Raises AssertionError if a fence is not closed or has no language."""
    section = heading = ""
    begun: tuple[int, str] | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if begun is None and line.startswith("#"):
            heading = line.lstrip("# ")
            section = heading if line.startswith("## ") else section
        if not line.startswith("```"):
            continue
        assert fence, f"line {number + 1}: a fence must have a language and nothing else: {line}"
        if begun is None:
            assert fence[1], f"line {number + 1}: this block names no language"
            begun = number, fence[1]
        else:
            assert not fence[1], f"line {begun[0] + 1}: this block is not closed before line {number + 1}"
            yield Block(begun[1], "\n".join(lines[begun[0] + 1 : number]) + "\n", section, heading, begun[0] + 2)
            begun = None
    assert begun is None, f"line {begun[0] + 1}: this block is not closed"


def needs_stack(block: Block) -> bool:
    """Return whether a shell block needs a running stack."""
    return block.kind == "sh" and bool(re.search(r"make (?:run|night)|curl|include\.stack|show_quarantine", block.text))


def resembles(shown: str, printed: str) -> bool:
    """Return whether the lines shown were printed in this order. Numbers may differ; ``...`` matches anything."""
    position = 0
    for line in filter(None, map(str.strip, shown.splitlines())):
        parts = [re.sub(r"\d+", r"\\d+", re.escape(part)) for part in line.split("...")]
        found = re.compile(".*".join(parts)).search(printed, position)
        if not found:
            return False
        position = found.end()
    return True


TEXT = README.read_text()
BLOCKS = list(blocks(TEXT))
TOUR = [block for block in BLOCKS if re.match(r"\d\. ", block.heading)]


@dataclass
class UsersFolder:
    """A copy of the work tree, in which a person types what the README says.

    Parameters
    ----------
    home : an empty folder to make it in; the project is ``<home>/perennial``.
    variables : environment variables of every command.
    """

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_file():
                (self.project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.project / name)
        # `make` would build an environment from the same requirements; here it is the environment of the tests.
        (self.project / ".venv").symlink_to(Path(sys.executable).parent.parent)
        programs = self.home / "bin"
        programs.mkdir()
        (programs / "make").write_text(f'#!/bin/sh\nexec {shutil.which("make")} -o venv "$@"\n')
        (programs / "make").chmod(0o755)

    @property
    def project(self) -> Path:
        return self.home / "perennial"

    @contextmanager
    def restored(self, *folders: str) -> Iterator[None]:
        """Restore these folders of the project at the end of the block."""
        kept = self.home / "before"
        for folder in folders:
            shutil.copytree(self.project / folder, kept / folder, symlinks=True)
        try:
            yield
        finally:
            for folder in folders:
                shutil.rmtree(self.project / folder)
                (kept / folder).rename(self.project / folder)
            shutil.rmtree(kept)

    def sh(self, command: str, **variables: str) -> str:
        """Run a shell block as it is and return its output. Raises AssertionError if a command fails."""
        ours = ("AIRFLOW", "PERENNIAL", "MLFLOW", "PYTHON", "MAKE", "MFLAGS")
        outer = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        path = f"{self.home / 'bin'}:{outer['PATH']}"
        done = subprocess.run(
            ["sh", "-e", "-c", command],
            cwd=self.project,
            env=outer | {"PATH": path, "HOME": str(self.home)} | self.variables | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o022,  # that of most terminals; the tests may have another
        )
        assert done.returncode == 0, f"{command}\nended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def put(self, block: Block, model: str) -> Path:
        """Put a python block where its first line says, and return the file."""
        first, _, body = block.text.partition("\n")
        place = _PLACE.match(first)
        assert place, f"{block}: the first line of a python block must say where it goes"
        if place["file"] not in MODEL_FILES:
            (self.project / place["file"]).write_text(block.text)
            return self.project / place["file"]
        path = self.project / "include" / "models" / model / place["file"]
        text = path.read_text() if path.is_file() else ""
        if not text:
            text = body
        elif place["returned"]:
            text = with_items(text, place["returned"], body)
        elif place["first"]:
            text = with_first_lines(text, place["first"], body)
        elif place["before"]:
            text = with_lines(text, place["before"], body)
        else:
            text = with_definitions(text, body)
        ast.parse(text)
        path.write_text(text)
        return path


def with_definitions(text: str, body: str) -> str:
    """Return ``text`` with the imports, functions and constants of ``body``; they replace those of the same name."""
    for node in ast.parse(body).body:
        ours = ast.get_source_segment(body, node)
        assert ours is not None
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            text = with_arguments(text, node.value)
            continue
        old = next((n for n in ast.parse(text).body if _name(n) is not None and _name(n) == _name(node)), None)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if ours not in text:
                text = _inserted(text, _after_imports(text), ours)
        elif old is not None:
            text = _replaced(text, old, ours)
        else:
            text = f"{text.rstrip()}\n\n\n{ours}\n"
    return text


def with_arguments(text: str, wanted: ast.Call) -> str:
    """Return ``text`` with the keyword arguments of ``Name(..., x=1)`` in its only call of that name."""
    call = ast.unparse(wanted.func)
    assert [ast.unparse(argument) for argument in wanted.args] == ["..."], f"write {call}(..., argument=value)"
    for argument in wanted.keywords:
        found = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == call]
        assert len(found) == 1, f"{call}(...) is called {len(found)} times"
        old = next((k for k in found[0].keywords if k.arg == argument.arg), None)
        ours = f"{argument.arg}={ast.unparse(argument.value)}"
        text = _replaced(text, old, ours) if old else _appended(text, found[0], ours)
    return text


def with_items(text: str, function: str, body: str) -> str:
    """Return ``text`` with these items at the end of the list or dict that the function returns."""
    value = _last_return(text, function).value
    assert isinstance(value, (ast.List, ast.Dict)), f"{function}() does not return a literal list or dict"
    return _appended(text, value, body.strip().rstrip(","))


def with_lines(text: str, function: str, body: str) -> str:
    """Return ``text`` with these lines above the last return of the function."""
    found = _last_return(text, function)
    return _inserted(text, found.lineno - 1, textwrap.indent(body.rstrip("\n"), " " * found.col_offset))


def with_first_lines(text: str, function: str, body: str) -> str:
    """Return ``text`` with these lines at the beginning of the function."""
    first, *others = _function(text, function).body
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    node = others[0] if documented else first
    return _inserted(text, node.lineno - 1, textwrap.indent(body.rstrip("\n"), " " * node.col_offset))


def _function(text: str, name: str) -> ast.FunctionDef:
    return next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == name)


def _last_return(text: str, function: str) -> ast.Return:
    last = _function(text, function).body[-1]
    assert isinstance(last, ast.Return), f"{function}() does not end with a return"
    return last


def _name(node: ast.stmt) -> str | None:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return None


def _after_imports(text: str) -> int:
    return max(n.end_lineno or 0 for n in ast.parse(text).body if isinstance(n, (ast.Import, ast.ImportFrom)))


def _inserted(text: str, line: int, ours: str) -> str:
    lines = text.splitlines()
    return "\n".join([*lines[:line], ours, *lines[line:]]) + "\n"


def _replaced(text: str, node: ast.stmt | ast.keyword, ours: str) -> str:
    begin, end = _offset(text, node.lineno, node.col_offset), _offset(text, node.end_lineno, node.end_col_offset)
    return text[:begin] + ours + text[end:]


def _appended(text: str, node: ast.Call | ast.List | ast.Dict, ours: str) -> str:
    """Insert ``ours`` after the last item between the brackets of ``node``, before any comment that follows it."""
    if isinstance(node, ast.Call):
        inside: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
    else:
        inside = [*(node.elts if isinstance(node, ast.List) else node.values)]
    if inside:
        end = _offset(text, inside[-1].end_lineno, inside[-1].end_col_offset)
        return f"{text[:end]}, {ours}{text[end:]}"
    end = _offset(text, node.end_lineno, node.end_col_offset) - 1
    return text[:end] + ours + text[end:]


def _offset(text: str, line: int | None, column: int | None) -> int:
    """Return the number of characters before a place that `ast` gives as line and bytes."""
    lines = text.splitlines(keepends=True)[: line or 0]
    return sum(map(len, lines[:-1])) + len(lines[-1].encode()[: column or 0].decode())
