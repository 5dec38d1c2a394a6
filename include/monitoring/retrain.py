"""Whether a retraining that the policy asks for is started: at most as often as the model's cool-down and budget allow.

The ledger reserves a retraining under the id of the run that is to be started, before it is started. So a task that was
killed in between and is repeated starts the same run, and a run that exists is not started again.
"""

from __future__ import annotations

import logging
from datetime import datetime
from zoneinfo import ZoneInfo

from include.data.lake import Lake
from include.monitoring.policy import Action
from include.records import PartitionKey, Record
from include.registry.retraining_requests import RetrainingRequests
from include.spec import Model
from include.spec.bounds import LONGEST_NOTE

log = logging.getLogger(__name__)


class Start(Record):
    """A retraining to be started, or why none is.

    Attributes
    ----------
    run_id : of the run of `<model>_retrain`; "" if none is started.
    as_of : the day that the run is about, the one that was monitored.
    reason : one sentence; the note of the run, or why there is none.
    """

    run_id: str = ""
    as_of: PartitionKey
    reason: str

    @property
    def granted(self) -> bool:
        return bool(self.run_id)

    @property
    def conf(self) -> dict[str, str]:
        """The parameters of the run."""
        return {"as_of": self.as_of, "note": self.reason[:LONGEST_NOTE]}


def start(model: Model, key: str, action: Action, now: datetime, lake: Lake | None = None) -> Start:
    """Reserve the retraining that an action asks for. The same day again gives the same answer.

    Parameters
    ----------
    key : the day that was monitored.

    Returns
    -------
    Start; not granted if the action does not ask for a retraining, if the day is not the newest one (a back-fill of old
    days starts nothing), or if cool-down or budget refuse.
    """
    if not action.retrain:
        return Start(as_of=key, reason=action.reason)
    requests = RetrainingRequests.default()
    before = requests.newest(model.name)
    newest = max((lake or Lake.of(model)).published(), default="")
    if newest > key and (before is None or before.as_of != key):
        return Start(as_of=key, reason=f"{key} is not the newest day ({newest} is published), so nothing is retrained.")
    settings = model.monitoring
    reserved = requests.reserve(
        model.name,
        key,
        action.reason,
        action.cause,
        cooldown_days=settings.cooldown_days,
        per_month=settings.retrainings_per_month,
        today=now.astimezone(ZoneInfo(model.timezone)).date(),
    )
    if not reserved.granted:
        log.info("No retraining of %s is started: %s", model.name, reserved.reason)
        return Start(as_of=key, reason=reserved.reason)
    log.info("%s_retrain is started as %s: %s", model.name, reserved.run_id, action.reason)
    return Start(run_id=reserved.run_id, as_of=key, reason=action.reason)
