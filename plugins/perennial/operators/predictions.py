"""The task of `<model>_score` that loads the model servers' predictions into the lake."""

from __future__ import annotations

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
            write_note(context, collection.loading_note(loaded))
        return loaded
