"""The three tasks of `<model>_collect`: collect the raw batch, validate it, publish the good rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from airflow.sdk import BaseHook

from include.errors import DataError, PerennialError
from include.partitions import partition, partition_of, utc_now
from perennial.links import ValidationLink, set_link
from perennial.operators.base import (
    PerennialOperator,
    asked,
    failure,
    reason_noted,
    require_begun,
    run_dates,
    write_note,
)
from perennial.parameters import CollectParameters

if TYPE_CHECKING:
    from airflow.sdk import Context


class CollectOperator(PerennialOperator):
    """Fetch the rows of the run's partition from the model's source and keep them unchanged.

    Airflow resolves the connections named in ``data.connections`` and passes them on as URIs.
    """

    def execute(self, context: Context) -> dict[str, object]:
        from include.data import collection

        model = self.load()
        wanted = asked(context, CollectParameters).model_dump()
        with reason_noted(context):
            about = partition_of(run_dates(context), model.timezone, model.data.label.delay, wanted)
            require_begun(model, about, context)
            connections = {name: BaseHook.get_connection(name).get_uri() for name in model.data.connections}
            return collection.collect(model, about, connections, utc_now()).as_dict()


class ValidateOperator(PerennialOperator):
    """Validate the raw batch against the schema and the model's expectations; bad rows go to quarantine."""

    template_fields: Sequence[str] = ("raw",)
    operator_extra_links: ClassVar[Any] = (ValidationLink(),)

    def __init__(self, *, raw: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.raw = raw

    def execute(self, context: Context) -> dict[str, object]:
        from include.data import collection

        model, raw = self.load(), collection.Collected.of(self.raw)
        about = partition(raw.partition, model.timezone)
        set_link(self, ValidationLink, f"/perennial/{self.model}/validation/{about.key}?batch={quote(raw.digest)}")
        try:
            return collection.validate(model, about, raw, run_id=context["run_id"]).as_dict()
        except PerennialError as error:
            rejected = f"REJECTED {about.key}: nothing published. {error}"
            write_note(context, rejected if isinstance(error, DataError) else failure(context, error))
            raise


class PublishOperator(PerennialOperator):
    """Overwrite the partition in the lake with the validated rows, in one commit."""

    template_fields: Sequence[str] = ("validated",)

    def __init__(self, *, validated: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validated = validated

    def execute(self, context: Context) -> dict[str, object]:
        from include.data import collection

        model, validated = self.load(), collection.Validated.of(self.validated)
        about = partition(validated.partition, model.timezone)
        published = collection.publish(model, about, validated, run_id=context["run_id"])
        write_note(
            context,
            f"PUBLISHED {about.key}: {published.rows:,} rows, {published.quarantined:,} quarantined "
            f"(table version {published.version}).",
        )
        return published.as_dict()
