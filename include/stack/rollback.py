"""`make rollback` and `make unfreeze`: a run of `<model>_rollback` on the running stack, followed to its end."""

from __future__ import annotations

from include import catalog
from include.partitions import utc_now
from include.release.action import Action
from include.stack import asked
from include.stack.following import RunFailed
from include.stack.layout import Stack
from include.stack.night import connected
from include.stack.progress import Progress


def rollback(stack: Stack, model_name: str | None, version: str | None, reason: str | None) -> int:
    """Put an earlier version back into service and freeze automatic promotion; prints the outcome as one line.

    Parameters
    ----------
    version : ``None`` or empty: the previous champion.

    Raises
    ------
    ConfigurationError : no such model, a reason is missing, no stack runs on this home.
    ReleaseError : the version cannot be named, or there is no previous one; names those that can be.
    """
    name = catalog.chosen(model_name, "rollback").name
    command = f"make rollback MODEL={name}" + (f" VERSION={version}" if version else "")
    why, number = asked.reason(reason, command), asked.version(version)
    return _act(stack, name, Action.FREEZE, why, number)


def unfreeze(stack: Stack, model_name: str | None, reason: str | None) -> int:
    """Let automatic promotions go on; prints the outcome as one line.

    Raises
    ------
    ConfigurationError : no such model, a reason is missing, no stack runs on this home.
    """
    name = catalog.chosen(model_name, "unfreeze").name
    return _act(stack, name, Action.LIFT, asked.reason(reason, f"make unfreeze MODEL={name}"), None)


def _act(stack: Stack, name: str, action: Action, reason: str, version: int | None) -> int:
    follower = connected(stack, catalog.load(name))
    if action is not Action.LIFT:
        from include.release.rollback import check

        check(name, version)  # before a run is started: the error is here, not in a log
    command = "unfreeze" if action is Action.LIFT else "rollback"
    conf = {"action": action.value, "reason": reason, **({"version": version} if version is not None else {})}
    progress = Progress()
    try:
        with progress.step(f"{name}: {action.value}") as report:
            run = follower.act(f"{name}_rollback", f"{command}__{utc_now():%Y-%m-%dT%H-%M-%S}", report, conf)
    except RunFailed as failure:
        progress.say(f"{name}: FAILED: {failure}")
        return 1
    progress.say(" ".join((run["note"] or f"{name}: done, see run {run['dag_run_id']} of {name}_rollback.").split()))
    return 0
