"""Histories with damaged nights: draw the nights, fit them, let the gate decide, and collect the releases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.backtest import fitting, policies
from include.backtest.damaged import DamagedNight, draw
from include.backtest.history import History
from include.backtest.policies import NIGHTLY, UNGATED, Decided
from include.backtest.pool import Work
from include.backtest.prequential import Release
from include.backtest.store import RELEASE, Kept, Store
from include.gate.decision import Verdict
from include.progress import Progress
from include.spec import Model
from include.training.plan import Plan

POLICIES = (NIGHTLY, UNGATED)
SOUND = {name: f"{name}, sound" for name in POLICIES}
"""For each policy, the name of its counterpart: the same releases, but fitted on sound rows."""


@dataclass(frozen=True)
class Nights:
    """The nights of a back-test, fitted on sound rows, and the gate's decisions on them."""

    as_ofs: Sequence[str]
    plans: Mapping[str, Plan]
    works: Mapping[str, Work]
    kept: Mapping[str, Kept]
    refused: Mapping[str, str]
    decided: Sequence[Decided]


@dataclass(frozen=True)
class Drawn:
    """One draw of damaged nights and the resulting history; the keys of ``served`` are names from `policy`."""

    seed: int
    damaged: Mapping[str, DamagedNight]
    decided: Sequence[Decided]
    served: Mapping[str, list[Release]]


def policy(name: str, seed: int) -> str:
    """The name under which a policy of one draw is scored."""
    return f"{name} broken {seed}"


def redecide(
    model: Model, history: History, nights: Nights, share: float, seeds: Sequence[int], store: Store,
    workers: int, progress: Progress, everywhere: bool = False,
) -> list[Drawn]:  # fmt: skip
    """For each seed, damage some nights after the first champion and let the gate decide again.

    Sound nights are not refitted. If training fails on the damaged rows, the night has no release, with or without the
    gate.

    Parameters
    ----------
    everywhere : whether the holdout of a damaged night is also damaged.
    """
    first = next((night.as_of for night in nights.decided if night.verdict == Verdict.PROMOTE), None)
    later = [as_of for as_of in nights.as_ofs if first and as_of > first and as_of in nights.kept]
    draws = {seed: draw(model, later, share, seed) for seed in seeds}
    works = {
        f"{as_of} {seed}": Work(nights.plans[as_of], one.key(nights.works[as_of].key), one)
        for seed, draw in draws.items()
        for as_of, one in draw.items()
    }
    fits = fitting.fitted(model, history, store, works, workers, progress, "broken nights")
    return [
        _drawn(
            model, history, nights, seed, draw, {as_of: fits[f"{as_of} {seed}"] for as_of in draw}, progress, everywhere
        )
        for seed, draw in draws.items()
    ]


def _drawn(
    model: Model, history: History, nights: Nights, seed: int, damaged: Mapping[str, DamagedNight],
    fits: Mapping[str, Kept], progress: Progress, everywhere: bool,
) -> Drawn:  # fmt: skip
    crashed = {as_of: night.record.refused for as_of, night in fits.items() if night.record.refused}
    kept = {as_of: night for as_of, night in {**nights.kept, **fits}.items() if as_of not in crashed}
    refused = {**nights.refused, **crashed}
    with progress.bar(f"{model.name}: decide, broken nights of draw {seed}", len(nights.as_ofs)) as advance:
        decided = policies.decide(
            model, nights.as_ofs, kept, nights.plans, refused, history, advance, damaged, everywhere
        )
    releases = policies.releases(decided, [], kept)
    served = policies.served(decided, {name: releases[name] for name in POLICIES}, kept)
    sides = {NIGHTLY: {night.as_of: night.side for night in nights.decided if night.verdict == Verdict.PROMOTE}}
    for name in POLICIES:
        served[SOUND[name]] = [
            Release(one.as_of, sides.get(name, {}).get(one.as_of, RELEASE), nights.kept[one.as_of])
            if one.as_of in damaged
            else one
            for one in served[name]
        ]
    return Drawn(seed, damaged, decided, {policy(name, seed): ones for name, ones in served.items()})
