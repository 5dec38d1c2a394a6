"""
### Load a history of {model}

Collects many days in one run: **plan** chooses the days and distributes them over tasks, **load** fetches, validates
and publishes the days of one task, **summary** says what became of each day. The lake contains the same afterwards as
after one run of `{model}_collect` a day, in a fraction of the time.

*Which DAG for what:* `{model}_collect` runs every night, and repeats single days (Trigger with `partition`, or
Backfill). `{model}_load` is for a history: the first one of a new model, or weeks after an outage.

*By hand:* Trigger, with the first and the last day in the form. *Only missing* skips days that are published with final
labels; *all* fetches every day again. A run can be stopped at any time: the next one continues.

A day that fails validation, or that the source does not return, does not stop the others: the run's note lists it with
the reason and a link to its validation result. The run ends green if the rest is enough for a training.

#### When a task fails
* **plan**: the days are wrong; the note names a valid choice.
* **load**: the source or the storage did not answer (it is tried again automatically). Clear the task when it is back.
* **summary**: nothing was loaded, or too little for a training; the note has each day with its reason. Fix the
  source, then trigger the DAG again with *only missing*.
"""

from airflow.sdk import Param
from perennial import parameters
from perennial.dags import model_dag, models
from perennial.operators.loading import LoadOperator, LoadSummaryOperator, PlanLoadOperator

DAY = {"type": ["null", "string"], "format": "date", "pattern": parameters.DAY}
PARAMS = {
    "first": Param(None, **DAY, title="First day", description="YYYY-MM-DD. Empty: the first that a training needs."),
    "last": Param(None, **DAY, title="Last day", description="YYYY-MM-DD. Empty: the newest with final labels."),
    "days": Param(
        "missing",
        type="string",
        enum=["missing", "all"],
        title="Days",
        values_display={"missing": "only missing", "all": "all, also those that are published"},
    ),
    "days_per_task": Param(
        parameters.DAYS_PER_TASK,
        type="integer",
        minimum=1,
        maximum=parameters.MOST_DAYS_PER_TASK,
        title="Days per task",
        description="Days of one task share one query of the source and one commit.",
    ),
}
AT_A_TIME = 4  # tasks of a run

for model in models("load"):
    with model_dag(model, "load", __doc__, params=PARAMS):
        plan = PlanLoadOperator(task_id="plan", model=model.name)
        loaded = LoadOperator.partial(
            task_id="load",
            model=model.name,
            map_index_template="{{ task.span }}",
            max_active_tis_per_dagrun=AT_A_TIME,
        ).expand(keys=plan.output)
        LoadSummaryOperator(
            task_id="summary",
            model=model.name,
            planned=plan.output,
            loaded=loaded.output,
            trigger_rule="all_done_min_one_success",  # not if `plan` has failed
        )
