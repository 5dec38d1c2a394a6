"""What the syntax trees show, in addition to the catalog's rules: wrong imports, changing values, doubled keys."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from include.mistakes.importable import MAY_IMPORT, may_import
from include.mistakes.problem import Problem
from include.mistakes.source import Source
from include.spelling import nearest

_PACKAGES = ("include", "include.scoring")  # of which single modules are allowed
# Their value changes at each parse, which makes a new version of every DAG, and past runs cannot be reproduced.
CHANGING = {"now", "today", "utcnow", "time", "time_ns", "uuid1", "uuid4", "random", "getenv", "urandom"}


def problems(source: Source, model: str) -> Iterator[Problem]:
    """The mistakes that this file shows without being run; ``model`` is the name of its folder."""
    file = source.path.stem
    yield from _imports(source, file, model)
    yield from _doubled_keys(source)
    if file == "model":
        yield from _changing_values(source)


def _imports(source: Source, file: str, model: str) -> Iterator[Problem]:
    for node in source.nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            whole = node.module not in _PACKAGES
            names = [node.module] if whole else [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield from _import(source, node, file, model, name)


def _import(source: Source, node: ast.stmt, file: str, model: str, name: str) -> Iterator[Problem]:
    top = name.partition(".")[0]
    place = source.place(node)
    if top in ("airflow", "perennial", "dags", "plugins"):
        hint = "a model does not depend on Airflow: what it needs is passed to its functions"
        yield Problem(place, f"{name} is imported", hint, suggestion=source.without(node))
    elif top == "include" and file != "model":
        if not may_import(name, model):
            rooms = {module.removeprefix("include."): module for module in MAY_IMPORT}
            near = rooms.get(nearest(name.removeprefix("include.").split(".")[0], rooms) or "")
            hint = f"did you mean {near!r}?" if near else f"a model may import {', '.join(MAY_IMPORT)}"
            fix = source.rename(node, name, near) if near else source.without(node)
            yield Problem(place, f"{name} is imported, which models may not import", hint, suggestion=fix)
    elif file == "model" and name not in ("include.spec", "include") and top not in sys.stdlib_module_names:
        near = nearest(name, ["include.spec", *sys.stdlib_module_names])
        what = f"model.py imports {name}: the scheduler parses it every few seconds"
        hint = f"did you mean {near!r}?" if near else "import include.spec and the standard library only"
        fix = source.rename(node, name, near) if near else source.without(node)
        yield Problem(place, what, hint, suggestion=fix)
    elif file == "features" and top == "pandas":
        what = "features.py imports pandas, which the model server would have to load for every live row"
        yield Problem(place, what, "use numpy: columns are 1-d arrays", "warning", source.without(node))


def _changing_values(source: Source) -> Iterator[Problem]:
    for node in source.nodes:
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func)
        if called in CHANGING or owner.startswith(("random.", "os.environ", "secrets.")):
            what = f"{owner}() has a new value at each parse, so model.py would declare a different model each time"
            yield Problem(source.place(node), what, "write the value down, e.g. date(2025, 1, 1)")
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "environ":
            what = "model.py reads the environment, which differs between processes"
            yield Problem(source.place(node), what, "write the value down")


def _doubled_keys(source: Source) -> Iterator[Problem]:
    for node in source.nodes:
        if not isinstance(node, ast.Dict):
            continue
        seen: dict[object, int] = {}
        for key in node.keys:
            if isinstance(key, ast.Constant):
                if key.value in seen:
                    what = f"key {key.value!r} occurs twice; the first one, in line {seen[key.value]}, is lost"
                    yield Problem(source.place(key), what, "remove one", suggestion=source.without(key))
                seen.setdefault(key.value, key.lineno)
