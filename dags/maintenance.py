"""
### Keep the tables of all models fast to read

The loader adds a small file to the table `predictions` of a model every 15 minutes. Every night, **maintain** merges
the files of each day that is over into one, and sums up the logs of all tables. Once a week it deletes files that no
kept version of a table needs (`data.keep`; 7 days for `predictions`), and what killed processes have left behind. No
row is changed, and raw batches and snapshots are never deleted.

The note of the run counts what was done. Models whose tables have not changed are skipped.

#### When a task fails
* **maintain**: the tables of some models could not be maintained, usually because of a storage problem. The note names
  each model with the reason. Those of the other models were maintained. Nothing is lost: until the next run, reading
  takes longer and files need more room.
"""

# Airflow skips a file in which its name does not appear (`[core] dag_discovery_safe_mode`).
from datetime import timedelta

from perennial.dags import cron, shared_dag
from perennial.operators.maintenance import MaintainOperator

with shared_dag(
    "maintenance",
    "the tables of all models are compacted, and unused files deleted",
    __doc__,
    schedule=cron("40 1 * * *", "UTC"),
    dagrun_timeout=timedelta(hours=6),
):
    MaintainOperator(task_id="maintain", execution_timeout=timedelta(hours=5))
