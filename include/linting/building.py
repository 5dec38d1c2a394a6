"""Runs `features.build` of a folder on made-up columns: what it reads, what it returns, on which inputs it fails."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from include.errors import ConfigurationError
from include.linting import made_up, plain
from include.linting.columns import Use
from include.linting.suite import Suite
from include.mistakes.declared import Declared
from include.mistakes.instrumenting import Placed
from include.mistakes.problem import Place, Problem
from include.mistakes.running import Traced
from include.spelling import nearest
from include.training import dataset

READS = "features.build reads"


class Columns(dict[str, np.ndarray]):
    """The columns that `build` is handed; notes each name that is asked for, and has something for an unknown one.

    So a misspelt name does not end the run, and one run shows all of them.
    """

    def __init__(self, known: Mapping[str, np.ndarray], hidden: Mapping[str, np.ndarray], note: Callable[[Any], None]):
        super().__init__(known)
        self._hidden, self._note = hidden, note
        self.last: str | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        self._note(name)
        self.last = str(name)
        if name in self:
            return super().__getitem__(name)
        if name in self._hidden:
            return self._hidden[name]
        near = nearest(str(name), self)
        if near is None:
            return np.full(len(next(iter(self.values()), ())), np.nan)
        self.last = near
        return super().__getitem__(near)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        value = self[name]
        super().pop(name, None)
        return value


class Features:
    """What `build` of a folder reads and makes."""

    def __init__(self, run: Traced, function: ast.FunctionDef | None, declared: Declared, suite: Suite | None) -> None:
        assert declared.model is not None
        self.run, self.function, self.model = run, function, declared.model
        self.expectations = suite.expectations if suite else []
        self.found: list[Problem] = []
        self.kinds: dict[str, int] = {}
        self._uses: dict[Place, Use] = {}
        self.built: Mapping[Any, Any] | None = None
        if function is not None:
            self._read_statically(function)
            self._run()

    @property
    def uses(self) -> list[Use]:
        return list(self._uses.values())

    def made(self) -> dict[str, Use]:
        """The features by name, each with where its name is written; one that is named after a misspelt column is
        there under the right name as well."""
        source = self.run.source
        names = {str(n): Use.of(n, source, self.run.node_of(n), "built", self._at()) for n in self.built or {}}
        read = {use.name for use in self.uses}
        known = {c.name for c in self.model.data.columns}
        for name in [n for n in names if n in read - known]:
            near = nearest(name, known)
            if near:
                names.setdefault(near, names[name])
        return names

    def _at(self) -> Place:
        assert self.function is not None
        return self.run.source.place(self.function)

    def _note(self, name: Any) -> None:
        source = self.run.source
        if isinstance(name, Placed):
            use = Use.of(name, source, name.node, READS)
        else:
            frame = sys._getframe(2)
            while frame.f_back is not None and frame.f_code.co_filename != str(source.path):
                frame = frame.f_back
            use = Use.of(name, source, None, READS, Place(source.path, frame.f_lineno))
        self._uses.setdefault(use.place, use)

    def _read_statically(self, function: ast.FunctionDef) -> None:
        """Reads of literal names, on branches that no made-up input takes as well."""
        parameter = next(iter([*function.args.posonlyargs, *function.args.args]), None)
        for node in ast.walk(function):
            name: ast.AST | None = None
            if isinstance(node, ast.Subscript):
                owner, name = node.value, node.slice
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                owner, name = node.func.value, node.args[0] if node.func.attr in ("get", "pop") else None
            else:
                continue
            is_parameter = isinstance(owner, ast.Name) and parameter is not None and owner.id == parameter.arg
            if is_parameter and isinstance(name, ast.Constant) and isinstance(name.value, str):
                use = Use.of(name.value, self.run.source, name, READS)
                self._uses[use.place] = use

    def _build(self, arrays: dict[str, np.ndarray]) -> tuple[Any, Columns]:
        rows = len(next(iter(arrays.values()), ()))
        after = [c for c in self.model.data.columns if c not in self.model.data.inputs]
        hidden = made_up.arrays(after, [], {}, rows)
        columns = Columns({n: a.copy() for n, a in arrays.items()}, hidden, self._note)
        self.run.failed, noted = False, len(self.run.failures)
        built = self.run.call("build", columns)
        if self.run.failed:
            again = plain.call(self.run, "build", {n: a.copy() for n, a in arrays.items()})
            if again is not None:
                self.run.failed = False
                del self.run.failures[noted:]
                built = again[0]
        return built, columns

    def _run(self) -> None:
        inputs = self.model.data.inputs
        first = self._likely_texts()
        if first is None:
            return
        built, arrays = first
        self.built = built if isinstance(built, Mapping) else None
        if not self._shape_is_right(built, made_up.ROWS, ""):
            return
        again, _ = self._build(arrays)
        for name, values in built.items():
            same = isinstance(again, Mapping) and name in again and _equal(values, again[name])
            if not same:
                what = f"feature {str(name)!r} is another one when the same rows come again"
                self._wrong(name, what, "wanted: no random numbers and no clock")
        empty = {name: array[:0] for name, array in arrays.items()}
        one = {name: array[:1] for name, array in arrays.items()}
        for what, special, rows in (
            ("one row", one, 1),
            ("a batch of no rows", empty, 0),
            ("rows in which every value is missing", made_up.missing(inputs, 3), 3),
        ):
            noted = len(self.run.failures)
            result, _ = self._build(special)
            if self.run.failed:
                for problem in self.run.failures[noted:]:
                    self.found.append(Problem(problem.place, f"build, given {what}, {problem.what}", problem.hint))
                del self.run.failures[noted:]
            elif not self._shape_is_right(result, rows, f", given {what},"):
                pass
            elif set(result) != set(built):
                lacking = sorted(map(str, set(built) ^ set(result)))
                text = f"build, given {what}, makes other features ({', '.join(lacking)})"
                self.found.append(Problem(self._at(), text, "wanted: the same names for any rows"))

    def _likely_texts(self) -> tuple[Any, dict[str, np.ndarray]] | None:
        """Build once; if it fails, with other texts in the column that it read last. ``None``: it always fails."""
        inputs = self.model.data.inputs
        texts = [c.name for c in inputs if c.type.value == "string"]
        noted, problems = len(self.run.failures), len(self.run.problems)
        first_failures: list[Problem] = []
        for _ in range(len(texts) * len(made_up.KINDS) + 1):
            arrays = made_up.arrays(inputs, self.expectations, self.kinds)
            built, columns = self._build(arrays)
            if not self.run.failed:
                del self.run.failures[noted:]
                return built, arrays
            first_failures = first_failures or self.run.failures[noted:]
            del self.run.failures[noted:], self.run.problems[max(problems, 0) : problems]
            last = columns.last
            if last not in texts or self.kinds.get(last, -1) + 1 >= len(made_up.KINDS):
                break
            self.kinds[last] = self.kinds.get(last, -1) + 1
        for problem in first_failures:
            self.found.append(
                Problem(problem.place, f"build {problem.what}", problem.hint, suggestion=problem.suggestion)
            )
        return None

    def _shape_is_right(self, built: Any, rows: int, given: str) -> bool:
        """Whether `build` returned what training and server can use; each wrong feature is a separate problem."""
        wanted = "wanted: a dict of name -> 1-d array with one value for each row"
        if not isinstance(built, Mapping) or not built:
            kind = "an empty dict" if isinstance(built, Mapping) else type(built).__name__
            self.found.append(Problem(self._at(), f"build{given} returns {kind}", wanted))
            return False
        right = True
        for name, values in built.items():
            try:
                dataset.frame_of(self.model, {name: values}, rows)
            except (ConfigurationError, ValueError, TypeError) as error:
                right = False
                self._wrong(name, f"build{given}: {error}".rstrip("."), wanted)
        return right

    def _wrong(self, name: Any, what: str, hint: str) -> None:
        node = self.run.node_of(name)
        place = self.run.source.place(node) if node is not None else self._at()
        self.found.append(Problem(place, what, hint))

    def problems(self) -> Iterator[Problem]:
        """What is wrong, in addition to the names of columns and to what the run itself has recorded."""
        yield from self.found


def _equal(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    same = (one == other) | ((one != one) & (other != other))
    return bool(np.all(same))
