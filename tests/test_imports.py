"""There are no import cycles, and the digest of a version covers all code that makes the version."""

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
    """Return the modules of `include` that each module imports, at any level of nesting, also for type checking."""
    graph = grimp.build_graph("include", cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def reached(start: str, edges: dict[str, set[str]]) -> set[str]:
    """Return the modules that ``start`` imports, directly or indirectly."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, each group once."""
    behind = {module: reached(module, edges) for module in edges}
    groups = {
        frozenset(other for other in behind[module] if module in behind[other])
        for module in edges
        if module in behind[module]
    }
    return sorted(map(sorted, groups))


def test_a_cycle_is_found() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_there_are_no_import_cycles() -> None:
    """Imports inside functions count, too. Such a cycle would go unnoticed until the function is called."""
    assert cycles(imported()) == []


def test_the_digest_covers_all_code_that_makes_a_version() -> None:
    """If retraining used a package that the digest leaves out, a change there would not show in the digest."""
    covered = catalog.code_of(catalog.MAKE_A_VERSION)
    tasks = [module for module in imported() if module.startswith("include.retraining")]
    used = {module for task in tasks for module in reached(task, imported())} | set(tasks)
    files = {module: file_of(module) for module in used}
    missing = {module for module, file in files.items() if file.relative_to(PROJECT).as_posix() not in covered}
    # The first explains broken folders, which never become a version; the second only lists what is covered.
    assert {m for m in missing if not m.startswith(("include.mistakes", "include.former_names"))} == set()
    packages = {Path(name).parts[1] for name in covered}
    assert not packages & {"serving", "release", "linting", "authoring", "backtest", "power", "stack", "mistakes"}


def file_of(module: str) -> Path:
    place = PROJECT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def test_the_project_itself_imports_no_former_name() -> None:
    found = {m: names & FORMER.keys() for m, names in imported().items() if names & FORMER.keys()}
    assert found == {}


def test_parsing_healthy_folders_does_not_load_the_interpreter() -> None:
    """Only a broken `model.py` needs the interpreter. DAG files parse healthy folders every few seconds."""
    code = (
        "import sys; from include import catalog; healthy = [e.name for e in catalog.entries() if e.model]; "
        "there = {'include.mistakes.running', 'include.mistakes.declared'} & set(sys.modules); "
        "print(bool(healthy), sorted(there))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "True []"
