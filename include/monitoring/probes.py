"""Probes: newer fits of the champion's recipe, made only to find out whether the champion is stale.

A model that is retrained every night has a newer fit every night, the twin of its newest version. A model that is
retrained on demand or once a week has none for long, and neither has one whose nights fail. For these, the monitor fits
the champion's recipe itself, at most every ``monitoring.probe_days`` days. A probe never serves and is no version.

A probe is fitted up to the day before the ``paired_days`` that it is judged on, like a twin. It is kept below the lake
as two files with the name of the day that it was made for: the fit as skops, then a record that names its digest. So a
fit that was interrupted is made again and takes the place of the incomplete one.
"""

from __future__ import annotations

import json
import logging
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include import catalog, files
from include.data.lake import Lake
from include.errors import ConfigurationError, DataError, IntegrityError
from include.partitions import earlier
from include.records import PartitionKey, Record, Text
from include.registry.rows import VersionRow
from include.spec import Model
from include.spelling import did_you_mean
from include.training import candidates, dataset, export, measures
from include.training.recipes import Recipe

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

log = logging.getLogger(__name__)

FOLDER = "probes"
KEPT = 16
"""Probes of a model that are kept, the newest; at the default cadence those of four months."""


class Probe(Record):
    """A fit of the champion's recipe on newer days than the champion's twin was fitted on.

    Attributes
    ----------
    as_of : the newest of the days that it was made to be judged on.
    digest : SHA-256 of its skops file.
    first, last, rows : the days and the number of rows that it was fitted on.
    code : `catalog.digest` of the model then. Other code may compute other features, so it cannot score a probe.
    snapshot : digest of the frozen rows.
    """

    as_of: PartitionKey
    recipe: Recipe
    digest: Text
    first: PartitionKey
    last: PartitionKey
    rows: int
    code: Text
    snapshot: Text


class Probes:
    """The probes of one model, below its lake."""

    def __init__(self, model: Model, lake: Lake | None = None) -> None:
        self.model = model
        self.lake = lake or Lake.of(model)
        self.folder: Path = self.lake.root / FOLDER

    def kept(self) -> list[Probe]:
        """The readable records, newest first."""
        found = []
        for path in sorted(self.folder.glob("????-??-??.json"), reverse=True):
            try:
                found.append(Probe.of(json.loads(path.read_bytes())))
            except FileNotFoundError:  # another monitor has removed it
                continue
            except (OSError, ValueError, IntegrityError) as problem:
                log.warning("The probe %s is ignored: %s", path, problem)
        return found

    def pipeline(self, probe: Probe) -> Any:
        """The fitted pipeline.

        Raises
        ------
        IntegrityError : its file is missing, or its bytes do not match the record.
        """
        path = self._skops(probe.as_of)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"the probe {path} is missing") from None
        if files.sha256(data) != probe.digest:
            raise IntegrityError(f"the probe {path} changed: its bytes do not match its record")
        return export.from_skops(data, self.model.training.trusted_types)

    def scores(self, probe: Probe, rows: pd.DataFrame) -> np.ndarray:
        """Its scores of labelled rows, as `measures.score` gives them; shape (rows,), or (rows, classes).

        Raises
        ------
        IntegrityError : a row is of a day that it was fitted on, the code has changed, or the file is damaged.
        DataError : the rows cannot be scored.
        """
        if len(rows) and str(rows["partition"].min()) <= probe.last:
            raise IntegrityError(f"the probe of {probe.as_of} was fitted up to {probe.last}, and has seen these rows")
        if probe.code != catalog.digest(self.model.name):
            raise IntegrityError(f"the probe of {probe.as_of} was fitted by other code, and cannot be scored by this")
        return measures.score(self.model, self.pipeline(probe), rows)

    def newest(self, champion: VersionRow, key: str, learned_to: str | None = None) -> Probe | None:
        """The newest probe that can be judged on the ``paired_days`` up to ``key``; made now if it is due.

        Parameters
        ----------
        champion : the version that served; the probe is a newer fit of its recipe.
        learned_to : the last day that the newest other fit has learned from which can be judged on these days; None:
            that of the champion's twin.

        Returns
        -------
        None if that fit is less than ``probe_days`` older than a probe of this day would be.

        Raises
        ------
        DataError, ConfigurationError, ReleaseError : it is due and cannot be made (too few rows, missing days, a
            candidate that is no longer declared), and no earlier probe can be used.
        """
        settings = self.model.monitoring
        last = earlier(key, settings.paired_days)
        others = learned_to or champion.twin_last
        if _days(others, last) < settings.probe_days:
            return None
        recipe, code = Recipe.of(champion.recipe), catalog.digest(self.model.name)
        usable = [
            probe
            for probe in self.kept()
            if (probe.recipe, probe.code) == (recipe, code)
            and probe.as_of <= key
            and others < probe.last <= last
            and self._whole(probe)
        ]
        found = max(usable, key=lambda probe: probe.as_of, default=None)
        if found is not None and _days(found.as_of, key) < settings.probe_days:
            return found
        try:
            return self.make(recipe, key)
        except DataError as problem:
            if found is None:
                raise
            log.warning("No newer probe of %s can be made, so that of %s is used: %s", key, found.as_of, problem)
            return found

    def make(self, recipe: Recipe, key: str) -> Probe:
        """Fit a recipe up to the day before the ``paired_days`` that end at ``key``, and keep the fit.

        Raises
        ------
        DataError : too few rows, too many missing days, or labels that were not final when they were collected.
        ConfigurationError : the candidate is no longer declared.
        ReleaseError : the fit cannot be stored and read back.
        """
        model, name = self.model, recipe.candidate
        declared = candidates.load(model)
        if name not in declared:
            raise ConfigurationError(
                f"the champion's candidate {name!r} is no longer declared in candidates.py, so no probe can be fitted"
                f"{did_you_mean(name, declared)}. Retrain the model."
            )
        first, last = self._window(recipe, key)
        published = self.lake.published()
        first = max(first, min(published, default=first))
        snapshot = self.lake.snapshot(first, last)
        self._require_whole(key, last, snapshot.missing, snapshot.immature)
        rows = self.lake.read_snapshot(snapshot)
        fitted = candidates.fit(model, declared[name], rows, recipe.seed, recipe.iterations)
        data = export.proven_skops(fitted.pipeline, f"candidate {name!r} of {model.name}", model.training.trusted_types)
        probe = Probe(
            as_of=key,
            recipe=recipe,
            digest=files.sha256(data),
            first=fitted.first,
            last=fitted.last,
            rows=fitted.rows,
            code=catalog.digest(model.name),
            snapshot=snapshot.digest,
        )
        files.write(self._skops(key), data)
        files.write(self._record(key), json.dumps(probe.as_dict(), indent=1).encode())
        self._prune(key)
        log.info(
            "Fitted a probe of %s for %s: %s on %d rows (%s to %s) in %.2f s.",
            model.name, key, recipe, fitted.rows, fitted.first, fitted.last, fitted.seconds,
        )  # fmt: skip
        return probe

    def _window(self, recipe: Recipe, key: str) -> tuple[str, str]:
        """The days of a twin whose holdout were the paired days."""
        training = self.model.training.model_copy(update={"holdout_days": self.model.monitoring.paired_days})
        judged = self.model.model_copy(update={"training": training})
        return dataset.windows(judged, key, recipe.window_days).twin

    def _require_whole(self, key: str, last: str, missing: tuple[str, ...], immature: tuple[str, ...]) -> None:
        training = self.model.training
        recent = [day for day in missing if day > earlier(last, training.window_days)]
        if len(recent) > training.max_missing_days:
            raise DataError(
                f"{len(recent)} of the {training.window_days} days up to {last} are not in the lake, from {recent[0]} "
                f"to {recent[-1]}; at most {training.max_missing_days} may be missing (training.max_missing_days), so "
                f"no probe can be fitted for {key}. Load them: run {self.model.name}_load."
            )
        if immature:
            raise DataError(
                f"the labels of {immature[0]} were not final when they were collected, so no probe can be fitted for "
                f"{key}. Collect them again: run {self.model.name}_collect."
            )

    def _whole(self, probe: Probe) -> bool:
        """Whether its file is there; a monitor that was killed while it replaced a probe leaves another one."""
        try:
            return files.sha256(self._skops(probe.as_of).read_bytes()) == probe.digest
        except OSError:
            return False

    def _prune(self, made: str) -> None:
        """Remove all but the newest probes; what was made just now stays, also if it is for an old day."""
        names = sorted({path.stem for path in self.folder.glob("????-??-??.*")}, reverse=True)
        for name in names[KEPT:]:
            if name != made:
                self._record(name).unlink(missing_ok=True)  # first: a record without its file is not usable
                self._skops(name).unlink(missing_ok=True)

    def _record(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _skops(self, key: str) -> Path:
        return self.folder / f"{key}.skops"


def _days(first: str, last: str) -> int:
    """How many days a key is after another one; negative if it is before."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days
