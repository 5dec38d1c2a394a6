"""Numbers, days and outcomes in words: the same on every page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from include.overview.records import (
    AuditOf,
    CandidateFigure,
    DayState,
    DecisionOf,
    Freeze,
    Gain,
    Live,
    ModelHistory,
    Night,
    Outcome,
)
from include.partitions import utc_now

UNKNOWN = "not known"
SAME_YEAR = timedelta(days=300)
"""Days that are further away are shown with their year."""
MEANINGS: Mapping[Outcome, str] = {
    Outcome.PROMOTED: "passed the gate and went into service",
    Outcome.HELD: "more evidence, or a person, is needed first",
    Outcome.REJECTED: "did not pass the gate: a decision, not a failure",
    Outcome.SKIPPED: "there was nothing new to decide about",
    Outcome.FAILED: "a task failed",
    Outcome.FROZEN: "passed the gate, but automatic promotion is frozen",
    Outcome.BROKEN: "the model's folder does not load",
    Outcome.NO_CHAMPION: "no version serves",
    Outcome.NOT_RUN: "a night was due and did not run",
    Outcome.RUNNING: "under way",
    Outcome.NOT_DUE: "no night was planned",
    Outcome.UNKNOWN: "not known, because a service does not answer",
}
"""For the legend."""
STATES: Mapping[DayState, str] = {
    DayState.PUBLISHED: "published",
    DayState.EMPTY: "published without rows",
    DayState.REJECTED: "rejected by validation",
    DayState.FAILED: "could not be collected",
    DayState.MISSING: "missing",
    DayState.PENDING: "not collected yet",
    DayState.UNKNOWN: UNKNOWN,
}
WRONG = (DayState.REJECTED, DayState.FAILED, DayState.MISSING)
"""The states of days that somebody should look at."""


def count(number: int | None) -> str:
    """``1,234``."""
    return UNKNOWN if number is None else f"{number:,}"


def number(value: object, digits: int = 4) -> str:
    """A value of a check, a metric or a parameter, with so many significant digits."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def signed(value: float | None) -> str:
    """``+0.021``, with a real minus sign."""
    return UNKNOWN if value is None else f"{value:+.3g}".replace("-", "−")


def gain(of: Gain | None) -> str:
    """``+0.021 (+0.003 to +0.04)``."""
    if of is None or of.value is None:
        return UNKNOWN
    between = limits(of)
    return f"{signed(of.value)} ({between})" if between else signed(of.value)


def limits(of: Gain | None) -> str:
    """``+0.003 to +0.04``, or ``at least +0.003``; "" if no limit is known."""
    if of is None or of.lower is None:
        return "" if of is None or of.upper is None else f"at most {signed(of.upper)}"
    return f"at least {signed(of.lower)}" if of.upper is None else f"{signed(of.lower)} to {signed(of.upper)}"


def percent(share: float | None) -> str:
    """``12 %``, ``0.4 %``; "" if it is not known."""
    if share is None:
        return ""
    whole = 100 * share
    return f"{whole:.0f} %" if whole >= 9.95 or whole == 0 else f"{whole:.1f} %" if whole >= 0.05 else "< 0.1 %"


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters: the beginning and the end, because long names often begin alike."""
    return text if len(text) <= most else f"{text[: most - most // 3 - 1]}…{text[-(most // 3) :]}"


def metrics(candidates: Sequence[CandidateFigure]) -> list[str]:
    """The metrics of a table of candidates; one of them may have fewer than the others."""
    return list(dict.fromkeys(figure.name for one in candidates for figure in one.metrics))


def metric(of: CandidateFigure, name: str) -> float | None:
    """A metric of a candidate; ``None`` if it has no such metric."""
    return next((figure.value for figure in of.metrics if figure.name == name), None)


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 day``, ``2 days``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def day(key: str | None) -> str:
    """``22 Dec``; with the year if the day is long ago."""
    if key is None:
        return UNKNOWN
    return _day(key, utc_now().date())


@lru_cache(maxsize=2000)
def _day(key: str, today: date) -> str:
    """A page of many models has few days, each of them very often."""
    try:
        found = date.fromisoformat(key)
    except ValueError:
        return key
    near = abs(today - found) < SAME_YEAR
    return f"{found.day} {found:%b}" + ("" if near else f" {found.year}")


def time(key: str | None) -> Markup:
    """`day` as an element of HTML, with the whole date."""
    return Markup(UNKNOWN) if key is None else Markup('<time datetime="{}">{}</time>').format(key, day(key))


def when(moment: datetime | None) -> Markup:
    """``22 Dec 02:31 UTC`` as an element of HTML."""
    if moment is None:
        return Markup(UNKNOWN)
    utc = moment.astimezone(UTC)
    text = f"{day(utc.date().isoformat())} {utc:%H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(timespec="seconds"), text)


def outcome(night: Night, problem: str | None = None) -> str:
    """``PROMOTED v2``, ``FAILED in package``, ``BROKEN model.py:76``.

    ``problem`` : what is wrong with the model's folder.
    """
    said = night.outcome.value.upper()
    if night.outcome is Outcome.FAILED and night.failed_task:
        return f"{said} in {night.failed_task}"
    if night.outcome is Outcome.BROKEN:
        return f"{said} {place(problem)}".rstrip()
    return f"{said} v{night.version}" if night.outcome is Outcome.PROMOTED and night.version else said


def slug(member: Outcome | DayState) -> str:
    """A class of the style sheet, such as ``no-champion``."""
    return member.value.replace(" ", "-")


def sentence(text: str) -> str:
    """The sentence of a result as one: it begins with a capital letter, unless with a name, and has a full stop."""
    first = text.partition(" ")[0]
    begun = text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text
    return begun if not begun or begun.endswith((".", "!", "?")) else f"{begun}."


def place(problem: str | None) -> str:
    """``model.py:76`` of the first mistake of a folder; "" if it names no line."""
    found = re.search(r"([^/\s]+\.py:\d+)", problem or "")
    return found[1] if found else ""


def live_span(live: Live) -> str:
    """Of which time the live figures are."""
    return "24 h" if live.hours >= 23.5 else f"{live.hours:.2g} h" if live.hours >= 1 else f"{live.hours * 60:.0f} min"


def freeze(of: Freeze) -> str:
    """Who froze, since when and why."""
    return f"Frozen by {of.actor} since {of.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {of.reason.rstrip(' .')}."


def wrapped(text: str) -> Markup:
    """A text in which long names can break after ``_`` and ``/``, so that a narrow column can hold them."""
    breakable = re.sub(r"([_/])", r"\1<wbr>", str(escape(text)))
    return Markup(breakable)


@dataclass(frozen=True)
class Event:
    """A decision of the gate, or a change of what serves or of the freeze; exactly one of them."""

    at: datetime
    decision: DecisionOf | None = None
    change: AuditOf | None = None


AUTOMATIC = "perennial"
"""The actor of everything that nobody did by hand."""
CHANGES = {
    "promote": "v{version} released by hand",
    "rollback": "rolled back to v{version}",
    "restore": "v{version} restored",
    "withdraw": "v{from_version} taken out of service",
    "freeze": "promotion frozen",
    "unfreeze": "freeze lifted",
    "repair": "v{version} repaired",
    "verify": "v{version} verified",
    "acknowledge": "incident acknowledged",
    "close": "incident closed",
}
DAG_OF_CHANGE = {"promote": "release", "restore": "release", "withdraw": "release", "rollback": "rollback"}


def events(past: ModelHistory) -> list[Event]:
    """Decisions and changes, newest first. A promotion that followed from a decision is not shown a second time."""
    shown = [one for one in past.audit if one.action != "verify" and (one.action, one.actor) != ("promote", AUTOMATIC)]
    found = [Event(one.at, decision=one) for one in past.decisions] + [Event(one.at, change=one) for one in shown]
    return sorted(found, key=lambda event: event.at, reverse=True)


def change(of: AuditOf) -> str:
    """``rolled back to v2``."""
    if of.action == "promote" and of.actor == AUTOMATIC:
        return f"v{of.version} promoted"
    return CHANGES.get(of.action, of.action).format(version=of.version, from_version=of.from_version)


def dag_of(model: str, of: AuditOf) -> str | None:
    """The DAG of the run that made a change, if it was one."""
    kind = DAG_OF_CHANGE.get(of.action)
    return f"{model}_{kind}" if kind else None


FILTERS: Mapping[str, Callable[..., Any]] = {
    "count": count,
    "day": day,
    "gain": gain,
    "limits": limits,
    "metric": metric,
    "number": number,
    "percent": percent,
    "plural": plural,
    "sentence": sentence,
    "signed": signed,
    "slug": slug,
    "time": time,
    "when": when,
    "wrapped": wrapped,
}
