"""Nights that are damaged on purpose: which ones, how, and the rows that their fits read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.backtest import damage, in_memory
from include.backtest.history import History
from include.errors import ReleaseError
from include.spec import Model
from include.training import dataset, proving
from include.training.candidates import Fitted
from include.training.plan import Plan
from include.training.recipes import Recipe
from include.training.rows import Rows, read


@dataclass(frozen=True)
class DamagedNight:
    """What happens to one night: one of `damage.KINDS`, drawn with ``seed``."""

    as_of: str
    kind: str
    seed: int

    @property
    def generator(self) -> np.random.Generator:
        """Depends on this night only, not on which other nights are damaged."""
        return np.random.default_rng(_number("damage", self.seed, self.as_of, self.kind))

    def key(self, healthy: str) -> str:
        """The key under which the fits of this night are kept; ``healthy``: the key without damage."""
        code = Path(damage.__file__).read_bytes() + Path(__file__).read_bytes()
        text = f"{healthy} {self.kind} {self.seed} {hashlib.sha256(code).hexdigest()}"
        return hashlib.sha256(text.encode()).hexdigest()


def draw(model: Model, as_ofs: Sequence[str], share: float, seed: int) -> dict[str, DamagedNight]:
    """Which nights are damaged, and how: ``share`` of them, every kind that is possible about equally often.

    Another seed draws other nights, and begins with another kind.
    """
    order = sorted(as_ofs, key=lambda as_of: _number("draw", seed, as_of))[: round(share * len(as_ofs))]
    kinds = damage.possible(model)
    return {
        as_of: DamagedNight(as_of, kinds[(at + seed * len(order)) % len(kinds)], seed) for at, as_of in enumerate(order)
    }


class DamagedRows(History):
    """The history as one night sees it: its snapshot is damaged once, as a whole, whichever days of it are read later.

    So the fits of the selection, the twins and the refit of a night learn from the same damaged rows.
    """

    def __init__(self, model: Model, plan: Plan, history: History, night: DamagedNight) -> None:
        super().__init__(model, history.root, history.digest)
        rows = history.read_snapshot(plan.snapshot)
        self._damaged = damage.KINDS[night.kind].apply(model, rows, night.generator)

    def _days(self, first: str, last: str, columns: list[str] | None) -> pd.DataFrame:
        rows = dataset.between(self._damaged, (first, last)).reset_index(drop=True)
        return rows if columns is None else rows[columns]


def release(model: Model, plan: Plan, recipe: Recipe, twin: Any, rows: Rows) -> tuple[Fitted, str | None]:
    """`in_memory.release`, and, in addition to the guards of the refit, the other check of packaging: whether ONNX
    differs."""
    fitted, guard = in_memory.release(model, plan, recipe, twin, rows)
    if guard is None:
        learned = dataset.labelled(model, read(plan, plan.spans(recipe.candidate).release, rows))
        try:
            proving.proven_onnx(model, recipe.candidate, fitted, learned)
        except ReleaseError as unlike:
            guard = str(unlike)
    return fitted, guard


def _number(*parts: Any) -> int:
    return int(hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:15], 16)
