"""
### Keep servers and MLflow consistent with the ledger

Every ten minutes, for all models: **reconcile** compares the ledger with the release record that servers follow and
with the MLflow alias `champion`. If a promotion or a rollback changed the ledger but could not write the others, it
writes them now, and then verifies that the model server answers with the version. A promoted version that fails is
taken out of service, as in a release. Days that the ledger does not have, because it did not answer when they were
published or rejected, are recorded from the lake. The note of the run lists what was repaired; most runs find nothing
and have no note.

A release record that is newer than the ledger is never overwritten. The run succeeds, and its note and log name what
a person must decide.

#### When a task fails
* **reconcile**: the ledger did not answer. The task is retried automatically, and the next run repeats it.
"""

# Airflow skips a file in which its name does not appear (`[core] dag_discovery_safe_mode`).
from perennial.dags import cron, shared_dag
from perennial.operators.reconciliation import ReconcileOperator

with shared_dag(
    "reconcile",
    "release records and MLflow aliases follow the ledger",
    __doc__,
    schedule=cron("*/10 * * * *", "UTC"),
):
    ReconcileOperator(task_id="reconcile")
