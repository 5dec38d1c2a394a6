"""All mistakes of one model folder. Runs the folder's code in this process: `include.linting.run` keeps it apart."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import include.models
from include import catalog
from include.linting import building, columns, estimators, margins, plain, scorers, static, suite
from include.mistakes import declared
from include.mistakes.problem import Problem, in_order
from include.mistakes.running import Traced, Watch
from include.mistakes.source import Source

Stage = Callable[[Path], None]


def lint(name: str, folder: Path, stage: Stage = lambda path: None, fit: bool = True) -> list[Problem]:
    """Every mistake of the folder of the model ``name``, in the order of files and lines.

    Parameters
    ----------
    stage : called with the file whose code runs next, so that the parent process knows which one hangs or crashes.
    fit : whether the candidates are fitted on made-up rows if nothing else is wrong; this takes most of the time.
    """
    with _importable(name, folder):
        return in_order(_problems(name, folder, stage, fit))


def _problems(name: str, folder: Path, stage: Stage, fit: bool) -> Iterator[Problem]:
    first = catalog.file_problems(folder)
    sources = {}
    for file in ("model", *catalog.FILES):
        if (folder / f"{file}.py").is_file():
            source = Source.read(folder / f"{file}.py")
            if isinstance(source, Problem):
                first.append(source)
            else:
                sources[file] = source
                first += static.problems(source, name)
    found = None
    if "model" in sources:
        stage(folder / "model.py")
        found = declared.read(folder / "model.py", name)
        first += [*found.problems, *margins.problems(found)]
        first += scorers.problems(folder, found, name)
    yield from first
    runs = {}
    for file, watch in (("source", None), ("expectations", suite.watch), ("features", None), ("candidates", None)):
        if file in sources:
            stage(sources[file].path)
            runs[file] = _run(sources[file], name, watch)
    of_files = list(_together(sources, runs, found, stage, fit))
    for file, run in runs.items():
        of_files += run.problems
        function, arguments = catalog.FILES[file]
        if run.failures and (arguments or plain.call(run, function) is None):
            of_files += run.failures
    yield from of_files
    # A file that fails only because of mistakes in another one has no mistakes itself: those are already reported.
    known = {p.place.file for p in [*first, *of_files] if p.severity == "error"}
    yield from (problem for run in runs.values() for blamed, problem in run.elsewhere if blamed not in known)


def _together(
    sources: dict[str, Source], runs: dict[str, Traced], found: declared.Declared | None, stage: Stage, fit: bool
) -> Iterator[Problem]:
    """What the functions of the files do, and where the files contradict each other."""
    whole = found if found is not None and _usable(found) else None
    given = columns.declared_columns(whole) if whole else {}
    model = whole.model if whole else None
    taken = {*model.data.key, model.data.event_time, model.data.label.column} if model else set()
    expected = features = None
    if "expectations" in runs:
        stage(sources["expectations"].path)
        expected = suite.Suite(runs["expectations"], _function(sources, runs, "expectations"))
        yield from expected.problems()
    if model and whole and "features" in runs:
        stage(sources["features"].path)
        features = building.Features(runs["features"], _function(sources, runs, "features"), whole, expected)
        yield from features.problems()
        yield from columns.leaks(features.uses, whole)
    misnamed: list[Problem] = []
    if model and given:
        uses = [*(expected.uses() if expected else ()), *(features.uses if features else ())]
        misnamed += columns.unknown(uses, given, taken, "declared column")
        if "source" in sources and not misnamed:
            yield from columns.unmentioned(sources["source"], given)
        yield from misnamed
    if model and "candidates" in runs:
        stage(sources["candidates"].path)
        tried = estimators.Candidates(runs["candidates"], _function(sources, runs, "candidates"), model)
        wrong = list(tried.problems())
        yield from wrong
        if features and features.built is not None:
            made = features.made()
            unknown = list(columns.unknown(tried.uses(), made, (), "feature that build makes"))
            yield from unknown
            yield from tried.unused(made, features.built)
            known_wrong = [*wrong, *misnamed, *unknown, *features.found, *runs["candidates"].problems]
            if fit and not known_wrong and not tried.failed:
                yield from tried.fits(features.built)


def _usable(found: declared.Declared) -> bool:
    """Whether the columns are known: names and types are what was written."""
    data: Any = getattr(found.model, "data", None)
    if found.run is None or data is None:
        return False
    try:
        inputs = [(c.name, c.type.value, c.known.value, c.nullable) for c in data.columns]
        roles = (*data.key, data.event_time, data.label.column, data.label.task.value)
    except (AttributeError, TypeError):
        return False
    lost = [found.run.lost.get(id(c), set()) for c in data.columns]
    return bool(inputs and roles) and not any({"name", "type"} & names for names in lost)


def _function(sources: dict[str, Source], runs: dict[str, Traced], file: str) -> ast.FunctionDef | None:
    """The required function of a file, if it exists and can be called."""
    name, arguments = catalog.FILES[file]
    if not callable(runs[file].namespace.get(name)):
        return None
    for node in sources[file].tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node if not catalog.argument_problems(sources[file], node, arguments, "") else None
    return None


def _run(source: Source, name: str, watch: Watch | None) -> Traced:
    return Traced(source, f"include.models.{name}", watch).run()


@contextmanager
def _importable(name: str, folder: Path) -> Iterator[None]:
    """The folder's files as modules of `include.models`, this folder before all others of its name."""
    before, keep = list(include.models.__path__), sys.dont_write_bytecode
    include.models.__path__ = [str(folder.parent), *before]
    sys.dont_write_bytecode = True
    _forget(name)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        include.models.__path__, sys.dont_write_bytecode = before, keep
        _forget(name)


def _forget(name: str) -> None:
    for module in [m for m in sys.modules if f"{m}.".startswith(f"include.models.{name}.")]:
        del sys.modules[module]
