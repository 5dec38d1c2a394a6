"""What a model declares about its gate: figures of its own, margins, floors, slices, fairness, and their power.

As all of `include.spec`, it is parsed by the scheduler and imports nothing heavier than pydantic.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from include.spec.base import Declaration, Metric

STANDARD_ERRORS = 2.5
"""A margin needs at least this many standard errors: then 3 of 4 equal challengers pass two weeks of even days."""


class Scorer(Declaration):
    """A metric of your own, in addition to the built-in ones: a function in `scorers.py`, computed with them."""

    name: Metric
    """The name of the function, ``name(labels, scores)``. It gets arrays: labels as 0 and 1, numbers, or indices
    of ``label.classes``; scores as probabilities (a column for each of several classes) or numbers."""
    larger_is_better: bool
    """Whether a larger value is better."""
    by_row: bool = False
    """Whether the function returns a value for each row, whose mean is the figure; otherwise it returns the figure."""


class Floor(Declaration):
    """A limit that the challenger's metric must not fall below (or, for a loss, rise above): a promise to the users."""

    metric: Metric
    """Which figure."""
    limit: float
    """The worst value that is acceptable, in units of the metric."""


class Fairness(Declaration):
    """How differently a model may treat the groups of a sensitive attribute. Groups with fewer than 200 rows, 7 days
    or 20 rows of a class are shown but not judged."""

    column: str
    """A declared column, known before the event; it need not be a feature."""
    measure: Literal["demographic_parity", "equalized_odds", "group_error"]
    """Difference between the groups of the share of positive decisions, of the true or false positive rate (the larger
    one), or of the mean loss (the only one of a regression)."""
    limit: Annotated[float, Field(gt=0)] | None = None
    """The largest difference that is acceptable; ``None``: it is reported only."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Of a binary classification: the score from which a decision is positive."""


class Power(Declaration):
    """What `make gate-power` has measured on the model's own history; it prints the line for `model.py`. With it,
    `make lint-models` warns of a margin that holds healthy models for ever."""

    standard_error: Annotated[float, Field(ge=0)]
    """Standard error, over the holdout, of the difference between two fits of one recipe that end a week apart, in
    units of ``training.metric``: the median of the sampled nights."""
    stale_week: float
    """What serving a model that is a week older costs, in units of ``training.metric``; negative if it is better."""
    measured: date
    """The last day of the history that it was measured on."""

    @property
    def least_margin(self) -> float:
        """The smallest margin that healthy models pass often enough, and at least the cost of one more week of age."""
        return max(STANDARD_ERRORS * self.standard_error, self.stale_week, 0.0)

    @property
    def margin(self) -> float:
        """`least_margin`, rounded up to two digits."""
        least = self.least_margin
        if least == 0:
            return 0.0
        places = 1 - math.floor(math.log10(least))
        return round(math.ceil(least * 10**places - 1e-9) / 10**places, places)


class Gate(Declaration):
    """What a challenger must show on the holdout. Everything is judged by whole blocks of days, never by rows."""

    margin: Annotated[float, Field(gt=0)] = 0.02
    """How much worse than the champion it may truly be, in units of ``training.metric``. `make gate-power` reports what
    a margin costs."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """How often a challenger that is worse by exactly the margin may pass."""
    block_days: Annotated[int, Field(ge=1)] = 1
    """Days that count as one observation; their rows share weather, prices and events."""
    baseline_metric: Metric | None = None
    """The metric in which it must beat the trivial baseline; ``None``: ``training.metric``."""
    min_days: Annotated[int, Field(ge=1)] = 10
    """Days with labels that the holdout needs; with fewer a run refuses, and the gate holds."""
    min_rows: Annotated[int, Field(ge=1)] = 2000
    """Labelled rows that the holdout needs; with fewer the gate holds."""
    min_class_rows: Annotated[int, Field(ge=1)] = 200
    """Labelled rows of each class that the holdout needs; with fewer the gate holds."""
    anchors: tuple[Annotated[int, Field(ge=1)], ...] = (1, 7, 28, 91)
    """The twins of the champions of these numbers of nights ago are scored, too: small losses, each within the margin,
    must not add up. The challenger may be worse than the best of them by half the margin."""
    change_days: Annotated[int, Field(ge=14)] = 28
    """Days of scores of both that another recipe than the champion's needs before it may take its place."""
    floors: tuple[Floor, ...] = ()
    """Limits of single metrics; they reject if they are significantly violated."""
    slices: tuple[str, ...] = ()
    """Columns, known before the event, by whose values champion and challenger are compared, too."""
    slice_margin: Annotated[float, Field(gt=0)] | None = None
    """How much worse it may be on one value of such a column; ``None``: twice the margin."""
    fairness: tuple[Fairness, ...] = ()
    """Fairness rules between groups."""
    leak_alarm: Annotated[float, Field(gt=0.5, le=1)] = 0.99
    """How much a single feature may explain on the holdout: ROC-AUC, or for a number the absolute rank correlation. The
    challenger itself (ROC-AUC, R2) must not reach it either, unless the champion does. Set just above what healthy
    nights show, it also finds leaks that are not quite the answer."""
    max_psi: Annotated[float, Field(gt=0)] = 3.0
    """How far the distribution of its scores may be from that of the champion on the same rows (population stability
    index, ten bins)."""
    power: Power | None = None
    """The measured power of the gate, from which the smallest margin follows; ``None``: not measured, no warning."""
