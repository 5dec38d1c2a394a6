"""Runs a `model.py` so that every mistake of its declarations is found, each at the argument that is wrong.

What the scheduler does with a healthy file is an import; this run is for a file that fails, and for the lint.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.mistakes.constructing import construct
from include.mistakes.problem import Problem
from include.mistakes.running import Site, Traced
from include.mistakes.source import Source
from include.spec import Declaration, Model
from include.spelling import nearest


@dataclass(frozen=True)
class Declared:
    """The model of a `model.py`, as far as it could be made, and the mistakes found."""

    model: Model | None
    problems: list[Problem]
    run: Traced | None = None

    def node_of(self, part: Any) -> ast.AST | None:
        """Where a part of the model was declared."""
        return self.run.node_of(part) if self.run else None


def read(path: Path, name: str) -> Declared:
    """Run the `model.py` of the model ``name``; never raises for what is in the file."""
    source = Source.read(path)
    if isinstance(source, Problem):
        return Declared(None, [source])
    run = Traced(source, f"include.models.{name}", _watch).run()
    problems = [*run.problems, *run.failures]
    model = run.namespace.get("MODEL")
    if not isinstance(model, Model):
        if "MODEL" in run.namespace or not run.failed:
            problems.append(_no_model(source, run))
        return Declared(None, problems, run)
    if getattr(model, "name", name) != name:
        problems.append(_other_name(run, model, name))
    return Declared(model, problems, run)


def _watch(run: Traced, site: Site) -> Any:
    ours = isinstance(site.function, type) and issubclass(site.function, Declaration)
    return construct(run, site) if ours else NotImplemented


def _no_model(source: Source, run: Traced) -> Problem:
    """`MODEL` is not assigned, or to something else."""
    for node in source.tree.body:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name):
                value = run.namespace.get(target.id)
                if isinstance(value, Model):
                    fix = source.replace(target, "MODEL")
                    return Problem(
                        source.place(target),
                        f"the model is named {target.id!r}",
                        "did you mean 'MODEL'?",
                        suggestion=fix,
                    )
                if target.id == "MODEL":
                    return Problem(source.place(node), f"MODEL is {type(value).__name__}", "wanted: MODEL = Model(...)")
    near = nearest("MODEL", [n for n in run.namespace if not n.startswith("_")])
    return Problem(
        source.place(source.tree), "assigns no MODEL", f"wanted: MODEL = Model(...){f', not {near}' if near else ''}"
    )


def _other_name(run: Traced, model: Model, name: str) -> Problem:
    what = f"the model is named {str(model.name)!r} but its folder {name!r}"
    made = run.made.get(id(model))
    given = made[1].kwargs.get("name") if made else None
    node = run.node_of(given) or run.node_of(model)
    source = run.source
    assert node is not None
    fix = source.replace(node, source.quoted(node, name)) if run.node_of(given) else None
    return Problem(source.place(node), what, f"make them the same: {name!r}", suggestion=fix)
