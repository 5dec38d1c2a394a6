"""What each policy would have had in service: the gate's decisions night by night, and the releases that follow.

The fits exist already, so this is cheap: another margin of the gate only runs this again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from include.backtest.damaged import DamagedNight
from include.backtest.deployment import Deployment
from include.backtest.history import History
from include.backtest.prequential import Release
from include.backtest.store import RELEASE, Kept
from include.errors import DataError
from include.gate import decision
from include.gate.decision import Verdict
from include.gate.evaluation import Evaluation
from include.progress import Advance
from include.spec import Model
from include.training.plan import Plan

FROZEN, MONTHLY, NIGHTLY, UNGATED = "frozen", "monthly", "nightly", "ungated"
POLICIES = (FROZEN, MONTHLY, NIGHTLY, UNGATED)
REFUSED, NO_DECISION = "refused", "no decision"
"""In addition to the gate's verdicts: promoted, but a guard of the refit refused the release model; and a night that
could not be judged at all."""


@dataclass(frozen=True)
class Decided:
    """What one night ended with: ``verdict`` (the gate's, `REFUSED` or `NO_DECISION`), why, and the champion before.

    ``side``: the key of the challenger's release model.
    """

    as_of: str
    verdict: str
    reason: str
    challenger: str | None = None
    champion: str | None = None
    evaluation: Evaluation | None = None
    side: str = RELEASE


def decide(
    model: Model,
    as_ofs: Iterable[str],
    kept: Mapping[str, Kept],
    plans: Mapping[str, Plan],
    refused: Mapping[str, str],
    history: History,
    advance: Advance,
    damaged: Mapping[str, DamagedNight] | None = None,
    everywhere: bool = False,
) -> list[Decided]:
    """Let the gate decide every night, each against the champion that results from the nights before it.

    Parameters
    ----------
    kept : the fits by as-of; ``refused``: why there are none, by as-of.
    damaged : the nights whose fits have read damaged rows, by as-of. On them, any error ends the night.
    everywhere : the gate judges them on damaged rows, too.
    """
    damaged = damaged or {}
    deployment = Deployment(model, history, damaged, everywhere)
    decided = []
    for as_of in as_ofs:
        against = deployment.champion.night.as_of if deployment.champion else None
        night = kept.get(as_of)
        if night is None:
            decided.append(Decided(as_of, NO_DECISION, refused[as_of], champion=against))
        else:
            trouble = Exception if as_of in damaged else DataError
            try:
                decided.append(_decided(model, plans[as_of], night, deployment, against))
            except trouble as why:  # a recipe that is not the winner's could not be fitted
                decided.append(Decided(as_of, NO_DECISION, str(why), champion=against))
        advance(as_of)
    return decided


def _decided(model: Model, plan: Plan, night: Kept, deployment: Deployment, against: str | None) -> Decided:
    chosen, evaluation = deployment.evaluated(plan, night)
    outcome = decision.decide(model, evaluation)
    verdict, reason, side = str(outcome.verdict), outcome.reason, RELEASE
    if outcome.verdict is Verdict.PROMOTE:
        side, guard = deployment.release(plan, night, chosen.recipe)
        if guard:
            verdict, reason = REFUSED, guard
        else:
            deployment.promote(night, chosen.recipe)
    return Decided(night.as_of, verdict, reason, chosen.candidate, against, evaluation, side)


def releases(decided: Sequence[Decided], monthly: Iterable[str], kept: Mapping[str, Kept]) -> dict[str, list[str]]:
    """As-ofs whose release model each policy puts into service, in their order; all begin with the first champion.

    ``frozen`` keeps it for ever; ``monthly`` takes the winner of the selection of each of ``monthly``, and ``ungated``
    that of every night, without a gate; ``nightly`` takes what the gate promotes. Empty if nothing was ever promoted.
    """
    promoted = [night.as_of for night in decided if night.verdict == Verdict.PROMOTE]
    if not promoted:
        return {}
    first = promoted[0]
    return {
        FROZEN: [first],
        MONTHLY: [first, *(as_of for as_of in monthly if as_of > first and as_of in kept)],
        NIGHTLY: promoted,
        UNGATED: [first, *(night.as_of for night in decided if night.as_of > first and night.as_of in kept)],
    }


def served(
    decided: Sequence[Decided], releases: Mapping[str, Sequence[str]], kept: Mapping[str, Kept]
) -> dict[str, list[Release]]:
    """The release models themselves: the policies that ask the gate release its challenger, and the others the winner
    of the selection."""
    promoted = {night.as_of: night.side for night in decided if night.verdict == Verdict.PROMOTE}
    sides = {FROZEN: promoted, NIGHTLY: promoted}
    return {
        policy: [Release(as_of, sides.get(policy, {}).get(as_of, RELEASE), kept[as_of]) for as_of in as_ofs]
        for policy, as_ofs in releases.items()
    }
