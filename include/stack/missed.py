"""The night that a model has missed while the stack was down, if Airflow's scheduler cannot know of it.

For a model without a scheduled run, `perennial.timetables.NightTimetable` begins with the next night. So a stack that
runs in the daytime only would never run a first night. A later missed night is made up for by the scheduler.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from include.progress import Report
from include.spec.cron import newest_tick
from include.stack.following import Follower, Outcome


def missed_night(follower: Follower, now: datetime) -> datetime | None:
    """The time of a missed night that the scheduler will not run; None if none was missed."""
    model, dag_id = follower.model, f"{follower.model.name}_retrain"
    dag = follower.patiently(lambda: follower.api.dag(dag_id))
    if dag is None or dag.is_paused:
        return None
    newest = follower.patiently(lambda: next(follower.api.runs(dag_id, limit=1), None))
    scheduled = follower.patiently(lambda: next(follower.api.runs(dag_id, limit=1, run_type="scheduled"), None))
    if newest is None or newest.queued_at is None or scheduled is not None:
        return None
    tick = newest_tick(model.training.schedule, now.astimezone(ZoneInfo(model.timezone)))
    return tick if tick and tick > datetime.fromisoformat(newest.queued_at) else None


def make_up(follower: Follower, tick: datetime, report: Report) -> Outcome:
    """Run that night now, and follow it to its end.

    Raises
    ------
    RunFailed : as `Follower.retrain`.
    """
    return follower.retrain(f"missed__{tick:%Y-%m-%dT%H-%M}", report)
