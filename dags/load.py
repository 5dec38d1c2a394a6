"""
### Load a history of {model}

Collects many days in one run: **plan** chooses the days and distributes them over tasks, **load** fetches, validates
and publishes the days of one task, **summary** reports the result for each day. The result in the lake is the
same as that of one `{model}_collect` run per day, in a fraction of the time.

*Which DAG to use:* `{model}_collect` runs every night and collects single days again (Trigger with `partition`, or
Backfill). `{model}_load` is for many days: the history of a new model, or several weeks after an outage.

*By hand:* Trigger, and enter the first and the last day in the form. *Only missing* skips days that are published with
final labels; *all* fetches every day again. A run can be stopped at any time; the next run continues from there.

A day that fails validation, or that the source does not return, does not stop the others: the run's note lists it with
the reason and a link to its validation result. The run succeeds if the other days are enough for training.

#### When a task fails
* **plan**: the range of days is invalid; the note shows a valid one.
* **load**: the source or the storage did not respond (the task is retried automatically). Clear the task when it is
  available again.
* **summary**: no days or too few days for training were loaded; the note lists each failed day with the reason. Fix
  the source, then trigger the DAG again with *only missing*.
"""

from airflow.sdk import Param
from perennial import parameters
from perennial.dags import model_dag, models
from perennial.operators.loading import LoadOperator, LoadSummaryOperator, PlanLoadOperator

DAY = {"type": ["null", "string"], "format": "date", "pattern": parameters.DAY}
PARAMS = {
    "first": Param(None, **DAY, title="First day", description="YYYY-MM-DD. Empty: the first day needed for training."),
    "last": Param(None, **DAY, title="Last day", description="YYYY-MM-DD. Empty: the newest day with final labels."),
    "days": Param(
        "missing",
        type="string",
        enum=["missing", "all"],
        title="Days",
        values_display={"missing": "only missing", "all": "all, including published days"},
    ),
    "days_per_task": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=parameters.MOST_DAYS_PER_TASK,
        title="Days per task",
        description="All days of a task are fetched with one query. Empty: 30 to 150, depending on the number of days.",
    ),
}
for model in models("load"):
    with model_dag(model, "load", __doc__, params=PARAMS):
        plan = PlanLoadOperator(task_id="plan", model=model.name)
        loaded = LoadOperator.partial(
            task_id="load",
            model=model.name,
            map_index_template="{{ task.span }}",
            max_active_tis_per_dagrun=parameters.LOAD_TASKS_AT_A_TIME,
        ).expand(keys=plan.output)
        LoadSummaryOperator(
            task_id="summary",
            model=model.name,
            planned=plan.output,
            loaded=loaded.output,
            trigger_rule="all_done_min_one_success",  # does not run if `plan` has failed
        )
