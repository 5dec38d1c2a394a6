"""Keys of an earlier version that a `model.py` still declares: they are ignored, so each is a warning."""

from __future__ import annotations

from collections.abc import Iterator

from include.mistakes.declared import Declared
from include.mistakes.problem import Problem
from include.spec import Declaration


def problems(declared: Declared) -> Iterator[Problem]:
    """A warning for each key of `Declaration.former`, with the edit that removes it."""
    for made, site in declared.run.made.values() if declared.run else ():
        for key, instead in made.former.items() if isinstance(made, Declaration) else ():
            keyword = site.keyword(key)
            if keyword is not None:
                what = f"{type(made).__name__} no longer has {key!r}, and its value is ignored"
                fix = site.source.without(keyword)
                yield Problem(site.source.place(keyword), what, f"remove it: {instead}", "warning", fix)
