"""Modules under the names that they had before, for the code of models.

A bundle contains its model's code and runs it as long as it serves, and a team's folder of models outlives many
versions of Perennial. So a module that a model's files may import is found under its former name as well.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FORMER: dict[str, str] = {
    "include.features": "include.scoring.columns",
    "include.replay": "include.sources.replay",
}
"""Former name: name. Nothing of our own imports a former name."""


class Finder(MetaPathFinder, Loader):
    """Gives the module itself, not a copy, to code that imports it under a former name."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in FORMER else None

    def exec_module(self, module: ModuleType) -> None:
        # `importlib` hands out what is registered under the name after this call
        sys.modules[module.__name__] = importlib.import_module(FORMER[module.__name__])


def install() -> None:
    """Let imports find the former names, after everything that really exists."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
