"""Rewrites a file so that a run sees every call, attribute and text of it, with the place where it is written."""

from __future__ import annotations
import __future__

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

from include.mistakes.names import undefined
from include.mistakes.source import Source

# These look at the frame that calls them, so nothing may stand in between.
FRAME_READERS = {"super", "locals", "globals", "vars", "dir", "eval", "exec", "__import__", "breakpoint"}


class Placed(str):
    """A string literal of the file, with the node that it was written as."""

    node: ast.AST

    def __deepcopy__(self, memo: Any) -> Placed:
        return self

    def __copy__(self) -> Placed:
        return self


class _Tracing(ast.NodeTransformer):
    """Rewrites a tree: each call, attribute and string literal goes through the run."""

    def __init__(self, source: Source, meant: Mapping[str, str]) -> None:
        self.meant = meant
        self.strings: list[Placed] = []
        self.nodes: list[ast.AST] = []
        self.originals = {_where(n): n for n in source.nodes if isinstance(n, ast.expr)}

    def visit_Call(self, node: ast.Call) -> ast.AST:
        original = self._original(node)
        reads_frame = isinstance(node.func, ast.Name) and node.func.id in FRAME_READERS
        self.generic_visit(node)
        if reads_frame or not isinstance(original, ast.Call):
            return node
        number = self._number(original)
        return _at(node, ast.Call(_name("__call__"), [ast.Constant(number), node.func, *node.args], node.keywords))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        original = self._original(node)
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load) or node.attr.startswith("__") or not isinstance(original, ast.Attribute):
            return node
        number = self._number(original)
        arguments = [ast.Constant(number), node.value, ast.Constant(node.attr)]
        return _at(node, ast.Call(_name("__attribute__"), arguments, []))

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if type(node.value) is not str:
            return node
        text = Placed(node.value)
        text.node = self._original(node) or node
        self.strings.append(text)
        number = ast.Constant(len(self.strings) - 1)
        return _at(node, ast.Subscript(_name("__strings__"), number, ast.Load()))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self.meant:
            return ast.copy_location(ast.Name(self.meant[node.id], ast.Load()), node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                part.value = self.visit(part.value)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return node  # an annotation is not run

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.args = self.visit(node.args)
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.body = [self.visit(s) for s in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = self.visit(node.value) if node.value else None
        return node

    def visit_Try(self, node: ast.Try) -> ast.AST:
        return node  # code that catches errors must see them

    def visit_Match(self, node: ast.Match) -> ast.AST:
        node.subject = self.visit(node.subject)
        for case in node.cases:
            case.body = [self.visit(s) for s in case.body]
        return node

    def _original(self, node: ast.expr) -> ast.AST | None:
        return self.originals.get(_where(node))

    def _number(self, node: ast.AST) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


@dataclass(frozen=True)
class Instrumented:
    """A file's statements, compiled so that calls, attributes and strings go through a run."""

    statements: list[CodeType]
    strings: list[Placed]
    nodes: list[ast.AST]


@lru_cache(maxsize=64)
def instrumented(source: Source) -> Instrumented:
    meant = {name: near for name, (_, near) in undefined(source).items() if near}
    tracing = _Tracing(source, meant)
    tree = tracing.visit(ast.parse(source.text))
    flags = 0
    statements = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
        part = ast.Module([node], [])
        statements.append(compile(part, str(source.path), "exec", flags=flags, dont_inherit=True, optimize=0))
    return Instrumented(statements, tracing.strings, tracing.nodes)


def _where(node: ast.expr) -> tuple[Any, ...]:
    return type(node), node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _at(node: ast.expr, new: ast.expr) -> ast.expr:
    for child in ast.iter_child_nodes(new):
        if isinstance(child, ast.expr) and not hasattr(child, "lineno"):
            ast.copy_location(child, node)
    return ast.copy_location(new, node)
