"""What a night came to, from the decision in the ledger and the runs of Airflow. Pure.

The newest attempt of a night that says something counts: a run that was skipped because nothing is new says nothing
about an earlier decision of the same night. Evidence that is missing is never read as good: a version that was to be
promoted and does not serve is *failed*, and *unknown* if Airflow's runs are not known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from include.overview.records import Night, Outcome, RunRow
from include.overview.wording import ended, sentence_of
from include.registry.overview import DecisionLine

SERVED = ("champion", "retired")
ACTIVE = ("queued", "running")
_STARTED = re.compile(r"v\d+__")


@dataclass(frozen=True)
class Sources:
    """What is known at all: ``runs`` of Airflow since the night, and the ledger."""

    runs: bool
    ledger: bool


class NightEvidence(NamedTuple):
    """What happened in one night of a model. (There are many: a tuple is made in half the time.)

    Attributes
    ----------
    due : when it was to begin; ``None`` if no night was planned.
    decisions, retrains, releases : newest first. Releases are all that are known of the model.
    """

    model: str
    day: str
    due: datetime | None
    decisions: Sequence[DecisionLine] = ()
    retrains: Sequence[RunRow] = ()
    releases: Sequence[RunRow] = ()


class _Attempt(NamedTuple):
    at: datetime
    decision: DecisionLine | None
    run: RunRow | None

    @property
    def telling(self) -> bool:
        return self.decision is not None or (self.run is not None and self.run.state != "success")


def outcome(found: NightEvidence, known: Sources, paused: bool = False) -> Night:
    """What the night came to.

    Parameters
    ----------
    paused : whether the DAG is paused now.
    """
    attempts = _attempts(found)
    attempt = next((one for one in attempts if one.telling), attempts[0] if attempts else None)
    if attempt is None:
        return _absent(found, known, paused)
    run, decision = attempt.run, attempt.decision
    if run is not None and run.state in ACTIVE:
        return _running(found, run, decision)
    if decision is not None:
        return _decided(found, decision, run, known)
    assert run is not None
    if run.state == "failed":
        return _failed(found, run, None)
    if not known.ledger:
        why = "Its run succeeded. What was decided is not known, because the ledger does not answer."
        return _night(found, Outcome.UNKNOWN, why, run)
    why = sentence_of(run.note) or "Its run ended without a decision and without a reason."
    return _night(found, Outcome.SKIPPED, why, run)


def _attempts(found: NightEvidence) -> list[_Attempt]:
    """The runs of a night, each with its decision, newest first; decisions whose run is gone stand alone."""
    if not found.retrains and not found.decisions:
        return []
    if len(found.retrains) == len(found.decisions) == 1 and found.retrains[0].run_id == found.decisions[0].run_id:
        return [_Attempt(found.retrains[0].run_after, found.decisions[0], found.retrains[0])]  # most nights
    decisions = {decision.run_id: decision for decision in found.decisions}
    attempts = [_Attempt(run.run_after, decisions.pop(run.run_id, None), run) for run in found.retrains]
    attempts += [_Attempt(decision.at, decision, None) for decision in decisions.values()]
    return sorted(attempts, key=lambda one: one.at, reverse=True)


def _decided(found: NightEvidence, decision: DecisionLine, run: RunRow | None, known: Sources) -> Night:
    if decision.verdict == "promote" and decision.state not in SERVED:
        return _not_in_service(found, decision, run, known)
    result = outcome_of(decision)
    why = ended(decision.reason) if decision.reason else f"The gate decided {decision.verdict}."
    if decision.verdict != "promote" and decision.state in SERVED:
        why += f" Version {decision.version} has since been released by hand."
    return _night(found, result, why, run, decision)


def outcome_of(decision: DecisionLine) -> Outcome:
    """The outcome of a decision by what the ledger alone shows."""
    if decision.verdict == "reject":
        return Outcome.REJECTED
    if decision.verdict == "hold":
        # only what the gate has passed is packaged, so the hold of a packaged version is that of a freeze
        return Outcome.FROZEN if decision.bundled and decision.state != "held" else Outcome.HELD
    return Outcome.PROMOTED if decision.state in SERVED else Outcome.FAILED


def _not_in_service(found: NightEvidence, decision: DecisionLine, run: RunRow | None, known: Sources) -> Night:
    """A version that was to be promoted, and neither serves nor has served well."""
    if run is not None and run.state == "failed" and not decision.bundled:
        return _failed(found, run, decision)
    release = _release_of(found, decision)
    what = f"version {decision.version}"
    if release is not None and release.state in ACTIVE:
        why = f"The gate decided to promote {what}; its release is {release.state}."
        return _night(found, Outcome.RUNNING, why, release, decision)
    if release is not None and release.state == "failed":
        return _failed(found, release, decision)
    if run is not None and run.state == "failed":
        return _failed(found, run, decision)
    if decision.state == "failed":
        why = f"{what[:1].upper()}{what[1:]} failed its verification in service."
        return _night(found, Outcome.FAILED, why, release or run, decision, "verify" if release else None)
    if not known.runs:
        why = f"The gate decided to promote {what}, but it does not serve, and its release is not known."
        return _night(found, Outcome.UNKNOWN, why, run, decision)
    why = f"The gate decided to promote {what}, but it was not put into service."
    if release is not None and (said := sentence_of(release.note)):
        why = f"{why} {ended(said)}"
    return _night(found, Outcome.FAILED, why, release or run, decision)


def _release_of(found: NightEvidence, decision: DecisionLine) -> RunRow | None:
    """The release of a version: the run that its night started (``v<version>__<digest>``); else, because it may be
    about this version, the first that a person started after the decision."""
    own = f"v{decision.version}__"
    by_hand = [run for run in found.releases if run.run_after >= decision.at and not _STARTED.match(run.run_id)]
    return next((run for run in found.releases if run.run_id.startswith(own)), by_hand[-1] if by_hand else None)


def _running(found: NightEvidence, run: RunRow, decision: DecisionLine | None) -> Night:
    if decision is not None:
        why = f"The gate has decided ({decision.verdict}); the run continues. {decision.reason}".rstrip()
        return _night(found, Outcome.RUNNING, why, run, decision)
    why = f"Its run has been {run.state} since {run.start or run.run_after:%Y-%m-%d %H:%M} UTC."
    if run.failed_tasks:
        why = f"Its run continues, although {run.failed_tasks[0]} failed."
    return _night(found, Outcome.RUNNING, why, run)


def _failed(found: NightEvidence, run: RunRow, decision: DecisionLine | None) -> Night:
    task = run.failed_tasks[0] if run.failed_tasks else None
    said = sentence_of(run.note)
    reason = " ".join(decision.reason.split()) if decision is not None else ""
    if reason and reason[:60].casefold() in said.casefold():
        said = ""  # the note is still that of the gate
    where = f"The task {task} of {run.dag_id} failed." if task else f"A run of {run.dag_id} failed."
    return _night(found, Outcome.FAILED, f"{ended(said)} {where}" if said else where, run, decision, task)


def _absent(found: NightEvidence, known: Sources, paused: bool) -> Night:
    if found.due is None and known.ledger:
        return _night(found, Outcome.NOT_DUE, "No night was planned.", None)
    if not known.runs:
        missing = "neither Airflow nor the ledger answers" if not known.ledger else "Airflow's runs are not known"
        return _night(found, Outcome.UNKNOWN, f"Nothing is known about this night: {missing}.", None)
    if found.due is None:
        return _night(
            found, Outcome.UNKNOWN, "What was decided is not known, because the ledger does not answer.", None
        )
    if paused:
        return _night(found, Outcome.NOT_RUN, f"{found.model}_retrain is paused in Airflow.", None)
    why = f"No run of {found.model}_retrain has begun since {found.due:%Y-%m-%d %H:%M} UTC, when it was due."
    return _night(found, Outcome.NOT_RUN, why, None)


def _night(
    found: NightEvidence,
    result: Outcome,
    sentence: str,
    run: RunRow | None,
    decision: DecisionLine | None = None,
    task: str | None = None,
) -> Night:
    ended_at = (run.end or run.start or run.run_after) if run else None
    return Night(
        outcome=result,
        day=found.day,
        sentence=sentence,
        dag_id=run.dag_id if run else (f"{found.model}_retrain" if decision else None),
        run_id=run.run_id if run else (decision.run_id if decision else None),
        run_state=run.state if run else None,
        failed_task=task,
        version=decision.version if decision else None,
        at=decision.at if decision and result is not Outcome.FAILED else ended_at or found.due,
    )
