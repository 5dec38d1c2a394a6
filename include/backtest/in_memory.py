"""The ports of a night without a deployment: twins and champions in memory, over any rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from include.errors import DataError, PerennialError, ReleaseError
from include.gate import rivals
from include.retraining import night
from include.retraining.ports import HoldoutRows, Past, Ports, Serving, TwinScores, seen
from include.retraining.selection import Chosen
from include.spec import Model
from include.training import candidates, dataset, export, measures
from include.training import refit as refitting
from include.training.candidates import Fitted
from include.training.plan import Plan
from include.training.recipes import Recipe, Trial, Twin
from include.training.rows import Rows, read


class MemoryTwins:
    """Twins that are fitted and kept in memory, by candidate.

    Parameters
    ----------
    proven : refuse a twin that a deployment could not store.
    """

    def __init__(self, model: Model, plan: Plan, rows: Rows, proven: bool = False) -> None:
        self.model, self.plan, self.rows, self.proven = model, plan, rows, proven
        self.fitted: dict[str, Fitted] = {}

    def fit(self, recipe: Recipe) -> Twin:
        """Fit the twin.

        Raises
        ------
        ReleaseError : it cannot be stored.
        """
        fitted = night.fit_twin(self.model, self.plan, recipe, self.rows)
        if self.proven:
            who = f"candidate {recipe.candidate!r} of {self.model.name}"
            export.proven_skops(fitted.pipeline, who, self.model.training.trusted_types)
        self.fitted[recipe.candidate] = fitted
        return night.twin_of(recipe, fitted)

    def pipeline(self, twin: Twin) -> Any:
        return self.fitted[twin.name].pipeline


@dataclass(frozen=True)
class Champion:
    """A champion that a later night is judged against.

    Attributes
    ----------
    version : its number, starting at 1.
    twin : its twin; it is never scored on a holdout that it has seen.
    """

    version: int
    recipe: Recipe
    twin: Fitted

    @property
    def candidate(self) -> str:
        return self.recipe.candidate


class MemoryChampions:
    """The champion of a night, and those before it."""

    def __init__(self, model: Model, champion: Champion | None, past: Sequence[Champion] = ()) -> None:
        self.model, self.champion = model, champion
        self._earlier = {one.version: one for one in past}

    def serving(self) -> Serving | None:
        one = self.champion
        return Serving(one.version, f"champion version {one.version}", one.recipe) if one else None

    def past(self) -> list[Past]:
        return [Past(one.version, one.twin.last) for one in self._earlier.values()]

    def score(self, version: int, holdout: HoldoutRows) -> TwinScores:
        serves = self.champion is not None and self.champion.version == version
        return scores_of(self.model, self.champion if serves and self.champion else self._earlier[version], holdout)


def scores_of(model: Model, champion: Champion, holdout: HoldoutRows) -> TwinScores:
    """The scores of a champion's twin.

    Raises
    ------
    DataError : it has seen the holdout, or cannot be scored.
    """
    refuse = seen(champion.twin.last, holdout.first)
    if refuse:
        raise DataError(f"its twin {refuse}")
    try:
        scores = measures.score_features(model, champion.twin.pipeline, holdout.features)
    except PerennialError:
        raise
    except Exception as problem:
        raise DataError(f"its twin cannot be scored ({type(problem).__name__}: {problem})") from problem
    return TwinScores(champion.candidate, champion.twin.last, scores)


@dataclass(frozen=True)
class Fits:
    """The fits of a night that do not depend on the champion: its trials, and the twins of the winner of the selection
    and the baseline."""

    trials: tuple[Trial, ...]
    chosen: Chosen
    twin: Fitted
    baseline: Fitted


def fits(model: Model, plan: Plan, rows: Rows) -> Fits:
    """Try every candidate, and fit the twins of the winner and of the baseline.

    Raises
    ------
    DataError : a candidate cannot be fitted or scored.
    """
    twins = MemoryTwins(model, plan, rows)
    trials = night.try_all(model, plan, rows)
    ports = Ports(rows, twins, MemoryChampions(model, None), rivals.InMemory())
    chosen, _ = night.select(model, plan, trials, ports)
    return Fits(trials, chosen, twins.fitted[chosen.candidate], twins.fitted[plan.baseline])


def release(model: Model, plan: Plan, recipe: Recipe, twin: Any, rows: Rows) -> tuple[Fitted, str | None]:
    """The release model, and why the guards of a refit refuse it (it is fitted all the same), or None.

    Parameters
    ----------
    twin : the pipeline of the recipe's twin.
    """
    try:
        return refitting.refit(model, plan, recipe, twin, rows)[0], None
    except ReleaseError as refused:
        learned = dataset.labelled(model, read(plan, plan.spans(recipe.candidate).release, rows))
        declared = candidates.load(model)[recipe.candidate]
        return candidates.fit(model, declared, learned, plan.seed, recipe.iterations), str(refused)
