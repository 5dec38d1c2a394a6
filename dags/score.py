"""
### Load the predictions of {model} into the lake

The model server keeps every accepted prediction in a local spool. **load_predictions** loads the closed segments into
the `predictions` table of the lake, each exactly once, and deletes them from the spool.

#### When a task fails
* **load_predictions**: a storage problem; the task is retried automatically. Nothing is lost while the spool's disk has
  room. Lines that cannot be loaded do not fail the task: the note counts them, and they are kept with their reasons
  next to the spool.
"""

# Airflow skips a file in which its name does not appear (`[core] dag_discovery_safe_mode`).
from perennial.dags import cron, model_dag, models
from perennial.operators.predictions import LoadPredictionsOperator

for model in models("score"):
    with model_dag(model, "score", __doc__, schedule=cron(model.monitoring.schedule, model.timezone)):
        LoadPredictionsOperator(task_id="load_predictions", model=model.name)
