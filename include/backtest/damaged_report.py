"""The cost of damaged nights, with the gate and without one: for machines, and as Markdown for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from include.backtest import damage, report
from include.backtest.damaged_result import (
    DamagedNightResult,
    DamagedResult,
    DrawnDay,
    DrawResult,
    Excess,
    KindResult,
    PooledPolicy,
    RolledDay,
    ServedResult,
    Together,
)
from include.backtest.draws import POLICIES, SOUND, Drawn, policy
from include.backtest.outcome import number
from include.backtest.policies import NIGHTLY, NO_DECISION, REFUSED, UNGATED, Decided
from include.backtest.prequential import Day
from include.backtest.report import Report
from include.gate.decision import Verdict
from include.spec import Model
from include.statistics import metrics
from include.training import measures

VERDICTS = (str(Verdict.PROMOTE), str(Verdict.REJECT), str(Verdict.HOLD), REFUSED, NO_DECISION)
SHOWN = ("promoted", "rejected", "held", "refit refused", "no decision")


def compose(model: Model, share: float, everywhere: bool, drawn: Sequence[Drawn], days: Sequence[Day]) -> DamagedResult:
    """The part of the report about damaged nights."""
    draws = tuple(_draw(model, one, days, by_day=at == 0) for at, one in enumerate(drawn))
    nights = [night for one in draws for night in one.nights]
    kinds = [kind for kind in damage.KINDS if any(night.damage == kind for night in nights)]
    pooled = {name: report.pooled(model, days, *(policy(name, one.seed) for one in drawn)) for name in POLICIES}
    of_kind = {kind: _together([night for night in nights if night.damage == kind]) for kind in kinds}
    return DamagedResult(
        share=share,
        everywhere=everywhere,
        policies={name: PooledPolicy(metrics=found) for name, found in pooled.items()},
        draws=draws,
        kinds={k: KindResult(**{**dict(found), "what": damage.KINDS[k].what}) for k, found in of_kind.items()},
        every=_together(nights),
    )


def _draw(model: Model, one: Drawn, days: Sequence[Day], by_day: bool) -> DrawResult:
    verdicts = Counter(night.verdict for night in one.decided)
    result = DrawResult(
        seed=one.seed,
        policies={
            name: PooledPolicy(
                releases=tuple(release.as_of for release in one.served[policy(name, one.seed)]),
                metrics=report.pooled(model, days, policy(name, one.seed)),
            )
            for name in POLICIES
        },
        decisions={verdict: verdicts.get(verdict, 0) for verdict in VERDICTS},
        nights=tuple(_night(model, one, night, days) for night in one.decided if night.as_of in one.damaged),
    )
    if not by_day:
        return result
    names = {plain: policy(plain, one.seed) for plain in POLICIES}
    rolled = {name: report.rolling(model, days, name) for name in names.values()}

    def served(name: str, at: int) -> RolledDay:
        return RolledDay(as_of=days[at].served[name].as_of, rolling=rolled[name][at])

    return result.replace(
        days=tuple(
            DrawnDay(day=day.key, policies={plain: served(name, at) for plain, name in names.items()})
            for at, day in enumerate(days)
        )
    )


def _night(model: Model, one: Drawn, night: Decided, days: Sequence[Day]) -> DamagedNightResult:
    return DamagedNightResult(
        as_of=night.as_of,
        damage=one.damaged[night.as_of].kind,
        verdict=night.verdict,
        reason=night.reason,
        challenger=night.challenger,
        champion=night.champion,
        served={name: _served(model, one.seed, name, night.as_of, days) for name in POLICIES},
    )


def _served(model: Model, seed: int, name: str, as_of: str, days: Sequence[Day]) -> ServedResult | None:
    """The days that the model of a damaged night served; None if it never did."""
    mine, sound = policy(name, seed), policy(SOUND[name], seed)
    here = [day for day in days if day.served[mine].as_of == as_of]
    if not here:
        return None
    metric = measures.metric(model, model.training.metric)
    values = [
        float(metric.compute(labels, scores)) for side in (mine, sound) for labels, scores in [_joined(here, side)]
    ]
    return ServedResult(
        first=here[0].key,
        days=len(here),
        rows=sum(len(day.labels) for day in here),
        value=values[0],
        sound=values[1],
        excess=-metrics.gain(metric, *values),
    )


def _joined(days: Sequence[Day], name: str) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([day.labels for day in days]),
        np.concatenate([day.served[name].scores for day in days]),
    )


def _together(nights: Sequence[DamagedNightResult]) -> Together:
    """Several damaged nights: how many had which outcome, and the mean excess of the days that they served."""
    verdicts = Counter(night.verdict for night in nights)
    counts = {verdict: verdicts.get(verdict, 0) for verdict in VERDICTS}
    return Together(nights=len(nights), nightly=_excess(nights, NIGHTLY), ungated=_excess(nights, UNGATED), **counts)


def _excess(nights: Sequence[DamagedNightResult], name: str) -> Excess:
    served = [one for night in nights if (one := night.served[name]) is not None]
    rows = sum(one.rows for one in served)
    mean = sum(one.excess * one.rows for one in served) / rows if rows else None
    return Excess(days=sum(one.days for one in served), rows=rows, excess=mean)


# -- for people


def text(found: Report, damaged: DamagedResult) -> str:
    """What the gate costs and saves, each kind of damage, and the damaged nights that have passed, as Markdown."""
    costs, passed = _costs(found, damaged), _passed(found, damaged)
    return "\n".join(["", sentence(damaged), "", *costs, "", *_kinds(damaged), "", *passed])


def sentence(damaged: DamagedResult) -> str:
    """The outcome in one sentence."""
    draws = len(damaged.draws)
    return (
        f"{100 * damaged.share:.3g} % of the nights after the first champion were broken on purpose"
        f"{', and with them the holdout that the gate judges them on' if damaged.everywhere else ''}"
        f"{f', drawn {draws} times' if draws > 1 else ''}: {damaged.every.nights} nights, of which the gate and the "
        f"guards of the refit let {damaged.every.counts[str(Verdict.PROMOTE)]} pass."
    )


def _costs(found: Report, damaged: DamagedResult) -> list[str]:
    metric, names = found.metric, report.titles(found.protocol)
    lines = [[metric, "sound nights", "with broken nights", "worse by"]]
    for name in (NIGHTLY, UNGATED):
        before, after = found.policies[name].metrics[metric], damaged.policies[name].metrics[metric]
        worse = None
        if before is not None and after is not None:
            worse = before - after if found.larger_is_better else after - before
        lines.append([names[name], number(before), number(after), signed(worse)])
    return _table(lines)


def _kinds(damaged: DamagedResult) -> list[str]:
    lines = [["damage", "nights", *SHOWN, "excess no gate", "excess gate"]]
    named = [(f"{kind}: {result.what}", result) for kind, result in damaged.kinds.items()]
    for name, result in [*named, ("all", damaged.every)]:
        counts = [str(result.counts[verdict]) for verdict in VERDICTS]
        excess = [signed(one.excess) for one in (result.ungated, result.nightly)]
        lines.append([name, str(result.nights), *counts, *excess])
    return _table(lines)


def _passed(found: Report, damaged: DamagedResult) -> list[str]:
    """The damaged nights whose model served behind the gate, compared with the same fit on sound rows."""
    lines = [["passed", "damage", "recipe", "days served", found.metric, "sound", "worse by"]]
    for draw in damaged.draws:
        for night in draw.nights:
            served = night.served[NIGHTLY]
            if served:
                figures = [str(served.days), number(served.value), number(served.sound), signed(served.excess)]
                about = [f"{night.as_of} (draw {draw.seed})", night.damage, night.challenger or ""]
                lines.append([*about, *figures])
    return _table(lines) if len(lines) > 1 else ["No broken model has served behind the gate.", ""]


def signed(value: float | None) -> str:
    """A difference for people; empty if there is none."""
    if value is None:
        return ""
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+.2f}"


def _table(lines: list[list[str]]) -> list[str]:
    rule = ["---", *("--:" for _ in lines[0][1:])]
    return [f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]]]
