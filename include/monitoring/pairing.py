"""The champion and a newer fit on the same newest matured days, which neither of them has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from include.errors import PerennialError, TransientError
from include.monitoring.challengers import Challengers, Rows, first_known
from include.monitoring.releases import Release, known
from include.monitoring.replaying import Day, Replay
from include.monitoring.staleness import Pair
from include.spec import Model
from include.training import dataset


@dataclass(frozen=True)
class Paired:
    """The pair of the paired rule, or why there is none.

    Attributes
    ----------
    newer : the name of the newer fit. ``lack`` : the end of a sentence; ``""`` if there is a pair.
    frame : the rows of the pair, in its order.
    fresh : the champion was fitted on days of the comparison. Then it is not the one that was found to be stale.
    """

    pair: Pair | None = None
    frame: pd.DataFrame | None = None
    newer: str = ""
    lack: str = ""
    fresh: bool = False


def pair(
    model: Model, champion: Release, days: Sequence[Day], replays: dict[str, Replay], challengers: Sequence[Challengers]
) -> Paired:
    """Score both on the labelled rows of some days.

    Parameters
    ----------
    days : oldest first. ``replays`` : of these days; those of the champion are not made again.

    Raises
    ------
    TransientError : a service did not answer.
    """
    if not days:
        return Paired(lack="no day has final labels yet")
    first, last = days[0].key, days[-1].key
    if champion.fitted_on(first):
        if champion.last is None:
            return Paired(lack="the manifest of the champion does not have the days of its fit")
        why = f"the champion was fitted up to {champion.last}, and the days of the comparison begin on {first}"
        return Paired(lack=why, fresh=True)
    try:
        scores = np.concatenate([_champion(champion, day, replays.get(day.key)) for day in days])
        frame = pd.concat([day.frame for day in days], ignore_index=True)
        usable = frame[model.data.label.column].notna().to_numpy(dtype=bool) & known(scores)
        frame, scores = frame.loc[usable].reset_index(drop=True), scores[usable]
        if frame.empty:
            return Paired(lack="no row of the days has a label and a score of the champion")
        rows = Rows(first, last, frame, dataset.labels(model, frame), champion.version)
        newer = first_known(challengers, rows, champion.last)
    except TransientError:
        raise
    except PerennialError as problem:
        return Paired(lack=str(problem))
    if newer is None:
        since = f"was fitted after {champion.last}, and " if champion.last else ""
        return Paired(lack=f"no fit {since}has not seen the days from {first} on")
    partitions = frame["partition"].astype(str).to_numpy(dtype=object)
    found = Pair(rows.labels, scores, newer.scores, partitions, champion.last, newer.last)
    return Paired(found, frame, newer.name)


def _champion(champion: Release, day: Day, replay: Replay | None) -> np.ndarray:
    """The champion's scores of a day."""
    kept = replay is not None and replay.service is not None and replay.service.digest == champion.digest
    if kept and replay is not None and replay.scores is not None:
        return replay.scores
    return champion.scores(day.frame)
