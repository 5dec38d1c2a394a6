"""The task that sends the alerts which are due, from the ledger's table, to the addresses of a connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from include.errors import IntegrityError
from include.partitions import utc_now
from perennial.operators.base import PerennialOperator, reason_noted

if TYPE_CHECKING:
    from airflow.sdk import Context

CONNECTION = "perennial_alerts"
"""The connection with the Apprise addresses (see `include/alerting/README.md`): its password, one or several separated
by blanks, or ``urls`` in its extra, a list. Both are encrypted by Airflow. Without the connection, incidents are on the
page only."""
URLS = "urls"
REPORTED_FROM = 6
"""The hour (UTC) from which the daily report of open incidents is sent."""


class SendAlertsOperator(BaseOperator):
    """Send the alerts that are due, each at least once, and once a day a report of the open incidents.

    Alerts are sent by a task because callbacks of Airflow do not run after a SIGKILL (airflow#60858), and those of a
    DAG not always (airflow#63374).

    Parameters
    ----------
    after : an upstream task. If it failed, this task fails after it has sent what was due, because Airflow takes the
        state of a run from its last task.
    """

    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def __init__(self, *, after: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.after = after

    def execute(self, context: Context) -> None:
        from include.alerting.alerts import queue_report, send_due

        now = utc_now()
        with reason_noted(context):
            if now.hour >= REPORTED_FROM:
                queue_report(now)
            send_due(addresses(), now, conf.get("api", "base_url", fallback=""))
        if context["ti"].xcom_pull(task_ids=self.after) is None:
            raise IntegrityError(f"the task {self.after} has failed; what was due before has been sent")


def addresses() -> tuple[str, ...]:
    """The addresses of the connection; empty if it does not exist. None of them appears in a log."""
    from include.alerting.channels import CRITICAL

    try:
        connection = BaseHook.get_connection(CONNECTION)
    except AirflowNotFoundException:
        return ()
    found = tuple(dict.fromkeys(_addresses(connection)))
    for address in found:
        mask_secret(address.removeprefix(CRITICAL))
    return found


def _addresses(connection: Any) -> Iterator[str]:
    yield from (connection.password or "").split()
    listed = (connection.extra_dejson or {}).get(URLS) or []
    yield from (str(one).strip() for one in ([listed] if isinstance(listed, str) else listed) if str(one).strip())
