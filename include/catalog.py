"""Finds the models, lints their folders without running them, and imports a model's code when it is needed.

A model is a folder below `include/models/` (or a folder named in ``PERENNIAL_MODELS``) that holds the files in `FILES`.
One folder that is wrong never hides the others: it becomes an `Entry` with a ``problem``.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

import include.models
from include.errors import ConfigurationError, did_you_mean
from include.settings import PROJECT
from include.spec import Model

FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "source": ("fetch", ("partition", "connections")),
    "expectations": ("suite", ()),
    "features": ("build", ("columns",)),
    "candidates": ("candidates", ()),
}
SIGNATURES = {
    "source": "def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame",
    "expectations": "def suite() -> list[Expectation]",
    "features": "def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]",
    "candidates": "def candidates() -> dict[str, Candidate]",
}


@dataclass(frozen=True)
class Entry:
    """A model folder: its name, and either the model or the sentence that says what is wrong with it."""

    name: str
    folder: Path
    model: Model | None = None
    problem: str | None = None


def folders() -> dict[str, Path]:
    """Model folders by name, in the order in which they are shown: the project's own first, then by name."""
    found: dict[str, Path] = {}
    for root in include.models.__path__:
        base = Path(root)
        if base.is_dir():
            for folder in sorted(p for p in base.iterdir() if p.is_dir() and p.name[0] not in "._"):
                found.setdefault(folder.name, folder)
    return found


def entries() -> list[Entry]:
    """Every model folder, loaded or with its problem; never raises for a broken folder."""
    return [entry(name) for name in folders()]


def by_priority() -> list[Model]:
    """The models that load, those of the highest `Model.priority` first, then by name."""
    return sorted((e.model for e in entries() if e.model), key=lambda model: (-model.priority, model.name))


def entry(name: str) -> Entry:
    """Load and lint one folder.

    Raises
    ------
    ConfigurationError : there is no folder of this name (with the nearest one).
    """
    known = folders()
    if name not in known:
        raise ConfigurationError(
            f"no model {name!r} in {', '.join(include.models.__path__)}{did_you_mean(name, known)}"
        )
    folder = known[name]
    try:
        return Entry(name, folder, model=_read(name, folder))
    except ConfigurationError as error:
        return Entry(name, folder, problem=str(error))


def load(name: str) -> Model:
    """The model of this name.

    Raises
    ------
    ConfigurationError : no such model, or its folder is broken; says which file and what was wanted.
    """
    found = entry(name)
    if found.model is None:
        raise ConfigurationError(found.problem or f"model {name!r} is broken")
    return found.model


def folder(name: str) -> Path:
    """The folder of a model."""
    return entry(name).folder


def module(name: str, file: str) -> ModuleType:
    """Import one of a model's files (``source``, ``expectations``, ``features``, ``candidates``), with what it imports.

    Raises
    ------
    ConfigurationError : the file cannot be imported; names file and error.
    """
    try:
        return importlib.import_module(f"include.models.{name}.{file}")
    except Exception as error:
        where = _place(error, folder(name))
        raise ConfigurationError(f"{where}: cannot be imported: {type(error).__name__}: {error}") from error


def digest(name: str) -> str:
    """SHA-256 over the Python files of `include/` and of the model's folder: the code a run is made of.

    The other models are left out, so that editing one does not disturb a run of another.
    """
    hasher = hashlib.sha256()
    model_folder = folder(name)
    shared = PROJECT / "include"
    files = {f"include/{p.relative_to(shared)}": p for p in shared.rglob("*.py")}
    files = {k: p for k, p in files.items() if not k.startswith("include/models/") or k == "include/models/__init__.py"}
    files |= {f"model/{p.relative_to(model_folder)}": p for p in model_folder.rglob("*.py")}
    for label in sorted(files):
        content = files[label].read_bytes()
        hasher.update(f"{label}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()


def _read(name: str, folder: Path) -> Model:
    """Import `model.py` (cheap by contract) and check the other files by their syntax trees."""
    for file in ("model", *FILES):
        if not (folder / f"{file}.py").is_file():
            others = [p.name for p in folder.glob("*.py")]
            raise ConfigurationError(
                f"{folder / file}.py is missing: a model has {', '.join(f'{f}.py' for f in ('model', *FILES))}"
                f"{did_you_mean(f'{file}.py', others) if others else ''}"
            )
    for file, (function, arguments) in FILES.items():
        _lint(folder / f"{file}.py", function, arguments, SIGNATURES[file])
    declared = _declared(name, folder, _stamp(folder / "model.py"))
    if declared.name != name:
        raise ConfigurationError(
            f"{folder / 'model.py'}: the model is named {declared.name!r} but its folder {name!r}: make them the same"
        )
    return declared


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@cache
def _declared(name: str, folder: Path, stamp: tuple[int, int]) -> Model:
    """`MODEL` of a folder's `model.py`; ``stamp`` makes a changed file a new entry of the cache."""
    path = folder / "model.py"
    try:
        sys.modules.pop(f"include.models.{name}.model", None)
        loaded = importlib.import_module(f"include.models.{name}.model")
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'model'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise ConfigurationError(f"{_place(error, folder, path)}: {problems}") from error
    except Exception as error:
        raise ConfigurationError(
            f"{_place(error, folder, path)}: cannot be imported: {type(error).__name__}: {error}"
        ) from error
    model = getattr(loaded, "MODEL", None)
    if not isinstance(model, Model):
        raise ConfigurationError(f"{path}: assigns no MODEL = Model(...){did_you_mean('MODEL', vars(loaded))}")
    return model


@cache
def _lint_result(
    path: Path, function: str, arguments: tuple[str, ...], wanted: str, stamp: tuple[int, int]
) -> str | None:
    try:
        tree = ast.parse(path.read_text(), filename=str(path))
    except SyntaxError as error:
        return f"{path}:{error.lineno}: {error.msg}"
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    assigned = {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
    if function in assigned:
        return None
    if function not in functions:
        return f"{path}: has no function {function!r}{did_you_mean(function, functions)} Wanted: {wanted}"
    node = functions[function]
    positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
    required = len(positional) - len(node.args.defaults)
    fits = required <= len(arguments) and (len(positional) >= len(arguments) or node.args.vararg is not None)
    if not fits or any(d is None for d in node.args.kw_defaults):
        return f"{path}:{node.lineno}: {function}({', '.join(positional)}) has the wrong arguments. Wanted: {wanted}"
    return None


def _lint(path: Path, function: str, arguments: tuple[str, ...], wanted: str) -> None:
    problem = _lint_result(path, function, arguments, wanted, _stamp(path))
    if problem:
        raise ConfigurationError(problem)


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
