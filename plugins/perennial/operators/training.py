"""The tasks of `<model>_retrain`: snapshot, train, select, evaluate, gate, package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.branch import BranchMixIn
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import PokeReturnValue
from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import AirflowSkipException

from include import catalog
from include.errors import DataError, NotReady
from include.partitions import as_of, utc_now
from include.spec.bounds import LONGEST_REASON
from perennial.links import MlflowRunLink, ModelCardLink, set_link
from perennial.operators.base import (
    PerennialOperator,
    asked,
    reason_noted,
    require_begun,
    require_same_code,
    run_dates,
    write_note,
)
from perennial.parameters import RetrainParameters

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.records import Record
    from include.registry.rows import VersionRow
    from include.training.plan import Plan

PLAN = "plan"


class SnapshotOperator(BaseSensorOperator):
    """Freeze the inputs of the run: its as-of, its data, its parameters and the digest of its code.

    A scheduled run waits for the night's partition until ``training.wait_for_data`` after its start, without holding
    a worker slot. A run started by hand is refused at once if data is missing. The run is skipped if nothing has
    changed since the last decision and this decision was carried out, unless the run is forced.
    """

    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def __init__(self, *, model: str, poke_interval: float = 60, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", poke_interval=poke_interval, timeout=7 * 24 * 3600, **kwargs)
        self.model = model

    def poke(self, context: Context) -> bool | PokeReturnValue:
        with reason_noted(context):
            return self._poke(context)

    def _poke(self, context: Context) -> bool | PokeReturnValue:
        from include.retraining import aftermath, planning

        model = catalog.load(self.model)
        run: Any = context["dag_run"]
        scheduled = run.run_type == "scheduled"
        wanted = asked(context, RetrainParameters).as_dict()
        last = aftermath.read(model.name, lambda row: self._release_under_way(context, row))
        try:
            about = as_of(run_dates(context), model.timezone, model.data.label.delay, wanted)
            require_begun(model, about, context)
            plan = planning.take(model, about, wanted, catalog.digest(model.name), last)
        except (NotReady, DataError) as reason:
            if scheduled and last is None:
                # The nights of a new model begin before its history is loaded. This is not a failure.
                write_note(context, f"SKIPPED: {model.name} was never trained, and cannot be yet. {reason}")
                raise AirflowSkipException(str(reason)) from reason
            if isinstance(reason, DataError):
                raise
            deadline = run.run_after + model.training.wait_for_data
            if scheduled and utc_now() < deadline:
                self.log.info("%s Waiting until %s UTC.", reason, f"{deadline:%Y-%m-%d %H:%M}")
                return False
            raise DataError(str(reason)) from reason
        if plan.nothing_new:
            write_note(context, f"SKIPPED: {plan.nothing_new}")
            raise AirflowSkipException(plan.nothing_new)
        context["ti"].xcom_push(key=PLAN, value=plan.as_dict())
        # Airflow maps only over a return value, so this is the list of candidates, and the plan has its own key.
        return PokeReturnValue(is_done=True, xcom_value=list(plan.candidates))

    def _release_under_way(self, context: Context, last: VersionRow | None) -> bool:
        """Whether the last decision can still be carried out: a release of the model runs, or its own release waits.

        Other waiting runs do not count: Airflow accepts a run that starts in a hundred years.
        """
        releases, ti = f"{self.model}_release", context["ti"]
        if ti.get_dr_count(dag_id=releases, states=["running"]) > 0:
            return True
        if last is None or last.bundle is None:
            return False
        own = release_run_id(last.version, last.bundle)
        return ti.get_dr_count(dag_id=releases, run_ids=[own], states=["queued"]) > 0


class PlannedOperator(PerennialOperator):
    """A task that works on the run's frozen plan (from `snapshot`) and refuses other code.

    Results of earlier tasks arrive as JSON and are read into records; the result of `work` is sent as JSON.
    """

    template_fields: Sequence[str] = ("plan",)

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def execute(self, context: Context) -> dict[str, Any]:
        from include.training.plan import Plan

        with reason_noted(context):
            # first, because this code may not be able to read a plan of other code
            require_same_code(self.model, str(self.plan["code_digest"]))
            return self.work(context, Plan.of(self.plan)).as_dict()

    def work(self, context: Context, plan: Plan) -> Record:
        """Do the work of the task."""
        raise NotImplementedError


class TrainOperator(PlannedOperator):
    """Fit one candidate up to the day before the selection window and score it there; tracked in MLflow.

    The MLflow run id is kept in Airflow's task state, so that a retry resumes its run instead of opening a second one.
    """

    template_fields: Sequence[str] = ("plan", "candidate")
    operator_extra_links: ClassVar[Any] = (MlflowRunLink(),)

    def __init__(self, *, candidate: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate

    def work(self, context: Context, plan: Plan) -> Record:
        from include.registry import tracking
        from include.retraining import train

        state = context["task_state_store"]

        def opened(mlflow_run_id: str) -> None:
            state.set("mlflow_run_id", mlflow_run_id)
            set_link(self, MlflowRunLink, tracking.run_url(mlflow_run_id))

        # a first try has no state yet, so the API server is not queried
        known = state.get("mlflow_run_id") if context["ti"].try_number > 1 else None
        return train.train(self.load(), plan, self.candidate, context["run_id"], known, opened)


class SelectOperator(PlannedOperator):
    """Choose the challenger (the best candidate, or the champion's recipe refreshed), fit its twin, register it."""

    template_fields: Sequence[str] = ("plan", "results")
    operator_extra_links: ClassVar[Any] = (MlflowRunLink(),)

    def __init__(self, *, results: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.results = results

    def work(self, context: Context, plan: Plan) -> Record:
        from include.registry import mlflow_versions
        from include.retraining import select
        from include.training.recipes import Trial

        trials = [Trial.of(result) for result in self.results]
        selection = select.select(self.load(), plan, trials, context["run_id"])
        set_link(self, MlflowRunLink, mlflow_versions.page(self.model, selection.version))
        return selection


class EvaluateOperator(PlannedOperator):
    """Score the twins of challenger, champion, baseline, rival and anchors on the same newest matured days."""

    template_fields: Sequence[str] = ("plan", "selected")
    operator_extra_links: ClassVar[Any] = (MlflowRunLink(),)

    def __init__(self, *, selected: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.selected = selected

    def work(self, context: Context, plan: Plan) -> Record:
        from include.registry import tracking
        from include.retraining import evaluate
        from include.retraining.selection import Selection

        selection = Selection.of(self.selected)
        set_link(self, MlflowRunLink, tracking.run_url(selection.mlflow_run_id))
        return evaluate.evaluate(self.load(), plan, selection)


class GateOperator(PlannedOperator, BranchMixIn):
    """Decide promote, hold or reject; only *promote* runs ``then``. A rejection is a decision: a green run."""

    inherits_from_skipmixin = True
    template_fields: Sequence[str] = ("plan", "selected", "evaluation")
    operator_extra_links: ClassVar[Any] = (MlflowRunLink(),)

    def __init__(self, *, selected: Any, evaluation: Any, then: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.selected = selected
        self.evaluation = evaluation
        self.then = then

    def work(self, context: Context, plan: Plan) -> Record:
        from include.gate.decision import Verdict
        from include.gate.evaluation import Evaluation
        from include.registry import mlflow_versions
        from include.retraining import decide
        from include.retraining.selection import Selection

        selection, evaluation = Selection.of(self.selected), Evaluation.of(self.evaluation)
        set_link(self, MlflowRunLink, mlflow_versions.page(self.model, selection.version))
        decided = decide.decide(self.load(), plan, selection, evaluation, context["run_id"])
        write_note(context, decided.note)
        # Skipping ends the task with an exception and without a return value, so the value is pushed before.
        context["ti"].xcom_push(key="return_value", value=decided.as_dict())
        self.do_branch(context, self.then if decided.verdict is Verdict.PROMOTE else None)
        return decided


class PackageOperator(PlannedOperator):
    """Refit the recipe on all matured rows and make the bundle: ONNX, skops, manifest, card. Fails without parity."""

    template_fields: Sequence[str] = ("plan", "selected", "evaluation", "decision")
    operator_extra_links: ClassVar[Any] = (ModelCardLink(), MlflowRunLink())

    def __init__(self, *, selected: Any, evaluation: Any, decision: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.selected = selected
        self.evaluation = evaluation
        self.decision = decision

    def work(self, context: Context, plan: Plan) -> Record:
        from include.gate.evaluation import Evaluation
        from include.registry import mlflow_versions
        from include.retraining import package
        from include.retraining.decide import Decided
        from include.retraining.selection import Selection

        selection, evaluation = Selection.of(self.selected), Evaluation.of(self.evaluation)
        decided = Decided.of(self.decision)
        packaged = package.package(self.load(), plan, selection, evaluation, decided, context["run_id"])
        set_link(self, ModelCardLink, f"/perennial/{self.model}/card/{packaged.version}")
        set_link(self, MlflowRunLink, mlflow_versions.page(self.model, packaged.version))
        return packaged


def release_run_id(version: int, digest: str) -> str:
    """The id of the `<model>_release` run that a retraining starts. It is the same if the task is repeated."""
    return f"v{version}__{digest[:12]}"


class StartReleaseOperator(TriggerDagRunOperator):
    """Start `<model>_release` for the result of `package`; hold the version while automatic promotion is frozen.

    A frozen night is a decision: the run ends green, and its note names who froze it, since when and why.
    """

    template_fields: Sequence[str] = (*TriggerDagRunOperator.template_fields, "packaged", "wanted")
    ui_color = PerennialOperator.ui_color
    ui_fgcolor = PerennialOperator.ui_fgcolor

    def __init__(self, *, model: str, packaged: Any, wanted: Any, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id=f"{model}_release", skip_when_already_exists=True, **kwargs)
        self.model = model
        self.packaged = packaged
        self.wanted = wanted

    def execute(self, context: Context) -> None:
        from include.release import freeze
        from include.retraining.package import Packaged

        wanted = dict(self.wanted)
        with reason_noted(context):
            packaged = Packaged.of(self.packaged)
            version = packaged.version
            held = freeze.held_by_freeze(self.model, version)
        if held:
            write_note(context, held)
            raise AirflowSkipException(held)
        self.trigger_run_id = release_run_id(version, packaged.digest)
        self.conf = wanted | {"version": version, "reason": str(wanted["reason"])[:LONGEST_REASON]}
        super().execute(context)
