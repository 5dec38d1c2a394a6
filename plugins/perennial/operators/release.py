"""The tasks of `<model>_release` and `<model>_rollback`: smoke test, promote, verify, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from include.errors import PerennialError
from perennial.links import ModelCardLink, set_link
from perennial.operators.base import PerennialOperator, actor, asked, failure, reason_noted, write_note
from perennial.parameters import Action, ReleaseParameters, RollbackParameters

if TYPE_CHECKING:
    from airflow.sdk import Context


class SmokeTestOperator(PerennialOperator):
    """Open the bundle, verify every digest, load it as the server would, and score its probe rows."""

    operator_extra_links: ClassVar[Any] = (ModelCardLink(),)

    def execute(self, context: Context) -> dict[str, object]:
        from include.release import smoke

        version = asked(context, ReleaseParameters).version
        set_link(self, ModelCardLink, f"/perennial/{self.model}/card/{version}")
        with reason_noted(context):
            return smoke.smoke_test(self.model, version).as_dict()


class PromoteOperator(PerennialOperator):
    """Make the version the champion: compare-and-set in the ledger, then the release record and the MLflow alias.

    A freeze that came after the gate holds an automatic release: the run ends green, and its note names who froze it.
    """

    def execute(self, context: Context) -> dict[str, object]:
        from include.registry.ledger import PromotionFrozen
        from include.release import freeze, promotion

        wanted = asked(context, ReleaseParameters)
        try:
            with reason_noted(context):
                return promotion.promote(
                    self.model,
                    wanted.version,
                    run_id=context["run_id"],
                    actor=actor(context),
                    reason=wanted.reason,
                    expected_epoch=wanted.expected_epoch,
                ).as_dict()
        except PromotionFrozen as stopped:
            sentence = freeze.hold(wanted.version, stopped.freeze)
            write_note(context, sentence)
            raise AirflowSkipException(
                sentence
            ) from None  # nothing was put into service, so there is nothing to verify


class VerifyOperator(PerennialOperator):
    """Wait until the server answers with the new version; otherwise go back to the old champion and fail.

    ``go_back=False`` only reports a failure. A rollback uses it, because a person chose the version.
    """

    template_fields: Sequence[str] = ("promoted",)

    def __init__(self, *, promoted: Any, go_back: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.promoted = promoted
        self.go_back = go_back

    def execute(self, context: Context) -> dict[str, object]:
        from include.release import promotion

        version = self.promoted["version"]
        try:
            verified = promotion.verify(self.model, version, self.promoted["epoch"], go_back=self.go_back)
        except PerennialError as error:
            write_note(context, failure(context, error))
            raise
        before = (
            f"instead of version {self.promoted['previous']}" if self.promoted.get("previous") else "as the first one"
        )
        served = self.promoted.get("note") or f"PROMOTED v{version}: it serves {self.model}, {before}."
        write_note(context, f"{served} The server answers with it.")
        return verified.as_dict()


class RollbackOperator(PerennialOperator):
    """Put the named or the previous champion back into service, freeze automatic promotion, or lift the freeze."""

    def execute(self, context: Context) -> dict[str, object]:
        from include.release import rollback

        wanted = asked(context, RollbackParameters)
        who = actor(context)
        with reason_noted(context):
            if wanted.chosen is Action.LIFT:
                sentence = rollback.lift_freeze(self.model, who, wanted.reason).note
                write_note(context, sentence)
                raise AirflowSkipException(sentence)  # nothing was put into service, so there is nothing to verify
            done = rollback.rollback(
                self.model,
                wanted.version,
                reason=wanted.reason,
                actor=who,
                run_id=context["run_id"],
                freeze=wanted.chosen is Action.FREEZE,
            )
        write_note(context, done.note)
        return done.as_dict()
