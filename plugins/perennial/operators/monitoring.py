"""The task of `<model>_monitor` that measures a day and records incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSkipException

from include import catalog
from include.errors import NotReady
from include.partitions import partition_of, utc_now
from perennial.operators.base import (
    PerennialOperator,
    asked,
    reason_noted,
    require_begun,
    run_dates,
    write_note,
)
from perennial.parameters import MonitorParameters

if TYPE_CHECKING:
    from airflow.sdk import Context


class MonitorOperator(BaseSensorOperator):
    """Measure the day of the run, and open, update and close incidents if it is the newest one.

    A scheduled run waits for the day until ``training.wait_for_data`` after its start, as the retraining does, without
    holding a worker slot. Then, and in every other run about a day that is not there, the task is skipped with a note:
    that a day did not arrive is an incident of its own, which the watchdog opens, and the next run measures the day.
    """

    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def __init__(self, *, model: str, poke_interval: float = 60, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=poke_interval, timeout=7 * 24 * 3600, **kwargs)
        self.model = model

    def poke(self, context: Context) -> bool | PokeReturnValue:
        with reason_noted(context):
            return self._poke(context)

    def _poke(self, context: Context) -> bool | PokeReturnValue:
        from include.monitoring import run

        model, now = catalog.load(self.model), utc_now()
        wanted = asked(context, MonitorParameters).model_dump()
        about = partition_of(run_dates(context), model.timezone, model.data.label.delay, wanted)
        require_begun(model, about, context)
        try:
            found = run.monitor(model, about.key, context["run_id"], now)
        except NotReady as reason:
            dag_run: Any = context["dag_run"]
            deadline = dag_run.run_after + model.training.wait_for_data
            if dag_run.run_type == "scheduled" and now < deadline:
                self.log.info("%s Waiting until %s UTC.", reason, f"{deadline:%Y-%m-%d %H:%M}")
                return False
            write_note(context, f"SKIPPED {about.key}: it cannot be monitored. {reason}")
            raise AirflowSkipException(str(reason)) from reason
        for line in found.lines:
            self.log.info("%s", line)
        write_note(context, found.note)
        return PokeReturnValue(is_done=True, xcom_value=found.as_dict())
