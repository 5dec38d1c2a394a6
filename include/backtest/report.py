"""What a back-test found, as JSON for machines and as a Markdown table for people. The same history, the same bytes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from include.backtest.outcome import number, shown_metrics
from include.backtest.policies import FROZEN, MONTHLY, NIGHTLY, NO_DECISION, POLICIES, REFUSED, UNGATED, Decided
from include.backtest.prequential import Day
from include.gate.decision import Verdict
from include.gate.evaluation import SIDES
from include.partitions import earlier
from include.spec import Model
from include.training import evaluation

ROLLING_DAYS, FEWEST_DAYS = 28, 7


def compose(
    model: Model,
    protocol: Mapping[str, Any],
    decided: Sequence[Decided],
    releases: Mapping[str, Sequence[str]],
    days: Sequence[Day],
) -> dict[str, Any]:
    """The whole report: protocol, each policy pooled over all days, decisions by night, metrics by day."""
    verdicts = Counter(night.verdict for night in decided)
    rolled = {policy: rolling(model, days, policy) for policy in POLICIES} if days else {}
    return {
        "model": model.name,
        "metric": model.training.metric,
        "larger_is_better": evaluation.metric(model, model.training.metric).larger_is_better,
        "protocol": dict(protocol),
        "policies": {
            policy: {
                "releases": list(as_ofs),
                "days": len(days),
                "rows": int(sum(len(day.labels) for day in days)),
                "metrics": pooled(model, days, policy),
            }
            for policy, as_ofs in releases.items()
            if days
        },
        "decisions": {name: verdicts.get(name, 0) for name in (*map(str, Verdict), REFUSED, NO_DECISION)},
        "nights": [_night(model, night) for night in decided],
        "days": [_day(model, day, {p: rolled[p][at] for p in rolled}) for at, day in enumerate(days)],
    }


def pooled(model: Model, days: Sequence[Day], *policies: str) -> dict[str, float | None]:
    """Every metric over all rows of these days (and of all these policies) at once; None where it is not defined."""
    labels = np.concatenate([day.labels for _ in policies for day in days])
    scores = np.concatenate([day.served[policy].scores for policy in policies for day in days])
    return _finite(evaluation.metrics(model, labels, scores))


def rolling(model: Model, days: Sequence[Day], policy: str) -> list[float | None]:
    """The metric of training over the rows of the last `ROLLING_DAYS` days, at each day; None at the beginning."""
    compute = evaluation.metric(model, model.training.metric).compute
    found: list[float | None] = []
    for at, day in enumerate(days):
        begin = earlier(day.key, ROLLING_DAYS - 1)
        window = [d for d in days[max(0, at - ROLLING_DAYS + 1) : at + 1] if d.key >= begin]
        if len(window) < FEWEST_DAYS:
            found.append(None)
            continue
        labels = np.concatenate([d.labels for d in window])
        value = float(compute(labels, np.concatenate([d.served[policy].scores for d in window])))
        found.append(value if math.isfinite(value) else None)
    return found


def table(model: Model, report: Mapping[str, Any]) -> str:
    """A line for each policy: what it was over all days, and how often it changed."""
    decisions, policies = report["decisions"], report["policies"]
    metrics = shown_metrics(model, next(iter(policies.values()))["metrics"]) if policies else []
    lines = [["policy", *metrics, "releases", "promoted", "rejected", "held", "refused", "no decision"]]
    lines.append(["---", *("--:" for _ in lines[0][1:])])
    names = titles(report["protocol"])
    for policy, found in policies.items():
        counts = [str(decisions[name]) for name in ("promote", "reject", "hold", REFUSED, NO_DECISION)]
        shown = [number(found["metrics"].get(metric)) for metric in metrics]
        rest = counts if policy == NIGHTLY else [""] * len(counts)
        lines.append([names[policy], *shown, str(len(found["releases"])), *rest])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def titles(protocol: Mapping[str, Any]) -> dict[str, str]:
    """What the policies are called, by how often there was a night."""
    every = int(protocol["every"])
    often = "nightly" if every == 1 else f"every {every} nights"
    return {
        FROZEN: "frozen (the first champion for ever)",
        MONTHLY: f"monthly (every {protocol['monthly_days']} days, no gate)",
        NIGHTLY: f"{often}, with the gate",
        UNGATED: f"{often}, no gate",
    }


def _night(model: Model, night: Decided) -> dict[str, Any]:
    """One decision, with the fits' spans and the holdout's metrics."""
    told: dict[str, Any] = {
        "as_of": night.as_of,
        "verdict": night.verdict,
        "reason": night.reason,
        "challenger": night.challenger,
        "champion": night.champion,
    }
    if night.evaluation:
        found = night.evaluation
        told |= {"kind": found.kind, "change": found.change.as_dict() if found.change else None}
        told["anchors"] = [
            {name: getattr(anchor, name) for name in ("nights_ago", "name", "last", "value")}
            for anchor in found.anchors or ()
            if anchor.value is not None
        ]
        told["holdout"] = found.holdout.as_dict()
        for name in SIDES:
            side = found.side(name)
            told["holdout"][name] = {"twin_last": side.last, **side.metrics} if side else None
    return told


def _day(model: Model, day: Day, rolled: Mapping[str, float | None]) -> dict[str, Any]:
    policies = {}
    for policy in rolled:
        served = day.served[policy]
        age = (date.fromisoformat(day.key) - date.fromisoformat(served.fitted_to)).days
        policies[policy] = {
            "as_of": served.as_of,
            "fitted_to": served.fitted_to,
            "age": age,
            "rolling": rolled[policy],
            **_finite(evaluation.metrics(model, day.labels, served.scores)),
        }
    return {"day": day.key, "rows": len(day.labels), "policies": policies}


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}
