"""Finds the models, lints their folders without running them, and imports a model's code when it is needed.

A model is a folder below `include/models/` (or a folder named in ``PERENNIAL_MODELS``) that holds the files in `FILES`.
One wrong folder never hides the others: it becomes an `Entry` with a ``problem``.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import include.models
from include.errors import ConfigurationError
from include.extras import advice, lacking
from include.mistakes.problem import Place, Problem, in_order
from include.mistakes.source import Source
from include.settings import PROJECT
from include.spec import Model
from include.spelling import did_you_mean, nearest

FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "source": ("fetch", ("partition", "connections")),
    "expectations": ("suite", ()),
    "features": ("build", ("columns",)),
    "candidates": ("candidates", ()),
}
OPTIONAL: dict[str, tuple[str, tuple[str, ...]]] = {"source": ("fetch_range", ("first", "last", "connections"))}
"""Functions that a file may have besides its required one."""
RANGE = (
    "def fetch_range(first: Partition, last: Partition, connections: Mapping[str, str]) "
    "-> Iterator[tuple[Partition, pd.DataFrame]]"
)
SIGNATURES = {
    "source": "def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame",
    "expectations": "def suite() -> list[Expectation]",
    "features": "def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]",
    "candidates": "def candidates() -> dict[str, Candidate]",
}


MAKE_A_VERSION = (
    "__init__.py", "errors.py", "extras.py", "spelling.py", "files.py", "partitions.py", "records.py", "settings.py",
    "catalog.py", "models/__init__.py", "spec", "statistics", "registry", "scoring", "sources", "data", "training",
    "gate", "cards", "retraining",
)  # fmt: skip
"""The packages and modules of `include/` that affect the bytes of a version or the decision about it."""


Stamp = tuple[int, int]  # of a file: modification time in nanoseconds, size in bytes
Wanted = tuple[str, tuple[str, ...], str, bool]  # a function: name, arguments, signature for people, whether required


@dataclass(frozen=True)
class Seen:
    """What the syntax tree of a file shows.

    Attributes
    ----------
    problems : with its functions: one that is not required may be missing, but not be wrong.
    keys : of the dict that its required function returns, if they are literals.
    """

    problems: tuple[Problem, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A model folder: its name, and either the model or what is wrong with the folder."""

    name: str
    folder: Path
    model: Model | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def problem(self) -> str | None:
        """The mistakes, one per line, each with file, line and what is wanted; ``None`` for a healthy folder."""
        return "\n".join(map(str, self.problems)) or None


def folders() -> dict[str, Path]:
    """Model folders by name, in the order in which they are shown: the project's own first, then by name."""
    found: dict[str, Path] = {}
    for root in include.models.__path__:
        base = Path(root)
        if base.is_dir():
            for folder in sorted(p for p in base.iterdir() if p.is_dir() and p.name[0] not in "._"):
                found.setdefault(folder.name, folder)
    return found


def entries(wanted: Callable[[str], bool] = lambda name: True) -> list[Entry]:
    """Every model folder, loaded or with its problem; never raises for a broken folder, or one that is removed now.

    Parameters
    ----------
    wanted : whether the folder of this name is read.
    """
    found = []
    for name, place in folders().items():
        if wanted(name):
            try:
                found.append(entry(name))
            except (ConfigurationError, FileNotFoundError):
                if place.is_dir():
                    raise
    return found


def by_priority() -> list[Model]:
    """The models that load, by descending `Model.priority`, then by name."""
    return sorted((e.model for e in entries() if e.model), key=lambda model: (-model.priority, model.name))


def entry(name: str) -> Entry:
    """Load and lint one folder.

    Raises
    ------
    ConfigurationError : no folder has this name; names the nearest one.
    """
    places = [Path(root) / name for root in include.models.__path__]
    folder = next((place for place in places if place.is_dir() and name == place.name and name[0] not in "._"), None)
    if folder is None:
        raise ConfigurationError(
            f"no model {name!r} in {', '.join(include.models.__path__)}{did_you_mean(name, folders())}"
        )
    present = _stamps(folder)
    problems = list(_file_problems(folder, present))
    if "model.py" in present:
        try:
            model = _imported(name, folder, present["model.py"])
            if not problems:
                return Entry(name, folder, model)
        except ConfigurationError as error:
            from include.mistakes import declared  # an interpreter, which healthy folders do not need at a parse

            found = declared.read(folder / "model.py", name).problems
            problems += found or [Problem(Place(folder / "model.py"), str(error))]
    return Entry(name, folder, problems=tuple(in_order(problems)))


def load(name: str) -> Model:
    """The model of this name.

    Raises
    ------
    ConfigurationError : no such model, or its folder is broken; names the file and what was wanted.
    """
    found = entry(name)
    if found.model is None:
        raise ConfigurationError(found.problem or f"model {name!r} is broken")
    return found.model


def chosen(name: str | None, target: str) -> Model:
    """The model of this name; without a name, the only one.

    Parameters
    ----------
    target : the make target that was called, for an example.

    Raises
    ------
    ConfigurationError : as `load`, or no model was named and there are several.
    """
    if name:
        return load(name)
    models = by_priority()
    if len(models) == 1:
        return models[0]
    names = ", ".join(m.name for m in models) or "there is none"
    example = models[0].name if models else "my_model"
    raise ConfigurationError(f"which model? Name one of: {names}; e.g. make {target} MODEL={example}")


def folder(name: str) -> Path:
    """The folder of a model."""
    return entry(name).folder


def candidate_names(name: str) -> tuple[str, ...]:
    """The names of a model's candidates, without importing anything; none if the syntax tree does not show them all."""
    try:
        path = folder(name) / "candidates.py"
        return _seen(path, _wanted("candidates"), _stamp(path.stat())).keys
    except (ConfigurationError, FileNotFoundError):  # the folder was removed in the meantime
        return ()


def module(name: str, file: str) -> ModuleType:
    """Import one of a model's files (``source``, ``expectations``, ``features`` ...), with what it imports.

    Raises
    ------
    ConfigurationError : the file cannot be imported; names file and error.
    """
    try:
        return importlib.import_module(f"include.models.{name}.{file}")
    except Exception as error:
        where = _place(error, folder(name))
        if package := lacking(error):
            what = f"{'candidates of ' if file == 'candidates' else ''}{name} need{'' if file == 'candidates' else 's'}"
            raise ConfigurationError(f"{where}: {what} {package}: {advice(package)}") from error
        raise ConfigurationError(f"{where}: cannot be imported: {type(error).__name__}: {error}") from error


def digest(name: str) -> str:
    """SHA-256 over the code that makes a version: `MAKE_A_VERSION` and the model's folder.

    The other models are left out, so that editing one does not disturb a run of another. So are the packages that
    serve, release or are tools, so that an edit there does not stop a night.
    """
    hasher = hashlib.sha256()
    model_folder = folder(name)
    files = code_of(MAKE_A_VERSION)
    files |= {f"model/{p.relative_to(model_folder)}": p for p in model_folder.rglob("*.py")}
    for label in sorted(files):
        content = files[label].read_bytes()
        hasher.update(f"{label}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()


def state(folder: Path) -> str:
    """SHA-256 over the Python files of a folder, whatever is wrong with them."""
    hasher = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        try:
            content = path.read_bytes()
        except OSError as error:
            content = type(error).__name__.encode()
        hasher.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()


def code_of(parts: Iterable[str]) -> dict[str, Path]:
    """The files of some packages and modules of `include/`, by name; templates as well as Python.

    Raises
    ------
    ConfigurationError : one of them has no files.
    """
    shared = PROJECT / "include"
    files: dict[str, Path] = {}
    for part in parts:
        place = shared / part
        found = [place] if place.is_file() else [p for p in place.rglob("*") if p.suffix in (".py", ".j2")]
        if not found:
            raise ConfigurationError(f"{place} has no code.")
        files |= {f"include/{p.relative_to(shared).as_posix()}": p for p in found}
    return files


def file_problems(folder: Path) -> list[Problem]:
    """What the syntax trees show: files that are missing, and functions that are missing or take other arguments."""
    return list(_file_problems(folder, _stamps(folder)))


def _file_problems(folder: Path, present: dict[str, Stamp]) -> Iterator[Problem]:
    files = ("model", *FILES)
    for file in files:
        name = f"{file}.py"
        if name not in present:
            others = [other for other in present if other.removesuffix(".py") not in (*files, "__init__")]
            near = nearest(name, others)
            wanted = SIGNATURES.get(file, "MODEL = Model(...)")
            hint = f"did you mean {near!r}? Rename it to {name}" if near else f"wanted: {name} with {wanted}"
            yield Problem(Place(folder / name), f"{name} is missing", hint)
        elif file in FILES:
            yield from _seen(folder / name, _wanted(file), present[name]).problems


def function_problems(path: Path, function: str, arguments: tuple[str, ...], wanted: str) -> tuple[Problem, ...]:
    """What is wrong with a function of a file; ``wanted`` is its signature, for people."""
    return _seen(path, ((function, arguments, wanted, True),), _stamp(path.stat())).problems


def _stamps(folder: Path) -> dict[str, Stamp]:
    """The Python files of a folder, each with its stamp, from one look at the folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return {one.name: _stamp(one.stat()) for one in found if one.name.endswith(".py") and one.is_file()}
    except OSError:
        return {}


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=4096)
def _imported(name: str, folder: Path, stamp: Stamp) -> Model:
    """`MODEL` of a folder's `model.py`; ``stamp`` makes a changed file a new entry of the cache."""
    path = folder / "model.py"
    try:
        sys.modules.pop(f"include.models.{name}.model", None)
        loaded = importlib.import_module(f"include.models.{name}.model")
    except Exception as error:
        raise ConfigurationError(f"{_place(error, folder, path)}: cannot be imported: {error}") from error
    model = getattr(loaded, "MODEL", None)
    if not isinstance(model, Model) or model.name != name:
        raise ConfigurationError(f"{path}: assigns no MODEL = Model(name={name!r}, ...)")
    return model


def _wanted(file: str) -> tuple[Wanted, ...]:
    """The functions that a file must or may have."""
    required = (*FILES[file], SIGNATURES[file], True)
    return (required, (*OPTIONAL[file], RANGE, False)) if file in OPTIONAL else (required,)


@lru_cache(maxsize=4096)
def _seen(path: Path, functions: tuple[Wanted, ...], stamp: Stamp) -> Seen:
    """What one look at the syntax tree of a file shows; it is not kept, because 500 of them would be slow."""
    source = Source.read(path, thorough=False)
    if isinstance(source, Problem):
        return Seen((source,), ())
    problems = tuple(problem for wanted in functions for problem in _problems_of(source, *wanted))
    return Seen(problems, _returned_keys(source, functions[0][0]))


def _returned_keys(source: Source, function: str) -> tuple[str, ...]:
    """The keys of the dict that a function returns; none unless its one `return` has a literal with literal texts."""
    named = [n for n in source.tree.body if isinstance(n, ast.FunctionDef) and n.name == function]
    returned = [node.value for one in named for node in ast.walk(one) if isinstance(node, ast.Return)]
    if len(returned) != 1 or not isinstance(returned[0], ast.Dict):
        return ()
    keys = [key.value for key in returned[0].keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return tuple(keys) if len(keys) == len(returned[0].keys) else ()


def _problems_of(
    source: Source, function: str, arguments: tuple[str, ...], wanted: str, required: bool
) -> tuple[Problem, ...]:
    """What is wrong with one function."""
    functions = [n for n in source.tree.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    named = [n for n in functions if n.name == function]
    if not named and not required:
        return ()
    if not named:
        bound = {a.asname or a.name for n in source.tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
        if function in bound | set(source.assigned):
            return ()
        near = nearest(function, [n.name for n in functions])
        what = f"there is no function {function!r}"
        for node in functions:
            if node.name == near:
                hint = f"did you mean {near!r}? Wanted: {wanted}"
                return (Problem(source.place(node), what, hint, suggestion=source.rename(node, near, function)),)
        return (Problem(Place(source.path), what, f"wanted: {wanted}"),)
    problems = []
    if len(named) > 1:
        again, first = source.place(named[-1]), named[0].lineno
        what = f"{function} is defined twice; the first one, in line {first}, is never used"
        problems.append(Problem(again, what, "remove one of them", suggestion=source.without(named[-1])))
    for node in named[:1]:
        if isinstance(node, ast.AsyncFunctionDef):
            problems.append(Problem(source.place(node), f"{function} is async", f"wanted: {wanted}"))
        problems += argument_problems(source, node, arguments, wanted)
    return tuple(problems)


def argument_problems(
    source: Source,
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    arguments: tuple[str, ...],
    wanted: str,
) -> list[Problem]:
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    required = len(positional) - len(args.defaults)
    fits = required <= len(arguments) and (len(positional) >= len(arguments) or args.vararg is not None)
    if fits and not any(default is None for default in args.kw_defaults):
        return []
    given = {a.arg: ast.get_source_segment(source.text, a) or a.arg for a in positional}
    what = f"{node.name}({', '.join(given)}) has the wrong arguments"
    fix = source.new_arguments(node, ", ".join(given.get(name, name) for name in arguments))
    return [Problem(source.place(node), what, f"wanted: {wanted}", suggestion=fix)]


def _place(error: BaseException, folder: Path, default: Path | None = None) -> str:
    """``file:line`` of the innermost frame of the traceback that lies in the model's folder."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    place = str(default or folder)
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if Path(file).is_relative_to(folder):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
