"""The evaluation of a night: all twins scored on the same holdout, which none of them has seen."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from include.errors import DataError, IntegrityError, PerennialError, TransientError
from include.gate import anchors, change, comparison
from include.gate.evaluation import (
    BASELINE,
    CHALLENGER,
    CHAMPION,
    Anchor,
    Champion,
    Evaluation,
    Holdout,
    Side,
    UnscoredChampion,
    finite,
)
from include.gate.rivals import Pair, Scored
from include.retraining.ports import HoldoutRows, Past, Ports, seen
from include.retraining.selection import Chosen
from include.spec import Model
from include.training import dataset, measures
from include.training.plan import Plan
from include.training.rows import Rows, read

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """An evaluation of challenger, baseline and champion, and their scores by side."""

    evaluation: Evaluation
    scores: Mapping[str, np.ndarray]


class Measuring:
    """Scores the twins of one night; the holdout is read when something is scored on it."""

    def __init__(self, model: Model, plan: Plan, chosen: Chosen, ports: Ports) -> None:
        self.model, self.plan, self.chosen, self.ports = model, plan, chosen, ports
        self._anchors: dict[int, Anchor] = {}

    @cached_property
    def holdout(self) -> HoldoutRows:
        return read_holdout(self.model, self.plan, self.chosen.candidate, self.ports.rows)

    @cached_property
    def measured(self) -> Measured:
        return compare(self.model, self.chosen, self.holdout, self.ports)

    def compared(self) -> Evaluation:
        """The evaluation of challenger, baseline and champion."""
        return self.measured.evaluation

    def other(self) -> tuple[Pair, Scored] | None:
        """The scores of the challenger and of the twin next to it; None if there is none, or one cannot be scored."""
        return score_other(
            self.model, self.plan, self.chosen, self.holdout, self.measured.scores.get(CHALLENGER), self.ports
        )

    def anchor(self, ago: int, past: Past | None) -> Anchor:
        """The champion of a number of nights ago; one that several numbers of nights refer to is scored once."""
        if past is None:
            return anchors.absent(ago)
        if past.version not in self._anchors:
            self._anchors[past.version] = anchors.scored(self.model, self.holdout.labels, ago, past, self._scores)
        return self._anchors[past.version].replace(nights_ago=ago)

    def _scores(self, past: Past) -> np.ndarray:
        return self.ports.champions.score(past.version, self.holdout).scores


def evaluate(measuring: Measuring) -> Evaluation:
    """Everything that the gate decides by. Tonight's scores of a rival are kept, and judged with earlier ones."""
    model, plan, chosen, ports = measuring.model, measuring.plan, measuring.chosen, measuring.ports
    champion = ports.champions.serving()
    evaluation, scored = measuring.compared(), measuring.other() if chosen.other else None
    if scored is not None:
        ports.rivals.keep(model, *scored)
    incumbent, pair = champion.recipe if champion else None, scored[0] if scored else None
    kind, changed = change.weighed(model, plan, chosen.recipe, incumbent, pair, ports.rivals)
    version = champion.version if champion else None
    picked = anchors.pick(model.gate.anchors, ports.champions.past(), version, chosen.twin.last)
    found = tuple(measuring.anchor(ago, past) for ago, past in picked)
    return evaluation.replace(kind=kind, change=changed, anchors=found)


def read_holdout(model: Model, plan: Plan, candidate: str, rows: Rows) -> HoldoutRows:
    """Read the holdout of a run.

    Raises
    ------
    DataError : no row of it has a label.
    """
    first, last = plan.spans(candidate).holdout
    frame = dataset.labelled(model, read(plan, (first, last), rows))
    if frame.empty:
        raise DataError(
            f"no row of the holdout {first} to {last} has a label: there is nothing to judge {model.name} on."
        )
    frame = dataset.sort(model, frame)
    return HoldoutRows(first, last, frame, dataset.labels(model, frame), dataset.features_frame(model, frame))


def compare(model: Model, chosen: Chosen, holdout: HoldoutRows, ports: Ports) -> Measured:
    """Score the twins of challenger, baseline and champion on the holdout.

    A twin that has seen a day of the holdout is never scored: for that of the champion this is recorded
    (``champion_unusable``), for those of tonight it is an error.

    Raises
    ------
    IntegrityError : a twin of tonight has seen the holdout.
    """
    scores: dict[str, np.ndarray] = {}
    sides: dict[str, Side] = {}
    for side, twin in chosen.twins.items():
        _refuse_seen(side, twin.name, twin.last, holdout.first)
        found: dict[str, float | None] = {}
        error = None
        try:
            scores[side] = measures.score_features(model, ports.twins.pipeline(twin), holdout.features)
            found = _metrics(model, holdout, scores[side])
        except DataError as problem:
            error = str(problem)
        sides[side] = Side(name=twin.name, last=twin.last, rows=len(holdout.rows), error=error, metrics=found)
    champion, unusable = _champion(model, holdout, ports, scores)
    evaluation = Evaluation(
        holdout=_summary(model, holdout),
        challenger=sides[CHALLENGER],
        baseline=sides[BASELINE],
        champion=champion,
        champion_exists=champion is not None,
        champion_unusable=unusable,
    )
    if CHALLENGER in scores:
        evaluation = comparison.compared(model, evaluation, holdout.rows, holdout.features, holdout.labels, scores)
    return Measured(evaluation, scores)


def _champion(
    model: Model, holdout: HoldoutRows, ports: Ports, scores: dict[str, np.ndarray]
) -> tuple[Champion | UnscoredChampion | None, str | None]:
    """The champion, whose scores are added to ``scores``, and why it cannot be compared."""
    standing = ports.champions.serving()
    if standing is None:
        return None, None
    try:
        found = ports.champions.score(standing.version, holdout)
        champion = Champion(
            name=standing.name,
            version=standing.version,
            digest=standing.digest,
            candidate=found.candidate,
            last=found.last,
            rows=len(holdout.rows),
            error=None,
            metrics=_metrics(model, holdout, found.scores),
        )
    except TransientError:
        raise
    except PerennialError as problem:
        log.warning("Champion version %d of %s cannot be compared: %s", standing.version, model.name, problem)
        unscored = UnscoredChampion(name=standing.name, version=standing.version, digest=standing.digest)
        return unscored, str(problem)
    scores[CHAMPION] = found.scores
    return champion, None


def score_other(
    model: Model, plan: Plan, chosen: Chosen, holdout: HoldoutRows, challenger: np.ndarray | None, ports: Ports
) -> tuple[Pair, Scored] | None:
    """The scores of the challenger and of the twin next to it (`Chosen.other`: its rival, or the incumbent) of tonight.

    Parameters
    ----------
    challenger : its scores; None if it could not be scored.

    Returns
    -------
    None if nothing is next to it, or one of the two cannot be scored (which is logged, and counts as no evidence).

    Raises
    ------
    IntegrityError : the twin has seen the holdout.
    """
    other = chosen.other
    if other is None or challenger is None:
        return None
    _refuse_seen(other.role, other.twin.name, other.twin.last, holdout.first)
    try:
        scores = measures.score_features(model, ports.twins.pipeline(other.twin), holdout.features)
    except DataError as problem:
        log.warning("The %s (%s) is not scored tonight: %s", other.role, other.twin.name, problem)
        return None
    partitions = holdout.rows["partition"].astype(str).to_numpy(dtype=object)
    sides = (challenger, scores) if other.role == "rival" else (scores, challenger)
    pair = change.pair_of(chosen.recipe, other.role, other.recipe)
    return pair, Scored(plan.as_of, partitions, holdout.labels, *sides)


def _refuse_seen(side: str, name: str, last: str, first: str) -> None:
    refuse = seen(last, first)
    if refuse:
        raise IntegrityError(f"the {side}'s twin ({name}) {refuse}.")


def _metrics(model: Model, holdout: HoldoutRows, scores: np.ndarray) -> dict[str, float | None]:
    return {name: finite(value) for name, value in measures.metrics(model, holdout.labels, scores).items()}


def _summary(model: Model, holdout: HoldoutRows) -> Holdout:
    days, rows = int(holdout.rows["partition"].nunique()), len(holdout.rows)
    if model.data.label.multiclass:
        shares = measures.label_shares(model, holdout.labels)
        return Holdout(
            first=holdout.first, last=holdout.last, days=days, rows=rows, label_mean=None, label_shares=shares
        )
    mean = float(holdout.labels.mean())
    return Holdout(first=holdout.first, last=holdout.last, days=days, rows=rows, label_mean=mean)
