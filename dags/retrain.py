"""
### Retrain {model} and decide

**snapshot** freezes the inputs of the run (as-of day, rows, parameters, code). **train** fits every candidate, each
in its own task. **select** picks the best on the selection days. If its recipe differs from the
champion's, the champion's own is refreshed and both are scored, until weeks of scores show that the new one is better
(the log shows how many days there are). **evaluate** scores the twins of challenger, champion, baseline and earlier
champions on the same newest days that none of them has seen. **gate** decides. Only after *promote*, **package** refits
the recipe on all rows and makes the bundle, and **release** starts `{model}_release`; while promotion is frozen, it
holds the version instead and names who froze it.

A rejection is a decision, not a failure: the run ends green, and its note (`REJECTED v7 ...`), the log of `gate` and
the MLflow version give the reason.

A model with `training.schedule = None` has no nights: its monitor starts a run when the champion is stale, and the
reason is the *Note* of the run.

A night on the same rows, code and parameters as the last decision is skipped. A promotion whose packaging or release
failed is retried: every night while nothing serves, once while another version serves. *Force* runs the night anyway.

*By hand:* Trigger, and choose window, candidates, seed and a note in the form.

#### When a task fails
* **snapshot**: too little data, or days are missing: the log names them. Load them with `{model}_load`, then
  clear `snapshot`.
* **train**: one candidate failed; the others are done. Read its log, fix `candidates.py` or `features.py`, and
  trigger again.
* **evaluate**, **select**, **gate**: MLflow or PostgreSQL did not answer. The task is retried; if it still fails,
  clear it.
* **package**: the ONNX file and scikit-learn disagree, or the newest days look unlike the rest: the log has the
  numbers. The old champion keeps serving.
* *"the code changed during the run"*: new code was deployed in between. Trigger again.
"""

from airflow.sdk import Param, XComArg
from perennial import parameters
from perennial.dags import candidates_field, model_dag, models, nights
from perennial.operators import training

for model in models("retrain"):
    with model_dag(
        model,
        "retrain",
        __doc__,
        schedule=nights(model),
        params={
            "as_of": Param(
                None,
                type=["null", "string"],
                format="date",
                pattern=parameters.DAY,
                title="As of",
                description="The last day of data to use. Empty: the newest day with matured labels.",
            ),
            "window_days": Param(
                model.training.window_days,
                type="integer",
                minimum=1,
                maximum=parameters.LONGEST_WINDOW,
                title="Training window, days",
            ),
            "candidates": candidates_field(model),
            "seed": Param(
                model.training.seed, type="integer", minimum=0, maximum=parameters.LARGEST_SEED, title="Random seed"
            ),
            "note": Param(
                "",
                type=["null", "string"],
                maxLength=parameters.LONGEST_NOTE,
                title="Note",
                description="The reason for this run; recorded with the decision.",
            ),
            "force": Param(
                False,
                type="boolean",
                title="Force",
                description="Run even if rows, code and parameters have not changed since the last decision.",
            ),
        },
    ):
        snapshot = training.SnapshotOperator(task_id="snapshot", model=model.name)
        plan = XComArg(snapshot, key=training.PLAN)
        trained = training.TrainOperator.partial(
            task_id="train", model=model.name, plan=plan, map_index_template="{{ task.candidate }}"
        ).expand(candidate=snapshot.output)
        selected = training.SelectOperator(task_id="select", model=model.name, plan=plan, results=trained.output).output
        evaluation = training.EvaluateOperator(
            task_id="evaluate", model=model.name, plan=plan, selected=selected
        ).output
        gate = training.GateOperator(
            task_id="gate", model=model.name, plan=plan, selected=selected, evaluation=evaluation, then="package"
        )
        package = training.PackageOperator(
            task_id="package",
            model=model.name,
            plan=plan,
            selected=selected,
            evaluation=evaluation,
            decision=gate.output,
        )
        training.StartReleaseOperator(
            task_id="release",
            model=model.name,
            packaged=package.output,
            logical_date=None,
            wanted={
                "expected_epoch": "{{ ti.xcom_pull('evaluate')['champion_epoch'] }}",
                "reason": "{{ ti.xcom_pull('gate')['reason'] }}",
            },
        )
