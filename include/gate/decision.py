"""May the challenger replace the champion? A pure decision made of checks, each with a value, a limit and a sentence.

Nothing here reads a file, a clock or a database: the same evaluation always gives the same decision. Evidence that is
absent, not finite or contradictory never reads as good: it ends in *hold*, and broken scores in *reject*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from include.gate import checks, completeness
from include.gate.checks import Check
from include.spec import Model


class Verdict(StrEnum):
    """``promote``: release it. ``hold``: not known to be good enough, try again tomorrow. ``reject``: known to be
    bad."""

    PROMOTE = "promote"
    HOLD = "hold"
    REJECT = "reject"


@dataclass(frozen=True)
class Decision:
    """What the gate decided, and every check that it is made of."""

    verdict: Verdict
    reason: str
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"verdict": self.verdict.value, "reason": self.reason, "checks": [asdict(c) for c in self.checks]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        return cls(Verdict(values["verdict"]), str(values["reason"]), tuple(Check(**c) for c in values["checks"]))


def decide(model: Model, evaluation: Mapping[str, Any]) -> Decision:
    """Judge what `evaluate.evaluate` has measured, by ``model.gate``.

    Parameters
    ----------
    evaluation : what `evaluate.evaluate` returns.

    Returns
    -------
    Decision. *Reject*: a check is violated by sound evidence, or the challenger's scores are broken or all the same.
    *Hold*: evidence is missing, too little or too uncertain. *Promote*: every check passed.
    """
    gone = completeness.missing(model, evaluation)
    broken = [checks.finite(evaluation), checks.varied(evaluation)]
    ground = [checks.complete(gone)]
    if not gone:
        sides = ["challenger", "baseline", *(["champion"] if evaluation["champion_exists"] else [])]
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
            *checks.a_change_is_better(model, evaluation),
            *checks.anchors(model, evaluation),
            *checks.slices(model, evaluation),
            *checks.fairness(model, evaluation),
        ]
    every = (*ground, *broken, *comparisons, *more)
    against = [check for check in every if check.passed is False and check.otherwise == "reject"]
    if against:
        return Decision(Verdict.REJECT, " ".join(check.sentence for check in against), every)
    doubts = [check for check in every if check.passed is not True]
    if doubts:
        # what could not be compared for want of evidence says nothing that the want of evidence does not say
        told = doubts if sound else [check for check in doubts if check not in comparisons]
        return Decision(Verdict.HOLD, " ".join(check.sentence for check in told or doubts), every)
    return Decision(Verdict.PROMOTE, " ".join(check.sentence for check in comparisons), every)
