"""The task of `perennial_predictions` that loads the predictions of the model servers into the lakes of all models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from include.partitions import utc_now
from perennial.operators.base import PerennialOperator, asked, reason_noted, write_note
from perennial.parameters import NoParameters

if TYPE_CHECKING:
    from airflow.sdk import Context


class LoadPredictionsOperator(BaseOperator):
    """Load the closed segments of the model servers' spools into `predictions`, each exactly once.

    The task fails at its end if the predictions of a model could not be loaded; those of the others were.
    """

    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def execute(self, context: Context) -> dict[str, object]:
        from include.data import spools

        asked(context, NoParameters)
        found = spools.load_all(utc_now())
        if found.note:
            write_note(context, found.note)
        with reason_noted(context):
            found.require_complete()
        return found.as_dict()
