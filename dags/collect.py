"""
### Collect one day of {model}

Runs every night for the newest local day whose labels are final (yesterday, unless `label.delay` is set).
**collect** fetches the rows from the model's source and stores them unchanged; **validate** checks them against the
declared schema and the expectations, and moves bad rows to the `quarantine` table with the expectation they failed;
**publish** overwrites the day's partition in the lake in one commit.

*Another day, or several:* Trigger with `partition`, or Backfill with the first and the last day. It is safe to collect
a day twice.

#### When a task fails
* **collect**: the source did not respond (the task is retried automatically), or the day is not over yet. Clear the
  task when the source is available again.
* **validate**: the batch failed a critical expectation. Nothing was published; the last line of the log and the
  *Validation result* button show the failed checks, with numbers. Fix the source, or the expectation if it
  is wrong, then clear `collect`.
* **publish**: a storage problem. Clear the task; partitions are written atomically.
"""

from airflow.sdk import Param
from perennial import parameters
from perennial.dags import daily_partitions, model_dag, models
from perennial.operators.collection import CollectOperator, PublishOperator, ValidateOperator

PARAMS = {
    "partition": Param(
        None,
        type=["null", "string"],
        format="date",
        pattern=parameters.DAY,
        title="Partition",
        description="The day to collect (YYYY-MM-DD). Empty: the day of the run, or the newest day with final labels.",
    ),
}

for model in models("collect"):
    with model_dag(
        model,
        "collect",
        __doc__,
        schedule=daily_partitions(model.data.schedule, model.timezone, model.data.label.delay),
        max_active_runs=16,
        params=PARAMS,
    ):
        raw = CollectOperator(task_id="collect", model=model.name)
        validated = ValidateOperator(task_id="validate", model=model.name, raw=raw.output)
        PublishOperator(task_id="publish", model=model.name, validated=validated.output)
