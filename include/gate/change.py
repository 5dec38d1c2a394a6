"""Refresh or change: whether tonight's challenger refreshes the champion's recipe, or is another recipe.

A fresher fit of the same recipe must only not be worse. Another recipe must be better, on weeks of scores of both:
until then the champion's recipe is refreshed, and the rival, which won the selection, is scored next to it.

The check is repeated every night: an equal rival passes with probability .05 on one night, but once within 30
nights with .20, within 180 with .29 (simulated, independent days). That costs nothing as long as it is equal; the
anchors are there so that many such steps do not lead down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from include.gate import rivals
from include.gate.checks import Check, another_recipe_is_better
from include.gate.evaluation import Change, Kind, Role
from include.gate.rivals import Pair, Stored
from include.partitions import earlier
from include.spec import Model
from include.training import candidates
from include.training.plan import Plan
from include.training.recipes import Recipe, Trial


class Place(StrEnum):
    """How tonight's run treats the champion's recipe."""

    TRIED = "tried"
    NOT_ASKED = "not asked"  # declared, but a person chose other candidates or another window
    GONE = "gone"  # no longer declared, or with another window: there is nothing left to refresh


@dataclass(frozen=True)
class Choice:
    """Tonight's challenger.

    Attributes
    ----------
    trial, recipe : of the challenger.
    role, other : the recipe that is scored next to it, and what that is; None if there is none.
    sentence : what happened, for the log.
    """

    kind: Kind
    trial: Trial
    recipe: Recipe
    sentence: str
    role: Role | None = None
    other: Recipe | None = None


def recipe_of(model: Model, plan: Plan, candidate: str, iterations: int | None = None) -> Recipe:
    """The recipe of a candidate of the plan, with the iterations that its trial has found."""
    window = candidates.window_of(candidates.load(model)[candidate], plan.window_days)
    return Recipe(candidate=candidate, window_days=window, seed=plan.seed, iterations=iterations)


def place(model: Model, plan: Plan, incumbent: Recipe) -> Place:
    declared = candidates.load(model).get(incumbent.candidate)
    if declared is None:
        return Place.GONE
    tonight, usual = (candidates.window_of(declared, days) for days in (plan.window_days, model.training.window_days))
    if incumbent.candidate in plan.candidates and tonight == incumbent.window_days:
        return Place.TRIED
    return Place.NOT_ASKED if usual == incumbent.window_days else Place.GONE


def kind_of(model: Model, plan: Plan, recipe: Recipe, incumbent: Recipe | None) -> Kind:
    """How a challenger of this recipe relates to a champion of the recipe ``incumbent`` (None: there is none)."""
    if incumbent is None:
        return "first"
    return "refresh" if recipe.refreshes(incumbent) or place(model, plan, incumbent) is Place.GONE else "change"


def choose(
    model: Model, plan: Plan, trials: Sequence[Trial], winner: Trial, incumbent: Recipe | None, stored: Stored
) -> Choice:
    """Tonight's challenger: the winner of the selection, or the champion's recipe, by the scores of earlier nights.

    Parameters
    ----------
    winner : the one of ``trials`` that won.
    incumbent : the recipe of the champion; None if there is none.
    """
    recipe = recipe_of(model, plan, winner.candidate, winner.iterations)
    kind, who = kind_of(model, plan, recipe, incumbent), f"{winner.candidate} won the selection"
    if incumbent is None:
        return Choice(kind, winner, recipe, f"{who}, and there is no champion yet: it is the first.")
    if kind == "refresh":
        gone = f", and {incumbent}, the champion's recipe, is no longer declared: nothing is left to refresh."
        fresh = f", as the champion did: {incumbent} is refreshed."
        return Choice(kind, winner, recipe, who + (fresh if recipe.refreshes(incumbent) else gone))
    pair = Pair(incumbent, recipe)
    name, rival = pair.names
    own = next((trial for trial in trials if trial.candidate == incumbent.candidate), None)
    if own is None or place(model, plan, incumbent) is not Place.TRIED:
        asked = f"{who}, and this run does not try {name}, the champion's recipe: {rival} is judged as a change"
        return Choice(kind, winner, recipe, f"{asked}.")
    refreshed = recipe_of(model, plan, own.candidate, own.iterations)
    before = earlier(plan.as_of, 1)
    check = another_recipe_is_better(model, rivals.weigh(model, pair, stored.nights(model, pair, before), before))
    if check.passed:
        takes = f"{who} and may take the place of {name}, the champion's recipe: {check.sentence}"
        return Choice(kind, winner, recipe, takes, "incumbent", refreshed)
    waits = f"{who}, but {name}, the champion's recipe, is refreshed, and both are scored: {check.sentence}"
    return Choice("refresh", own, refreshed, waits, "rival", recipe)


def pair_of(recipe: Recipe, role: Role, other: Recipe) -> Pair:
    """The pair that challenger and ``other`` are, by the role of the other one."""
    return Pair(recipe, other) if role == "rival" else Pair(other, recipe)


def weighed(
    model: Model, plan: Plan, recipe: Recipe, incumbent: Recipe | None, collected: Pair | None, stored: Stored
) -> tuple[Kind, Change | None]:
    """``kind`` and ``change`` of an evaluation: tonight's scores are among the stored ones by now.

    Parameters
    ----------
    incumbent : the recipe of the champion that the challenger is compared with; it may have changed since `choose`.
    collected : the pair that was scored tonight, if one was.
    """
    kind = kind_of(model, plan, recipe, incumbent)
    pair = Pair(incumbent, recipe) if incumbent and kind == "change" else collected
    if pair is None:
        return kind, None
    return kind, rivals.weigh(model, pair, stored.nights(model, pair, plan.as_of), plan.as_of)


def sentence(model: Model, change: Change) -> str:
    """The progress of a change, in the words of the gate."""
    check: Check = another_recipe_is_better(model, change)
    return check.sentence
