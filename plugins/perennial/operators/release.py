"""The tasks of `<model>_release` and `<model>_rollback`: smoke test, promote, verify, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from include.errors import PerennialError
from perennial.links import ModelCardLink, set_link
from perennial.operators.base import PerennialOperator, write_note

if TYPE_CHECKING:
    from airflow.sdk import Context

AUTOMATIC = "perennial"


def actor(context: Context) -> str:
    """Who acts: the user who triggered the run, or Perennial itself for a release that the gate started."""
    run: Any = context["dag_run"]
    if (run.conf or {}).get("released_by") == AUTOMATIC:
        return AUTOMATIC
    return str(getattr(run, "triggering_user_name", None) or "manual")


class SmokeTestOperator(PerennialOperator):
    """Open the bundle, verify every digest, load it as the server would, and score its probe rows."""

    operator_extra_links: ClassVar[Any] = (ModelCardLink(),)

    def execute(self, context: Context) -> dict[str, Any]:
        from include.release import smoke

        version = context["params"]["version"]
        set_link(self, ModelCardLink, f"/perennial/{self.model}/card/{version}")
        return smoke.smoke_test(self.model, version)


class PromoteOperator(PerennialOperator):
    """Make the version the champion: compare-and-set in the ledger, then the release record and the MLflow alias."""

    def execute(self, context: Context) -> dict[str, Any]:
        from include.release import promotion

        params = context["params"]
        return promotion.promote(
            self.model,
            params["version"],
            run_id=context["run_id"],
            actor=actor(context),
            reason=params.get("reason") or "",
            expected_epoch=params.get("expected_epoch"),
        )


class VerifyOperator(PerennialOperator):
    """Wait until the server answers with the new version; otherwise go back to the old champion and fail.

    ``go_back=False`` only reports: what a rollback wants, because a person chose the version.
    """

    template_fields: Sequence[str] = ("promoted",)

    def __init__(self, *, promoted: Any, go_back: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.promoted = promoted
        self.go_back = go_back

    def execute(self, context: Context) -> dict[str, Any]:
        from include.release import promotion

        version = self.promoted["version"]
        try:
            verified = promotion.verify(self.model, version, self.promoted["epoch"], go_back=self.go_back)
        except PerennialError as error:
            write_note(context, str(error))
            raise
        before = self.promoted.get("previous")
        write_note(
            context,
            f"version {version} serves {self.model}"
            + (f" (before: version {before})." if before else " (the first one)."),
        )
        return verified


class RollbackOperator(PerennialOperator):
    """Put the named or the previous champion back into service and freeze automatic promotion until it is lifted."""

    def execute(self, context: Context) -> dict[str, Any]:
        from include.release import rollback

        params = context["params"]
        who = actor(context)
        if params.get("lift_freeze"):
            lifted = rollback.lift_freeze(self.model, who, params["reason"])
            sentence = (
                f"automatic promotion of {self.model} is allowed again, by {who}: {params['reason']}"
                if lifted["lifted"]
                else f"automatic promotion of {self.model} was not frozen; nothing to lift."
            )
            write_note(context, sentence)
            raise AirflowSkipException(sentence)  # nothing was put into service, so there is nothing to verify
        done = rollback.rollback(
            self.model,
            params.get("version"),
            reason=params["reason"],
            actor=who,
            run_id=context["run_id"],
            freeze=params.get("freeze", True),
        )
        write_note(context, f"rolled back to version {done['version']} by {who}: {params['reason']}")
        return done
