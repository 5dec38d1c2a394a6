"""A version of a model in this process, scored with the code that the model server uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from include import catalog
from include.cards import card_file
from include.errors import ConfigurationError
from include.registry.bundles import Bundle, BundleStore
from include.scoring.predictor import Predictor
from include.scoring.pyfunc import LABEL, OF_CLASS, SCORE, FrameScorer
from include.spelling import did_you_mean

CHAMPION = "champion"


@dataclass(frozen=True)
class Loaded:
    """A version of a model.

    Attributes
    ----------
    version : its number. ``digest`` : of its bundle.
    """

    model: str
    version: int
    digest: str
    _scorer: FrameScorer
    _bundle: Bundle

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The scores of a frame's rows, with its index; see `include.scoring.pyfunc.FrameScorer.predict`.

        Returns
        -------
        DataFrame with ``score``, or ``label`` and ``scores.<class>`` for more than two classes.

        Raises
        ------
        DataError : a column is missing or does not have the declared type; names the nearest column.
        """
        return self._scorer.predict(frame)

    def predict_raw(self, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        """The scores of rows of JSON values, under the strict checks of the server's ``/predict``; as `predict`.

        Raises
        ------
        InvalidRows : with the problems of the rows; its `problems` names each row and field.
        """
        found = self._scorer.predictor.predict([dict(row) for row in rows])
        if found.scores is not None:
            return pd.DataFrame({SCORE: found.scores})
        by_class = pd.DataFrame(found.by_label or []).add_prefix(OF_CLASS)
        return pd.concat([pd.Series(found.labels, name=LABEL), by_class], axis="columns")

    @property
    def inputs(self) -> pd.DataFrame:
        """The columns that it takes: ``name``, ``type`` and ``nullable``."""
        columns = self._scorer.predictor.schema.columns
        return pd.DataFrame([(c.name, c.type, c.nullable) for c in columns], columns=["name", "type", "nullable"])

    @property
    def manifest(self) -> dict[str, Any]:
        """What it was made from: data, recipe, code, packages, metrics, decision."""
        found: dict[str, Any] = self._bundle.json("manifest.json")
        return found

    def __repr__(self) -> str:
        return f"<{self.model} version {self.version}, bundle {self.digest[:12]}>"


def load(model: str, version: int | str) -> Loaded:
    """`include.perennial.load`."""
    store = BundleStore.default()
    number, digest = _found(store, model, version)
    bundle = store.open(model, digest)
    return Loaded(model, number, digest, FrameScorer(Predictor.load(bundle)), bundle)


def _found(store: BundleStore, model: str, version: int | str) -> tuple[int, str]:
    """Number and digest of a version; the champion needs no ledger, because the release record names it."""
    known = {*catalog.folders(), *store.released()}
    if model not in known:
        raise ConfigurationError(f"there is no model {model!r}{did_you_mean(str(model), known)}")
    packaged, record = card_file.versions(store, model), store.read_release(model)
    these = ", ".join(map(str, sorted(packaged, reverse=True)[:10])) or "none; `make night` may make one"
    if version == CHAMPION:
        if record is None:
            raise ConfigurationError(f"no version of {model} serves (looked in {store.root}). Packaged: {these}.")
        return record.version, record.digest
    text = str(version)
    if not text.isdecimal():
        raise ConfigurationError(f"version {version!r}: give a number or {CHAMPION!r}. Packaged: {these}.")
    number = int(text)
    if record is not None and record.version == number:
        return number, record.digest
    if number not in packaged:
        near = min(packaged, key=lambda other: abs(other - number), default=None)
        hint = f"; the nearest is {near}" if near is not None else ""
        raise ConfigurationError(f"{model} has no packaged version {number}{hint}. Packaged: {these}.")
    return number, packaged[number]
