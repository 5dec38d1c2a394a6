"""Mutants, and the valid model folder from which they are generated."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include import catalog, spec

FILES = ("model", "source", "expectations", "features", "candidates")
RUN = ("model", "expectations", "features", "candidates")  # source.py is only imported, because `fetch` needs data
PARTS = {name: p for name, p in vars(spec).items() if isinstance(p, type) and issubclass(p, spec.Declaration)}


@dataclass(frozen=True)
class Mutant:
    """One mistake: in ``file``, ``text`` replaces the text between the offsets ``start`` and ``end``.

    Attributes
    ----------
    line : the line of the mistake in the mutated file.
    token : the original text that the mistake changes.
    named : the message need not suggest an edit (for example, if text is missing), but must contain ``token``.
    """

    kind: str
    file: str
    line: int
    token: str
    start: int = 0
    end: int = 0
    text: str = ""
    named: bool = False
    drop: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.file}.py:{self.line}: {self.token!r} -> {self.text!r}"

    def made(self, folder: Path) -> None:
        """Make the mistake in a copy of the folder."""
        path = folder / f"{self.file}.py"
        if self.drop:
            path.unlink()
            return
        text = path.read_text()
        path.write_text(text[: self.start] + self.text + text[self.end :])


@dataclass
class Folder:
    """A valid folder: the text and the syntax tree of each file."""

    path: Path
    name: str
    random: random.Random
    texts: dict[str, str] = field(default_factory=dict)
    trees: dict[str, ast.Module] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, seed: int = 0) -> Folder:
        folder = cls(path, path.name, random.Random(seed))
        for file in FILES:
            folder.texts[file] = (path / f"{file}.py").read_text()
            folder.trees[file] = ast.parse(folder.texts[file])
        return folder

    @property
    def model(self) -> spec.Model:
        return catalog.load(self.name)

    def span(self, file: str, node: Any) -> tuple[int, int]:
        """Return the offset of a node in the text of its file, and the offset after it."""
        lines = self.texts[file].split("\n")

        def offset(line: int, column: int) -> int:
            return sum(len(text) + 1 for text in lines[: line - 1]) + len(lines[line - 1].encode()[:column].decode())

        return offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)

    def calls(self, file: str) -> list[ast.Call]:
        return [n for n in ast.walk(self.trees[file]) if isinstance(n, ast.Call)]

    def of_methods(self, file: str) -> set[int]:
        """Return the ids of calls in methods of custom expectations. Like `fetch`, these methods only run on data."""
        classes = [n for n in ast.walk(self.trees[file]) if isinstance(n, ast.ClassDef)]
        methods = [n for c in classes for n in c.body if isinstance(n, ast.FunctionDef)]
        return {id(n) for m in methods for line in m.body for n in ast.walk(line) if isinstance(n, ast.Call)}

    def declarations(self) -> Iterator[tuple[str, ast.Call, ast.keyword]]:
        """Yield each argument of each declaration in model.py, with the name of the declaration."""
        for call in self.calls("model"):
            if isinstance(call.func, ast.Name) and call.func.id in PARTS:
                for keyword in call.keywords:
                    yield call.func.id, call, keyword

    def strings(self, file: str) -> list[ast.Constant]:
        """Return the text constants that are neither docstrings nor parts of f-strings."""
        skipped: set[int] = set()
        for node in ast.walk(self.trees[file]):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                skipped.add(id(node.value))
            if isinstance(node, ast.JoinedStr):
                skipped |= {id(n) for n in ast.walk(node)}
        found = (n for n in ast.walk(self.trees[file]) if isinstance(n, ast.Constant) and isinstance(n.value, str))
        return [n for n in found if id(n) not in skipped]

    def named_in(self, name: Any, files: tuple[str, ...]) -> bool:
        """Return whether one of the files contains this string constant."""
        return any(s.value == name for file in files for s in self.strings(file))

    def annotations(self, file: str) -> set[int]:
        """Return the ids of all nodes in annotations, which are never executed."""
        found: set[int] = set()
        for node in ast.walk(self.trees[file]):
            for name in ("annotation", "returns"):
                part = getattr(node, name, None)
                found |= {id(n) for n in ast.walk(part)} if isinstance(part, ast.AST) else set()
        return found

    def replaced(self, kind: str, file: str, node: Any, token: str, text: str, named: bool = False) -> Mutant:
        start, end = self.span(file, node)
        return Mutant(kind, file, node.lineno, token, start, end, text, named)

    def again(self, kind: str, file: str, node: Any) -> Mutant:
        """Return a mutant in which a node is duplicated."""
        start, end = self.span(file, node)
        text = self.texts[file][start:end]
        return Mutant(kind, file, node.end_lineno, text, end, end, f", {text}")

    def typos(self, kind: str, file: str, start: int, token: str, line: int | None) -> Iterator[Mutant]:
        """Yield mutants with a typing error in an identifier or a quoted name."""
        for text in typos(token, self.random):
            yield Mutant(kind, file, line or 1, token, start, start + len(token), text)


def typos(token: str, chance: random.Random) -> list[str]:
    """Return the token with two letters swapped, with one omitted and with one doubled, if it is a valid identifier."""
    found = []
    swaps = [n for n in range(len(token) - 1) if token[n] != token[n + 1]]
    if swaps:
        n = chance.choice(swaps)
        found.append(token[:n] + token[n + 1] + token[n] + token[n + 2 :])
    n = chance.randrange(len(token))
    found.append(token[:n] + token[n + 1 :])
    n = chance.randrange(len(token))
    found.append(token[: n + 1] + token[n] + token[n + 1 :])
    return [text for text in dict.fromkeys(found) if text != token and text and not text[0].isdigit()]
