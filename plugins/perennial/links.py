"""Buttons on a task: its MLflow run, the validation result of its partition, the model card of its version.

Airflow reads the links in the task's own process when the task ends, even if it failed. An operator sets their
addresses with `set_link` while it runs. Airflow shows them in the tab *Details* of the task, and the log names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class PerennialLink(BaseOperatorLink):
    """A link whose address the operator sets while it runs; empty until then."""

    @property
    def name(self) -> str:
        return "Link"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        return getattr(operator, "_perennial_links", {}).get(self.name, "")


class MlflowRunLink(PerennialLink):
    """The MLflow run of a candidate, or the model version."""

    @property
    def name(self) -> str:
        return "MLflow"


class ValidationLink(PerennialLink):
    """The rendered Great Expectations result of the partition."""

    @property
    def name(self) -> str:
        return "Validation result"


class ModelCardLink(PerennialLink):
    """The model card of the version."""

    @property
    def name(self) -> str:
        return "Model card"


LINKS = (MlflowRunLink(), ValidationLink(), ModelCardLink())


def set_link(operator: Any, link: type[PerennialLink], url: str) -> None:
    """Set the address of a running task's button (a path is on Airflow's server), and write it to the log."""
    name = link().name
    if url.startswith("/"):
        url = conf.get("api", "base_url", fallback="").rstrip("/") + url
    operator.log.info("%s: %s", name, url)
    links = dict(getattr(operator, "_perennial_links", {}))
    links[name] = url
    object.__setattr__(operator, "_perennial_links", links)
