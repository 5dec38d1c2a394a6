"""
### Load the predictions of all models into the lake

The model servers keep every accepted prediction in a local spool. Every 15 minutes, **load_predictions** loads the
closed segments of all models into the `predictions` tables of their lakes, each exactly once, in one commit for each
model, and deletes them from the spool. Once a day it deletes predictions that are older than `monitoring.keep` of their
model.

Lines that cannot be loaded do not fail the task: the note counts them, and they are kept with their reasons next to the
spool. Segments of a model whose folder is broken or was removed wait, and the note names them.

#### When a task fails
* **load_predictions**: the predictions of some models could not all be loaded, usually because of a storage problem.
  The note names each model with the reason. Those of the other models were loaded. The task is retried automatically
  if a later try can succeed, and the next run repeats it. Nothing is lost while the spool's disk has room.
"""

# Airflow skips a file in which its name does not appear (`[core] dag_discovery_safe_mode`).
from datetime import timedelta

from perennial.dags import cron, shared_dag
from perennial.operators.predictions import LoadPredictionsOperator

with shared_dag(
    "predictions",
    "the spools of the model servers are loaded into the lakes",
    __doc__,
    schedule=cron("*/15 * * * *", "UTC"),
    dagrun_timeout=timedelta(hours=3),
):
    LoadPredictionsOperator(task_id="load_predictions", execution_timeout=timedelta(hours=2))
