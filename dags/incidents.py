"""
### Acknowledge or close an incident

Trigger with the number of an incident, what to do, and a reason; the Models page does so for you. **incident** records
it in the ledger and its audit, with your name.

* *acknowledge*: a person takes care of the incident. It stays open, but is no longer listed as waiting for somebody. A
  later look that does not find it closes it. If it becomes critical, it waits for somebody again.
* *close*: the incident needs no action, although looks may still find it. It is not opened again until a look has found
  it over, or critical when it was a warning.

#### When a task fails
* **incident**: there is no incident with this number; the log shows the newest number. Nothing has changed. If the
  ledger did not answer, the task is retried.
"""

from airflow.sdk import Param
from perennial import parameters
from perennial.dags import shared_dag, with_form
from perennial.operators.incidents import IncidentOperator

PARAMS = {
    "number": Param(
        type="integer",
        minimum=1,
        maximum=parameters.LARGEST_INCIDENT,
        title="Incident",
        description="Its number, from the message or the Models page.",
    ),
    "action": Param(
        parameters.IncidentAction.ACKNOWLEDGE.value,
        enum=[action.value for action in parameters.IncidentAction],
        type="string",
        title="What to do",
        description="Acknowledge what you take care of; close what needs no action.",
    ),
    "reason": Param(
        type="string",
        minLength=parameters.SHORTEST_REASON,
        maxLength=parameters.LONGEST_REASON,
        title="Reason",
        description="Recorded in the audit.",
    ),
}

with with_form(
    shared_dag("incidents", "a person acknowledges or closes an incident", __doc__, schedule=None, max_active_runs=4),
    PARAMS,
):
    IncidentOperator(task_id="incident")
