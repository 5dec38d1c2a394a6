"""
### Put a version of {model} into service

Started by `{model}_retrain` after the gate decided *promote*, or by hand with a version. **smoke_test** opens the
bundle, verifies every digest and scores known rows. **promote** makes it the champion by compare-and-set: if the
champion has changed since the gate's decision, the task fails. **verify** waits until the model server returns the
expected scores with the new version; if it does not, the task restores the old champion and the run fails.

#### When a task fails
* **smoke_test**: the bundle is damaged, or the server could not load it. The old champion still serves.
* **promote**: the champion has changed in the meantime. The task made no changes. (Skipped: promotion is frozen after
  a rollback; the run's note shows who froze it, when and why. Lift the freeze with `make unfreeze MODEL={model}
  REASON=...` or with `{model}_rollback`, then trigger this DAG with the version.)
* **verify**: the server could not serve the new version, was unreachable for 3 minutes, or was running but did not
  switch to the new version within 10 minutes (by default). The old champion has been restored. The task's log shows the
  cause; see also the server's log.
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
        description="Set by the retraining: fail if the champion has changed. Leave it empty for a manual run.",
    ),
}

for model in models("release"):
    with model_dag(model, "release", __doc__, params=PARAMS):
        tested = SmokeTestOperator(task_id="smoke_test", model=model.name)
        promoted = PromoteOperator(task_id="promote", model=model.name)
        tested >> promoted >> VerifyOperator(task_id="verify", model=model.name, promoted=promoted.output)
