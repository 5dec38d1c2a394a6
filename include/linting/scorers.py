"""Whether `scorers.py` has the functions that `model.py` declares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from include import catalog
from include.linting import static
from include.mistakes.declared import Declared
from include.mistakes.problem import Place, Problem
from include.mistakes.source import Source
from include.spec import Scorer
from include.spelling import nearest

FILE = "scorers.py"
ARGUMENTS = ("labels", "scores")


def problems(folder: Path, declared: Declared, name: str) -> Iterator[Problem]:
    """A file that is missing or unused, or a function that is missing or takes other arguments."""
    asked = [one for one in getattr(declared.model, "scorers", ()) or () if isinstance(one, Scorer)]
    path = folder / FILE
    if not path.is_file():
        if asked:
            node = declared.node_of(asked[0])
            place = declared.run.source.place(node) if declared.run and node else Place(folder / "model.py")
            near = nearest(FILE, [p.name for p in folder.glob("*.py")])
            hint = f"did you mean {near!r}? Rename it" if near else f"wanted: {FILE} with {_wanted(asked[0])}"
            yield Problem(place, f"{FILE} is missing, and model.py declares scorers", hint)
        return
    source = Source.read(path)
    if isinstance(source, Problem):
        yield source
        return
    yield from static.problems(source, name)
    if not asked:
        what = f"{FILE} is used by nothing: model.py declares no scorers"
        yield Problem(Place(path), what, "declare Model(scorers=(Scorer(...),)), or delete the file", "warning")
    for one in asked:
        yield from catalog.function_problems(path, one.name, ARGUMENTS, _wanted(one))


def _wanted(one: Scorer) -> str:
    return f"def {one.name}(labels: np.ndarray, scores: np.ndarray) -> {'np.ndarray' if one.by_row else 'float'}"
