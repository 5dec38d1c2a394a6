"""The release model: the same recipe refitted up to the as-of, as a bundle that is proven before it is named."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from include import catalog
from include.cards import card, plots
from include.errors import IntegrityError, ReleaseError
from include.registry import mlflow_versions, tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.retraining import planning
from include.settings import PROJECT, Settings
from include.spec import Model
from include.training import candidates, dataset, export, proving, refit, snapshot

log = logging.getLogger(__name__)

PACKAGES = (
    "numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "threadpoolctl", "skops", "skl2onnx", "onnx", "onnxruntime",
    "protobuf", "deltalake", "great-expectations", "mlflow", "apache-airflow",
)  # fmt: skip


def package(
    model: Model,
    plan: Mapping[str, Any],
    selected: Mapping[str, Any],
    evaluated: Mapping[str, Any],
    decision: Mapping[str, Any],
    run_id: str,
) -> dict[str, Any]:
    """Refit the challenger's recipe on all matured rows, check the fit, write the bundle and name it in the ledger.

    The same run again makes the same bytes and so the same digest.

    Returns
    -------
    ``version, digest, parity`` (largest difference of a score between ONNX and scikit-learn), ``rows, first, last,
    bytes``, and ``row_milliseconds`` (of one row, measured here; no part of the bundle).

    Raises
    ------
    ReleaseError : the gate did not say promote; a refit guard; what `proving.prove` refuses.
    """
    if decision.get("verdict") != "promote":
        raise ReleaseError(
            f"version {selected['version']} of {model.name} is not packaged: the gate said "
            f"{decision.get('verdict')!r}, not 'promote'."
        )
    name, version = str(selected["candidate"]), int(selected["version"])
    twin = export.from_skops(BundleStore.default().get_twin(model.name, selected["twin"]["digest"]))
    fitted, rows, guards = refit.refit(model, plan, selected["recipe"], twin)
    newest = dataset.between(rows, snapshot.spans_of(plan, name).holdout)
    proven = proving.prove(model, name, fitted, rows, newest)
    guards.append(proven.size)
    facts = manifest(model, plan, selected, evaluated, decision, fitted, run_id)
    described = on_the_card(facts, plan, selected, evaluated, guards, proven.parity)
    files = {
        "model.onnx": proven.onnx,
        "model.skops": proven.skops,
        "input_schema.json": _json(proven.schema.as_dict()),
        "probe.json": _json(proven.probe.as_dict()),
        "manifest.json": _json(facts),
        "card.md": card.markdown(model, described).encode(),
        "card.html": card.html(model, described, _pictures(selected, evaluated)).encode(),
        **source_files(catalog.folder(model.name)),
    }
    digest = BundleStore.default().write(model.name, files)
    Ledger.default().set_bundle(model.name, version, digest)
    tracking.log_artifact_bytes(selected["mlflow_run_id"], "card.html", files["card.html"])
    mlflow_versions.tag(model.name, version, {"perennial.bundle": digest})
    log.info(
        "Version %d of %s is packaged as %s: %s refitted on %d rows (%s to %s), ONNX agrees within %.1e.",
        version, model.name, digest[:12], name, fitted.rows, fitted.first, fitted.last, proven.parity,
    )  # fmt: skip
    size = sum(len(data) for data in files.values())
    return {
        "version": version,
        "digest": digest,
        "parity": proven.parity,
        "rows": fitted.rows,
        "first": fitted.first,
        "last": fitted.last,
        "bytes": size,
        "row_milliseconds": round(proven.row_milliseconds, 3),
    }


def _pictures(selected: Mapping[str, Any], evaluated: Mapping[str, Any]) -> dict[str, bytes]:
    """The most telling pictures of the holdout, as `evaluate` has kept them; a changed one is refused.

    Raises
    ------
    IntegrityError : a picture is not the one that was drawn: the bundle would not be a function of its run.
    """
    drawn = evaluated.get("plots") or {}
    wanted = {name: path for name in plots.TELLING for path in drawn if path.endswith(f"/{name}.svg")}
    found = {}
    for name, path in wanted.items():
        found[name] = tracking.artifact_bytes(selected["mlflow_run_id"], path)
        if hashlib.sha256(found[name]).hexdigest() != drawn[path]:
            raise IntegrityError(
                f"the artifact {path} of the MLflow run {selected['mlflow_run_id']} is not what evaluate has drawn: "
                "clear the task evaluate, and this one with it."
            )
    return found


def manifest(
    model: Model,
    plan: Mapping[str, Any],
    selected: Mapping[str, Any],
    evaluated: Mapping[str, Any],
    decision: Mapping[str, Any],
    fitted: candidates.Fitted,
    run_id: str,
) -> dict[str, Any]:
    """Everything that is needed to make the model again. No wall-clock time: a retry makes the same bytes."""
    commit, dirty = _commit()
    sides = {s: evaluated[s] for s in ("challenger", "baseline", "champion")}
    twin = {**selected["twin"], "metrics": evaluated["challenger"]["metrics"]}
    requirements = PROJECT / "requirements.txt"
    return {
        "model": model.name,
        "version": int(selected["version"]),
        "run_id": run_id,
        "as_of": plan["as_of"],
        "recipe": selected["recipe"],
        "snapshot": plan["snapshot"],
        "windows": plan["windows"][selected["candidate"]],
        "twin": twin,
        "release": {
            "first": fitted.first,
            "last": fitted.last,
            "rows": fitted.rows,
            "features": len(fitted.feature_names),
            "dropped": list(fitted.dropped),
            "sampled": fitted.rows >= model.training.max_rows,
        },
        "holdout": evaluated["holdout"],
        "compared": {side: found for side, found in sides.items() if found is not None},
        "decision": {k: decision[k] for k in ("verdict", "reason", "checks")},
        "note": plan["note"],
        "code_digest": plan["code_digest"],
        "commit": commit,
        "dirty": dirty,
        "packages": _packages(),
        "requirements": hashlib.sha256(requirements.read_bytes()).hexdigest() if requirements.is_file() else None,
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "cpu": _cpu(),
        "settings": model.model_dump(mode="json"),
    }


def on_the_card(
    facts: Mapping[str, Any],
    plan: Mapping[str, Any],
    selected: Mapping[str, Any],
    evaluated: Mapping[str, Any],
    guards: list[str],
    parity: float,
) -> dict[str, Any]:
    """What `card` shows: the manifest, and what was found on the way to it."""
    return {
        **facts,
        "guards": guards,
        "parity": parity,
        "selection": selected["selection"],
        "evidence": evaluated,
        "parameters": {"as_of": plan["as_of"], **planning.parameters(plan)},
        "quarantined": plan.get("quarantined"),
    }


def source_files(folder: Path) -> dict[str, bytes]:
    """The code of the model folder as it is now, below ``source/``: what it is made with and what serves."""
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

    None if that is unknown: without git, whether files differ.
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
