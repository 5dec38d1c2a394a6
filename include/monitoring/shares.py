"""The limit of a share of a day's rows, from the same share on the days of a reference."""

from __future__ import annotations

import math
from collections.abc import Sequence

from include.statistics.reference import ENOUGH_DAYS

FACTOR = 2.0
"""A share may be this many times the largest one of the reference's days."""
STANDARD_ERRORS = 3.0
"""Room for chance on a day of few rows: the standard errors of a binomial share of as many rows."""
SMALLEST = 0.01
"""A share of up to one row in a hundred is within the limit, even if no day of the reference has such a row."""
FAULTY_DAYS = 0.1
"""Days of a reference on which *all* rows are concerned are faults of their own and do not widen the limit, unless they
are more than this part of its days."""


def limit_of(shares: Sequence[float], rows: int, smallest: float = SMALLEST) -> float | None:
    """The largest share that is usual; None with fewer than `ENOUGH_DAYS` days.

    The smaller one of twice the largest share w of a day, and of (1 + w) / 2: at least half of the rows that were not
    concerned on the worst day of the reference are not concerned today either. Plus three standard errors of a binomial
    share of ``rows`` rows.

    Parameters
    ----------
    shares : of each day of the reference, 0 to 1. ``rows`` : of the day that is judged, 1 or more.
    """
    if len(shares) < ENOUGH_DAYS:
        return None
    whole = sum(share >= 1 for share in shares)
    usual = shares if whole > FAULTY_DAYS * len(shares) else [share for share in shares if share < 1]
    worst = max(usual)
    allowed = max(smallest, min(FACTOR * worst, (1 + worst) / 2))
    return min(1.0, allowed + room(allowed, rows))


def room(share: float, rows: int) -> float:
    """Three standard errors of a binomial share."""
    return STANDARD_ERRORS * math.sqrt(share * (1 - share) / max(rows, 1))
