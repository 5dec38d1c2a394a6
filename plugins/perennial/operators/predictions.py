"""The task of `<model>_score` that brings the model servers' predictions home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perennial.operators.base import PerennialOperator, asked, write_note
from perennial.parameters import NoParameters

if TYPE_CHECKING:
    from airflow.sdk import Context


class LoadPredictionsOperator(PerennialOperator):
    """Load the closed segments of the model servers' spools into `predictions`, each exactly once."""

    def execute(self, context: Context) -> dict[str, Any]:
        from include.data import collection

        asked(context, NoParameters)
        loaded = collection.load_predictions(self.load())
        if loaded["rows"] or loaded["rejected"]:
            write_note(context, _note(loaded))
        return loaded


def _note(loaded: Mapping[str, Any]) -> str:
    said = f"{loaded['rows']:,} predictions loaded from {loaded['segments']} spool segments."
    if not loaded["rejected"]:
        return said
    return (
        f"{said} **{loaded['rejected']:,} lines were rejected** ({loaded['reason']}). Nothing of them is lost: "
        f"they are kept with their reasons in {', '.join(loaded['kept'])}."
    )
