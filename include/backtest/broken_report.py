"""What broken nights have cost, with the gate and without one: for machines, and as Markdown for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from include.backtest import damage, report
from include.backtest.breakage import POLICIES, SOUND, Drawn, policy
from include.backtest.outcome import number
from include.backtest.policies import NIGHTLY, NO_DECISION, REFUSED, UNGATED, Decided
from include.backtest.prequential import Day
from include.gate.decision import Verdict
from include.spec import Model
from include.statistics import metrics
from include.training import evaluation

VERDICTS = (str(Verdict.PROMOTE), str(Verdict.REJECT), str(Verdict.HOLD), REFUSED, NO_DECISION)
SHOWN = ("promoted", "rejected", "held", "refit refused", "no decision")


def compose(
    model: Model, share: float, everywhere: bool, drawn: Sequence[Drawn], days: Sequence[Day]
) -> dict[str, Any]:
    """The part of the report about broken nights.

    Returns
    -------
    ``share``; ``everywhere`` (are the holdouts broken, too); ``policies``: each pooled over the days of all draws;
    ``draws``: of each its policies, decisions, broken nights and (of the first, for the picture) days; ``kinds``: each
    kind of damage over all draws, and ``every``: all of them together. ``excess`` is by how much the metric of training
    was worse than that of the same release fitted on sound rows, a mean over the rows of the days that broken models
    served.
    """
    told = [_draw(model, one, days, by_day=at == 0) for at, one in enumerate(drawn)]
    nights = [night for one in told for night in one["nights"]]
    kinds = [kind for kind in damage.KINDS if any(night["damage"] == kind for night in nights)]
    return {
        "share": share,
        "everywhere": everywhere,
        "policies": {name: {"metrics": _pooled(model, days, drawn, name)} for name in POLICIES},
        "draws": told,
        "kinds": {
            kind: {"what": damage.KINDS[kind].what, **_together([n for n in nights if n["damage"] == kind])}
            for kind in kinds
        },
        "every": _together(nights),
    }


def _pooled(model: Model, days: Sequence[Day], drawn: Sequence[Drawn], name: str) -> dict[str, float | None]:
    """Every metric over the rows of all draws: of each row as often as there are draws."""
    return report.pooled(model, days, *(policy(name, one.seed) for one in drawn))


def _draw(model: Model, one: Drawn, days: Sequence[Day], by_day: bool) -> dict[str, Any]:
    verdicts = Counter(night.verdict for night in one.decided)
    told: dict[str, Any] = {
        "seed": one.seed,
        "policies": {
            name: {
                "releases": [release.as_of for release in one.served[policy(name, one.seed)]],
                "metrics": report.pooled(model, days, policy(name, one.seed)),
            }
            for name in POLICIES
        },
        "decisions": {verdict: verdicts.get(verdict, 0) for verdict in VERDICTS},
        "nights": [_night(model, one, night, days) for night in one.decided if night.as_of in one.broken],
    }
    if by_day:
        names = [policy(name, one.seed) for name in POLICIES]
        rolled = {name: report.rolling(model, days, name) for name in names}
        told["days"] = [
            {
                "day": day.key,
                "policies": {
                    plain: {"as_of": day.served[name].as_of, "rolling": rolled[name][at]}
                    for plain, name in zip(POLICIES, names, strict=True)
                },
            }
            for at, day in enumerate(days)
        ]
    return told


def _night(model: Model, one: Drawn, night: Decided, days: Sequence[Day]) -> dict[str, Any]:
    """A broken night: what became of it, and what the days were like on which its model served."""
    return {
        "as_of": night.as_of,
        "damage": one.broken[night.as_of].kind,
        "verdict": night.verdict,
        "reason": night.reason,
        "challenger": night.challenger,
        "champion": night.champion,
        "served": {name: _served(model, one.seed, name, night.as_of, days) for name in POLICIES},
    }


def _served(model: Model, seed: int, name: str, as_of: str, days: Sequence[Day]) -> dict[str, Any] | None:
    """The days that the model of a broken night served; None where it never did."""
    mine, sound = policy(name, seed), policy(SOUND[name], seed)
    here = [day for day in days if day.served[mine].as_of == as_of]
    if not here:
        return None
    metric = evaluation.metric(model, model.training.metric)
    values = [
        float(metric.compute(labels, scores)) for side in (mine, sound) for labels, scores in [_joined(here, side)]
    ]
    return {
        "first": here[0].key,
        "days": len(here),
        "rows": int(sum(len(day.labels) for day in here)),
        "value": values[0],
        "sound": values[1],
        "excess": -metrics.gain(metric, *values),
    }


def _joined(days: Sequence[Day], name: str) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([day.labels for day in days]),
        np.concatenate([day.served[name].scores for day in days]),
    )


def _together(nights: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several broken nights: how many ended how, and the mean excess of the days that they served."""
    verdicts = Counter(night["verdict"] for night in nights)
    told: dict[str, Any] = {"nights": len(nights), **{verdict: verdicts.get(verdict, 0) for verdict in VERDICTS}}
    for name in POLICIES:
        served = [night["served"][name] for night in nights if night["served"][name]]
        rows = sum(one["rows"] for one in served)
        told[name] = {
            "days": sum(one["days"] for one in served),
            "rows": rows,
            "excess": sum(one["excess"] * one["rows"] for one in served) / rows if rows else None,
        }
    return told


# -- for people


def text(model: Model, found: Mapping[str, Any]) -> str:
    """What the gate costs and saves, each kind of damage, and the broken nights that have passed, as Markdown."""
    return "\n".join(["", sentence(found), "", *_costs(found), "", *_kinds(found), "", *_passed(found)])


def sentence(found: Mapping[str, Any]) -> str:
    """The outcome in one sentence."""
    broken = found["broken"]
    every, draws = broken["every"], len(broken["draws"])
    return (
        f"{100 * broken['share']:.3g} % of the nights after the first champion were broken on purpose"
        f"{', and with them the holdout that the gate judges them on' if broken['everywhere'] else ''}"
        f"{f', drawn {draws} times' if draws > 1 else ''}: {every['nights']} nights, of which the gate and the guards "
        f"of the refit let {every[str(Verdict.PROMOTE)]} pass."
    )


def _costs(found: Mapping[str, Any]) -> list[str]:
    metric, names = found["metric"], report.titles(found["protocol"])
    lines = [[metric, "sound nights", "with broken nights", "worse by"]]
    for name in (NIGHTLY, UNGATED):
        sound, broken = (part["policies"][name]["metrics"][metric] for part in (found, found["broken"]))
        worse = sound - broken if found["larger_is_better"] else broken - sound
        lines.append([names[name], number(sound), number(broken), signed(worse)])
    return _table(lines)


def _kinds(found: Mapping[str, Any]) -> list[str]:
    broken = found["broken"]
    lines = [["damage", "nights", *SHOWN, "excess no gate", "excess gate"]]
    for kind, told in [*broken["kinds"].items(), ("all", {"what": "", **broken["every"]})]:
        counts = [str(told[verdict]) for verdict in VERDICTS]
        name = f"{kind}: {told['what']}" if told["what"] else kind
        lines.append([name, str(told["nights"]), *counts, *(signed(told[p]["excess"]) for p in (UNGATED, NIGHTLY))])
    return _table(lines)


def _passed(found: Mapping[str, Any]) -> list[str]:
    """The broken nights whose model served behind the gate, and what it was like beside the same fit on sound rows."""
    lines = [["passed", "damage", "recipe", "days served", found["metric"], "sound", "worse by"]]
    for draw in found["broken"]["draws"]:
        for night in draw["nights"]:
            served = night["served"][NIGHTLY]
            if served:
                figures = [str(served["days"]), number(served["value"]), number(served["sound"])]
                about = [f"{night['as_of']} (draw {draw['seed']})", night["damage"], night["challenger"]]
                lines.append([*about, *figures, signed(served["excess"])])
    return _table(lines) if len(lines) > 1 else ["No broken model has served behind the gate.", ""]


def signed(value: float | None) -> str:
    """A difference for people; empty where there is none."""
    if value is None:
        return ""
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+.2f}"


def _table(lines: list[list[str]]) -> list[str]:
    rule = ["---", *("--:" for _ in lines[0][1:])]
    return [f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]]]
