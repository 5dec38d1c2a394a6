"""The figures of `make gate-power`, from fits that end on different days: cost of lag, standard error, power."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np

from include.backtest.progress import Advance
from include.errors import DataError
from include.gate import comparison
from include.partitions import earlier, keys_between
from include.power import aged, chances
from include.power.aged import Fit, Scored
from include.power.chances import Differences, Equal
from include.spec import Model, Power
from include.statistics import uncertainty
from include.training import evaluation

WEEK = 7
LAGS = (WEEK, 14, 28)
"""Days by which a model is older than one that has learned up to the day before the judged week."""
APART = (1, WEEK)
"""Days between the two fits of a healthy refresh: the champion is of last night, or the gate has held for a week."""
AGES = tuple(sorted({0, *LAGS, *APART}))
OLDEST = max(AGES)
HOLDOUTS = (7, 14, 21, 28)
TIMES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
"""Margins that are shown, in standard errors, beside the configured and the recommended one."""


def holdouts(model: Model) -> list[int]:
    """The lengths that are looked at, in days; the model's own is one of them."""
    return sorted({*HOLDOUTS, model.training.holdout_days})


def reach(model: Model) -> int:
    """Days after its last one that a fit is judged on at most."""
    return max(max(APART) + max(holdouts(model)), OLDEST + WEEK)


def following(night: str, days: int) -> list[str]:
    """The keys of so many days after ``night``."""
    return keys_between(earlier(night, -1), earlier(night, -days))


def of(model: Model, fits: Mapping[str, Fit], nights: Sequence[str], advance: Advance) -> dict[str, Any]:
    """All figures; a night for which a fit was refused is left out, and told.

    Returns
    -------
    ``nights`` (that were measured), ``refused`` (by the day on which the fit ends), ``lag`` [{lag, value, cost}],
    ``standard_error`` [{holdout, apart, median, high, nights}], ``declared`` (`spec.Power`, JSON-able), ``margin``
    (that follows), ``power`` [{holdout, margin, equal, worse}], ``days_needed`` [{margin, days}].

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
    week = next(found["cost"]["value"] for found in lags if found["lag"] == WEEK)
    if own is None or week is None:
        raise DataError(
            f"the standard error of {model.training.metric} over a holdout of {model.training.holdout_days} days in "
            f"blocks of {model.gate.block_days} is not defined on any night of {model.name}, or its value in a week."
        )
    declared = Power(standard_error=_rounded(own), stale_week=_rounded(week), measured=date.fromisoformat(_last(weeks)))
    return {
        "nights": measured,
        "refused": refused,
        "lag": lags,
        "standard_error": known,
        "declared": declared.model_dump(mode="json"),
        "margin": declared.margin,
        **_power(model, differences, declared),
    }


def _errors(model: Model, night: str, found: Mapping[int, Scored], errors: dict[tuple[int, int], list[float]]) -> None:
    """The standard error that the gate would find on this night, by holdout and by days between the fits."""
    for apart in APART:
        for days in holdouts(model):
            y, newer, older, day = aged.paired(found[0], found[apart], following(night, days))
            block = uncertainty.blocks(day, model.gate.block_days)
            metric = evaluation.metric(model, model.training.metric)
            gain = comparison.gain(metric, y, newer, older, block, model.gate.alpha)
            if gain.known:
                errors[days, apart].append(gain.error)


def _differences(model: Model, night: str, found: Mapping[int, Scored]) -> Differences:
    """Of the fits that are a week apart: that is what has to pass where the gate has held."""
    y, newer, older, day = aged.paired(found[0], found[WEEK], following(night, max(holdouts(model))))
    metric = evaluation.metric(model, model.training.metric)
    return chances.by_block(metric, y, newer, older, uncertainty.blocks(day, model.gate.block_days))


def _lags(model: Model, weeks: Mapping[int, Sequence[tuple[np.ndarray, ...]]]) -> list[dict[str, Any]]:
    """What a model that is so many days older loses in the week after, over all nights, its error by days."""
    metric = evaluation.metric(model, model.training.metric)
    told: list[dict[str, Any]] = []
    for lag, parts in weeks.items():
        y, newer, older, day = (np.concatenate(of) for of in zip(*parts, strict=True))
        block = uncertainty.blocks(day, model.gate.block_days)
        cost = comparison.gain(metric, y, newer, older, block, model.gate.alpha)
        if not told:
            told.append({"lag": 0, "value": _finite(metric.compute(y, newer)), "cost": None})
        told.append({"lag": lag, "value": _finite(metric.compute(y, older)), "cost": cost.as_dict()})
    return told


def _standard_errors(errors: Mapping[tuple[int, int], Sequence[float]]) -> list[dict[str, Any]]:
    return [
        {
            "holdout": holdout,
            "apart": apart,
            "median": float(np.median(values)),
            "high": float(np.quantile(values, 0.9)),
            "nights": len(values),
        }
        for (holdout, apart), values in sorted(errors.items())
    ]


def _own(known: Sequence[Mapping[str, Any]], holdout: int) -> float | None:
    """The standard error over the model's own holdout, of fits that are a week apart."""
    return next((one["median"] for one in known if (one["holdout"], one["apart"]) == (holdout, WEEK)), None)


def _power(model: Model, differences: Sequence[Differences], declared: Power) -> dict[str, Any]:
    """How often the gate promotes, by holdout and margin, and the days that a margin needs."""
    gate = model.gate
    equal = Equal(differences, gate.alpha)
    shown = {float(f"{times * declared.standard_error:.2g}") for times in TIMES} | {gate.margin, declared.margin}
    margins = sorted(margin for margin in shown if margin > 0)
    most = chances.MOST_DAYS // gate.block_days
    table, needed = [], []
    for days in holdouts(model):
        blocks = math.ceil(days / gate.block_days)
        for margin in margins if blocks > 1 else ():
            rates = {"equal": equal.promoted(blocks, margin), "worse": equal.promoted(blocks, margin, better=-margin)}
            table.append({"holdout": days, "margin": margin, **rates})
    for margin in margins:
        blocks_needed = equal.blocks_needed(margin, most)
        needed.append({"margin": margin, "days": blocks_needed and blocks_needed * gate.block_days})
    return {"power": table, "days_needed": needed}


def _last(weeks: Mapping[int, Sequence[tuple[np.ndarray, ...]]]) -> str:
    """The last day that the cost of a week was measured on."""
    return max(str(day[-1]) for _, _, _, day in weeks[WEEK] if len(day))


def _rounded(value: float) -> float:
    """Three digits: what a person writes into `model.py`."""
    return float(f"{value:.3g}")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
