"""Names that a file uses and does not define: found in the symbol tables, so also in code that no run reaches."""

from __future__ import annotations

import ast
import builtins
import importlib
import symtable
from functools import lru_cache

from include.mistakes.problem import OtherEnd, Problem, one_of
from include.mistakes.source import Source
from include.spelling import nearest, one_slip

ALWAYS = {*dir(builtins), "__file__", "__name__", "__doc__", "__package__", "__path__", "__spec__", "__builtins__"}


@lru_cache(maxsize=64)
def undefined(source: Source) -> dict[str, tuple[Problem, str | None]]:
    """Undefined names, each with its problem (at its first use) and the nearest name that was probably meant."""
    if any(isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in source.nodes):
        return {}
    table = symtable.symtable(source.text, str(source.path), "exec")
    known = _defined(table)
    used = _globals_used(table)
    loads: dict[str, list[ast.Name]] = {}
    for node in source.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            loads.setdefault(node.id, []).append(node)
    idle = {d.name: d for d in source.tree.body if isinstance(d, ast.FunctionDef) and d.name not in loads}
    defined = [d.name for d in source.tree.body if isinstance(d, ast.FunctionDef)]
    found = {}
    for name in sorted(used - known - ALWAYS):
        uses = sorted(loads.get(name, []), key=source.place)
        if not uses:
            continue
        # Candidates: what the module defines; a builtin only if nothing in the module is near.
        # One that is imported or defined and used nowhere explains more than the nearest of those in use.
        fitting = _fitting(source, name, known)
        free = [one for one in fitting if one not in loads and one_slip(name, one)]
        called = any(isinstance(n, ast.Call) and n.func is uses[0] for n in source.nodes)
        functions = [one for one in defined if called and one_slip(name, one)]
        near = (
            nearest(name, functions)
            or nearest(name, free)
            or nearest(name, fitting)
            or nearest(name, {n for n in dir(builtins) if n[0] != "_"})
        )
        also: tuple[OtherEnd, ...] = ()
        if near in idle:
            definition = idle[str(near)]
            end = source.rename(definition, str(near), name)
            also = (OtherEnd(source.place(definition), f"or name the function {name!r} here", end),)
        hint = one_of(name, known) if near in known or near is None else f"did you mean {near!r}?"
        fix = source.replace(uses[0], near) if near else None
        found[name] = (
            Problem(source.place(uses[0]), f"{name!r} is not defined", hint, suggestion=fix, also=also),
            near,
        )
    return found


def _fitting(source: Source, name: str, known: set[str]) -> set[str]:
    """Without the modules that lack what is asked of this name: of `pd` and `np` one slip makes the same `p`."""
    asked = {
        node.attr
        for node in source.nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }
    modules = {
        alias.asname or alias.name: alias.name
        for node in source.tree.body
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    return {one for one in known if one not in modules or all(_has(modules[one], what) for what in asked)}


def _has(module: str, attribute: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ImportError:  # a separate mistake, which is reported where it is made
        return True


def _defined(table: symtable.SymbolTable) -> set[str]:
    names = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    pending = list(table.get_children())
    while pending:
        child = pending.pop()
        names |= {s.get_name() for s in child.get_symbols() if s.is_declared_global() and s.is_assigned()}
        pending += child.get_children()
    return names


def _globals_used(table: symtable.SymbolTable) -> set[str]:
    at_top = table.get_type() == "module"
    names = {
        s.get_name()
        for s in table.get_symbols()
        if s.is_referenced() and (s.is_global() or (at_top and not s.is_assigned()))
    }
    for child in table.get_children():
        names |= _globals_used(child)
    return names
