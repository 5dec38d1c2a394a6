"""
### Monitor {model}

Runs every night for the newest local day whose labels are final. **monitor** scores the day with the version that
served when it began (predictions of the server take precedence), and measures: performance by day, version and slice,
next to the gate's promise and the trivial baseline; drift of every input and of the score; counters such as missing
values, rows and duplicates; and whether a newer fit is better than the champion. The results are rows of the table
`monitoring` in the lake. Then incidents are opened, updated and closed. **retrain** starts `{model}_retrain` if a newer
fit is better, or if the score drifts together with new categories: at most as often as cool-down and budget allow, and
never on damaged rows. Otherwise it is skipped.

Days whose rows or labels were corrected since are measured again. *Another day:* Trigger with `partition`, or Backfill
with the first and the last day. A look at an older day writes its measures, and neither opens nor closes an incident.
`make monitor MODEL={model}` does the same without Airflow. It is safe to monitor a day twice.

The note of the run is the result in one line; the log of the task has the sentences. A drifting or stale model does not
fail the run: incidents report it, on the Models page and as alerts.

#### When a task fails
* **monitor**: the ledger or the storage did not answer (the task is retried automatically). Clear the task when it is
  available again. (Skipped: the day was not published in time. The next run measures it once it is there.)
* **retrain**: the ledger did not answer. Clear the task; the run that it has started already is not started again.
"""

from airflow.sdk import Param
from perennial import parameters
from perennial.dags import daily_partitions, model_dag, models
from perennial.operators.monitoring import MonitorOperator
from perennial.operators.retraining import StartRetrainOperator

PARAMS = {
    "partition": Param(
        None,
        type=["null", "string"],
        format="date",
        pattern=parameters.DAY,
        title="Partition",
        description="The day to monitor (YYYY-MM-DD). Empty: the day of the run, or the newest day with final labels.",
    ),
}

for model in models("monitor"):
    with model_dag(
        model,
        "monitor",
        __doc__,
        schedule=daily_partitions(model.monitoring.schedule, model.timezone, model.data.label.delay),
        max_active_runs=4,
        params=PARAMS,
    ):
        monitored = MonitorOperator(task_id="monitor", model=model.name)
        StartRetrainOperator(task_id="retrain", model=model.name, monitored=monitored.output, logical_date=None)
