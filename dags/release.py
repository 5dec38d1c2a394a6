"""
### Put a version of {model} into service

Started by `{model}_retrain` after the gate said *promote*, or by hand with a version. **smoke_test** opens the
bundle, verifies every digest and scores known rows. **promote** makes it the champion, by compare-and-set: if another
version became champion since the gate decided, this one is refused. **verify** waits until the model server answers
with the new version and the expected scores; otherwise it puts the old champion back and the run fails.

#### When a task fails
* **smoke_test**: the bundle is damaged or the server could not load it. Nothing changed; the old champion serves.
* **promote**: the champion changed in the meantime, or promotion is frozen after a rollback (the log says by whom and
  why; trigger `{model}_rollback` with *lift freeze* to allow it again). Nothing changed.
* **verify**: the server could not serve the new version, was away for 3 minutes, or lived and did not take it over for
  10 minutes (by default); the old champion is back. The log says which; look at the server's log, too.
"""

from airflow.sdk import Param
from perennial.dags import model_dag, models
from perennial.operators.release import PromoteOperator, SmokeTestOperator, VerifyOperator

PARAMS = {
    "version": Param(type="integer", minimum=1, title="Version", description="A packaged version (see MLflow)."),
    "reason": Param("", type=["null", "string"], maxLength=1000, title="Reason", description="Kept in the audit."),
    "expected_epoch": Param(
        None,
        type=["null", "integer"],
        title="Expected epoch",
        description="Set by the retraining: refuse if the champion changed since. Leave empty by hand.",
    ),
}

for model in models("release"):
    with model_dag(model, "release", __doc__, params=PARAMS):
        tested = SmokeTestOperator(task_id="smoke_test", model=model.name)
        promoted = PromoteOperator(task_id="promote", model=model.name)
        tested >> promoted >> VerifyOperator(task_id="verify", model=model.name, promoted=promoted.output)
