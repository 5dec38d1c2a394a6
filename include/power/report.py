"""What `make gate-power` found, as JSON for machines and as Markdown for people. The same history, the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from include.backtest.outcome import number
from include.power import chances
from include.power.figures import Figures
from include.records import PartitionKey, Record
from include.spec import Model, Power
from include.spec.gate import STANDARD_ERRORS
from include.training import measures


class Sampled(Record):
    """Which fits were compared, on which nights.

    Attributes
    ----------
    selections : the winner of each night's selection, by which the candidate was chosen; None if a person named it.
    """

    candidate: str
    selections: dict[str, str] | None
    first_night: PartitionKey
    last_night: PartitionKey
    every: int
    last_day: PartitionKey
    snapshot: str
    code: str


class Protocol(Sampled):
    """Everything that the figures depend on."""

    holdout_days: int
    alpha: float
    block_days: int
    draws: int
    seed: int
    wanted: float


class PowerReport(Figures):
    """`power.json`: what was measured, how, and what follows for the margin.

    Attributes
    ----------
    configured, kept : the margin of the model, and whether it is large enough.
    line : what to write into `model.py`.
    """

    model: str
    metric: str
    larger_is_better: bool
    protocol: Protocol
    configured: float
    kept: bool
    line: str


def compose(model: Model, sampled: Sampled, found: Figures) -> PowerReport:
    """The whole report."""
    gate, declared = model.gate, found.declared
    protocol = Protocol(
        **dict(sampled),
        holdout_days=model.training.holdout_days,
        alpha=gate.alpha,
        block_days=gate.block_days,
        draws=chances.DRAWS,
        seed=chances.SEED,
        wanted=chances.WANTED,
    )
    return PowerReport(
        **dict(found),
        model=model.name,
        metric=model.training.metric,
        larger_is_better=measures.metric(model, model.training.metric).larger_is_better,
        protocol=protocol,
        configured=gate.margin,
        kept=gate.margin >= declared.least_margin,
        line=line(declared),
    )


def line(declared: Power) -> str:
    """What to write into ``gate=Gate(...)`` of `model.py`."""
    day = declared.measured
    measured = f"date({day.year}, {day.month}, {day.day})"
    return (
        f"power=Power(standard_error={declared.standard_error!r}, stale_week={declared.stale_week!r}, "
        f"measured={measured}),"
    )


def markdown(report: PowerReport) -> str:
    """The three tables and the margin that follows."""
    protocol, own = report.protocol, report.protocol.holdout_days
    nights, refused = report.nights, report.refused
    parts = [
        f"## The gate of {report.model}: what a margin costs",
        f"{report.metric} of {protocol.candidate}, on {len(nights)} nights from {nights[0]} to {nights[-1]}, "
        f"every {protocol.every} days; blocks of {_days(protocol.block_days)}, "
        f"{100 * (1 - protocol.alpha):.3g} % one-sided limits.",
    ]
    if refused:
        end, why = next(iter(refused.items()))
        parts.append(f"Refused fits, whose nights are left out: {len(refused)}; the first, up to {end}: {why}")
    parts += ["### Cost of lag", _lags(report), "### Standard error", _errors(report), "### Power", _power(report)]
    if not any(one.holdout == own for one in report.power):
        parts.append(f"The holdout of {own} days is less than two blocks of {protocol.block_days}.")
    return "\n\n".join([*parts, "### The margin", recommendation(report)]) + "\n"


def recommendation(report: PowerReport) -> str:
    """The smallest sufficient margin, why, whether the configured one satisfies it, and the line for `model.py`."""
    declared, own = report.declared, report.protocol.holdout_days
    by_error, week = STANDARD_ERRORS * declared.standard_error, declared.stale_week
    binding = "the first" if by_error >= week else "the second"
    verdict = "satisfies both" if report.kept else "is below it: such a gate holds healthy models for ever"
    return "\n".join(
        [
            f"**{report.margin:g}** is the smallest sufficient margin: at least {STANDARD_ERRORS:g} standard errors "
            f"over the {own}-day holdout ({STANDARD_ERRORS:g} x {declared.standard_error:g} = {by_error:.3g}), and at "
            f"least the cost of one more stale week ({week:g}). The larger is {binding}. The configured margin "
            f"of {report.configured:g} {verdict}.",
            "",
            "For `make lint-models` to know, write into `gate=Gate(...)` of `model.py` (`Power` is in `include.spec`):",
            "",
            f"    {report.line}",
        ]
    )


def sentence(report: PowerReport) -> str:
    """What the picture shows, in one sentence."""
    own = report.protocol.holdout_days
    rate = next((one.equal for one in report.power if (one.holdout, one.margin) == (own, report.configured)), None)
    passes = "" if rate is None else f" lets an equal model pass {_percent(rate)} of {own}-day holdouts;"
    return (
        f"{report.model}: the margin of {report.configured:g}{passes} {report.margin:g} is the smallest sufficient one"
    )


def _lags(report: PowerReport) -> str:
    rows = []
    for one in report.lag:
        fitted = "the day before" if one.lag == 0 else f"{one.lag} days earlier"
        worse = [f"{one.cost.value:+.3g}", _figure(one.cost.error)] if one.cost and one.cost.value is not None else []
        rows.append([fitted, number(one.value), *(worse or ["", ""])])
    head = ["fitted up to", f"{report.metric} of the week after", "worse by", "standard error"]
    week = report.lag[1].cost
    note = f"\n\nOver {week.blocks} blocks of days with {week.rows:,} rows." if week else ""
    return f"{_table(head, rows)}{note}"


def _errors(report: PowerReport) -> str:
    known = {(one.holdout, one.apart): one for one in report.standard_error}
    aparts = sorted({apart for _, apart in known})
    head = ["holdout"]
    for apart in aparts:
        head += [f"fits {_days(apart)} apart: median", "90 % of nights below"]
    head.append("least margin")
    declared, rows = report.declared, []
    for holdout in sorted({holdout for holdout, _ in known}):
        cells = [known.get((holdout, apart)) for apart in aparts]
        figures = [_figure(value) for cell in cells for value in ((cell.median, cell.high) if cell else (None, None))]
        newest = cells[-1]
        error = newest.median if newest else declared.standard_error
        least = declared.model_copy(update={"standard_error": error}).margin
        rows.append([_own(report, holdout), *figures, f"{least:g}" if newest else ""])
    return _table(head, rows)


def _power(report: PowerReport) -> str:
    margins = [one.margin for one in report.days_needed]
    marks = {report.configured: " (configured)", report.margin: " (least)"}
    both = {report.configured: " (configured, least)"} if report.configured == report.margin else marks
    head = ["holdout", *(f"{margin:g}{both.get(margin, '')}" for margin in margins), "worse by the margin"]
    rows = []
    for holdout in dict.fromkeys(one.holdout for one in report.power):
        cells = [one for one in report.power if one.holdout == holdout]
        rows.append([_own(report, holdout), *(_percent(c.equal) for c in cells), _percent(cells[0].worse)])
    most = f"> {chances.MOST_DAYS}"
    needed = [most if one.days is None else str(one.days) for one in report.days_needed]
    rows.append([f"days for {_percent(report.protocol.wanted)}", *needed, ""])
    note = (
        "How often an equally good challenger is promoted, by holdout and margin; in the last column, how often "
        "one that is worse by exactly the margin is promoted (the same for every margin)."
    )
    return f"{note}\n\n{_table(head, rows)}"


def _own(report: PowerReport, holdout: int) -> str:
    return f"{_days(holdout)}{' (own)' if holdout == report.protocol.holdout_days else ''}"


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"


def _percent(rate: float) -> str:
    return f"{100 * rate:.0f} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *("--:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
