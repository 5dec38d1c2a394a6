"""What a decision was made from, read from the ledger's documents for pages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.errors import PerennialError
from include.overview.records import Figure, SliceFigure
from include.overview.service import gain_of
from include.registry.evidence import Evidence, Figures, Metric

if TYPE_CHECKING:
    from include.registry.rows import DecisionRow

log = logging.getLogger(__name__)


def evidence_of(row: DecisionRow | None) -> Evidence | None:
    """What a decision was made from; None if it was not recorded, or another release wrote it in an unknown way."""
    try:
        return None if row is None or row.evidence is None else Evidence.of(row.evidence)
    except PerennialError as error:
        log.warning("The evidence of run %s cannot be read: %s", row.run_id if row else "", error)
        return None


def figures_of(row: DecisionRow | None) -> Figures | None:
    """The figures of a decision; None as in `evidence_of`."""
    try:
        return None if row is None or row.figures is None else Figures.of(row.figures)
    except PerennialError as error:
        log.warning("The figures of run %s cannot be read: %s", row.run_id if row else "", error)
        return None


def figure_of(found: Metric) -> Figure:
    """A metric with its interval."""
    return Figure(found.name, found.value, found.lower, found.upper)


def slices_of(evidence: Evidence | None) -> tuple[SliceFigure, ...]:
    """The slices of a decision."""
    return tuple(
        SliceFigure(one.column, one.value, one.rows, one.challenger, one.champion, gain_of(one.gain))
        for one in (evidence.slices if evidence else ())
    )
