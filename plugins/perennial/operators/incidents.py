"""The task of `perennial_incidents`: what a person does about an incident, recorded with who did it and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from perennial.operators.base import PerennialOperator, actor, asked, reason_noted, write_note
from perennial.parameters import IncidentAction, IncidentParameters

if TYPE_CHECKING:
    from airflow.sdk import Context

NOTES = {IncidentAction.ACKNOWLEDGE: "ACKNOWLEDGED", IncidentAction.CLOSE: "CLOSED"}


class IncidentOperator(BaseOperator):
    """Acknowledge or close one incident in the ledger; one that is there already stays as it is."""

    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def execute(self, context: Context) -> dict[str, object]:
        from include.registry.incidents import Incidents

        wanted = asked(context, IncidentParameters)
        incidents = Incidents.default()
        act = incidents.close if wanted.action is IncidentAction.CLOSE else incidents.acknowledge
        with reason_noted(context):
            row = act(wanted.number, actor(context), wanted.reason)
        done = NOTES[wanted.action] if row.state == wanted.state else f"NOTHING TO {wanted.action.value}"
        by = row.closed_by if row.state == "closed" else row.acknowledged_by
        about = f"incident {row.number}{f' of {row.model}' if row.model else ''} is {row.state} by {by}"
        write_note(context, f"{done}: {about}. {row.reason or ''}".strip())
        return row.as_dict()
