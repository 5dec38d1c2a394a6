"""
### Put a version of {model} into service

Started by `{model}_retrain` after the gate decided *promote*, or by hand with a version. **smoke_test** opens the
bundle, verifies every digest and scores known rows. **promote** makes it the champion, by compare-and-set: if another
version became champion since the gate decided, this version is refused. **verify** waits until the model server answers
with the new version and the expected scores; otherwise it puts the old champion back and the run fails.

#### When a task fails
* **smoke_test**: the bundle is damaged or the server could not load it. Nothing changed; the old champion serves.
* **promote**: the champion changed in the meantime. Nothing was changed. (Skipped: promotion is frozen after a
  rollback; the run's note shows by whom, since when and why. Lift the freeze with `make unfreeze MODEL={model}
  REASON=...` or with `{model}_rollback`, then trigger this DAG with the version.)
* **verify**: the server could not serve the new version, was away for 3 minutes, or ran and did not switch to it for
  10 minutes (by default); the old champion is back. The log shows which; see the server's log as well.
"""

from airflow.sdk import Param
from perennial import parameters
from perennial.dags import model_dag, models
from perennial.operators.release import PromoteOperator, SmokeTestOperator, VerifyOperator

PARAMS = {
    "version": Param(
        type="integer",
        minimum=1,
        maximum=parameters.LARGEST_VERSION,
        title="Version",
        description="A packaged version (see MLflow).",
    ),
    "reason": Param(
        "",
        type=["null", "string"],
        maxLength=parameters.LONGEST_REASON,
        title="Reason",
        description="Recorded in the audit.",
    ),
    "expected_epoch": Param(
        None,
        type=["null", "integer"],
        minimum=0,
        maximum=parameters.LARGEST_EPOCH,
        title="Expected epoch",
        description="Set by the retraining: refuse if the champion has changed since. By hand, leave it empty.",
    ),
}

for model in models("release"):
    with model_dag(model, "release", __doc__, params=PARAMS):
        tested = SmokeTestOperator(task_id="smoke_test", model=model.name)
        promoted = PromoteOperator(task_id="promote", model=model.name)
        tested >> promoted >> VerifyOperator(task_id="verify", model=model.name, promoted=promoted.output)
