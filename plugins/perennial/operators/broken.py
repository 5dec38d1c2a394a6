"""The one task of `<model>_broken`: it fails with the reason why the model's folder does not load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include import catalog
from include.errors import ConfigurationError
from perennial.operators.base import PerennialOperator, write_note

if TYPE_CHECKING:
    from airflow.sdk import Context


class BrokenModelOperator(PerennialOperator):
    """Fail with the reason while the folder is broken; succeed once it loads."""

    def execute(self, context: Context) -> str:
        problem = catalog.entry(self.model).problem
        if problem:
            write_note(context, f"BROKEN: {problem}")
            raise ConfigurationError(problem)
        return f"{self.model} loads again."
