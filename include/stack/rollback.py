"""`make rollback` and `make unfreeze`: a run of `<model>_rollback` on the running stack, followed to its end."""

from __future__ import annotations

import getpass

from include import catalog
from include.partitions import utc_now
from include.progress import Progress
from include.release.action import Action
from include.stack import asked, leftovers
from include.stack.following import RunFailed
from include.stack.layout import Stack
from include.stack.night import runs_on


def rollback(stack: Stack, model_name: str | None, version: str | None, reason: str | None) -> int:
    """Put an earlier version back into service and freeze automatic promotion; prints the outcome as one line.

    Parameters
    ----------
    version : ``None`` or empty: the previous champion.

    Raises
    ------
    ConfigurationError : no such model, a reason is missing, no stack runs on this home.
    ReleaseError : the version cannot serve, or there is no previous one; lists the versions that can.
    """
    name = _chosen(stack, model_name, "rollback")
    command = f"make rollback MODEL={name}" + (f" VERSION={version}" if version else "")
    why, number = asked.reason(reason, command), asked.version(version)
    return _act(stack, name, Action.FREEZE, why, number)


def unfreeze(stack: Stack, model_name: str | None, reason: str | None) -> int:
    """Allow automatic promotions again; prints the outcome as one line.

    Raises
    ------
    ConfigurationError : no such model, a reason is missing, no stack runs on this home.
    """
    name = _chosen(stack, model_name, "unfreeze")
    return _act(stack, name, Action.LIFT, asked.reason(reason, f"make unfreeze MODEL={name}"), None)


def _chosen(stack: Stack, model_name: str | None, target: str) -> str:
    """A model by its folder, even if that is broken, or by its versions if the folder was removed.

    A bad change of a folder is a reason for a rollback, so the folder must not prevent one.
    """
    if model_name in catalog.folders():
        return str(model_name)
    if model_name and leftovers.owner(stack):
        runs_on(stack)
        from include.registry.ledger import Ledger

        if any(standing.model == model_name for standing in Ledger.default().standings()):
            return model_name
    return catalog.chosen(model_name, target).name


def _act(stack: Stack, name: str, action: Action, reason: str, version: int | None) -> int:
    runs = runs_on(stack)
    if action is not Action.LIFT:
        from include.release.rollback import check

        check(name, version)  # before a run starts, so that the error is shown here and not only in a log
    command = "unfreeze" if action is Action.LIFT else "rollback"
    run_id = f"{command}__{utc_now():%Y-%m-%dT%H-%M-%S}"
    progress = Progress()
    if name not in catalog.folders():
        with progress.step(f"{name}, whose folder was removed: {action.value}"):
            note = _at_once(name, action, reason, version, run_id)
        progress.say(note)
        return 0
    dag_id = f"{name}_rollback"
    conf = {"action": action.value, "reason": reason, **({"version": version} if version is not None else {})}
    try:
        with progress.step(f"{name}: {action.value}") as report:
            run = runs.act(dag_id, run_id, report, conf)
    except RunFailed as failure:
        progress.say(f"{name}: FAILED: {failure}")
        return 1
    except KeyboardInterrupt:
        progress.say(f"\nno longer followed: run {run_id} of {dag_id} continues ({runs.api.url}/dags/{dag_id}).")
        return 130
    progress.say(" ".join((run.note or f"{name}: done, see run {run.dag_run_id} of {dag_id}.").split()))
    return 0


def _at_once(name: str, action: Action, reason: str, version: int | None, run_id: str) -> str:
    """Do the work of the tasks of `<model>_rollback`, because Airflow has no DAG for a model without a folder."""
    from include.release import promotion
    from include.release import rollback as going_back

    actor = f"{getpass.getuser()} (terminal)"
    if action is Action.LIFT:
        return going_back.lift_freeze(name, actor, reason).note
    done = going_back.rollback(name, version, reason, actor, run_id, freeze=action is Action.FREEZE)
    promotion.verify(name, done.version, done.epoch, go_back=False)
    return f"{done.note} The server answers with it."
