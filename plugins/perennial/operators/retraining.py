"""The task of `<model>_monitor` that starts a retraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from include import catalog
from include.partitions import utc_now
from perennial.operators.base import PerennialOperator, reason_noted, write_note

if TYPE_CHECKING:
    from airflow.sdk import Context


class StartRetrainOperator(TriggerDagRunOperator):
    """Start `<model>_retrain` if the policy asks for it, and cool-down and budget allow it.

    The id of the run is reserved in the ledger before the run is started, so a task that is repeated starts the same
    run, which Airflow creates once. The reason becomes the note of the run. Without a retraining the task is skipped,
    and the note of this run has the reason.
    """

    template_fields: Sequence[str] = (*TriggerDagRunOperator.template_fields, "monitored")
    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def __init__(self, *, model: str, monitored: Any, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"{model}_retrain", skip_when_already_exists=True, **kwargs)
        self.model = model
        self.monitored = monitored

    def execute(self, context: Context) -> None:
        from include.monitoring import retrain
        from include.monitoring.run import Monitored

        with reason_noted(context):
            monitored = Monitored.of(self.monitored)
            action = monitored.action
            started = retrain.start(catalog.load(self.model), monitored.key, action, utc_now())
        if not started.granted:
            if action.retrain:
                write_note(context, f"{monitored.note} Not retrained: {started.reason}")
            raise AirflowSkipException(started.reason)
        write_note(context, f"{monitored.note} Retraining started as {started.run_id}.")
        self.trigger_run_id = started.run_id
        self.conf = started.conf
        super().execute(context)
