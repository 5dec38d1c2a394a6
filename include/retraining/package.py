"""The release model: the same recipe refitted up to the as-of, as a bundle that is proven before it is named."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include import catalog
from include.cards import card, plots
from include.errors import IntegrityError, ReleaseError
from include.registry import mlflow_versions, tracking
from include.registry.bundles import BundleStore
from include.registry.ledger import Ledger
from include.retraining import planning
from include.scoring.columns import columns_for
from include.settings import PROJECT, Settings
from include.spec import ColumnType, Model, Task
from include.training import candidates, dataset, evaluation, export, operability, refit, snapshot

log = logging.getLogger(__name__)

PROBE_ROWS = 23
PARITY_ROWS = 5_000
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
    ReleaseError : the gate did not say promote; a refit guard; what `prove` refuses.
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
    proven = prove(model, name, fitted, rows, newest)
    guards.append(proven.size)
    facts = manifest(model, plan, selected, evaluated, decision, fitted, run_id)
    described = on_the_card(facts, plan, selected, evaluated, guards, proven.parity)
    files = {
        "model.onnx": proven.onnx,
        "model.skops": proven.skops,
        "input_schema.json": _json(input_schema(model, fitted, proven.onnx)),
        "probe.json": _json(proven.probe),
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


@dataclass(frozen=True)
class Proven:
    """A release model as files, after all that a bundle must pass: see `prove`."""

    onnx: bytes
    skops: bytes
    parity: float
    probe: dict[str, Any]
    size: str
    row_milliseconds: float


def prove(model: Model, name: str, fitted: candidates.Fitted, rows: pd.DataFrame, newest: pd.DataFrame) -> Proven:
    """Everything that the release model of candidate ``name`` must pass, in a night and in a trial.

    Parameters
    ----------
    rows : what it was fitted on; ``newest``: the newest days of them, which the probe rows are taken from.

    Raises
    ------
    ReleaseError : it cannot be stored or converted, ONNX and scikit-learn disagree, or it is too large or too slow.
    """
    skops = export.proven_skops(fitted.pipeline, f"candidate {name!r} of {model.name}")
    onnx, parity = proven_onnx(model, name, fitted, rows)
    size = operability.guard_size(model, onnx)
    asked = probe(model, fitted, onnx, newest)
    latency = operability.guard_latency(model, onnx, evaluation.output_columns(model, fitted.pipeline), asked["rows"])
    return Proven(onnx, skops, parity, asked, size, latency)


def proven_onnx(model: Model, name: str, fitted: candidates.Fitted, rows: pd.DataFrame) -> tuple[bytes, float]:
    """The fit of candidate ``name`` as ONNX, and by how much its scores differ from scikit-learn's at most.

    Raises
    ------
    ReleaseError : it cannot be converted, or differs by more than ``release.parity``.
    """
    onnx = export.to_onnx(fitted, model)
    parity = export.parity(model, onnx, fitted.pipeline, _spread(rows, PARITY_ROWS))
    if not parity <= model.release.parity:
        raise ReleaseError(
            f"the ONNX model of {name} differs from scikit-learn by up to {parity:.3g} (release.parity is "
            f"{model.release.parity:g}): it is not released. Trees on features with missing or scaled values, and "
            "native categorical features, do not convert: put SimpleImputer or OrdinalEncoder before them, no scaler."
        )
    return onnx, parity


def input_schema(model: Model, fitted: candidates.Fitted, onnx: bytes) -> dict[str, Any]:
    """What the server needs to know about the ONNX model and its inputs.

    Binary: ``positive_index`` is the output column of the positive class. Several classes: ``classes`` are the declared
    ones, and ``class_columns`` says of each which output column is its own, null where the fit did not have it.
    """
    label = model.data.label
    classification = label.task is Task.CLASSIFICATION
    columns = evaluation.output_columns(model, fitted.pipeline)
    if label.classes is not None:
        classes: dict[str, Any] = {"positive": None, "classes": list(label.classes)}
        classes |= {"positive_index": None, "class_columns": columns}
    else:
        classes = {
            "positive": label.positive if classification else None,
            "classes": [int(c) for c in fitted.pipeline.classes_] if classification else None,
            "positive_index": columns[0] if classification else None,
        }
    return {
        "model": model.name,
        "task": label.task.value,
        **classes,
        "columns": [{"name": c.name, "type": c.type.value, "nullable": c.nullable} for c in model.data.inputs],
        "key": list(model.data.key),
        "event_time": model.data.event_time,
        "event_times": {
            "past_days": model.serving.max_past_days,
            "ahead_days": model.serving.max_ahead_days,
        },
        "timezone": model.timezone,
        "features": [{"name": n, "type": t} for n, t in zip(fitted.feature_names, fitted.feature_types, strict=True)],
        "output": export.output_name(onnx),
        "output_kind": "probabilities" if classification else "value",
    }


def probe(model: Model, fitted: candidates.Fitted, onnx: bytes, rows: pd.DataFrame) -> dict[str, Any]:
    """Real rows as JSON with the scores of the ONNX model: one more with all that may be missing, one with unseen
    texts.

    ``scores`` has a number for each row, or a mapping of class to probability; ``scale`` is what a difference of a
    score is relative to, where the score itself is smaller (`export.score_scale`).
    """
    inputs = [c.name for c in model.data.inputs]
    real = _spread(rows, PROBE_ROWS)[[n for n in inputs if n in rows.columns]]
    found = [_json_row(model, row) for row in _records(real)]
    bare = {c.name: None if c.nullable else found[0][c.name] for c in model.data.inputs}
    found += [bare, {**found[-1], **dict.fromkeys(_free_texts(model, found[-1]), export.UNSEEN)}]
    scorer = export.OnnxScorer(onnx, evaluation.output_columns(model, fitted.pipeline))
    scores = scorer.score(_features_of(model, found))
    if not np.isfinite(scores).all():
        raise ReleaseError(
            f"the ONNX model of {model.name} gives {int((~np.isfinite(scores)).sum())} of {scores.size} scores of the "
            "probe rows that are not finite."
        )
    names = dataset.class_names(model)
    told = [dict(zip(names, row, strict=True)) for row in scores.tolist()] if names else scores.tolist()
    return {"rows": found, "scores": told, "scale": export.score_scale(model, scores)}


def _features_of(model: Model, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Features of JSON rows, as the server makes them."""
    arrays = columns_for([(c.name, c.type.value) for c in model.data.inputs], rows)
    return dataset.frame_of(model, dataset.builder(model)(arrays), len(rows))


def _free_texts(model: Model, row: Mapping[str, Any]) -> list[str]:
    """The text inputs that may hold a value never seen: all but those that features.build parses (a time of day).

    A text that cannot be parsed is a ValueError. Any other error means that `build` cannot take a new category, and the
    server would fail on the first one: ReleaseError.
    """
    free = []
    for column in model.data.inputs:
        if column.type is ColumnType.STRING:
            try:
                _features_of(model, [{**row, column.name: export.UNSEEN}])
            except ValueError:
                continue
            except Exception as problem:
                raise ReleaseError(
                    f"features.build of {model.name} fails on a value of {column.name!r} that it has never seen "
                    f"({type(problem).__name__}: {problem}); new values do arrive: give them a default."
                ) from problem
            free.append(column.name)
    return free


def _json_row(model: Model, row: Mapping[str, Any]) -> dict[str, Any]:
    """A raw row as the server would receive it."""
    plain: dict[str, Any] = {}
    for column in model.data.inputs:
        value = row.get(column.name)
        if value is None or pd.isna(value):
            plain[column.name] = None
        elif column.type is ColumnType.TIMESTAMP:
            plain[column.name] = pd.Timestamp(value).tz_convert("UTC").isoformat().replace("+00:00", "Z")
        else:
            kinds = {
                ColumnType.STRING: str,
                ColumnType.INTEGER: int,
                ColumnType.NUMBER: float,
                ColumnType.BOOLEAN: bool,
                ColumnType.DATE: str,
            }
            plain[column.name] = kinds[column.type](value)
    return plain


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


def _spread(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most ``most`` rows, evenly spread over all."""
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[np.linspace(0, len(rows) - 1, num=min(most, len(rows)), dtype=int)] = True
    return rows.loc[chosen]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict(orient="records")]


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
