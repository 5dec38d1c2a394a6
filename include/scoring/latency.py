"""The limit of `release.max_row_milliseconds`: how long one row may take, on the predictor that serves."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from include.errors import ReleaseError
from include.scoring import processor_time
from include.scoring.messages import Row
from include.scoring.predictor import Predictor

log = logging.getLogger(__name__)


def guard(predictor: Predictor, rows: Sequence[Row], limit: float, model: str) -> float:
    """Milliseconds of processor time that one row takes, from JSON values to a score (`processor_time.milliseconds`).

    Not the time on a clock: a release must not depend on what else the machine does. Not part of the bundle: the same
    run again makes the same bytes.

    Parameters
    ----------
    rows : real rows as the server receives them.
    limit : the model's ``release.max_row_milliseconds``.
    model : its name.

    Raises
    ------
    ReleaseError : it takes longer than ``limit``.
    """
    found = processor_time.milliseconds(lambda at: predictor.predict([rows[at % len(rows)]]))
    if found > limit:
        raise ReleaseError(
            f"one row takes {found:.1f} ms of processor time with the release model of {model}, and "
            f"release.max_row_milliseconds is {limit:g}: fewer trees, a cheaper features.build, or another limit."
        )
    log.info("One row takes %.2f ms of processor time (allowed %g).", found, limit)
    return found
