"""What a back-test found, as JSON for machines and as a Markdown table for people. The same history, the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from pydantic import ConfigDict, Field, JsonValue

from include.backtest.damaged_result import DamagedResult
from include.backtest.outcome import number, shown_metrics
from include.backtest.policies import FROZEN, MONTHLY, NIGHTLY, NO_DECISION, POLICIES, REFUSED, UNGATED, Decided
from include.backtest.prequential import Day
from include.gate.decision import Verdict
from include.gate.evaluation import SIDES, Change, Holdout, Kind, finite
from include.partitions import earlier
from include.records import PartitionKey, Record
from include.spec import Model
from include.training import measures

ROLLING_DAYS, FEWEST_DAYS = 28, 7
Metrics = dict[str, float | None]


class WithMetrics(Record):
    """A record with the metrics of its model as further fields."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: Metrics = Field(init=False)

    @property
    def metrics(self) -> Metrics:
        return self.__pydantic_extra__


class Protocol(Record):
    """All that the figures depend on."""

    collected_from: PartitionKey
    missing_days: tuple[PartitionKey, ...]
    first_night: PartitionKey
    last_night: PartitionKey
    last_day: PartitionKey
    every: int
    monthly_days: int
    rolling_days: int
    serves_after_days: int
    training: dict[str, JsonValue]
    gate: dict[str, JsonValue]
    snapshot: str
    code: str


class PolicyResult(Record):
    """A policy over all days: what it released, and its metrics over all rows at once."""

    releases: tuple[PartitionKey, ...]
    days: int
    rows: int
    metrics: Metrics


class TwinResult(WithMetrics):
    """The metrics of a twin on a holdout, and the last day that it was fitted on."""

    twin_last: PartitionKey


class HoldoutResult(Holdout):
    """A holdout, and the sides that were scored on it."""

    challenger: TwinResult | None
    baseline: TwinResult | None
    champion: TwinResult | None


class AnchorResult(Record):
    """A champion of an earlier night that was scored."""

    nights_ago: int
    name: str | None
    last: PartitionKey | None
    value: float


class NightResult(Record):
    """One decision; the last four fields only if the night could be judged."""

    as_of: PartitionKey
    verdict: str
    reason: str
    challenger: str | None
    champion: PartitionKey | None
    kind: Kind | None = None
    change: Change | None = None
    anchors: tuple[AnchorResult, ...] = ()
    holdout: HoldoutResult | None = None


class PolicyDay(WithMetrics):
    """What a policy had in service on a day, its age in days, and the rolling metric of training up to it."""

    as_of: PartitionKey
    fitted_to: PartitionKey
    age: int
    rolling: float | None


class DayResult(Record):
    """One day by policy."""

    day: PartitionKey
    rows: int
    policies: dict[str, PolicyDay]


class Report(Record):
    """`report.json`; without a champion there are neither policies nor days."""

    model: str
    metric: str
    larger_is_better: bool
    protocol: Protocol
    policies: dict[str, PolicyResult]
    decisions: dict[str, int]
    nights: tuple[NightResult, ...]
    days: tuple[DayResult, ...]
    broken: DamagedResult | None = None


def compose(
    model: Model,
    protocol: Protocol,
    decided: Sequence[Decided],
    releases: Mapping[str, Sequence[str]],
    days: Sequence[Day],
) -> Report:
    """The whole report: protocol, each policy pooled over all days, decisions by night, metrics by day."""
    verdicts = Counter(night.verdict for night in decided)
    rolled = {policy: rolling(model, days, policy) for policy in POLICIES} if days else {}
    rows = sum(len(day.labels) for day in days)
    return Report(
        model=model.name,
        metric=model.training.metric,
        larger_is_better=measures.metric(model, model.training.metric).larger_is_better,
        protocol=protocol,
        policies={
            policy: PolicyResult(releases=tuple(as_ofs), days=len(days), rows=rows, metrics=pooled(model, days, policy))
            for policy, as_ofs in releases.items()
            if days
        },
        decisions={name: verdicts.get(name, 0) for name in (*map(str, Verdict), REFUSED, NO_DECISION)},
        nights=tuple(_night(night) for night in decided),
        days=tuple(_day(model, day, {p: rolled[p][at] for p in rolled}) for at, day in enumerate(days)),
    )


def pooled(model: Model, days: Sequence[Day], *policies: str) -> Metrics:
    """Every metric over all rows of these days (and of all these policies) at once; None if it is not defined."""
    labels = np.concatenate([day.labels for _ in policies for day in days])
    scores = np.concatenate([day.served[policy].scores for policy in policies for day in days])
    return _metrics(model, labels, scores)


def rolling(model: Model, days: Sequence[Day], policy: str) -> list[float | None]:
    """The metric of training over the rows of the last `ROLLING_DAYS` days, at each day; None at the beginning."""
    compute = measures.metric(model, model.training.metric).compute
    found: list[float | None] = []
    for at, day in enumerate(days):
        begin = earlier(day.key, ROLLING_DAYS - 1)
        window = [d for d in days[max(0, at - ROLLING_DAYS + 1) : at + 1] if d.key >= begin]
        if len(window) < FEWEST_DAYS:
            found.append(None)
            continue
        labels = np.concatenate([d.labels for d in window])
        found.append(finite(compute(labels, np.concatenate([d.served[policy].scores for d in window]))))
    return found


def table(model: Model, report: Report) -> str:
    """A line for each policy: its metrics over all days, and how often it changed."""
    decisions, policies = report.decisions, report.policies
    metrics = shown_metrics(model, next(iter(policies.values())).metrics) if policies else []
    lines = [["policy", *metrics, "releases", "promoted", "rejected", "held", "refused", "no decision"]]
    lines.append(["---", *("--:" for _ in lines[0][1:])])
    names = titles(report.protocol)
    for policy, found in policies.items():
        counts = [str(decisions[name]) for name in ("promote", "reject", "hold", REFUSED, NO_DECISION)]
        shown = [number(found.metrics.get(metric)) for metric in metrics]
        rest = counts if policy == NIGHTLY else [""] * len(counts)
        lines.append([names[policy], *shown, str(len(found.releases)), *rest])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def titles(protocol: Protocol) -> dict[str, str]:
    """The names of the policies, with the interval between nights."""
    often = "nightly" if protocol.every == 1 else f"every {protocol.every} nights"
    return {
        FROZEN: "frozen (the first champion for ever)",
        MONTHLY: f"monthly (every {protocol.monthly_days} days, no gate)",
        NIGHTLY: f"{often}, with the gate",
        UNGATED: f"{often}, no gate",
    }


def _night(night: Decided) -> NightResult:
    """One decision, with the fits' spans and the holdout's metrics."""
    result = NightResult(
        as_of=night.as_of,
        verdict=night.verdict,
        reason=night.reason,
        challenger=night.challenger,
        champion=night.champion,
    )
    found = night.evaluation
    if found is None:
        return result
    sides = {name: found.side(name) for name in SIDES}
    twins = {name: TwinResult(twin_last=side.last, **side.metrics) if side else None for name, side in sides.items()}
    anchors = (
        AnchorResult(nights_ago=one.nights_ago, name=one.name, last=one.last, value=one.value)
        for one in found.anchors or ()
        if one.value is not None
    )
    return result.replace(
        kind=found.kind,
        change=found.change,
        anchors=tuple(anchors),
        holdout=HoldoutResult.of({**found.holdout.as_dict(), **{n: t and t.as_dict() for n, t in twins.items()}}),
    )


def _day(model: Model, day: Day, rolled: Mapping[str, float | None]) -> DayResult:
    policies = {}
    for policy, value in rolled.items():
        served = day.served[policy]
        age = (date.fromisoformat(day.key) - date.fromisoformat(served.fitted_to)).days
        metrics = _metrics(model, day.labels, served.scores)
        policies[policy] = PolicyDay(as_of=served.as_of, fitted_to=served.fitted_to, age=age, rolling=value, **metrics)
    return DayResult(day=day.key, rows=len(day.labels), policies=policies)


def _metrics(model: Model, labels: np.ndarray, scores: np.ndarray) -> Metrics:
    return {name: finite(value) for name, value in measures.metrics(model, labels, scores).items()}
