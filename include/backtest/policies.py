"""What each policy would have had in service: the gate's decisions night by night, and the releases that follow.

The fits exist already, so this is cheap: another margin of the gate only runs this again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.backtest import night as nights
from include.backtest.history import History
from include.backtest.night import Champion
from include.backtest.store import Kept
from include.spec import Model
from include.training import gate
from include.training.gate import Verdict

FROZEN, MONTHLY, NIGHTLY, UNGATED = "frozen", "monthly", "nightly", "ungated"
POLICIES = (FROZEN, MONTHLY, NIGHTLY, UNGATED)
REFUSED, NO_DECISION = "refused", "no decision"
"""Beside the gate's verdicts: promoted, but a guard of the refit refused the release model; and a night that could not
be judged at all."""


@dataclass(frozen=True)
class Decided:
    """What one night ended with: ``verdict`` (the gate's, `REFUSED` or `NO_DECISION`), why, and the champion before."""

    as_of: str
    verdict: str
    reason: str
    challenger: str | None = None
    champion: str | None = None
    evaluation: Mapping[str, Any] | None = None


def decide(
    model: Model,
    as_ofs: Iterable[str],
    kept: Mapping[str, Kept],
    plans: Mapping[str, Mapping[str, Any]],
    refused: Mapping[str, str],
    history: History,
    advance: Any,
) -> list[Decided]:
    """Let the gate decide every night, each against the champion that the nights before it have left.

    Parameters
    ----------
    kept : the fits by as-of; ``refused``: why there are none, by as-of.
    """
    champion: Kept | None = None
    decided = []
    for as_of in as_ofs:
        night, against = kept.get(as_of), champion.as_of if champion else None
        if night is None:
            decided.append(Decided(as_of, NO_DECISION, refused[as_of], champion=against))
        else:
            evaluation = evaluated(model, plans[as_of], night, champion, history)
            decision = gate.decide(model, evaluation)
            verdict, reason = str(decision.verdict), decision.reason
            if decision.verdict is Verdict.PROMOTE and night.record["guard"]:
                verdict, reason = REFUSED, str(night.record["guard"])
            decided.append(Decided(as_of, verdict, reason, night.challenger, against, evaluation))
            if verdict == Verdict.PROMOTE:
                champion = night
        advance(as_of)
    return decided


def evaluated(
    model: Model, plan: Mapping[str, Any], night: Kept, champion: Kept | None, history: History
) -> dict[str, Any]:
    """The twins of a night and of a champion on the night's holdout; kept beside the night's fits."""

    def make() -> dict[str, Any]:
        against = Champion(0, champion.challenger, champion.fits.twin) if champion else None
        return nights.judge(model, plan, night.fits, against, history)

    found = night.note(f"against-{champion.folder.name if champion else 'nobody'}.json", make)
    if champion:
        found["champion"] |= {"name": f"the champion of {champion.as_of}", "version": None}
    return found


def releases(decided: Sequence[Decided], monthly: Iterable[str], kept: Mapping[str, Kept]) -> dict[str, list[str]]:
    """As-ofs whose release model each policy puts into service, in their order; all begin with the first champion.

    ``frozen`` keeps it for ever; ``monthly`` takes the challenger of each of ``monthly``, and ``ungated`` that of every
    night, without asking anybody; ``nightly`` takes what the gate promotes. Empty where nothing was ever promoted.
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
