"""What somebody must do about a model, in which order models are shown, and the headline. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from include.overview.days import named
from include.overview.outcomes import SERVED
from include.overview.records import Data, DayState, Filter, ModelOverview, Night, Outcome, ServerState, Serving
from include.overview.wording import count, listed

ORDER = (
    Outcome.BROKEN, Outcome.FAILED, Outcome.NOT_RUN, Outcome.FROZEN, Outcome.NO_CHAMPION, Outcome.UNKNOWN,
    Outcome.REJECTED, Outcome.HELD, Outcome.RUNNING, Outcome.PROMOTED, Outcome.SKIPPED, Outcome.NOT_DUE,
)  # fmt: skip
"""Of models that need somebody, and of the others: the worst first."""
SAID = {
    Outcome.PROMOTED: "promoted", Outcome.HELD: "held", Outcome.REJECTED: "rejected", Outcome.SKIPPED: "skipped",
    Outcome.FAILED: "failed", Outcome.FROZEN: "frozen", Outcome.BROKEN: "broken",
    Outcome.NO_CHAMPION: "without a champion", Outcome.NOT_RUN: "not run", Outcome.RUNNING: "running",
    Outcome.NOT_DUE: "not due", Outcome.UNKNOWN: "unknown",
}  # fmt: skip
"""In the order of the headline."""


def needs(
    name: str,
    problem: str | None,
    night: Night,
    serving: Serving | None,
    data: Data | None,
    released: bool = False,
    paused: frozenset[str] = frozenset(),
    gone: bool = False,
    awaited: bool = False,
    incident: str = "",
) -> str | None:
    """What somebody must do; the most urgent matter only. None if no action is needed.

    Parameters
    ----------
    problem : what is wrong with the folder.
    released : whether the version that the night decided about has been in service.
    paused : ids of the DAGs that are paused in Airflow.
    gone : whether the model has no folder any more, so that only what it serves matters.
    awaited : whether the first night of a model that was never trained is still to come.
    incident : what to do about an open incident that pages a person; "" without one.
    """
    if problem is not None:
        return f"Fix the folder: {problem.splitlines()[0]}"
    if serving is not None and serving.state is ServerState.BEHIND:
        return f"{serving.sentence} Read the log of the model server."
    if gone:
        return None
    if night.outcome is Outcome.FAILED:
        task = f"the task {night.failed_task}" if night.failed_task else "the run"
        return f"Read the log of {task} of {night.dag_id}, fix the cause, then retry it or run the night again."
    if night.outcome is Outcome.NOT_RUN:
        if f"{name}_retrain" in paused:
            return f"Unpause {name}_retrain in Airflow, or leave it paused on purpose."
        return "Find out why Airflow did not start the night: is its scheduler running?"
    if night.outcome is Outcome.FROZEN and not released:
        what = "a version" if night.version is None else f"version {night.version}"
        return f"Lift the freeze and release {what}, or decide that it stays."
    if (about := _of_data(name, data, paused)) is not None:
        return about
    if incident:
        return incident
    if night.outcome is Outcome.RUNNING:
        return None
    if serving is not None and serving.version is None:
        return None if awaited else _without_champion(name, night, f"{name}_retrain" in paused)
    if serving is not None and serving.old:
        return (
            f"Version {serving.version} is old: it has learned up to {serving.learned_to}, {serving.age} days ago, and "
            f"the limit is {serving.limit}. Find out why no newer version was promoted."
        )
    return None


def _without_champion(name: str, night: Night, paused: bool) -> str:
    if night.outcome is Outcome.NO_CHAMPION and paused:
        return f"{name} has no champion. Unpause {name}_retrain in Airflow, or leave it paused on purpose."
    return f"{name} has no champion. {night.sentence}"


def released(state: str | None) -> bool:
    """Whether a version with this state is or was in service."""
    return state in SERVED


def _of_data(name: str, data: Data | None, paused: frozenset[str]) -> str | None:
    if data is None:
        return None
    collects = f"{name}_collect"
    absent = f"Unpause {collects} in Airflow" if collects in paused else "Find out why"
    for state, words, remedy, again in (
        (DayState.REJECTED, "failed validation", "Look at the result, fix the source or the expectation", " again"),
        (DayState.FAILED, "could not be fetched", "Read the log of the failed run, fix the source", " again"),
        (DayState.MISSING, "not collected", absent, ""),
    ):
        if keys := named(data.days, state):
            those, were = ("it", "was") if len(keys) == 1 else ("them", "were")
            verb = f"{were} {words}" if state is DayState.MISSING else words
            return f"{listed(keys)} {verb}. {remedy}, then collect {those}{again} with {collects}."
    return None


def in_order(models: Sequence[ModelOverview]) -> tuple[ModelOverview, ...]:
    """Those that need somebody first, the worst outcome first, then by name."""
    return tuple(sorted(models, key=lambda one: (one.needs is None, ORDER.index(one.night.outcome), one.name)))


def headline(models: Sequence[ModelOverview], at: datetime, complete: bool = True) -> str:
    """``Last night: 2 promoted, 1 held, 1 frozen, 1 broken. 2 need you.``

    Parameters
    ----------
    at : now. A night that began more than a day ago, of a model with a weekly schedule, is not last night's.
    complete : whether every source answered; otherwise the sentence says that something is not known.
    """
    if not models:
        return "There are no models."
    found = Counter(_last_night(model, at) for model in models)
    nights = ", ".join(f"{found[outcome]} {SAID[outcome]}" for outcome in SAID if found[outcome])
    need = sum(model.needs is not None for model in models)
    who = {0: "No action is needed.", 1: "1 needs you."}.get(need, f"{need:,} need you.")
    if not complete:
        who = f"{who[:-1]}, as far as is known."
    return f"Last night: {nights}. {who}"


def _last_night(model: ModelOverview, at: datetime) -> Outcome:
    """The outcome of a model for the headline."""
    lasting = model.night.outcome in (Outcome.BROKEN, Outcome.NO_CHAMPION, Outcome.UNKNOWN)
    past = date.fromisoformat(model.night.day) < at.astimezone(ZoneInfo(model.timezone)).date() - timedelta(days=1)
    return Outcome.NOT_DUE if past and not lasting else model.night.outcome


def matches(model: ModelOverview, wanted: Filter) -> bool:
    """Whether a model is to be shown."""
    owner = (model.owner or "").casefold()
    return (
        wanted.name.strip().casefold() in model.name.casefold()
        and wanted.owner.strip().casefold() in owner
        and (not wanted.tag.strip() or wanted.tag.strip() in model.tags)
    )


def shared_problems(ledger: str | None, runs: bool, server: bool) -> tuple[str, ...]:
    """What is wrong with the parts that all models share.

    Parameters
    ----------
    ledger : why it does not answer, or None. ``runs``, ``server`` : whether those of Airflow, and it, are known.
    """
    found = []
    if ledger is not None:
        found.append(f"The ledger does not answer, so decisions, champions and days are not known: {ledger}")
    if not runs:
        found.append("Airflow's runs cannot be read, so it is not known what became of nights without a decision.")
    if not server:
        found.append("The model server does not answer, so what it serves is not known.")
    return tuple(found)


def days_named(data: Data) -> str:
    """The days that are not in order, in words: ``1 rejected (2026-05-03), 2 missing (...)``; "" if all are."""
    states = (DayState.REJECTED, DayState.FAILED, DayState.MISSING, DayState.UNKNOWN)
    found = [(state, named(data.days, state)) for state in states]
    return ", ".join(f"{len(keys)} {state} ({listed(keys)})" for state, keys in found if keys)


def rows_in_quarantine(data: Data) -> str:
    """The rows in quarantine in words; "" if there are none."""
    if data.quarantined is None:
        return "rows in quarantine: not known"
    return f"{count(data.quarantined, 'row')} in quarantine" if data.quarantined else ""
