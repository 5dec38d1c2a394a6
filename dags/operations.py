"""
### The folder of {model} is broken

Except for `{model}_rollback`, its other DAGs are missing, because the folder does not load. The champion continues to
serve, and the other models are not affected. The task below has run by itself and failed with the reason, which is the
note of the run. Fix the file that it names: the model's DAGs reappear within seconds, and this DAG disappears. If the
folder is still broken after an edit, the task runs again with the new reason.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from perennial.dags import broken, once_for_each_state
from perennial.operators.broken import BrokenModelOperator

for entry in broken("broken"):
    with DAG(
        f"{entry.name}_broken",
        schedule=once_for_each_state(entry),
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        tags=["perennial", entry.name, "broken"],
        description=(entry.problem or "")[:200],
        doc_md=f"{(__doc__ or '').replace('{model}', entry.name)}\n\n```\n{entry.problem}\n```",
        default_args={"owner": "perennial", "retries": 0, "execution_timeout": timedelta(minutes=5)},
        dagrun_timeout=timedelta(minutes=10),
        max_active_runs=1,
    ):
        BrokenModelOperator(task_id="why", model=entry.name)
