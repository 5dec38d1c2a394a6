"""No module imports itself by a detour, and what a version is made of is what its digest covers."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp

from include import catalog
from include.former_names import FORMER
from include.settings import PROJECT


@cache
def imported() -> dict[str, set[str]]:
    """What each module of `include` imports of it, at whatever level of nesting, for type checking as well."""
    graph = grimp.build_graph("include", cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def reached(start: str, edges: dict[str, set[str]]) -> set[str]:
    """The modules that ``start`` imports, directly or by others."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, each group once."""
    behind = {module: reached(module, edges) for module in edges}
    groups = {
        frozenset(other for other in behind[module] if module in behind[other])
        for module in edges
        if module in behind[module]
    }
    return sorted(map(sorted, groups))


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_no_module_imports_itself_by_a_detour() -> None:
    """Also not inside of a function, where it would go unnoticed until the function is called."""
    assert circles(imported()) == []


def test_what_makes_a_version_is_covered_by_its_digest() -> None:
    """A room that the tasks of a retraining reach and the digest leaves out would change versions without a trace."""
    covered = catalog.code_of(catalog.MAKE_A_VERSION)
    tasks = [module for module in imported() if module.startswith("include.retraining")]
    used = {module for task in tasks for module in reached(task, imported())} | set(tasks)
    files = {module: file_of(module) for module in used}
    missing = {module for module, file in files.items() if file.relative_to(PROJECT).as_posix() not in covered}
    # The first explains broken folders, of which no version is made; the second only names what is covered.
    assert {m for m in missing if not m.startswith(("include.mistakes", "include.former_names"))} == set()
    rooms = {Path(name).parts[1] for name in covered}
    assert not rooms & {"serving", "release", "linting", "authoring", "backtest", "power", "stack", "mistakes"}


def file_of(module: str) -> Path:
    place = PROJECT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def test_nothing_of_ours_imports_a_former_name() -> None:
    found = {m: names & FORMER.keys() for m, names in imported().items() if names & FORMER.keys()}
    assert found == {}


def test_a_parse_of_healthy_folders_does_without_the_interpreter() -> None:
    """It is what finds all mistakes of a broken `model.py`; a DAG file asks for healthy folders every few seconds."""
    code = (
        "import sys; from include import catalog; healthy = [e.name for e in catalog.entries() if e.model]; "
        "there = {'include.mistakes.running', 'include.mistakes.declared'} & set(sys.modules); "
        "print(bool(healthy), sorted(there))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert told.strip() == "True []"
