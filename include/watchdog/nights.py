"""A night without a decision by the model's hour, and a night whose run failed. Pure.

The hour is the time of the model's monitoring after the night was due (`Monitoring.schedule` is later than
`Training.schedule`, and by then the new version is expected to serve), within `SOONEST` and `LATEST`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from include.overview.nights import Calendar
from include.overview.outcomes import ACTIVE
from include.overview.records import ModelOverview, Night, Outcome
from include.registry import addresses
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.spec import Model
from include.watchdog.records import AirflowView, Findings, Unsure
from include.watchdog.wording import moment

SOONEST, LATEST = timedelta(hours=1), timedelta(hours=12)
"""How long after it was due a night has at least, and at most: the time limit of a run."""
RESTARTED = timedelta(minutes=15)
"""How long after its start Airflow's scheduler may still be about to start what was due while it did not run."""
NO_DECISION, NOT_RELEASED = "no decision", "not released"
OF_A_NIGHT = ("retrain", "release")
"""Kinds of DAGs whose failed run is the outcome of a night."""
DECIDED = (Outcome.PROMOTED, Outcome.HELD, Outcome.REJECTED, Outcome.SKIPPED, Outcome.FROZEN)
REFUSED, MARKED = "REFUSED", "MARKED"
"""How the note of a run begins whose parameters were refused, or whose state a person has set."""


def night(of: ModelOverview, model: Model | None, view: AirflowView | None, now: datetime) -> Findings:
    """What the newest night of a model shows.

    Parameters
    ----------
    model : ``None`` if its folder does not load or was removed.
    view : ``None`` if Airflow's runs are not known.
    """
    if of.gone:
        return Findings()
    found = of.night
    unsure = frozenset({Unsure(of.name, IncidentKind.NIGHT)})
    runs = frozenset(Unsure(of.name, IncidentKind.RUN, kind) for kind in OF_A_NIGHT)
    if view is None or model is None or found.outcome in (Outcome.UNKNOWN, Outcome.BROKEN):
        return Findings(unsure=unsure | runs)
    if found.outcome is Outcome.FAILED:
        return _failed(of.name, found, view)
    if found.outcome in DECIDED or (found.outcome is Outcome.RUNNING and found.version is not None):
        return Findings(unsure=runs if found.outcome is Outcome.RUNNING else frozenset())
    begins = _due(model, found)
    if begins is None or (found.outcome is Outcome.NO_CHAMPION and found.run_id is not None):
        return Findings()  # nothing was due, or its run has ended without a decision and says why
    if now < hour(model, begins) or restarted(view, now):
        return Findings(unsure=unsure | runs)
    seen = _undecided(of, model, view)
    return Findings((seen,) if seen else (), runs)


def hour(model: Model, due: datetime) -> datetime:
    """Until when a night that was due then must have a decision."""
    monitored = Calendar(model.timezone, model.monitoring.schedule).next_due(due)
    return min(max(monitored or due + LATEST, due + SOONEST), due + LATEST)


def restarted(view: AirflowView, now: datetime) -> bool:
    """Whether Airflow's scheduler has started so recently that a missing run means nothing yet."""
    return view.scheduling is not None and now < view.scheduling + RESTARTED


def _due(model: Model, found: Night) -> datetime | None:
    """When a night without a decision was due; ``None`` if none was."""
    if found.outcome is Outcome.NOT_DUE or (found.run_id is None and found.at is None):
        return None
    return Calendar(model.timezone, model.training.schedule).due(date.fromisoformat(found.day)) or found.at


def _undecided(of: ModelOverview, model: Model, view: AirflowView) -> Seen | None:
    """The incident of a night that is overdue; ``None`` for a model that was never trained and is paused: its data is
    being loaded, or a person has paused it."""
    retrain, found = f"{of.name}_retrain", of.night
    paused, active = retrain in view.runs.paused, found.run_state in ACTIVE
    if paused and found.outcome is Outcome.NO_CHAMPION:
        return None
    if active:
        todo = f"Look at the run of {retrain} in Airflow: does it make progress?"
    elif paused:
        todo = f"Unpause {retrain} in Airflow, or acknowledge this if it is paused on purpose."
    else:
        todo = f"Find out why Airflow did not start {retrain}, then trigger it."
    return Seen(
        model=of.name,
        kind=IncidentKind.NIGHT,
        cause=NO_DECISION,
        severity=Severity.WARNING if paused or active else Severity.CRITICAL,
        since=_first(of),
        what=f"{of.name} has no decision of the night of {found.day}.",
        how_bad=found.sentence,
        done=_serves(of),
        todo=todo,
        page=_page(of.name, found),
    )


def _first(of: ModelOverview) -> str:
    """The first of the nights up to the newest that have no decision."""
    first = of.night.day
    for one in reversed([one for one in of.nights if one.day < of.night.day]):
        if one.outcome is Outcome.NOT_RUN:
            first = one.day
        elif one.outcome is not Outcome.NOT_DUE:
            break
    return first


def _failed(name: str, found: Night, view: AirflowView) -> Findings:
    """A night whose run failed, or whose version was not put into service although the gate had passed it."""
    row = next((one for one in view.runs.rows if (one.dag_id, one.run_id) == (found.dag_id, found.run_id)), None)
    note = (row.note if row else None) or ""
    if note.startswith(MARKED):
        return Findings()
    kind = (found.dag_id or "").removeprefix(f"{name}_")
    failed = found.run_state == "failed" and kind in OF_A_NIGHT
    where = f"the task {found.failed_task}" if found.failed_task else "the run"
    return Findings(
        (
            Seen(
                model=name,
                kind=IncidentKind.RUN if failed else IncidentKind.NIGHT,
                cause=kind if failed else NOT_RELEASED,
                severity=Severity.WARNING if note.startswith(REFUSED) else Severity.CRITICAL,
                since=moment(found.at) if found.at else found.day,
                what=f"The night of {found.day} of {name} failed.",
                how_bad=found.sentence,
                done="What served before continues to serve.",
                todo=f"Read the log of {where} of {found.dag_id or name}, fix the cause, then retry it.",
                page=_page(name, found),
            ),
        )
    )


def _page(name: str, found: Night) -> str:
    """The run of a night, or the page of its model."""
    if found.dag_id and found.run_id:
        return addresses.of_run(found.dag_id, found.run_id)
    return addresses.of_model(name)


def _serves(of: ModelOverview) -> str:
    version = of.serving.version if of.serving else None
    return "" if version is None else f"Version {version} continues to serve."
