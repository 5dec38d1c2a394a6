"""What a run has selected: its challenger, the twins that are compared, and the version that represents it."""

from __future__ import annotations

from include.gate.evaluation import Role
from include.records import Record, Text
from include.training.recipes import Ranking, Recipe, Twin


class Other(Record):
    """What is scored next to the challenger: its ``rival``, or the ``incumbent`` whose place it would take."""

    role: Role
    recipe: Recipe
    twin: Twin


class Chosen(Record):
    """The challenger of a night, and the twins that are compared.

    Attributes
    ----------
    other : None if nothing is scored next to the challenger.
    selection : how all candidates did.
    """

    candidate: Text
    recipe: Recipe
    twin: Twin
    baseline_twin: Twin
    other: Other | None = None
    selection: Ranking

    @property
    def twins(self) -> dict[str, Twin]:
        """Challenger and baseline, which must be scored, by side."""
        return {"challenger": self.twin, "baseline": self.baseline_twin}


class Selection(Chosen):
    """A challenger that is registered: its version, and the MLflow run of its trial."""

    version: int
    mlflow_run_id: str
