"""What the syntax trees tell beside the catalog's rules: imports that do not belong, the clock, doubled keys."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from include.former_names import FORMER
from include.mistakes.problem import Problem
from include.mistakes.source import Source
from include.spelling import nearest

# What a model's files may import of Perennial, beside their own folder.
OURS = ("spec", "partitions", "errors", "spelling", "settings", "sources", "scoring.columns")
_ALLOWED = (*OURS, *(name.removeprefix("include.") for name in FORMER))
_PACKAGES = ("include", "include.scoring")  # of which single modules are allowed
# Their value is another one at each parse: a new version of every DAG each time, and no past run can be made again.
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
    top, _, rest = name.partition(".")
    place = source.place(node)
    if top in ("airflow", "perennial", "dags", "plugins"):
        hint = "a model knows nothing of Airflow: what it needs is handed to its functions"
        yield Problem(place, f"{name} is imported", hint, suggestion=source.without(node))
    elif top == "include" and file != "model":
        allowed = (f"{part}." for part in (*_ALLOWED, f"models.{model}"))
        if not f"{rest}.".startswith(tuple(allowed)):
            near = nearest(rest.split(".")[0], OURS)
            hint = f"did you mean 'include.{near}'?" if near else f"a model may use include.{{{','.join(OURS)}}}"
            mend = source.rename(node, name, f"include.{near}") if near else source.without(node)
            yield Problem(place, f"{name} is imported, which is no part of what models may use", hint, suggestion=mend)
    elif file == "model" and name not in ("include.spec", "include") and top not in sys.stdlib_module_names:
        near = nearest(name, ["include.spec", *sys.stdlib_module_names])
        what = f"model.py imports {name}: the scheduler parses it every few seconds"
        hint = f"did you mean {near!r}?" if near else "import include.spec and the standard library only"
        mend = source.rename(node, name, near) if near else source.without(node)
        yield Problem(place, what, hint, suggestion=mend)
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
            what = f"{owner}() has another value at each parse, so model.py would declare another model each time"
            yield Problem(source.place(node), what, "write the value down, e.g. date(2025, 1, 1)")
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "environ":
            what = "model.py reads the environment, which is another one in each process"
            yield Problem(source.place(node), what, "write the value down")


def _doubled_keys(source: Source) -> Iterator[Problem]:
    for node in source.nodes:
        if not isinstance(node, ast.Dict):
            continue
        seen: dict[object, int] = {}
        for key in node.keys:
            if isinstance(key, ast.Constant):
                if key.value in seen:
                    what = f"key {key.value!r} is there twice; the first one, in line {seen[key.value]}, is lost"
                    yield Problem(source.place(key), what, "take one out", suggestion=source.without(key))
                seen.setdefault(key.value, key.lineno)
