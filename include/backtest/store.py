"""The fits of each night on disk, under everything that determines them, so that no fit is ever made twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from include import catalog, files
from include.backtest.night import Fits
from include.gate import rivals
from include.spec import Model
from include.training import export
from include.training.candidates import Fitted

RECORD = "night.json"
TWIN, BASELINE, RELEASE = "twin", "baseline", "release"
SIDES = (TWIN, BASELINE, RELEASE)
PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "skops")
FITS = ("spec", "statistics", "scoring", "data", "training", "retraining", "backtest/night.py")
"""Packages of `include/` (and one module) whose code makes a fit: after a change there every fit is made again."""
JUDGES = ("statistics", "gate", "retraining")
"""Packages of `include/` that make the evidence: after a change there what is fitted already is measured again."""


@dataclass(frozen=True)
class Kept:
    """The fits of one night, as they lie on disk.

    ``record``: ``as_of, results, recipe`` (of the winner of the selection), ``guard`` (why its refit was refused, or
    None), ``refused`` (why there are no fits, or None), ``seconds``, and for each of `SIDES` what is known of the fit.
    Fits of other candidates, which the replay asks for, come beside them (`also`).
    """

    folder: Path
    record: Mapping[str, Any]

    @property
    def as_of(self) -> str:
        return str(self.record["as_of"])

    @property
    def winner(self) -> str:
        """The candidate that won the selection."""
        return str(self.record["recipe"]["candidate"])

    @property
    def fits(self) -> Fits:
        """The fits that the winner of the selection needs to be judged, loaded."""
        return Fits(self.record["results"], self.record["recipe"], self.fitted(TWIN), self.fitted(BASELINE))

    def side(self, kind: str, candidate: str) -> str:
        """Under what the ``twin`` or ``release`` fit of a candidate is kept."""
        return kind if candidate == self.winner else f"{kind}-{rivals.plain(candidate)}"

    def about(self, side: str) -> Mapping[str, Any]:
        """What is known of a fit: ``rows, first, last, feature_names, feature_types, dropped, guard``."""
        if side in self.record:
            return {"guard": self.record["guard"], **self.record[side]}
        return dict(json.loads((self.folder / f"{side}.json").read_bytes()))

    def also(self, side: str, make: Callable[[], tuple[Fitted, str | None]]) -> str:
        """Keep another fit of the night, and why its guards refuse it, made where it is not there; ``side``."""
        if side not in self.record and not (self.folder / f"{side}.json").is_file():
            fitted, guard = make()
            files.write(self.folder / f"{side}.skops", export.to_skops(fitted.pipeline))
            files.write(self.folder / f"{side}.json", json.dumps({**_known(fitted), "guard": guard}, indent=1).encode())
        return side

    def fitted(self, side: str) -> Fitted:
        """One of the fits, loaded by the list of trusted types."""
        about = self.about(side)
        return Fitted(
            pipeline=_pipeline(self.folder / f"{side}.skops"),
            feature_names=tuple(about["feature_names"]),
            feature_types=tuple(about["feature_types"]),
            rows=int(about["rows"]),
            first=str(about["first"]),
            last=str(about["last"]),
            dropped=tuple(about["dropped"]),
        )

    def note(self, name: str, make: Any) -> dict[str, Any]:
        """The JSON file ``name`` beside the fits, made by ``make()`` where it is not there."""
        path = self.folder / name
        if not path.is_file():
            files.write(path, json.dumps(make(), indent=1).encode())
        return dict(json.loads(path.read_bytes()))


def _known(fitted: Fitted) -> dict[str, Any]:
    return {
        **{name: getattr(fitted, name) for name in ("rows", "first", "last")},
        **{name: list(getattr(fitted, name)) for name in ("feature_names", "feature_types", "dropped")},
    }


@lru_cache(maxsize=16)  # champion and anchors are wanted night after night; all nights would not fit into memory
def _pipeline(path: Path) -> Any:
    return export.from_skops(path.read_bytes())


class Store:
    """Nights below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, as_of: str, key: str) -> Kept | None:
        """The night, or None where it was not fitted under this key yet."""
        folder = self._folder(as_of, key)
        try:
            return Kept(folder, json.loads((folder / RECORD).read_bytes()))
        except FileNotFoundError:
            return None

    def put(
        self,
        as_of: str,
        key: str,
        seconds: float,
        made: Fits | None = None,
        release: Fitted | None = None,
        guard: str | None = None,
        refused: str | None = None,
    ) -> None:
        """Keep a night; it appears whole, whenever the process ends."""
        record: dict[str, Any] = {"as_of": as_of, "refused": refused, "guard": guard, "seconds": round(seconds, 3)}
        self.root.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=".", dir=self.root))
        try:
            if made and release:
                record |= {"results": [{**r, "seconds": None} for r in made.results], "recipe": made.recipe}
                for side, fitted in zip(SIDES, (made.twin, made.baseline, release), strict=True):
                    files.write(working / f"{side}.skops", export.to_skops(fitted.pipeline))
                    record[side] = _known(fitted)
            files.write(working / RECORD, json.dumps(record, indent=1).encode())
            working.chmod(0o755)
            try:
                os.rename(working, self._folder(as_of, key))
            except OSError:
                if self.get(as_of, key) is None:  # else another process kept the same night first
                    raise
        finally:
            shutil.rmtree(working, ignore_errors=True)

    def _folder(self, as_of: str, key: str) -> Path:
        return self.root / f"{as_of}-{key[:16]}"


def settings_of(model: Model) -> dict[str, Any]:
    """What of a model's declaration its fits depend on; never the gate."""
    settings = model.model_dump(mode="json", include={"start", "timezone", "training", "data"})
    settings["data"] = {name: settings["data"][name] for name in ("columns", "key", "event_time", "label")}
    settings["training"] = {k: v for k, v in settings["training"].items() if k not in ("schedule", "wait_for_data")}
    return settings


def key_of(model: Model, plan: Mapping[str, Any], code: str) -> str:
    """What the fits of a night depend on, as one digest: the rows, the windows, the settings of training, the code."""
    known = {name: plan[name] for name in ("as_of", "candidates", "baseline", "window_days", "seed", "windows")}
    told = {"code": code, "settings": settings_of(model), "snapshot": plan["snapshot"]["digest"], **known}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def judged_by(model: Model) -> str:
    """The settings and the code that evidence about a night depends on, beside its fits, as one digest."""
    gate = model.gate.model_dump(mode="json", include={"alpha", "block_days", "floors", "slices", "fairness"})
    if model.gate.slices:
        gate["slice_margin"] = model.gate.slice_margin or 2 * model.gate.margin
    hasher = hashlib.sha256(json.dumps([gate, model.training.metric], sort_keys=True).encode())
    for label, path in sorted(catalog.code_of(JUDGES).items()):
        hasher.update(label.encode() + path.read_bytes())
    return hasher.hexdigest()[:12]


def code_digest(model: Model) -> str:
    """The code and the libraries that make a fit: the model's folder but for its declaration, and our part in it."""
    folder = catalog.folder(model.name)
    named = catalog.code_of(FITS)
    named |= {f"model/{p.relative_to(folder)}": p for p in folder.rglob("*.py") if p.name != "model.py"}
    hasher = hashlib.sha256(" ".join(f"{name} {metadata.version(name)}" for name in PACKAGES).encode())
    for label in sorted(named):
        content = named[label].read_bytes()
        hasher.update(f"{label}\0{len(content)}\0".encode() + content)
    return hasher.hexdigest()
