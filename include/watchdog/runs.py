"""Failed runs of our DAGs, except for those that are the outcome of a night or of a day. Pure.

An incident is about a DAG: it closes when a later run of the DAG succeeds. A person who sets the state of a run knows
about it, so such a run counts for nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from include.overview.records import RunRow
from include.overview.wording import ended, sentence_of
from include.registry import addresses
from include.registry.incident_rows import IncidentKind, Seen, Severity
from include.watchdog.nights import MARKED, OF_A_NIGHT
from include.watchdog.records import AirflowView, Findings
from include.watchdog.wording import moment

SHARED = "perennial"
"""What the id of a DAG begins with that is for all models: ``perennial_predictions``."""
COLLECT, BROKEN = "collect", "broken"
ELSEWHERE = (*OF_A_NIGHT, BROKEN)
"""Kinds of DAGs whose failures `nights` and `folders` report."""
CRITICAL = ("rollback",)
"""Kinds whose failure pages a person: a bad version may still serve."""


def runs(view: AirflowView | None, models: Collection[str], without_a_day: Collection[str] = ()) -> Findings:
    """The failed runs, one incident for each DAG.

    Parameters
    ----------
    models : the names of the models that exist.
    without_a_day : models of which a day did not arrive, which is what a failed ``<model>_collect`` means.
    """
    if view is None:
        return Findings()  # the kind is left out of the look
    seen = []
    for run in sorted(view.failed):
        model, _, kind = run.dag_id.rpartition("_")
        shared = model == SHARED and model not in models
        if (run.note or "").startswith(MARKED) or not (shared or model in models):
            continue
        if not shared and (kind in ELSEWHERE or (kind == COLLECT and model in without_a_day)):
            continue
        seen.append(_seen("" if shared else model, kind, run, not shared and kind in CRITICAL))
    return Findings(tuple(seen))


def _seen(model: str, kind: str, run: RunRow, critical: bool) -> Seen:
    said = sentence_of(run.note)
    tasks = f"The task {run.failed_tasks[0]} failed." if run.failed_tasks else ""
    where = f"the task {run.failed_tasks[0]}" if run.failed_tasks else "the run"
    return Seen(
        model=model,
        kind=IncidentKind.RUN,
        cause=kind,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        since=moment(run.end or run.start or run.run_after),
        what=f"The newest run of {run.dag_id} failed.",
        how_bad=ended(said) if said else tasks,
        todo=f"Read the log of {where}, fix the cause, then clear the run or start it again.",
        page=addresses.of_run(run.dag_id, run.run_id),
    )
