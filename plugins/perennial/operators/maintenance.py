"""The task of `perennial_maintenance` that compacts the tables of all models and deletes files that nothing needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from include.partitions import utc_now
from perennial.operators.base import PerennialOperator, asked, reason_noted, write_note
from perennial.parameters import NoParameters

if TYPE_CHECKING:
    from airflow.sdk import Context


class MaintainOperator(BaseOperator):
    """Maintain the tables of all models.

    The task fails at its end if those of a model could not be maintained; those of the others were.
    """

    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def execute(self, context: Context) -> dict[str, object]:
        from include.data import maintenance

        asked(context, NoParameters)
        found = maintenance.maintain_all(utc_now())
        if found.note:
            write_note(context, found.note)
        with reason_noted(context):
            found.require_complete()
        return found.as_dict()
