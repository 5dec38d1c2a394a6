"""How far a day is from the reference: of each feature, of the score, and of the model as a whole.

Each feature is one test: its deciding measure (`include.statistics.drift`) against the largest distance of a day of the
reference to the other days. Many features are many tests; the weighted drift is one for all of them together, in which
a feature counts as much as the model depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from include.monitoring.wording import listed, number, percent
from include.statistics import drift
from include.statistics.profiles import Profile
from include.statistics.reference import ENOUGH_DAYS, DayProfile, FeatureReference, Reference
from include.statistics.results import Cause, Result, State

WEIGHTED = "weighted_drift"
WEIGHTED_FORMULA = 1
SCORE = "score"
MOST_UNKNOWN = 0.1
"""The share of the importance that inputs without a known distance may have; with more the weighted drift is unknown:
what is not seen could be what has drifted."""
ROUNDING = 1e-9
DAMAGED_DAY = ""
"""The key in ``damaged`` for what concerns all rows of the day."""
DAMAGED_SCORE = "*score"
"""The key in ``damaged`` for what concerns the score alone; no column has this name."""


def judge(
    reference: Reference, day: DayProfile, leave_out: Sequence[str] = (), damaged: Mapping[str, str] | None = None
) -> tuple[Result, ...]:
    """Judge a day by its distances to the reference: results of features, of scores, and the weighted drift (last).

    The subject is the feature, ``score`` or ``score.<class>``, and ``""`` for the weighted drift. A feature and a
    score have one result for each measure; `decides` is true for the one that counts.

    Parameters
    ----------
    leave_out : ``monitoring.leave_out``: inputs without a result.
    damaged : why an input is damaged on that day, by name (`counters.damaged`), ``""`` for the whole day. What is
        measured on damaged rows shows nothing about the world: its state is unknown.
    """
    broken = damaged or {}
    weights = reference.importance.weights(leave_out)
    features = [one for one in reference.features if one.name not in leave_out]
    distances = {one.name: _distances(one, day.features.get(one.name)) for one in features}
    found: list[Result] = []
    for one in features:
        why = broken.get(DAMAGED_DAY) or broken.get(one.name)
        found += _judged(one, day.features.get(one.name), distances[one.name], why, "the day has no such column")
    why = broken.get(DAMAGED_DAY) or broken.get(DAMAGED_SCORE) or _damage_of(weights, broken)
    found += _scores(reference, day, why)
    return (*found, _weighted(reference, features, weights, distances, broken))


def decides(result: Result) -> bool:
    """Whether this measure decides if its subject has drifted; the population stability index is only shown."""
    return result.measure != "psi"


def is_score(result: Result) -> bool:
    """Whether the subject is a score."""
    return result.subject == SCORE or result.subject.startswith(f"{SCORE}.")


def _distances(one: FeatureReference, profile: Profile | None) -> dict[str, float | None]:
    return {} if profile is None else one.to(profile)


def _judged(
    one: FeatureReference,
    profile: Profile | None,
    distances: Mapping[str, float | None],
    damage: str | None,
    absent: str,
) -> Iterator[Result]:
    """The results of a feature; of one without a scheme a single one, by the measure of numbers."""
    measures = list(one.distances) or [drift.OF_NUMBERS[0].name]
    for measure in measures:
        value, limit = distances.get(measure), one.limit(measure)
        lack = one.lack(measure)
        if lack is None and profile is None:
            lack = absent
        elif lack is None and value is None:
            there = 0 if profile is None else profile.values
            lack = f"the day has {there:,} values of it, and {one.fewest:,} are needed"
        if lack is not None or value is None or limit is None:
            yield _result(one.name, measure, value, limit, State.UNKNOWN, f"{one.name} is not compared: {lack}")
            continue
        said = _said(one.name, measure, value, limit)
        if damage:
            yield _result(one.name, measure, value, limit, State.UNKNOWN, f"{said}, on damaged rows: {damage}")
            continue
        state = State.VIOLATED if value > limit else State.HEALTHY
        yield _result(one.name, measure, value, limit, state, said)


def _said(name: str, measure: str, value: float, limit: float) -> str:
    if measure == "wasserstein":
        return f"{name} is {number(value)} standard deviations from the reference (limit {number(limit)})"
    if measure == "jensen_shannon":
        return f"{name} is at a distance of {number(value)} of 1 from the reference (limit {number(limit)})"
    return f"the {measure} of {name} is {number(value)} (on the days of the reference up to {number(limit)})"


def _scores(reference: Reference, day: DayProfile, damage: str | None) -> Iterator[Result]:
    if not reference.scores:
        why = reference.scores_lack or "the reference has no scores"
        measure = drift.OF_NUMBERS[0].name
        yield _result(SCORE, measure, None, None, State.UNKNOWN, f"the score is not compared: {why}")
    for one in reference.scores:
        profile = day.scores.get(one.name)
        yield from _judged(one, profile, _distances(one, profile), damage, "the day was not scored")


def _damage_of(weights: Mapping[str, float], damaged: Mapping[str, str]) -> str | None:
    """Why the score is not judged, if inputs that matter are damaged; None if the model hardly depends on them."""
    names = [name for name in damaged if name not in (DAMAGED_DAY, DAMAGED_SCORE)]
    if not names or (weights and sum(weights.get(name, 0.0) for name in names) <= MOST_UNKNOWN + ROUNDING):
        return None
    return damaged[max(names, key=lambda name: weights.get(name, 0.0))]


# -- the model as a whole


def _weighted(
    reference: Reference,
    features: Sequence[FeatureReference],
    weights: Mapping[str, float],
    distances: Mapping[str, Mapping[str, float | None]],
    damaged: Mapping[str, str],
) -> Result:
    """The sum over the inputs of weight x distance / limit, divided by the weights of those with a known distance.

    Its limit is the largest value of the same figure on the days of the reference, each against the others.
    """
    what = "the weighted drift is not known"
    if reference.importance.lack or not weights:
        why = reference.importance.lack or "none of the inputs matters to the model"
        return _result("", WEIGHTED, None, None, State.UNKNOWN, f"{what}: {why}")
    scales = _scales([one for one in features if one.name in weights])
    names = {one.name: one.measure or "" for one in features if one.name in scales}
    own = [
        _figure(
            weights, scales, {one.name: one.distances[names[one.name]][at] for one in features if one.name in names}
        )
        for at in range(len(reference.days))
    ]
    there = [one for one in own if one is not None]
    limit = max(there) if len(there) >= ENOUGH_DAYS else None
    today = {name: distances[name].get(measure) for name, measure in names.items()}
    why_damaged = damaged.get(DAMAGED_DAY) or _damage_of(weights, damaged)
    if not why_damaged:  # what is left decides
        today = {name: one for name, one in today.items() if name not in damaged}
    value = _figure(weights, scales, today)
    if value is None:
        lost = sorted((name for name in weights if today.get(name) is None), key=lambda name: -weights[name])
        share = percent(sum(weights[name] for name in lost))
        why = f"{listed(lost)} have no known distance, and {share} of the importance"
        return _result("", WEIGHTED, None, limit, State.UNKNOWN, f"{what}: {why}")
    if limit is None:
        why = f"the reference has {len(there)} days with it, and {ENOUGH_DAYS} are needed for a limit"
        return _result("", WEIGHTED, value, None, State.UNKNOWN, f"{what}: {why}")
    parts = {name: weights[name] * one / scales[name] for name, one in today.items() if one is not None}
    most = sorted(parts, key=lambda name: (-parts[name], name))[:3]
    shown = f"the weighted drift of all inputs is {number(value)} (limit {number(limit)})"
    said = f"{shown}, most of it of {listed(most)}" if value > 0 else shown
    if why_damaged:
        return _result("", WEIGHTED, value, limit, State.UNKNOWN, f"{said}, on damaged rows: {why_damaged}")
    return _result("", WEIGHTED, value, limit, State.VIOLATED if value > limit else State.HEALTHY, said)


def _scales(features: Sequence[FeatureReference]) -> dict[str, float]:
    """What a distance of each input is divided by: its limit. An input that was the same on every day of the reference
    has the limit 0; its scale is 1, a standard deviation or disjoint categories. Without a limit it has none."""
    limits = {one.name: one.limit(one.measure) for one in features if one.measure is not None}
    return {name: limit or 1.0 for name, limit in limits.items() if limit is not None}


def _figure(
    weights: Mapping[str, float], scales: Mapping[str, float], distances: Mapping[str, float | None]
) -> float | None:
    """The weighted mean of the scaled distances; None if too much of the importance has none."""
    known = {name: one / scales[name] for name, one in distances.items() if one is not None and name in scales}
    share = sum(weights[name] for name in known)
    if share < 1 - MOST_UNKNOWN - ROUNDING:
        return None
    return sum(weights[name] * one for name, one in known.items()) / share


def _result(
    subject: str, measure: str, value: float | None, limit: float | None, state: State, sentence: str
) -> Result:
    formula = WEIGHTED_FORMULA if measure == WEIGHTED else drift.formulas()[measure]
    return Result(
        subject=subject,
        measure=measure,
        formula=formula,
        value=value,
        high=limit,
        state=state,
        cause=Cause.DRIFT,
        sentence=sentence,
    )
