"""The scores of two recipes' twins on the same days, kept night by night until they show which is better."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from include import files
from include.data import arrow
from include.gate import comparison
from include.gate.evaluation import Change, Estimate, Gain
from include.partitions import earlier
from include.spec import Model
from include.statistics import uncertainty
from include.training import measures
from include.training.recipes import Recipe

log = logging.getLogger(__name__)

FOLDER = "rivals"
REMEMBERED = 4
"""Times ``gate.change_days``: how many days scores count and are kept; older ones may not be representative."""
BLOCK_DAYS = 7
"""Days of one block of the evidence for a change: weeks, because a recipe's luck lasts longer than a day."""

ABOUT = b"perennial.rivals"


@dataclass(frozen=True)
class Pair:
    """The recipe of the champion, and another one that would take its place."""

    incumbent: Recipe
    rival: Recipe

    @property
    def sides(self) -> tuple[tuple[str, Recipe], tuple[str, Recipe]]:
        return ("incumbent", self.incumbent), ("rival", self.rival)

    @property
    def stem(self) -> str:
        """As a part of a file's name; seed and iterations do not tell recipes apart."""
        return "-".join(f"{plain(one.candidate)}.{one.window_days}" for _, one in self.sides)

    @property
    def names(self) -> tuple[str, str]:
        """The displayed names of incumbent and rival: the candidates, with their windows if only those differ."""
        mine, theirs = self.incumbent, self.rival
        if mine.candidate != theirs.candidate:
            return mine.candidate, theirs.candidate
        return str(mine), str(theirs)


@dataclass(frozen=True)
class Scored:
    """The holdout of one night, and the scores of both twins, which had not seen it.

    Attributes
    ----------
    partitions, labels : of each row, of shape (rows,); labels as `dataset.labels` gives them.
    incumbent, rival : as `measures.score` gives them.
    """

    as_of: str
    partitions: np.ndarray
    labels: np.ndarray
    incumbent: np.ndarray
    rival: np.ndarray

    def of_days(self, wanted: np.ndarray) -> Scored:
        """The rows where ``wanted`` is True."""
        parts = (self.partitions, self.labels, self.incumbent, self.rival)
        return Scored(self.as_of, *(part[wanted] for part in parts))


class Stored(Protocol):
    """Where the nights of a pair are kept; a night of a pair is stored once, and the last write wins."""

    def keep(self, model: Model, pair: Pair, night: Scored) -> None: ...
    def nights(self, model: Model, pair: Pair, until: str) -> Iterable[Scored]:
        """Those about ``until`` (an as-of) or earlier, the newest first."""


class OnDisk:
    """A Parquet file for each night and pair, below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, model: Model, pair: Pair, night: Scored) -> None:
        columns = {"partition": night.partitions.astype(object), "label": night.labels}
        for side, scores in (("incumbent", night.incumbent), ("rival", night.rival)):
            columns |= measures.named(model, side, scores)
        table = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
        recipes = {side: {"candidate": one.candidate, "window_days": one.window_days} for side, one in pair.sides}
        about = json.dumps({"question": _question(model), **recipes})
        table = table.replace_schema_metadata({ABOUT: about.encode()})
        files.write(self._path(night.as_of, pair), arrow.parquet_bytes(table))
        # twice as long as they count, for runs about past days
        forgotten = earlier(night.as_of, 2 * REMEMBERED * model.gate.change_days)
        for path in self.folder.glob("[0-9]*.parquet"):
            if path.name < forgotten:
                path.unlink(missing_ok=True)

    def nights(self, model: Model, pair: Pair, until: str) -> Iterator[Scored]:
        found = sorted(self.folder.glob(self._path("[0-9]*", pair).name), reverse=True)
        for path in found:
            as_of = path.name[: len("2026-01-01")]
            night = self._read(model, path, as_of) if as_of <= until else None
            if night is not None:
                yield night

    def _path(self, as_of: str, pair: Pair) -> Path:
        return self.folder / f"{as_of}-{pair.stem}.parquet"

    def _read(self, model: Model, path: Path, as_of: str) -> Scored | None:
        """One night; None if it cannot be read or answers another question, so that it counts as not there."""
        try:
            table = pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowInvalid, OSError) as reason:
            log.warning("The scores in %s cannot be read and do not count: %s", path, reason)
            return None
        if json.loads((table.schema.metadata or {}).get(ABOUT, b"{}")).get("question") != _question(model):
            log.warning("The scores in %s are about another label than that of today and do not count.", path)
            return None
        frame = table.to_pandas()
        sides = [measures.read_named(model, side, frame) for side in ("incumbent", "rival")]
        return Scored(as_of, frame["partition"].to_numpy(dtype=object), frame["label"].to_numpy(), *sides)


class InMemory:
    """For a replay, whose nights come one after another: what a newer night has of a day, older ones forget."""

    def __init__(self) -> None:
        self._nights: dict[str, list[Scored]] = {}

    def keep(self, model: Model, pair: Pair, night: Scored) -> None:
        older = [one for one in self._nights.get(pair.stem, []) if one.as_of != night.as_of]
        self._nights[pair.stem] = list(_each_day_once([night, *older]))

    def nights(self, model: Model, pair: Pair, until: str) -> list[Scored]:
        return [one for one in self._nights.get(pair.stem, []) if one.as_of <= until]


def weigh(model: Model, pair: Pair, nights: Iterable[Scored], as_of: str | None = None) -> Change:
    """How much better the rival is, over these nights (the newest first); each day by the newest that has it, and none
    that is older than `REMEMBERED`. The gain is that of ``training.metric`` in blocks of `BLOCK_DAYS`.

    Parameters
    ----------
    as_of : what the newest night that could be among ``nights`` is about; None: no outlook is wanted.
    """
    parts = list(_each_day_once(nights))
    days, newest, gain = 0, None, None
    if parts:
        newest = max(str(one) for part in parts for one in np.unique(part.partitions.astype(str)))
        known = earlier(newest, REMEMBERED * model.gate.change_days)
        parts = [part.of_days(part.partitions.astype(str) > known) for part in parts]
        partitions, labels, incumbent, rival = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("partitions", "labels", "incumbent", "rival")
        )
        days = len(np.unique(partitions.astype(str)))
        block = uncertainty.blocks(partitions, BLOCK_DAYS)
        metric, alpha = measures.metric(model, model.training.metric), model.gate.alpha
        gain = Estimate.record(comparison.gain(metric, labels, rival, incumbent, block, alpha))
    named, other = pair.names
    needed = _days_needed(model, days, gain)
    return Change(
        incumbent=named,
        rival=other,
        days=days,
        wanted=model.gate.change_days,
        gain=gain,
        needed=needed,
        earliest=_earliest(model, days, needed, newest, as_of) if needed and as_of else None,
    )


def _days_needed(model: Model, days: int, gain: Estimate | None) -> int | None:
    """Days of scores until the lower limit of the gain is above 0, if the gain stays as it is; None: too many.

    The distance from a gain to its limit shrinks with the square root of the days.
    """
    wanted = model.gate.change_days
    if gain is None or days < wanted:
        return wanted
    known = Gain.of(gain)
    if known is None or known.value <= 0:
        return None
    needed = max(wanted, math.ceil(days * ((known.value - known.lower) / known.value) ** 2))
    return needed if needed <= REMEMBERED * wanted else None


def _earliest(model: Model, days: int, needed: int, newest: str | None, as_of: str) -> str:
    """The as-of of the first night whose selection knows ``needed`` days of scores, if each night adds its own.

    A night scores its whole holdout: after a pause the first one adds all days of it that are not there yet.
    """
    first_of_next = earlier(as_of, model.training.holdout_days - 2)
    known = max(newest, earlier(first_of_next, 1)) if newest else earlier(first_of_next, 1)
    nights = max(1, needed - days - (date.fromisoformat(as_of) - date.fromisoformat(known)).days)
    return earlier(as_of, -(nights + 1))


def _each_day_once(nights: Iterable[Scored]) -> Iterator[Scored]:
    seen: set[str] = set()
    for night in nights:
        days = night.partitions.astype(str)
        new = ~np.isin(days, sorted(seen))
        if new.any():
            yield night.of_days(new)
        seen |= set(days.tolist())


def plain(name: str) -> str:
    """A candidate's name as a part of a file's name: letters, digits and underscores, the rest by their codes."""
    return re.sub(r"\W", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name, flags=re.ASCII)


def _question(model: Model) -> dict[str, object]:
    """What the labels mean: scores of another question cannot be compared with those of today."""
    return model.data.label.model_dump(mode="json", include={"column", "task", "positive", "classes"})
