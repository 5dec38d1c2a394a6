"""Runs a file so that its mistakes can be located: strings and calls carry their place in the file.

A mistake that has a nearest right thing (a keyword, a name of a module, an enum's member) is noted and the run goes on
with that thing, so that one run finds all of them.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import EnumType
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from include.extras import advice
from include.mistakes import explaining
from include.mistakes.importable import MAY_IMPORT
from include.mistakes.instrumenting import Placed, instrumented
from include.mistakes.names import undefined
from include.mistakes.problem import Problem, one_of
from include.mistakes.source import Source
from include.spelling import nearest, one_slip


@dataclass
class Site:
    """One call: its node, what was called with what, and the sites of the calls that it happened in."""

    source: Source
    node: ast.Call
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, object]
    outer: tuple[ast.Call, ...] = ()

    def keyword(self, name: str) -> ast.keyword | None:
        return next((k for k in self.node.keywords if k.arg == name), None)


Watch = Callable[["Traced", Site], Any]
"""Makes the call of a site; returns `NotImplemented` for other calls."""


@dataclass
class Traced:
    """A run of one file; `problems`, `failures` (what was raised) and `made` grow while its functions are called.

    Parameters
    ----------
    package : name of the package that the file is in, for what it imports of its own folder.
    watch : makes the calls that must be observed.
    """

    source: Source
    package: str
    watch: Watch | None = None
    problems: list[Problem] = field(default_factory=list)
    made: dict[int, tuple[Any, Site]] = field(default_factory=dict)
    lost: dict[int, set[str]] = field(default_factory=dict)  # by id of an object: fields that are not what was written
    namespace: dict[str, Any] = field(default_factory=dict)
    failures: list[Problem] = field(default_factory=list)
    elsewhere: list[tuple[Path, Problem]] = field(default_factory=list)
    """Each other file of the folder that something fails because of, and what: not a mistake if that file has some."""
    failed: bool = False
    _outer: list[ast.Call] = field(default_factory=list)
    _lost: set[str] = field(default_factory=set)
    _undefined: dict[str, Problem] = field(default_factory=dict)

    def run(self) -> Traced:
        """Execute the file, statement by statement; a statement that fails is noted and the next one runs."""
        name = f"{self.package}.{self.source.path.stem}"
        module = ModuleType(name)
        module.__file__ = str(self.source.path)
        module.__package__ = self.package
        self.namespace = module.__dict__
        code = instrumented(self.source)
        self._nodes = code.nodes
        self.namespace.update(__call__=self._call, __attribute__=self._attribute, __strings__=code.strings)
        wrong = undefined(self.source)
        self._undefined = {name: problem for name, (problem, _) in wrong.items()}
        self._lost |= {name for name, (_, near) in wrong.items() if not near}
        sys.modules[name] = module
        try:
            for node, statement in zip(self.source.tree.body, code.statements, strict=True):
                self._statement(node, statement)
        finally:
            sys.modules.pop(name, None)
        self.problems += [*self._undefined.values(), *self._lacking()]
        return self

    def _lacking(self) -> Iterator[Problem]:
        """Attributes that an imported module or an enum does not have, on branches that no run takes as well."""
        for node in self.source.nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
                owner = self.namespace.get(node.value.id)
                if isinstance(owner, (ModuleType, EnumType)) and not hasattr(owner, node.attr):
                    yield explaining.no_attribute(self.source, node, owner, node.attr)

    def call(self, function: str, *args: Any) -> Any:
        """Call one of the file's functions; ``None``, and `failed`, if it raises."""
        try:
            return self.namespace[function](*args)
        except BaseException as error:
            self._note(error)
            return None

    def node_of(self, value: Any) -> ast.AST | None:
        """Where a string was written, or an object was made."""
        if isinstance(value, Placed):
            return value.node
        made = self.made.get(id(value))
        return made[1].node if made else None

    def _note(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt):
            raise error
        self.failed = True
        if isinstance(error, NameError) and error.name in self._lost:
            return
        problem, blamed = explaining.explain(error, self.source), explaining.blamed(error, self.source)
        if blamed is None:
            self.failures.append(problem)
            return
        file, place = blamed
        at = Problem(place, f"fails: {explaining.message_of(error)}", explaining.SEE) if place else problem
        self.elsewhere.append((file, at))

    def _statement(self, node: ast.stmt, code: CodeType) -> None:
        try:
            exec(code, self.namespace)
        except ImportError as error:
            if isinstance(node, (ast.Import, ast.ImportFrom)) and not node.__dict__.get("level"):
                self._import(node)
            else:
                self._note(error)
                self._lost |= _bound(node)
        except BaseException as error:
            self._note(error)
            self._lost |= _bound(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Import name by name; what is not there is noted, and the nearest thing taken for it."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = self._module(node, alias.name)
                bound = alias.asname or alias.name.split(".")[0]
                if module is None:
                    self._lost.add(bound)
                else:
                    self.namespace[bound] = module if alias.asname else sys.modules[module.__name__.split(".")[0]]
            return
        module = self._module(node, node.module or "")
        for alias in node.names:
            bound = alias.asname or alias.name
            if module is None:
                self._lost.add(bound)
                continue
            found = _member(module, alias.name)
            if found is None:
                used = [name for name in self._undefined if name in _members(module) and one_slip(alias.name, name)]
                near = nearest(alias.name, used or _members(module))
                problem = Problem(
                    self.source.place(alias),
                    f"{module.__name__} has no {alias.name!r}",
                    one_of(alias.name, used or _members(module)) if near else "see its documentation for what it has",
                    suggestion=self.source.rename(alias, alias.name, near) if near else None,
                )
                file = Path(getattr(module, "__file__", None) or "")
                if file.parent == self.source.path.parent:
                    self.elsewhere.append((file, problem))
                else:
                    self.problems.append(problem)
                found = _member(module, near)
                self._undefined.pop(near or "", None)  # spelt correctly, it would not be a second mistake
            if found is None:
                self._lost.add(bound)
            else:
                self.namespace[bound] = found[0]

    def _module(self, node: ast.stmt, name: str) -> ModuleType | None:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or name
            if not (name == missing or name.startswith(f"{missing}.")):
                self._note(error)
                return None
        except BaseException as error:
            if explaining.blamed(error, self.source) is not None:
                self._note(error)
                return None
            self.problems.append(
                Problem(self.source.place(node), f"{name} cannot be imported: {explaining.message_of(error)}")
            )
            self.failed = True
            return None
        if extra := advice(missing):
            what = (
                f"{self.source.path.stem} of {self.package.rpartition('.')[2]} need {missing}, which is not installed"
            )
            self.problems.append(Problem(self.source.place(node), what, extra))
            return None
        meant = _meant(name)
        hint = f"did you mean {meant!r}?" if meant else "install it, or leave the import out"
        fix = self.source.rename(node, name, meant) if meant else None
        self.problems.append(Problem(self.source.place(node), f"there is no module {missing!r}", hint, suggestion=fix))
        return importlib.import_module(meant) if meant else None

    def _call(self, number: int, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        node = self._nodes[number]
        assert isinstance(node, ast.Call)
        site = Site(self.source, node, function, args, kwargs, tuple(self._outer))
        self._outer.append(node)
        try:
            if self.watch is not None:
                result = self.watch(self, site)
                if result is not NotImplemented:
                    return result
            try:
                result = function(*args, **kwargs)
            except TypeError as error:
                meant = self._misfit(site, error)
                if meant is not None:
                    result = function(*args, **meant)
                elif self._refuses_ours(function, args, kwargs):
                    result = function(*map(_plain, args), **{name: _plain(value) for name, value in kwargs.items()})
                else:
                    raise
            if isinstance(function, type):
                self.made[id(result)] = (result, site)
            return result
        finally:
            self._outer.pop()

    def _refuses_ours(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, object]) -> bool:
        """Whether a `TypeError` can be about our strings, which know their place: some functions take plain ones only.

        `sys.intern` does, and on Python 3.11 `Path.with_name`. A function of this file passes them on.
        """
        code = getattr(function, "__code__", None)
        ours = code is not None and code.co_filename == str(self.source.path)
        return not ours and any(isinstance(value, Placed) for value in (*args, *kwargs.values()))

    def _misfit(self, site: Site, error: TypeError) -> dict[str, object] | None:
        """Note keywords that the function does not take; the keywords that were meant, if all have a nearest one."""
        known = explaining.parameters(site.function)
        if not known or not re.search(r"keyword argument|unexpected", str(error)):
            return None
        meant: dict[str, object] = {}
        wrong = False
        for name, value in site.kwargs.items():
            if name in known:
                meant[name] = value
                continue
            near = nearest(name, set(known) - set(site.kwargs))
            keyword = site.keyword(name)
            if near is None or keyword is None:
                return None
            wrong = True
            meant[near] = value
            self.problems.append(explaining.unknown_keyword(self.source, keyword, site.function, known))
        return meant if wrong else None

    def _attribute(self, number: int, value: Any, name: str) -> Any:
        try:
            return getattr(value, name)
        except AttributeError as error:
            node = self._nodes[number]
            assert isinstance(node, ast.Attribute)
            if error.name not in (None, name):
                raise
            near = nearest(name, [n for n in dir(value) if not n.startswith("_")])
            if near is None:
                raise
            self.problems.append(explaining.no_attribute(self.source, node, value, name))
            return getattr(value, near)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Placed) else value


def _bound(node: ast.stmt) -> set[str]:
    """The names that a statement would have bound."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        names.add(node.name)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        names |= {(a.asname or a.name).split(".")[0] for a in node.names}
    return names


def _members(module: ModuleType) -> set[str]:
    return {n for n in dir(module) if not n.startswith("_")} | set(_submodules(module.__name__))


def _member(module: ModuleType, name: str | None) -> tuple[Any] | None:
    """The module's attribute or submodule of this name, in a tuple of one."""
    if name is None:
        return None
    if hasattr(module, name):
        return (getattr(module, name),)
    try:
        return (importlib.import_module(f"{module.__name__}.{name}"),)
    except ImportError:
        return None


def _meant(name: str) -> str | None:
    """The module that can be imported and was most likely meant."""
    slips = [known for known in (*sys.modules, *MAY_IMPORT) if one_slip(name, known)]
    if slips:
        return nearest(name, slips)
    found = ""
    for part in name.split("."):
        if part not in (siblings := _submodules(found)):
            part = nearest(part, siblings) or ""
        found = f"{found}.{part}".removeprefix(".")
        try:
            importlib.import_module(found)
        except Exception:  # a module that cannot be imported is not proposed
            return None
    return found


def _submodules(parent: str) -> list[str]:
    """Modules below a package; for an empty name what can be imported at the top: installed or in the library."""
    if not parent:
        return [*sys.stdlib_module_names, *(m.name for m in pkgutil.iter_modules())]
    module = sys.modules.get(parent)
    return [m.name for m in pkgutil.iter_modules(getattr(module, "__path__", []))]
