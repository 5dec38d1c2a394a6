"""Can the release model be served: how large its file is, and how long one row takes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from include.errors import ReleaseError
from include.scoring import processor_time
from include.scoring.columns import columns_for
from include.spec import Model
from include.training import dataset, export

log = logging.getLogger(__name__)


def guard_size(model: Model, onnx: bytes) -> str:
    """A sentence about the size of the served file.

    Raises
    ------
    ReleaseError : it is larger than ``release.max_megabytes``.
    """
    size, limit = len(onnx) / 1e6, model.release.max_megabytes
    if size > limit:
        raise ReleaseError(
            f"the ONNX model of {model.name} has {size:.1f} MB, and release.max_megabytes is {limit:g}: fewer or "
            "smaller trees, fewer categories, or another limit."
        )
    return f"The served file has {size:.2f} MB (allowed {limit:g})."


def guard_latency(model: Model, onnx: bytes, columns: Sequence[int | None], rows: Sequence[Mapping[str, Any]]) -> float:
    """Milliseconds of processor time that one row takes, from JSON values to a score (`processor_time.milliseconds`).

    Not the time on a clock: a release must not depend on what else the machine does. Not part of the bundle: the same
    run again makes the same bytes.

    Parameters
    ----------
    columns : `evaluation.output_columns` of the fit.
    rows : real rows as the server receives them.

    Raises
    ------
    ReleaseError : it takes longer than ``release.max_row_milliseconds``.
    """
    scorer, build = export.OnnxScorer(onnx, columns), dataset.builder(model)
    inputs = [(c.name, c.type.value) for c in model.data.inputs]

    def score(at: int) -> None:
        row = dict(rows[at % len(rows)])
        scorer.score(dataset.frame_of(model, build(columns_for(inputs, [row])), 1))

    found, limit = processor_time.milliseconds(score), model.release.max_row_milliseconds
    if found > limit:
        raise ReleaseError(
            f"one row takes {found:.1f} ms of processor time with the release model of {model.name}, and "
            f"release.max_row_milliseconds is {limit:g}: fewer trees, a cheaper features.build, or another limit."
        )
    log.info("One row takes %.2f ms of processor time (allowed %g).", found, limit)
    return found
