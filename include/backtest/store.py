"""The fits of each night on disk, under a digest of everything that determines them, so that no fit is made twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Self, TypeVar

from include import catalog, files
from include.backtest.in_memory import Fits
from include.gate import rivals
from include.records import PartitionKey, Record
from include.spec import Model
from include.training import export
from include.training.candidates import Fitted
from include.training.plan import Plan
from include.training.recipes import Recipe, Trial

R = TypeVar("R", bound=Record)

RECORD = "night.json"
TWIN, BASELINE, RELEASE = "twin", "baseline", "release"
PACKAGES = ("numpy", "pandas", "scikit-learn", "scipy", "skops")
FITS = ("spec", "statistics", "scoring", "data", "training", "retraining", "backtest/in_memory.py")
"""Packages of `include/` (and one module) whose code makes a fit: after a change there, every fit is made again."""
JUDGES = ("statistics", "gate", "retraining")
"""Packages of `include/` that make its figures: after a change there what is fitted already is measured again."""


class FitRecord(Record):
    """What is known of a fit; ``guard``: why the guards of a refit refuse it, or None."""

    rows: int
    first: PartitionKey
    last: PartitionKey
    feature_names: tuple[str, ...]
    feature_types: tuple[str, ...]
    dropped: tuple[str, ...]
    guard: str | None = None

    @classmethod
    def known(cls, fitted: Fitted) -> Self:
        return cls(**{name: getattr(fitted, name) for name in cls.model_fields if name != "guard"})


class NightRecord(Record):
    """A night as it is kept.

    Attributes
    ----------
    refused : why there are no fits, or None.
    guard : why the refit of the winner of the selection was refused, or None.
    results, recipe : trials, and the recipe of the winner of the selection; empty without fits.
    """

    as_of: PartitionKey
    refused: str | None
    guard: str | None
    seconds: float
    results: tuple[Trial, ...] = ()
    recipe: Recipe | None = None
    twin: FitRecord | None = None
    baseline: FitRecord | None = None
    release: FitRecord | None = None

    def fit(self, side: str) -> FitRecord | None:
        """Twin, baseline or release; None for any other."""
        return {TWIN: self.twin, BASELINE: self.baseline, RELEASE: self.release}.get(side)


@dataclass(frozen=True)
class Kept:
    """The fits of one night on disk.

    Fits of other candidates, which the back-test asks for, are kept next to them (`also`), and so are notes.
    """

    folder: Path
    record: NightRecord
    trusted: tuple[str, ...] = ()

    @property
    def as_of(self) -> str:
        return self.record.as_of

    @property
    def winner(self) -> str:
        """The candidate that won the selection."""
        assert self.record.recipe is not None, self.record.refused
        return self.record.recipe.candidate

    def side(self, kind: str, candidate: str) -> str:
        """The key of the ``twin`` or ``release`` fit of a candidate."""
        return kind if candidate == self.winner else f"{kind}-{rivals.plain(candidate)}"

    def about(self, side: str) -> FitRecord:
        """What is known of a fit."""
        found = self.record.fit(side)
        if found is None:
            return FitRecord.of(json.loads((self.folder / f"{side}.json").read_bytes()))
        return found.replace(guard=self.record.guard)

    def also(self, side: str, make: Callable[[], tuple[Fitted, str | None]]) -> str:
        """Keep another fit of the night, and why its guards refuse it, made if it is not there; ``side``."""
        if self.record.fit(side) is None and not (self.folder / f"{side}.json").is_file():
            fitted, guard = make()
            about = FitRecord.known(fitted).replace(guard=guard)
            files.write(self.folder / f"{side}.skops", export.to_skops(fitted.pipeline))
            files.write(self.folder / f"{side}.json", _json(about))
        return side

    def fitted(self, side: str) -> Fitted:
        """One of the fits, loaded by the list of trusted types."""
        about = self.about(side)
        return Fitted(
            pipeline=_pipeline(self.folder / f"{side}.skops", self.trusted),
            feature_names=about.feature_names,
            feature_types=about.feature_types,
            rows=about.rows,
            first=about.first,
            last=about.last,
            dropped=about.dropped,
        )

    def note(self, name: str, kind: type[R], make: Callable[[], R]) -> R:
        """The record in the JSON file ``name`` next to the fits, made by ``make()`` if it is not there."""
        path = self.folder / name
        if not path.is_file():
            files.write(path, _json(make()))
        return kind.of(json.loads(path.read_bytes()))


def _json(record: Record) -> bytes:
    return json.dumps(record.as_dict(), indent=1).encode()


@lru_cache(maxsize=16)  # champion and anchors are needed every night; all nights would not fit into memory
def _pipeline(path: Path, trusted: tuple[str, ...]) -> Any:
    return export.from_skops(path.read_bytes(), trusted)


class Store:
    """Nights below one folder."""

    def __init__(self, root: Path, trusted: tuple[str, ...] = ()) -> None:
        """``trusted``: see `export.from_skops`."""
        self.root, self.trusted = root, trusted

    def get(self, as_of: str, key: str) -> Kept | None:
        """The night, or None if it was not fitted under this key yet."""
        folder = self._folder(as_of, key)
        try:
            return Kept(folder, NightRecord.of(json.loads((folder / RECORD).read_bytes())), self.trusted)
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
        """Keep a night; it is written atomically, even if the process is killed."""
        record = NightRecord(as_of=as_of, refused=refused, guard=guard, seconds=round(seconds, 3))
        self.root.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=".", dir=self.root))
        try:
            if made and release:
                fits = {TWIN: made.twin, BASELINE: made.baseline, RELEASE: release}
                for side, fitted in fits.items():
                    files.write(working / f"{side}.skops", export.to_skops(fitted.pipeline))
                record = record.replace(
                    results=tuple(trial.replace(seconds=None) for trial in made.trials),
                    recipe=made.chosen.recipe,
                    **{side: FitRecord.known(fitted) for side, fitted in fits.items()},
                )
            files.write(working / RECORD, _json(record))
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


def settings_of(model: Model) -> dict[str, object]:
    """The part of a model's declaration that its fits depend on; never the gate."""
    settings = model.model_dump(mode="json", include={"start", "timezone", "training", "data"})
    settings["data"] = {name: settings["data"][name] for name in ("columns", "key", "event_time", "label")}
    settings["training"] = {k: v for k, v in settings["training"].items() if k not in ("schedule", "wait_for_data")}
    return settings


def key_of(model: Model, plan: Plan, code: str) -> str:
    """What the fits of a night depend on, as one digest: the rows, the windows, the settings of training, the code."""
    known = plan.model_dump(mode="json", include={"as_of", "candidates", "baseline", "window_days", "seed", "windows"})
    document = {"code": code, "settings": settings_of(model), "snapshot": plan.snapshot.digest, **known}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def judged_by(model: Model) -> str:
    """The settings and the code that figures about a night depend on, in addition to its fits, as one digest."""
    gate = model.gate.model_dump(mode="json", include={"alpha", "block_days", "floors", "slices", "fairness"})
    if model.gate.slices:
        gate["slice_margin"] = model.gate.slice_margin or 2 * model.gate.margin
    hasher = hashlib.sha256(json.dumps([gate, model.training.metric], sort_keys=True).encode())
    for label, path in sorted(catalog.code_of(JUDGES).items()):
        hasher.update(label.encode() + path.read_bytes())
    return hasher.hexdigest()[:12]


def code_digest(model: Model) -> str:
    """The code and the libraries that make a fit: the model's folder without its declaration, and our part."""
    folder = catalog.folder(model.name)
    named = catalog.code_of(FITS)
    named |= {f"model/{p.relative_to(folder)}": p for p in folder.rglob("*.py") if p.name != "model.py"}
    hasher = hashlib.sha256(" ".join(f"{name} {metadata.version(name)}" for name in PACKAGES).encode())
    for label in sorted(named):
        content = named[label].read_bytes()
        hasher.update(f"{label}\0{len(content)}\0".encode() + content)
    return hasher.hexdigest()
