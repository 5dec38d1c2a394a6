"""How many days make a night: windows, holdout and the gate's minima, chosen from the rhythm of the data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, floor

import numpy as np

from include.authoring.findings import Findings, Rhythm
from include.authoring.reading import per_day
from include.errors import DataError
from include.sources.replay import Replay
from include.spec import Task

FRESH = timedelta(days=3)  # data that end so shortly before today are taken for a table that grows
WEEK = 7
SLACK = 2
LEAST_OF_A_CLASS = 10  # rows in a holdout: with fewer, no metric is meaningful for the class


@dataclass(frozen=True)
class Part:
    """Bounds of one part of a night: rows and days with rows: the preferred and the least number."""

    rows: int
    days: int
    least_rows: int
    least_days: int
    most_days: int  # beyond it more days are not wanted for the sake of rows

    def days_for(self, rows_a_day: float, share: float, scale: float) -> int:
        """Calendar days; ``scale`` 1 gives what is wanted, 0 what is needed. ``share`` of all days have rows."""
        least = max(ceil(self.least_days / share), ceil(self.least_rows / (rows_a_day * share)))
        want = max(self.days, ceil(self.rows / (rows_a_day * share)))
        want = max(least, min(want, self.most_days))
        return floor(least + scale * (want - least))


WINDOW = Part(rows=4000, days=60, least_rows=300, least_days=7, most_days=400)
SELECTION = Part(rows=400, days=7, least_rows=60, least_days=3, most_days=60)
HOLDOUT = Part(rows=800, days=14, least_rows=120, least_days=5, most_days=120)


def settle_rhythm(found: Findings, today: date) -> None:
    """Choose the protocol.

    Raises
    ------
    DataError : too short or too sparse for an honest holdout; names what would be enough.
    """
    labels = per_day(found, found.rows[found.target].notna().astype(int))
    rows = np.array([found.counts.get(day.date(), 0) for day in labels.index])
    labelled = labels.to_numpy().astype(float)
    unseen = labelled.sum() / max(rows[labelled > 0].sum(), 1)
    labelled = np.where(labelled > 0, labelled, rows * (unseen if len(found.rows) < found.total else 0))
    first, last = min(found.counts), max(found.counts)
    replayed = today - last > FRESH
    if replayed:
        whole = len(rows) // WEEK * WEEK
        labelled, rows = labelled[len(rows) - whole :], rows[len(rows) - whole :]
        first = last - timedelta(days=whole - 1)
    days = len(rows)
    with_labels = int((labelled > 0).sum())
    if not with_labels:
        raise DataError(
            f"{found.total:,} rows from {min(found.counts)} to {last} are too few or too short: they do not fill a "
            "week, and some weeks to train on, to select on and to hold out are the least."
        )
    share, a_day = with_labels / days, float(labelled.sum()) / with_labels
    empty = int((rows == 0).sum())
    window, selection, holdout = _spans(days - SLACK, a_day, share, (found, first, last))
    second = min(2 * window, days - SLACK - selection - holdout)
    if second < 1.25 * window:
        second = ceil(window * 2 / 3)
    night = window + selection + holdout + SLACK
    start, replay = first, None
    if replayed:
        start, replay = _replayed(first, last, days, night, today)
    of_holdouts = _sliding(labelled, holdout, replayed)
    of_windows = _sliding(labelled, min(window, second), replayed)
    filled = _sliding((labelled > 0).astype(float), holdout, replayed)
    found.rhythm = Rhythm(
        first=first, last=last, start=start, replay=replay, empty_days=empty > 0,
        window=window, second=second, selection=selection, holdout=holdout, slack=SLACK,
        min_rows=max(50, min(1000, floor(0.5 * np.quantile(of_windows, 0.02)))),
        gate_days=max(1, floor(0.6 * np.quantile(filled, 0.02))),
        gate_rows=max(30, min(2000, floor(0.5 * np.quantile(of_holdouts, 0.02)))),
        gate_class_rows=_class_rows(found, holdout, len(rows), replayed),
    )  # fmt: skip
    _say(found, a_day, empty, days)


def _class_rows(found: Findings, holdout: int, days: int, replayed: bool) -> int | None:
    """Half of the rows of the scarcest class in a holdout that has few; None of a regression."""
    if found.task is Task.REGRESSION:
        return None
    labels = found.rows[found.target]
    known = np.flatnonzero(per_day(found, labels.notna().astype(int)))[0]  # of very many rows only the newest are here
    few = []
    for value in labels.dropna().unique():
        daily = per_day(found, (labels == value).fillna(False).astype(int)).to_numpy().astype(float)[known:][-days:]
        few.append(np.quantile(_sliding(daily, holdout, replayed), 0.02))
    return max(LEAST_OF_A_CLASS, min(200, floor(0.5 * min(few))))


def _spans(available: int, a_day: float, share: float, about: tuple[Findings, date, date]) -> tuple[int, int, int]:
    """The longest window, selection and holdout between what is needed and what is wanted that fit into the days."""
    for step in range(100, -1, -1):
        window, selection, holdout = (p.days_for(a_day, share, step / 100) for p in (WINDOW, SELECTION, HOLDOUT))
        if holdout > WEEK:
            holdout = floor(holdout / WEEK) * WEEK if step else ceil(holdout / WEEK) * WEEK
        if window + selection + holdout <= available:
            return window, selection, holdout
    found, first, last = about
    least = [p.days_for(a_day, share, 0) for p in (WINDOW, SELECTION, HOLDOUT)]
    per = f"{a_day:.1f} labelled rows on {share:.0%} of the days"
    raise DataError(
        f"{found.total:,} rows from {first} to {last} are too few or too short for an honest comparison: with {per}, "
        f"{least[0]} days to train on, {least[1]} to select on and {least[2]} to hold out are the least "
        f"({sum(least) + SLACK} days), and there are {available + SLACK}. At least {WINDOW.least_rows} + "
        f"{SELECTION.least_rows} + {HOLDOUT.least_rows} labelled rows on {WINDOW.least_days} + {SELECTION.least_days} "
        f"+ {HOLDOUT.least_days} different days would be enough."
    )


def _replayed(first: date, last: date, cycle: int, night: int, today: date) -> tuple[date, Replay]:
    """Where the replay begins: most of the history lies behind today (for back-tests), some of it ahead, so that it is
    a while until the newest day is followed by the oldest."""
    behind = min(cycle, max(night + WEEK, cycle * 3 // 4))
    anchor = today - timedelta(days=behind)
    anchor -= timedelta(days=(anchor.weekday() - first.weekday()) % WEEK)
    return anchor, Replay(first=first, last=last, anchor=anchor)


def _sliding(values: np.ndarray, days: int, circular: bool) -> np.ndarray:
    """Sums over every span of ``days`` days; wrapping around if the history is replayed."""
    series = np.concatenate([values, values[: days - 1]]) if circular else values
    return np.convolve(series, np.ones(min(days, len(series))), mode="valid")


def _say(found: Findings, a_day: float, empty: int, days: int) -> None:
    r = found.rhythm
    assert r is not None
    if r.replay:
        found.say(
            "Days",
            f"The data end on {r.last}. So that every night has a last night, they are replayed in whole weeks from "
            f"{r.start} on, re-dated; REPLAY = None in source.py when the table grows daily.",
        )
    else:
        found.say("Days", f"The data reach {r.last}: each night takes the newest day.")
    if empty:
        found.say("Days", f"{empty:,} of {days:,} days have no rows (published as empty days).")
    found.say(
        "Days",
        f"{a_day:,.0f} labelled rows on a day that has some. A night trains on {r.window} days (a second candidate on "
        f"{r.second}), selects on {r.selection}, holds out {r.holdout}; the gate needs {r.gate_rows} rows on "
        f"{r.gate_days} days.",
    )
    delay = found.request.delay
    found.say(
        "Days",
        f"Labels are final {delay} after the end of their day (DELAY)."
        if delay
        else "Labels are taken to be final at the end of their day (DELAY=6h, DELAY=2d if they are not).",
    )
