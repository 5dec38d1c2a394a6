"""
### Roll {model} back, or lift the freeze

Trigger with a reason; leave the version empty for the previous champion. **rollback** puts the version back into
service and freezes automatic promotion, so that tonight's retraining does not replace it; **verify** waits until the
server answers with it. Nights continue while promotion is frozen: a version that passes the gate is packaged and held.

When the cause is fixed, trigger again and choose *lift the freeze*. From a terminal: `make rollback MODEL={model}
REASON=...` and `make unfreeze MODEL={model} REASON=...`.

#### When a task fails
* **rollback**: the version is unknown or was never packaged: the log names those that can be chosen. Nothing changed.
* **verify**: the server did not switch to the version: see the server's log, then clear the task.
"""

from airflow.sdk import Param
from perennial import parameters
from perennial.dags import broken, broken_dag, model_dag, models
from perennial.operators.release import RollbackOperator, VerifyOperator

PARAMS = {
    "action": Param(
        parameters.Action.FREEZE.value,
        enum=[action.value for action in parameters.Action],
        type="string",
        title="What to do",
        description="A rollback freezes automatic promotion until it is lifted, unless you choose otherwise.",
    ),
    "reason": Param(
        type="string",
        minLength=parameters.SHORTEST_REASON,
        maxLength=parameters.LONGEST_REASON,
        title="Reason",
        description="Recorded in the audit.",
    ),
    "version": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=parameters.LARGEST_VERSION,
        title="Version",
        description="The version to roll back to. Empty: the previous champion. Leave it empty to lift the freeze.",
    ),
}

WANTED = [
    *((model.name, model_dag(model, "rollback", __doc__, params=PARAMS)) for model in models("rollback")),
    # a bad change of a folder is a reason for a rollback
    *((entry.name, broken_dag(entry, "rollback", __doc__, params=PARAMS)) for entry in broken("rollback")),
]
for name, dag in WANTED:
    with dag:
        done = RollbackOperator(task_id="rollback", model=name)
        VerifyOperator(task_id="verify", model=name, promoted=done.output, go_back=False)
