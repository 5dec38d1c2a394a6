"""May the challenger replace the champion? A pure decision made of checks, each with a value, a limit and a sentence.

Nothing here reads a file, a clock or a database: the same evaluation always gives the same decision. Missing or
contradictory evidence never counts as good: it ends in *hold*, and scores that cannot be used in *reject*. What is not
a finite number does not get into an evaluation at all (`include.records`).
"""

from __future__ import annotations

from enum import StrEnum

from include.gate import checks, completeness
from include.gate.checks import Check
from include.gate.evaluation import CHAMPION, Evaluation, Gain
from include.records import Record
from include.spec import Model


class Verdict(StrEnum):
    """``promote``: release it. ``hold``: not known to be good enough, try again tomorrow. ``reject``: known to be
    bad."""

    PROMOTE = "promote"
    HOLD = "hold"
    REJECT = "reject"


class Decision(Record):
    """What the gate decided, and every check that it is made of."""

    verdict: Verdict
    reason: str
    checks: tuple[Check, ...]


def decide(model: Model, evaluation: Evaluation) -> Decision:
    """Judge an evaluation by ``model.gate``.

    Returns
    -------
    Decision. *Reject*: a check is violated by sound evidence, or the challenger's scores are broken or all the same.
    *Hold*: evidence is missing, too little or too uncertain. *Promote*: every check passed.
    """
    gone = completeness.missing(model, evaluation)
    usable = [checks.scored(evaluation), checks.varied(evaluation)]
    ground = [checks.complete(gone)]
    if not gone:
        sides = completeness.sides_of(evaluation)
        ground += [
            *checks.enough(model, evaluation),
            checks.same_rows(evaluation, sides),
            checks.unseen(evaluation, sides),
        ]
    sound = all(check.passed for check in ground)
    comparisons = [
        checks.better_than_baseline(model, evaluation, sound),
        checks.not_worse_than_champion(model, evaluation, sound),
    ]
    more: list[Check] = []
    if sound:
        more = [
            checks.no_leak(model, evaluation),
            *checks.not_too_good(model, evaluation),
            *checks.like_the_champion(model, evaluation),
            *checks.floors(model, evaluation),
            *_change(model, evaluation),
            *checks.anchors(model, evaluation),
            *checks.slices(model, evaluation),
            *checks.fairness(model, evaluation),
        ]
    every = (*ground, *usable, *comparisons, *more)
    against = [check for check in every if check.passed is False and check.otherwise == "reject"]
    if against:
        return _decision(Verdict.REJECT, against, every)
    doubts = [check for check in every if check.passed is not True]
    if doubts:
        # what could not be compared because evidence is missing adds nothing to the evidence that is missing
        first = doubts if sound else [check for check in doubts if check not in comparisons]
        return _decision(Verdict.HOLD, first or doubts, every)
    return _decision(Verdict.PROMOTE, comparisons, every)


def _change(model: Model, evaluation: Evaluation) -> list[Check]:
    """The check of a change of the recipe; no check for any other challenger."""
    if evaluation.kind != "change":
        return []
    tonight = Gain.of(evaluation.estimate(CHAMPION, model.training.metric))
    return [checks.another_recipe_is_better(model, evaluation.change, tonight)]


def _decision(verdict: Verdict, because: list[Check], every: tuple[Check, ...]) -> Decision:
    return Decision(verdict=verdict, reason=" ".join(check.sentence for check in because), checks=every)
