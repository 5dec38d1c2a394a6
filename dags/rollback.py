"""
### Roll {model} back

Trigger with a reason; leave the version empty for the previous champion. **rollback** puts the version back into
service and freezes automatic promotion, so that tonight's retraining does not undo it; **verify** waits until the
server answers with it. When the cause is mended, trigger again with *lift freeze*.

#### When a task fails
* **rollback**: the version is unknown or was never packaged: the log names those that can be chosen. Nothing changed.
* **verify**: the server did not take the version over: look at the server's log, then clear the task.
"""

from airflow.sdk import Param
from perennial.dags import model_dag, models
from perennial.operators.release import RollbackOperator, VerifyOperator

PARAMS = {
    "reason": Param(type="string", minLength=3, maxLength=1000, title="Reason", description="Kept in the audit."),
    "version": Param(None, type=["null", "integer"], title="Version", description="Empty: the previous champion."),
    "freeze": Param(True, type="boolean", title="Freeze", description="Stop automatic promotion until it is lifted."),
    "lift_freeze": Param(False, type="boolean", title="Lift freeze", description="Only allow promotion again."),
}

for model in models("rollback"):
    with model_dag(model, "rollback", __doc__, params=PARAMS):
        done = RollbackOperator(task_id="rollback", model=model.name)
        VerifyOperator(task_id="verify", model=model.name, promoted=done.output, go_back=False)
