"""The ports of a night in a deployment: its lake, its bundle store and its ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.data.lake import Lake
from include.errors import IntegrityError
from include.gate import rivals
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.registry.rows import Standing, VersionRow
from include.retraining import night
from include.retraining.ports import HoldoutRows, Past, Ports, Serving, TwinScores
from include.retraining.served import Served
from include.spec import Model
from include.training import export
from include.training.plan import Plan
from include.training.recipes import Recipe, Twin

HAVE_SERVED = ("champion", "retired")


class StoredTwins:
    """Twins in the bundle store, never as a pickle."""

    def __init__(self, model: Model, plan: Plan, lake: Lake) -> None:
        self.model, self.plan, self.lake, self.store = model, plan, lake, BundleStore.default()

    def fit(self, recipe: Recipe) -> Twin:
        """Fit the twin and keep it.

        Raises
        ------
        ReleaseError : it cannot be stored and read back.
        """
        fitted = night.fit_twin(self.model, self.plan, recipe, self.lake)
        who = f"candidate {recipe.candidate!r} of {self.model.name}"
        skops = export.proven_skops(fitted.pipeline, who, self.model.training.trusted_types)
        return night.twin_of(recipe, fitted, self.store.put_twin(self.model.name, skops))

    def pipeline(self, twin: Twin) -> Any:
        kept = self.store.get_twin(self.model.name, twin.digest)
        return export.from_skops(kept, self.model.training.trusted_types)


class LedgerChampions:
    """The versions that serve or have served, as the ledger has them now."""

    def __init__(self, model: Model) -> None:
        self.model, self._served = model, Served(model, BundleStore.default())
        ledger = Ledger.default()
        self.standing: Standing = ledger.standing(model.name)
        self._rows: dict[int, VersionRow] = {row.version: row for row in ledger.versions(model.name)}

    def serving(self) -> Serving | None:
        version = self.standing.version
        if version is None:
            return None
        row = self._rows.get(version)
        recipe = Recipe.of(row.recipe) if row else None
        return Serving(version, f"champion version {version}", recipe, self.standing.digest)

    def past(self) -> list[Past]:
        return [Past(row.version, row.twin_last) for row in self._rows.values() if row.state in HAVE_SERVED]

    def score(self, version: int, holdout: HoldoutRows) -> TwinScores:
        row = self._rows.get(version)
        if row is None:
            raise IntegrityError(f"the ledger has no row of version {version}")
        return TwinScores(row.candidate, row.twin_last, self._served.score(row, holdout))


@dataclass(frozen=True)
class DeployedPorts(Ports):
    """Those of a deployment."""

    champions: LedgerChampions


def ports(model: Model, plan: Plan) -> DeployedPorts:
    """What a night of this model reads and keeps."""
    lake = Lake.of(model)
    stored = rivals.OnDisk(lake.root / rivals.FOLDER)
    return DeployedPorts(lake, StoredTwins(model, plan, lake), LedgerChampions(model), stored)
