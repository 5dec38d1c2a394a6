"""The figures of `make gate-power`, from fits that end on different days: cost of lag, standard error, power."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache

import numpy as np

from include.errors import DataError
from include.gate import comparison
from include.gate.evaluation import Estimate, finite
from include.partitions import earlier, keys_between
from include.power import aged, chances
from include.power.aged import Fit, Scored
from include.power.chances import Differences, Equal
from include.progress import Advance
from include.records import PartitionKey, Record
from include.spec import Model, Power
from include.statistics import uncertainty
from include.training import measures

WEEK = 7
LAGS = (WEEK, 14, 28)
"""Days by which a model is older than one that has learned up to the day before the judged week."""
APART = (1, WEEK)
"""Days between the two fits of a healthy refresh: the champion is of last night, or the gate has held for a week."""
AGES = tuple(sorted({0, *LAGS, *APART}))
OLDEST = max(AGES)
HOLDOUTS = (7, 14, 21, 28)
TIMES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
"""Displayed margins, in standard errors, in addition to the configured and the recommended one."""


class Lag(Record):
    """What a model that is ``lag`` days older is worth in the week after, and what it costs; None for lag 0."""

    lag: int
    value: float | None
    cost: Estimate | None


class StandardError(Record):
    """The standard error of the difference of two fits that end ``apart`` days apart, over the nights."""

    holdout: int
    apart: int
    median: float
    high: float
    nights: int


class Promoted(Record):
    """How often an equally good challenger is promoted, and one that is worse by exactly the margin."""

    holdout: int
    margin: float
    equal: float
    worse: float


class DaysNeeded(Record):
    """The days that a margin needs; None: more than the longest examined holdout."""

    margin: float
    days: int | None


class Figures(Record):
    """What was measured.

    Attributes
    ----------
    nights, refused : the nights that were measured, and the fits that were refused, by the day on which they end.
    declared, margin : for `model.py`, and the margin that follows.
    """

    nights: tuple[PartitionKey, ...]
    refused: dict[str, str]
    lag: tuple[Lag, ...]
    standard_error: tuple[StandardError, ...]
    declared: Power
    margin: float
    power: tuple[Promoted, ...]
    days_needed: tuple[DaysNeeded, ...]


def holdouts(model: Model) -> list[int]:
    """The examined lengths, in days; the model's own is one of them."""
    return sorted({*HOLDOUTS, model.training.holdout_days})


def reach(model: Model) -> int:
    """Days after its last one that a fit is judged on at most."""
    return max(max(APART) + max(holdouts(model)), OLDEST + WEEK)


def following(night: str, days: int) -> list[str]:
    """The keys of this many days after ``night``."""
    return keys_between(earlier(night, -1), earlier(night, -days))


def of(model: Model, fits: Mapping[str, Fit], nights: Sequence[str], advance: Advance) -> Figures:
    """All figures; a night for which a fit was refused is left out, and named.

    Raises
    ------
    DataError : no night could be measured, or the holdout is less than two blocks.
    """
    scored = lru_cache(maxsize=4 * len(AGES))(aged.read)
    refused: dict[str, str] = {}
    weeks: dict[int, list[tuple[np.ndarray, ...]]] = defaultdict(list)
    errors: dict[tuple[int, int], list[float]] = defaultdict(list)
    differences: list[Differences] = []
    measured = []
    for night in nights:
        aged_fits = {age: scored(fits[earlier(night, age)]) for age in AGES}
        bad = {earlier(night, age): str(found.refused) for age, found in aged_fits.items() if found.refused}
        if not bad and not any(day in aged_fits[0].labels for day in following(night, WEEK)):
            bad = {night: "no day of the week after it has a label."}
        refused |= bad
        if not bad:
            for lag in LAGS:
                weeks[lag].append(aged.paired(aged_fits[0], aged_fits[lag], following(night, WEEK)))
            _errors(model, night, aged_fits, errors)
            differences.append(_differences(model, night, aged_fits))
            measured.append(night)
        advance(night)
    if not measured:
        raise DataError(f"no night of {model.name} could be measured. The first fit: {next(iter(refused.values()))}")
    lags = _lags(model, weeks)
    known = _standard_errors(errors)
    own = _own(known, model.training.holdout_days)
    week = next(found.cost.value for found in lags if found.lag == WEEK and found.cost)
    if own is None or week is None:
        raise DataError(
            f"the standard error of {model.training.metric} over a holdout of {model.training.holdout_days} days in "
            f"blocks of {model.gate.block_days} is not defined on any night of {model.name}, or its value in a week."
        )
    declared = Power(standard_error=_rounded(own), stale_week=_rounded(week), measured=date.fromisoformat(_last(weeks)))
    power, needed = _power(model, differences, declared)
    return Figures(
        nights=tuple(measured),
        refused=refused,
        lag=tuple(lags),
        standard_error=tuple(known),
        declared=declared,
        margin=declared.margin,
        power=tuple(power),
        days_needed=tuple(needed),
    )


def _errors(model: Model, night: str, found: Mapping[int, Scored], errors: dict[tuple[int, int], list[float]]) -> None:
    """The standard error that the gate would find on this night, by holdout and by days between the fits."""
    for apart in APART:
        for days in holdouts(model):
            y, newer, older, day = aged.paired(found[0], found[apart], following(night, days))
            block = uncertainty.blocks(day, model.gate.block_days)
            metric = measures.metric(model, model.training.metric)
            gain = comparison.gain(metric, y, newer, older, block, model.gate.alpha)
            if gain.known:
                errors[days, apart].append(gain.error)


def _differences(model: Model, night: str, found: Mapping[int, Scored]) -> Differences:
    """Of the fits that are a week apart: such a challenger must pass after the gate has held."""
    y, newer, older, day = aged.paired(found[0], found[WEEK], following(night, max(holdouts(model))))
    metric = measures.metric(model, model.training.metric)
    return chances.by_block(metric, y, newer, older, uncertainty.blocks(day, model.gate.block_days))


def _lags(model: Model, weeks: Mapping[int, Sequence[tuple[np.ndarray, ...]]]) -> list[Lag]:
    """What a model that is this many days older loses in the week after, over all nights, its error by days."""
    metric = measures.metric(model, model.training.metric)
    found: list[Lag] = []
    for lag, parts in weeks.items():
        y, newer, older, day = (np.concatenate(of) for of in zip(*parts, strict=True))
        block = uncertainty.blocks(day, model.gate.block_days)
        cost = comparison.gain(metric, y, newer, older, block, model.gate.alpha)
        if not found:
            found.append(Lag(lag=0, value=finite(metric.compute(y, newer)), cost=None))
        found.append(Lag(lag=lag, value=finite(metric.compute(y, older)), cost=Estimate.record(cost)))
    return found


def _standard_errors(errors: Mapping[tuple[int, int], Sequence[float]]) -> list[StandardError]:
    return [
        StandardError(
            holdout=holdout,
            apart=apart,
            median=float(np.median(values)),
            high=float(np.quantile(values, 0.9)),
            nights=len(values),
        )
        for (holdout, apart), values in sorted(errors.items())
    ]


def _own(known: Sequence[StandardError], holdout: int) -> float | None:
    """The standard error over the model's own holdout, of fits that are a week apart."""
    return next((one.median for one in known if (one.holdout, one.apart) == (holdout, WEEK)), None)


def _power(
    model: Model, differences: Sequence[Differences], declared: Power
) -> tuple[list[Promoted], list[DaysNeeded]]:
    """How often the gate promotes, by holdout and margin, and the days that a margin needs."""
    gate = model.gate
    equal = Equal(differences, gate.alpha)
    shown = {float(f"{times * declared.standard_error:.2g}") for times in TIMES} | {gate.margin, declared.margin}
    margins = sorted(margin for margin in shown if margin > 0)
    table, needed = [], []
    for days in holdouts(model):
        blocks = math.ceil(days / gate.block_days)
        for margin in margins if blocks > 1 else ():
            alike, worse = (equal.promoted(blocks, margin, better) for better in (0.0, -margin))
            table.append(Promoted(holdout=days, margin=margin, equal=alike, worse=worse))
    for margin in margins:
        found = equal.blocks_needed(margin, chances.MOST_DAYS // gate.block_days)
        needed.append(DaysNeeded(margin=margin, days=None if found is None else found * gate.block_days))
    return table, needed


def _last(weeks: Mapping[int, Sequence[tuple[np.ndarray, ...]]]) -> str:
    """The last day that the cost of a week was measured on."""
    return max(str(day[-1]) for _, _, _, day in weeks[WEEK] if len(day))


def _rounded(value: float) -> float:
    """Rounded to three digits, for `model.py`."""
    return float(f"{value:.3g}")
