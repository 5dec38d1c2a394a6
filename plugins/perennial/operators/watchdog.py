"""The task of `perennial_watchdog` that looks at all models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf

from perennial import tickets
from perennial.operators.base import PerennialOperator, asked, reason_noted, write_note
from perennial.parameters import NoParameters

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.watchdog.records import AirflowView


class LookOperator(BaseOperator):
    """Find what did not happen, and open, update and close incidents."""

    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def execute(self, context: Context) -> dict[str, object]:
        from include.watchdog.look import look

        asked(context, NoParameters)
        with reason_noted(context):
            found = look(lambda: self._airflow(context), context["run_id"])
        if found.note:
            write_note(context, found.note)
        return found.as_dict()

    def _airflow(self, context: Context) -> AirflowView | None:
        """Airflow's runs from its web server, with a ticket of this task; ``None`` if they are not known."""
        from include.watchdog.airflow import ask

        base = conf.get("api", "base_url", fallback="").rstrip("/")
        address = tickets.address(conf.get("core", "execution_api_server_url", fallback=f"{base}/execution/"))
        if address is None:
            self.log.warning("[core] execution_api_server_url is not the address of Airflow's web server.")
            return None
        ticket = tickets.Ticket()
        context["ti"].xcom_push(key=tickets.KEY, value=ticket.digest)
        return ask(address, ticket.headers)
