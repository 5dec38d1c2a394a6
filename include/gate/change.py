"""Refresh or change: whether tonight's challenger is the champion's recipe made fresh, or another recipe.

A fresher fit of the same recipe only must not be worse. Another recipe has to be better, on weeks of scores of both:
until then the champion's recipe goes on being refreshed, and the rival, which won the selection, is scored beside it.

The question is asked again every night: an equal rival passes with probability .05 on one night, but once within 30
nights with .20, within 180 with .29 (simulated, independent days). That costs nothing as long as it is equal; that many
such steps do not lead down is what the anchors are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from include.gate import checks, rivals
from include.gate.rivals import Pair, Recipe, Scored, Stored
from include.partitions import earlier
from include.spec import Model
from include.training import candidates


class Place(StrEnum):
    """What tonight's run makes of the champion's recipe."""

    TRIED = "tried"
    NOT_ASKED = "not asked"  # declared, but a person asked for other candidates or another window
    GONE = "gone"  # not declared any more, or with another window: there is nothing left to refresh


@dataclass(frozen=True)
class Choice:
    """Tonight's challenger.

    Attributes
    ----------
    kind : ``first``, ``refresh`` or ``change``.
    result, recipe : of the challenger, as `train.trial` gives it, and {candidate, window_days, seed, iterations}.
    role, other : the recipe that is scored beside it, and whether that is the ``rival`` or the ``incumbent``; None
        where there is none.
    sentence : what happened, for the log.
    """

    kind: str
    result: Mapping[str, Any]
    recipe: dict[str, Any]
    sentence: str
    role: str | None = None
    other: dict[str, Any] | None = None


def recipe_of(model: Model, plan: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of a candidate of the plan, with the iterations that its train result has found."""
    name = str(result["candidate"])
    return {
        "candidate": name,
        "window_days": candidates.window_of(candidates.load(model)[name], plan["window_days"]),
        "seed": plan["seed"],
        "iterations": result.get("iterations"),
    }


def place(model: Model, plan: Mapping[str, Any], incumbent: Recipe) -> Place:
    declared = candidates.load(model).get(incumbent.candidate)
    if declared is None:
        return Place.GONE
    tonight, usual = (
        candidates.window_of(declared, days) for days in (plan["window_days"], model.training.window_days)
    )
    if incumbent.candidate in plan["candidates"] and tonight == incumbent.window_days:
        return Place.TRIED
    return Place.NOT_ASKED if usual == incumbent.window_days else Place.GONE


def kind_of(model: Model, plan: Mapping[str, Any], recipe: Mapping[str, Any], incumbent: Recipe | None) -> str:
    """What a challenger of this recipe is beside a champion of the recipe ``incumbent`` (None: there is none)."""
    if incumbent is None:
        return "first"
    same = Recipe.of(recipe) == incumbent
    return "refresh" if same or place(model, plan, incumbent) is Place.GONE else "change"


def choose(
    model: Model,
    plan: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    winner: Mapping[str, Any],
    incumbent: Recipe | None,
    stored: Stored,
) -> Choice:
    """Tonight's challenger: the winner of the selection, or the champion's recipe, by the scores of earlier nights.

    Parameters
    ----------
    winner : the one of ``results`` that won.
    incumbent : the recipe of the champion; None where there is none.
    """
    recipe = recipe_of(model, plan, winner)
    kind, who = kind_of(model, plan, recipe, incumbent), f"{winner['candidate']} won the selection"
    if incumbent is None:
        return Choice(kind, winner, recipe, f"{who}, and there is no champion yet: it is the first.")
    if kind == "refresh":
        gone = f", and {incumbent}, the champion's recipe, is not declared any more: nothing is left to refresh."
        fresh = f", as the champion did: {incumbent} is refreshed."
        return Choice(kind, winner, recipe, who + (fresh if Recipe.of(recipe) == incumbent else gone))
    pair = Pair(incumbent, Recipe.of(recipe))
    name, rival = pair.names
    own = next((r for r in results if r and r["candidate"] == incumbent.candidate), None)
    if own is None or place(model, plan, incumbent) is not Place.TRIED:
        asked = (
            f"{who}, and this run was not asked to try {name}, the champion's recipe: {rival} is judged as a change."
        )
        return Choice(kind, winner, recipe, asked)
    refreshed = recipe_of(model, plan, own)
    before = earlier(plan["as_of"], 1)
    check = justified(model, rivals.weigh(model, pair, stored.nights(model, pair, before), before))
    if check.passed:
        told = f"{who} and may take the place of {name}, the champion's recipe: {check.sentence}"
        return Choice(kind, winner, recipe, told, "incumbent", refreshed)
    told = f"{who}, but {name}, the champion's recipe, is refreshed, and both are scored: {check.sentence}"
    return Choice("refresh", own, refreshed, told, "rival", recipe)


def justified(model: Model, change: Mapping[str, Any]) -> checks.Check:
    """The gate's own question to the evidence for a change (`rivals.weigh`), so that nobody asks another one."""
    return next(iter(checks.a_change_is_better(model, {"kind": "change", "change": change})))


def pair_of(recipe: Mapping[str, Any], role: str, other: Mapping[str, Any]) -> Pair:
    """The pair that challenger and ``other`` are, by the role of the other one."""
    mine, theirs = Recipe.of(recipe), Recipe.of(other)
    return Pair(mine, theirs) if role == "rival" else Pair(theirs, mine)


def told(
    model: Model,
    plan: Mapping[str, Any],
    recipe: Mapping[str, Any],
    incumbent: Recipe | None,
    collected: Pair | None,
    stored: Stored,
) -> dict[str, Any]:
    """``kind`` and ``change`` of an evaluation: tonight's scores are among the stored ones by now.

    Parameters
    ----------
    incumbent : the recipe of the champion that the challenger is compared with; it may have changed since `choose`.
    collected : the pair that was scored tonight, if one was.
    """
    kind = kind_of(model, plan, recipe, incumbent)
    pair = Pair(incumbent, Recipe.of(recipe)) if incumbent and kind == "change" else collected
    change = rivals.weigh(model, pair, stored.nights(model, pair, plan["as_of"]), plan["as_of"]) if pair else None
    return {"kind": kind, "change": change}


def both(as_of: str, partitions: Any, labels: Any, role: str, challenger: Any, other: Any) -> Scored:
    """The scores of challenger and other one on a night's holdout, each under its name."""
    sides = (challenger, other) if role == "rival" else (other, challenger)
    return Scored(as_of, partitions, labels, *sides)
