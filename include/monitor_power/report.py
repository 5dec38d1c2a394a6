"""What `make monitor-power` found, as JSON for machines and as Markdown for people."""

from __future__ import annotations

from collections.abc import Sequence

from include.backtest.outcome import number
from include.monitor_power import resampling
from include.monitor_power.equal import EqualMonths
from include.monitor_power.frozen import POLICIES, Frozen
from include.records import PartitionKey, Record


class Healthy(Record):
    """Months of drawn days without any change, in blocks of ``block`` days.

    Attributes
    ----------
    paged, told, retrained : months in which an incident paged a person, in which there was any incident, and in which
        the policy asked for a retraining.
    """

    block: int
    months: int
    paged: int
    told: int
    retrained: int


class Found(Record):
    """Months in which one input was changed: by what, and what monitoring said about it.

    Attributes
    ----------
    kinds : the kind of incident, and the number of months that had one; ``after`` : median day of the first one.
    """

    damage: str
    feature: str
    strength: float
    unit: str
    months: int
    paged: int
    told: int
    retrained: int
    kinds: dict[str, int]
    after: float | None


class MonitorReport(Record):
    """`monitor_power.json`.

    Attributes
    ----------
    first, last : the days that references and months were drawn from, ``days`` of them published.
    """

    model: str
    frozen: Frozen | None
    equal: tuple[EqualMonths, ...]
    first: PartitionKey
    last: PartitionKey
    days: int
    healthy: tuple[Healthy, ...]
    found: tuple[Found, ...]
    snapshot: str
    code: str


def markdown(report: MonitorReport) -> str:
    """The report for people."""
    parts = [f"# Monitoring of {report.model}\n"]
    if report.frozen is not None:
        parts.append(_frozen(report.frozen))
    if report.equal:
        parts.append(_equal(report.equal))
    parts += [_healthy(report), _found(report.found)]
    return "\n".join(parts)


def _frozen(found: Frozen) -> str:
    lines = [
        "## A champion that is frozen\n",
        f"First champion: {found.candidate}, as of {found.first}; scored up to {found.last} in {found.metric}.",
        "Not caught." if found.caught is None else f"Caught after {found.caught} days.",
    ]
    if found.recovered is not None:
        lines.append(
            f"From its first promoted retraining on, watching recovered {100 * found.recovered:.0f} % of what freezing "
            "had cost, compared with a fit every week."
        )
    lines += ["", f"| policy | {found.metric} | since the first retraining |", "|---|--:|--:|"]
    since = found.recovers_from or found.first
    lines += [f"| {one} | {number(found.mean(one))} | {number(found.mean(one, since))} |" for one in POLICIES]
    lines += [
        "",
        "| retraining | days after the fit | newer fit better by | at least | gate |",
        "|---|--:|--:|--:|---|",
    ]
    for one in found.retrainings:
        lines.append(f"| {one.day} | {one.age} | {number(one.gain)} | {number(one.lower)} | {one.verdict} |")
    return "\n".join(lines) + "\n"


def _equal(found: Sequence[EqualMonths]) -> str:
    lines = [
        "## A champion that is as good as a newer fit\n",
        f"{found[0].runs} months each, drawn from the differences of {found[0].days} days.\n",
        "| one-sided error | days drawn | months in which the rule fires |",
        "|--:|--:|--:|",
    ]
    lines += [f"| {one.alpha} | {one.block} at a time | {100 * one.fired / one.runs:.1f} % |" for one in found]
    return "\n".join(lines) + "\n"


def _healthy(report: MonitorReport) -> str:
    lines = [
        "## Months without a change\n",
        f"References and months drawn from {report.days} days, {report.first} to {report.last}.\n",
        "| days drawn | months | page a person | upper limit (95 %) | any message | retraining |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for one in report.healthy:
        limit = resampling.upper(one.paged, one.months)
        lines.append(
            f"| {one.block} at a time | {one.months} | {one.paged} | {100 * limit:.2f} % | {one.told} | "
            f"{one.retrained} |"
        )
    return "\n".join(lines) + "\n"


def _found(found: Sequence[Found]) -> str:
    lines = [
        "## Months in which one input changes\n",
        "| change | input | strength | page | any message | first after, days | incidents | retraining |",
        "|---|---|--:|--:|--:|--:|---|--:|",
    ]
    for one in found:
        share, told = 100 * one.paged / one.months, 100 * one.told / one.months
        kinds = ", ".join(f"{kind} {100 * months / one.months:.0f} %" for kind, months in sorted(one.kinds.items()))
        after = "" if one.after is None else f"{one.after:g}"
        lines.append(
            f"| {one.damage} | {one.feature} | {one.strength:g} {one.unit} | {share:.0f} % | {told:.0f} % | {after} | "
            f"{kinds} | {100 * one.retrained / one.months:.0f} % |"
        )
    return "\n".join(lines) + "\n"
