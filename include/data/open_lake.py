"""A lake whose tables are opened once, and then brought up to date, for one piece of work that reads them often.

Opening a table reads the summary of its log, which grows with every file of its history. Bringing an open table up to
date reads only the commits since.
"""

from __future__ import annotations

from pathlib import Path

from deltalake import DeltaTable

from include.data.lake import Lake
from include.spec import Model


class OpenLake(Lake):
    """All data of one model, for a single thread.

    `table` returns the same object each time, at the newest version: what was made of it before (a dataset, a list of
    files) stays at the version that it was made of.
    """

    def __init__(self, model: Model, root: Path) -> None:
        super().__init__(model, root)
        self._tables: dict[str, DeltaTable] = {}

    def create(self) -> None:
        self._tables.pop("predictions", None)  # a table of an older layout is replaced
        super().create()

    def table(self, name: str) -> DeltaTable:
        known = self._tables.get(name)
        if known is None:
            self._tables[name] = known = super().table(name)
        else:
            known.update_incremental()
        return known
