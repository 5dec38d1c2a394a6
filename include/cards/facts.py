"""What is known about a version: its manifest, by which it can be made again, and what its card shows next to that."""

from __future__ import annotations

from typing import Self

from pydantic import JsonValue

from include.data.snapshots import Snapshot
from include.gate.decision import Decision
from include.gate.evaluation import (
    BASELINE,
    CHALLENGER,
    CHAMPION,
    Champion,
    Evaluation,
    Holdout,
    Side,
    UnscoredChampion,
)
from include.records import PartitionKey, Record
from include.training.plan import Quarantined, Window, Windows
from include.training.recipes import Ranking, Recipe, Twin


class JudgedTwin(Twin):
    """The twin of a version, and its metrics on the holdout."""

    metrics: dict[str, float | None]


class ReleaseFit(Record):
    """The fit that serves.

    Attributes
    ----------
    features : how many it takes; ``dropped`` are those that were missing in all rows.
    sampled : it was fitted on a sample of ``training.max_rows``.
    """

    first: PartitionKey
    last: PartitionKey
    rows: int
    features: int
    dropped: tuple[str, ...]
    sampled: bool


class Compared(Record):
    """The sides on the holdout."""

    challenger: Side
    baseline: Side
    champion: Champion | UnscoredChampion | None = None

    @classmethod
    def by(cls, evaluation: Evaluation) -> Self:
        found = cls(challenger=evaluation.challenger, baseline=evaluation.baseline)
        return found.replace(champion=evaluation.champion) if evaluation.champion else found

    @property
    def sides(self) -> list[str]:
        """Those that exist, as a card shows them."""
        return [CHALLENGER, *([CHAMPION] if self.champion else []), BASELINE]

    def side(self, name: str) -> Side | UnscoredChampion:
        """One of `sides`."""
        found = {CHALLENGER: self.challenger, BASELINE: self.baseline, CHAMPION: self.champion}[name]
        assert found is not None
        return found


class Manifest(Record):
    """Everything that is needed to make a model again; `manifest.json` of its bundle.

    Attributes
    ----------
    commit, dirty : of the project's repository, and whether files differ from it; None if that is not known.
    requirements : SHA-256 of the locked packages.
    settings : the declaration of the model, as JSON.
    """

    model: str
    version: int
    run_id: str
    as_of: PartitionKey
    recipe: Recipe
    snapshot: Snapshot
    windows: Windows
    twin: JudgedTwin
    release: ReleaseFit
    holdout: Holdout
    compared: Compared
    decision: Decision
    note: str
    code_digest: str
    commit: str | None
    dirty: bool | None
    packages: dict[str, str]
    requirements: str | None
    python: str
    platform: str
    cpu: str
    settings: dict[str, JsonValue]


class CardParameters(Record):
    """The parameters of a run that makes the version again."""

    as_of: PartitionKey
    candidates: tuple[str, ...]
    window_days: Window
    seed: int


class Facts(Record):
    """What a card shows: the manifest, and the findings of the packaging.

    Attributes
    ----------
    guards : sentences of the guards of the refit.
    parity : largest difference of a score between ONNX and scikit-learn.
    """

    manifest: Manifest
    evaluation: Evaluation
    selection: Ranking
    parameters: CardParameters
    quarantined: Quarantined | None
    guards: tuple[str, ...]
    parity: float
