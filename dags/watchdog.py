"""
### Find what did not happen

Every ten minutes, for all models: **look** compares what should have happened with what has, and opens, updates and
closes incidents: a night without a decision by the time of the model's monitoring, a day that was rejected, failed or
did not arrive, a folder that does not load, a model server that does not answer or does not serve the ledger's version
(if that is still so two minutes later), predictions that are not loaded, a disk that fills, and a failed run of any DAG
of Perennial. What could not be looked at neither opens nor closes an incident. Then **alert** sends the messages that
are due, of all incidents, to the addresses of the connection `perennial_alerts`, and once a day a report of the open
ones. Without this connection incidents are shown on the Models page only.

The note of the run names the incidents that were opened and closed; most runs find nothing and have no note.

Nothing watches the watchdog if Airflow's scheduler does not run: let a service outside of this machine watch
`/api/v2/monitor/health` of Airflow's web server.

#### When a task fails
* **look**: the ledger did not answer. The task is retried automatically, and the next run repeats it. Nothing was
  opened or closed.
* **alert**: a message could not be sent; it is sent again with the next run. Or **look** has failed, and what was due
  before was sent.
"""

# Airflow skips a file in which its name does not appear (`[core] dag_discovery_safe_mode`).
from datetime import timedelta

from perennial.dags import cron, shared_dag
from perennial.operators.alerting import SendAlertsOperator
from perennial.operators.watchdog import LookOperator

with shared_dag(
    "watchdog",
    "what did not happen becomes an incident",
    __doc__,
    schedule=cron("*/10 * * * *", "UTC"),
    dagrun_timeout=timedelta(minutes=30),
):
    look = LookOperator(task_id="look", execution_timeout=timedelta(minutes=8))
    alert = SendAlertsOperator(
        task_id="alert", after="look", trigger_rule="all_done", execution_timeout=timedelta(minutes=5)
    )
    look >> alert
