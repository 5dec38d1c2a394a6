"""
### Bring the predictions of {model} home

The model server keeps every accepted prediction in a local spool. **load_predictions** loads the closed segments into
the `predictions` table of the lake, each exactly once, and deletes them from the spool.

#### When a task fails
* **load_predictions**: a storage failure; retried automatically. Nothing is lost while the spool's disk has room. Lines
  that cannot be loaded fail nothing: the note counts them, and they are kept with their reasons next to the spool.
"""

from airflow.timetables.trigger import CronTriggerTimetable
from perennial.dags import model_dag, models
from perennial.operators.predictions import LoadPredictionsOperator

for model in models("score"):
    with model_dag(
        model, "score", __doc__, schedule=CronTriggerTimetable(model.monitoring.schedule, timezone=model.timezone)
    ):
        LoadPredictionsOperator(task_id="load_predictions", model=model.name)
