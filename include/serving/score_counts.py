"""How the scores of each version are distributed, for Prometheus. Counted by the spool's writer, not by the request.

So scores are counted once their prediction is recorded: probe rows are not, nor predictions that the spool dropped.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

LIMITS = tuple(step / 10 for step in range(1, 11))
"""Upper limits of the buckets of probabilities."""


@dataclass
class ScoreCounts:
    """The scores of one version.

    Attributes
    ----------
    limits : upper limits of the buckets; empty for a regression, whose scores have no scale in common.
    counts : scores in each bucket, and above the last one.
    """

    limits: tuple[float, ...]
    total: float = 0.0
    counts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.limits) + 1)

    def add(self, scores: Sequence[float]) -> None:
        """Count scores; one that is not a finite number is left out."""
        for score in scores:
            if math.isfinite(score):
                self.counts[bisect_left(self.limits, score)] += 1
                self.total += score

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts by upper limit, as Prometheus writes them."""
        found, so_far = [], 0
        for limit, count in zip((*self.limits, math.inf), self.counts, strict=True):
            so_far += count
            found.append(("+Inf" if math.isinf(limit) else str(limit), float(so_far)))
        return found


class ScoresByVersion:
    """The scores of all versions of one process. Written by one thread, the spool's, so that it needs no lock."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, int], ScoreCounts] = {}

    def expect(self, model: str, version: int, probabilities: bool) -> None:
        """Begin to count the scores of a version, at zero."""
        self._versions.setdefault((model, version), ScoreCounts(LIMITS if probabilities else ()))

    def add(self, model: str, version: int, scores: Sequence[float] | None) -> None:
        """Count the scores of a request; ``None``: of several classes, which are not counted."""
        counts = self._versions.get((model, version))
        if counts is not None and scores is not None:
            counts.add(scores)

    def __iter__(self) -> Iterator[tuple[str, int, ScoreCounts]]:
        yield from ((model, version, counts) for (model, version), counts in list(self._versions.items()))
