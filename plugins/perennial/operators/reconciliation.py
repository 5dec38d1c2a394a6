"""The task of `perennial_reconcile`: release records and MLflow aliases of all models follow the ledger, and the ledger
follows the lakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from perennial.operators.base import PerennialOperator, write_note

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReconcileOperator(BaseOperator):
    """Repair release records and aliases that a promotion or a rollback could not write, and verify the result.

    Days that the ledger does not have, because it did not answer when they were published, are recorded first.

    The task succeeds even if the repair fails; its note then says what a person must do.
    """

    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def execute(self, context: Context) -> dict[str, list[str]]:
        from include.data import days
        from include.release.reconcile import reconcile, verify_repaired

        for sentence in days.catch_up():
            self.log.info("%s", sentence)
        found = [*reconcile(), *verify_repaired()]
        repaired = [f"{one.model}: {sentence}" for one in found for sentence in one.repaired]
        problems = [f"{one.model}: {sentence}" for one in found for sentence in one.problems]
        if found:
            parts = [f"ACTION REQUIRED: {' '.join(problems)}"] if problems else []
            parts += [f"REPAIRED: {' '.join(repaired)}"] if repaired else []
            write_note(context, " ".join(parts))
        return {"repaired": repaired, "problems": problems}
