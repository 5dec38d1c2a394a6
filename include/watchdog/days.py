"""Days that did not arrive: rejected, failed, or missing after their time. Pure.

There is one incident for each day. It closes when the day arrives, or when it is no longer among the last 14.
"""

from __future__ import annotations

from datetime import datetime

from include.overview.records import Day, DayState, ModelOverview
from include.overview.wording import ended
from include.registry import addresses
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.watchdog.nights import restarted
from include.watchdog.records import AirflowView, Findings, Unsure

PREFIX = "day:"
"""Of the causes: other incidents of this kind are not those of the watchdog."""
WORDS = {
    DayState.REJECTED: "failed validation",
    DayState.FAILED: "could not be collected",
    DayState.MISSING: "was not collected",
}
TODO = {
    DayState.REJECTED: "Look at the validation result, fix the source or the expectation",
    DayState.FAILED: "Read the log of the failed run, fix the source",
    DayState.MISSING: "Find out why",
}


def days(of: ModelOverview, view: AirflowView | None, now: datetime) -> Findings:
    """What the last days of a model show.

    Parameters
    ----------
    view : ``None`` if Airflow's runs are not known. Then a day that is not recorded may be on its way.
    """
    if of.data is None:  # also of a broken folder, whose days cannot be told
        return Findings() if of.gone else Findings(unsure=frozenset({Unsure(of.name, IncidentKind.DAY)}))
    on_its_way = view is None or restarted(view, now) or of.name in view.loading or not _established(of)
    collects = f"{of.name}_collect"
    paused = view is not None and collects in view.runs.paused
    seen, unsure = [], set()
    for day in of.data.days:
        if day.state in (DayState.PENDING, DayState.UNKNOWN) or (day.state is DayState.MISSING and on_its_way):
            unsure.add(Unsure(of.name, IncidentKind.DAY, PREFIX + day.key))
        elif day.state in WORDS:
            seen.append(_seen(of.name, day, collects, paused and day.state is DayState.MISSING))
    return Findings(tuple(seen), frozenset(unsure))


def _established(of: ModelOverview) -> bool:
    """Whether the model was ever trained: before that, its first days are still being loaded."""
    return of.quality is not None or (of.serving is not None and of.serving.version is not None)


def _seen(name: str, day: Day, collects: str, paused: bool) -> Seen:
    todo = f"Unpause {collects} in Airflow" if paused else TODO[day.state]
    return Seen(
        model=name,
        kind=IncidentKind.DAY,
        cause=PREFIX + day.key,
        severity=Severity.WARNING if paused else Severity.CRITICAL,
        since=day.key,
        what=f"The day {day.key} of {name} {WORDS[day.state]}.",
        how_bad=ended(day.reason) if day.reason else "",
        done="" if day.state is not DayState.REJECTED else "Nothing of it was published; the raw batch is kept.",
        todo=f"{todo}, then collect it with {collects}.",
        page=addresses.of_run(day.dag_id, day.run_id)
        if day.dag_id and day.run_id and day.state is DayState.FAILED
        else addresses.of_model(name),
    )
