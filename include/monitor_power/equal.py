"""How often the paired rule fires for a champion that is as good as the newer fit: months of drawn days.

The differences of a day are those of two healthy fits of one recipe that end a week apart, less their mean over the
whole history: two models that are equally good, with the noise that the model's own days have. Days, or blocks of
consecutive days, are drawn, and each month is judged as the monitor judges it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from include.monitor_power.frozen import WEEK, Truth, Weekly
from include.partitions import earlier
from include.power import chances
from include.records import Record
from include.spec import Model
from include.training import measures

MONTH = 30
RUNS, SEED = 1000, 0


class EqualMonths(Record):
    """Of ``runs`` months of two equal models, the number in which the rule fires; ``days`` : that were drawn from."""

    alpha: float
    block: int
    days: int
    runs: int
    fired: int


def differences(model: Model, truth: Truth, weekly: Weekly, days: Sequence[str]) -> chances.Differences:
    """By day, how much better a fit is than one that is a week older; both have seen no day of the newest
    ``paired_days``. ``training.metric`` has to be a mean over rows.

    Raises
    ------
    ValueError : no day has a difference.
    """
    metric = measures.metric(model, model.training.metric)
    assert metric.by_row is not None
    sign = 1.0 if metric.larger_is_better else -1.0
    values, rows = [], []
    for day in days:
        newer = weekly.newest(earlier(day, model.monitoring.paired_days))
        older = weekly.newest(earlier(day, model.monitoring.paired_days + WEEK))
        y = truth.labels(day)
        of = [metric.by_row(y, truth.scores(fitted, day)) for fitted in (newer, older)]
        values.append(float(np.mean(sign * (of[0] - of[1]))))
        rows.append(float(len(y)))
    if not values:
        raise ValueError("no day has a difference")
    found = np.array(values)
    return chances.Differences(found - np.average(found, weights=rows), np.array(rows))


def months(
    model: Model, noise: chances.Differences, margin: float, alpha: float, block: int, runs: int = RUNS
) -> EqualMonths:
    """Draw months, and count those in which the rule fires at least once."""
    declared, random = model.monitoring, np.random.default_rng([SEED, block])
    length = declared.paired_days + declared.of_days + MONTH
    starts = random.integers(0, len(noise.values) - block + 1, (runs, -(-length // block)))
    at = (starts[:, :, None] + np.arange(block)).reshape(runs, -1)[:, :length]
    beyond = np.zeros((runs, length - declared.paired_days + 1), dtype=bool)
    for end in range(declared.paired_days, length + 1):
        window = at[:, end - declared.paired_days : end]
        lower = chances.lower_limits(noise.values[window], noise.rows[window], alpha)
        beyond[:, end - declared.paired_days] = lower > margin
    fires = np.zeros(runs, dtype=bool)
    for day in range(beyond.shape[1] - MONTH, beyond.shape[1]):
        newest = beyond[:, max(0, day - declared.of_days + 1) : day + 1]
        fires |= beyond[:, day] & (newest.sum(axis=1) >= declared.alarm_days)
    return EqualMonths(alpha=alpha, block=block, days=len(noise.values), runs=runs, fired=int(fires.sum()))
