"""The task `package`: the recipe refitted up to the as-of, as a bundle that is checked before it is recorded."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from include import catalog
from include.cards import card, plots
from include.cards.facts import CardParameters, Compared, Facts, JudgedTwin, Manifest, ReleaseFit
from include.data.lake import Lake
from include.errors import IntegrityError, ReleaseError
from include.gate.decision import Decision, Verdict
from include.gate.evaluation import Evaluation
from include.records import PartitionKey, Record
from include.registry import mlflow_versions, tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.retraining import deployed, mlflow_description, mlflow_model, night
from include.retraining.selection import Chosen, Selection
from include.settings import PROJECT, Settings
from include.spec import Model
from include.statistics import reference as statistics
from include.training import reference
from include.training.candidates import Fitted
from include.training.plan import Plan

log = logging.getLogger(__name__)

PACKAGES = (
    "numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "threadpoolctl", "skops", "skl2onnx", "onnx", "onnxruntime",
    "protobuf", "deltalake", "great-expectations", "mlflow", "apache-airflow",
    "catboost", "lightgbm", "onnxmltools", "xgboost", "xgboost-cpu",
)  # fmt: skip


class Packaged(Record):
    """The bundle of a version.

    Attributes
    ----------
    parity : largest difference of a score between ONNX and scikit-learn.
    rows, first, last : what the release model was fitted on.
    row_milliseconds : of one row, measured here; not part of the bundle.
    """

    version: int
    digest: str
    parity: float
    rows: int
    first: PartitionKey
    last: PartitionKey
    bytes: int
    row_milliseconds: float


def package(
    model: Model, plan: Plan, selection: Selection, evaluation: Evaluation, decision: Decision, run_id: str
) -> Packaged:
    """Refit the challenger's recipe on all matured rows, check the fit, write the bundle and record it in the ledger.

    The same run again makes the same bytes and so the same digest.

    Raises
    ------
    ReleaseError : the gate did not decide promote; a refit guard; what `proving.prove` refuses.
    """
    if decision.verdict is not Verdict.PROMOTE:
        raise ReleaseError(
            f"version {selection.version} of {model.name} is not packaged: the gate decided "
            f"{decision.verdict.value!r}, not 'promote'."
        )
    lake, version = Lake.of(model), selection.version
    twins = deployed.StoredTwins(model, plan, lake)
    release = night.refit(model, plan, selection, twins, lake)
    fitted, proven = release.fitted, release.proven
    made = manifest(model, plan, selection, evaluation, decision, fitted, version, run_id)
    windows = plan.spans(selection.candidate)
    origin = reference.Origin(plan.snapshot, windows, selection.recipe.seed, twins.pipeline(selection.twin))
    watched = reference.make(model, origin, lake)
    described = card_facts(made, plan, selection, evaluation, release.guards, proven.parity)
    files = {
        "model.onnx": proven.onnx,
        "model.skops": proven.skops,
        "input_schema.json": _json(proven.schema.as_dict()),
        "probe.json": _json(proven.probe.as_dict()),
        "manifest.json": _json(made.as_dict()),
        statistics.FILE: reference.encoded(watched),
        "card.md": card.markdown(model, described).encode(),
        "card.html": card.html(model, described, pictures(selection.mlflow_run_id, evaluation)).encode(),
        **source_files(catalog.folder(model.name)),
    }
    digest = BundleStore.default().write(model.name, files)
    Ledger.default().set_bundle(model.name, version, digest)
    tracking.log_artifact_bytes(selection.mlflow_run_id, "card.html", files["card.html"])
    mlflow_model.log_model(selection.mlflow_run_id, BundleStore.default().open(model.name, digest))
    shown = mlflow_description.description(made, evaluation, selection.mlflow_run_id)
    mlflow_versions.describe(model.name, version, {"perennial.bundle": digest}, shown)
    log.info(
        "Version %d of %s is packaged as %s: %s refitted on %d rows (%s to %s), ONNX agrees within %.1e.",
        version, model.name, digest[:12], selection.candidate, fitted.rows, fitted.first, fitted.last, proven.parity,
    )  # fmt: skip
    return Packaged(
        version=version,
        digest=digest,
        parity=proven.parity,
        rows=fitted.rows,
        first=fitted.first,
        last=fitted.last,
        bytes=sum(len(data) for data in files.values()),
        row_milliseconds=round(proven.row_milliseconds, 3),
    )


def pictures(mlflow_run_id: str, evaluation: Evaluation) -> dict[str, bytes]:
    """The most informative pictures of the holdout, as `evaluate` stored them; a changed one is refused.

    Raises
    ------
    IntegrityError : a picture is not the one that was drawn: the bundle would not be a function of its run.
    """
    drawn = evaluation.plots or {}
    wanted = {name: path for name in plots.TELLING for path in drawn if path.endswith(f"/{name}.svg")}
    found = {}
    for name, path in wanted.items():
        found[name] = tracking.artifact_bytes(mlflow_run_id, path)
        if hashlib.sha256(found[name]).hexdigest() != drawn[path]:
            raise IntegrityError(
                f"the artifact {path} of the MLflow run {mlflow_run_id} is not what evaluate stored: clear the task "
                "evaluate, and this one with it."
            )
    return found


def manifest(
    model: Model,
    plan: Plan,
    chosen: Chosen,
    evaluation: Evaluation,
    decision: Decision,
    fitted: Fitted,
    version: int,
    run_id: str,
) -> Manifest:
    """Everything that is needed to make the model again. No wall-clock time: a retry makes the same bytes."""
    commit, dirty = _commit()
    requirements = PROJECT / "requirements.txt"
    return Manifest(
        model=model.name,
        version=version,
        run_id=run_id,
        as_of=plan.as_of,
        recipe=chosen.recipe,
        snapshot=plan.snapshot,
        windows=plan.spans(chosen.candidate),
        twin=JudgedTwin(**dict(chosen.twin), metrics=evaluation.challenger.metrics),
        release=ReleaseFit(
            first=fitted.first,
            last=fitted.last,
            rows=fitted.rows,
            features=len(fitted.feature_names),
            dropped=fitted.dropped,
            sampled=fitted.rows >= model.training.max_rows,
        ),
        holdout=evaluation.holdout,
        compared=Compared.by(evaluation),
        decision=Decision(verdict=decision.verdict, reason=decision.reason, checks=decision.checks),
        note=plan.note,
        code_digest=plan.code_digest,
        commit=commit,
        dirty=dirty,
        packages=_packages(),
        requirements=hashlib.sha256(requirements.read_bytes()).hexdigest() if requirements.is_file() else None,
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
        cpu=_cpu(),
        settings=model.model_dump(mode="json"),
    )


def card_facts(
    made: Manifest, plan: Plan, chosen: Chosen, evaluation: Evaluation, guards: tuple[str, ...], parity: float
) -> Facts:
    """What `card` shows: the manifest, and the findings of the packaging."""
    return Facts(
        manifest=made,
        evaluation=evaluation,
        selection=chosen.selection,
        parameters=CardParameters(as_of=plan.as_of, **dict(plan.parameters)),
        quarantined=plan.quarantined,
        guards=guards,
        parity=parity,
    )


def source_files(folder: Path) -> dict[str, bytes]:
    """The code of the model folder as it is now, below ``source/``: it was used for the fits, and it serves."""
    files = sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)
    return {f"source/{p.relative_to(folder).as_posix()}": p.read_bytes() for p in files}


def _json(values: Any) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


@cache
def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> tuple[str | None, bool | None]:
    """Commit of the project and whether files differ from it; in an image, the commit that it was built from.

    None if that is not known (without git, whether files differ).
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, timeout=120, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain") if commit else None
    return commit or Settings.from_environment().commit, None if changed is None else bool(changed)


@cache
def _cpu() -> str:
    """The processor: float64 sums of linear algebra differ between kinds, so "the same bytes" is promised for one
    kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor() or "unknown",
    )
