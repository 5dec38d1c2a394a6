"""What the dialogs of a model offer. The user's browser carries an action out, with Airflow's own API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include import catalog
from include.errors import ConfigurationError
from include.overview.records import DayState, IncidentOf, ModelHistory, ModelOverview, Outcome, Runs, VersionOf
from include.registry.incident_actions import IncidentAction
from include.registry.incident_rows import IncidentState
from include.release.action import Action
from include.spec import Model, bounds

INCIDENTS = "perennial_incidents"
"""The DAG that acknowledges and closes incidents of all models."""


@dataclass(frozen=True)
class Retraining:
    """What the form of a night begins with: the model's own settings.

    ``candidates`` : their names as far as they are known without running the model's code, here or in the last night.
    """

    window_days: int
    seed: int
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class FailedRun:
    """A run whose failed tasks can be tried again."""

    dag_id: str
    run_id: str
    task: str | None
    sentence: str


@dataclass(frozen=True)
class Offered:
    """The actions of one model.

    Attributes
    ----------
    retraining : ``None`` if the folder does not load or was removed, so that there is no DAG to run.
    first_day : the first day of the model's data.
    back_to : versions that a rollback can choose. ``previous`` : the one that it chooses by itself, if there is one.
    lifts : whether there is a freeze, and a DAG that can lift it.
    releasable : packaged versions that do not serve, newest first.
    incidents : those that can be closed. ``waiting`` : those of them that nobody has acknowledged.
    paused : DAGs of the model, and that of incidents, if they are paused: a run waits until a person unpauses its DAG.
    """

    retraining: Retraining | None
    first_day: str | None
    newest_day: str | None
    back_to: tuple[int, ...]
    previous: int | None
    lifts: bool
    releasable: tuple[VersionOf, ...]
    failed: FailedRun | None
    paused: tuple[str, ...]
    incidents: tuple[IncidentOf, ...] = ()
    waiting: tuple[IncidentOf, ...] = ()
    incident_dag: str = INCIDENTS
    acknowledge: str = IncidentAction.ACKNOWLEDGE.value
    close: str = IncidentAction.CLOSE.value
    rollback_actions: tuple[str, ...] = (Action.FREEZE.value, Action.KEEP.value)
    lift: str = Action.LIFT.value
    shortest_reason: int = bounds.SHORTEST_REASON
    longest_reason: int = bounds.LONGEST_REASON
    longest_note: int = bounds.LONGEST_NOTE
    longest_window: int = bounds.LONGEST_WINDOW
    largest_seed: int = bounds.LARGEST_SEED


def of(
    row: ModelOverview, past: ModelHistory | None, runs: Runs | None, incidents: Sequence[IncidentOf] = ()
) -> Offered:
    """The actions that make sense now."""
    model = _model(row)
    serves = row.serving.version if row.serving else None
    versions = past.versions if past else ()
    paused = runs.paused if runs else frozenset[str]()
    ready = tuple(one for one in versions if one.bundle and one.version != serves and one.state != "failed")
    return Offered(
        retraining=_retraining(model, past) if model else None,
        first_day=model.start.isoformat() if model else None,
        newest_day=row.data.expected if row.data else None,
        back_to=past.rollback_to if past and not row.gone else (),
        previous=past.previous if past else None,
        lifts=row.freeze is not None and not row.gone,
        releasable=ready if model else (),
        failed=_failed(row),
        paused=tuple(sorted(dag for dag in paused if _is_about(dag, row, bool(incidents)))),
        incidents=tuple(one for one in incidents if one.state != IncidentState.CLOSED),
        waiting=tuple(one for one in incidents if one.state == IncidentState.OPEN),
    )


def _is_about(dag: str, row: ModelOverview, incidents: bool) -> bool:
    if dag == INCIDENTS:
        return incidents
    return dag.rpartition("_")[0] == row.name and not row.gone


def _model(row: ModelOverview) -> Model | None:
    """The declared model; ``None`` if its folder does not load, or was removed, also since the row was made."""
    try:
        return None if row.problem or row.gone else catalog.load(row.name)
    except ConfigurationError:
        return None


def can_retry(row: ModelOverview) -> bool:
    """Whether the run of the last night failed, so that its tasks can be tried again."""
    night = row.night
    return night.outcome is Outcome.FAILED and night.run_state == "failed" and not row.problem and not row.gone


def _retraining(model: Model, past: ModelHistory | None) -> Retraining:
    names = catalog.candidate_names(model.name) or (tuple(one.name for one in past.candidates) if past else ())
    return Retraining(model.training.window_days, model.training.seed, names)


def _failed(row: ModelOverview) -> FailedRun | None:
    """The run of the last night, if it failed; else of the newest day that could not be collected."""
    night = row.night
    if can_retry(row) and night.dag_id and night.run_id:
        return FailedRun(night.dag_id, night.run_id, night.failed_task, night.sentence)
    for day in reversed(row.data.days if row.data else ()):
        if day.state is DayState.FAILED and day.dag_id and day.run_id:
            return FailedRun(day.dag_id, day.run_id, None, f"{day.key}: {day.reason}")
    return None
