"""Cases of damaged days: each describes the damage to a model's days and how a run should end.

A case is one run of `<model>_retrain` (or `_collect`) of a `Patient`. Their order matters, because some of them make
the champion of the next ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.truth import damage
from tests.truth.damage import Damage, World
from tests.truth.patient import EVERYWHERE, NEWEST, TRAINING, Outcome, Patient

MODELS = ("flight_delays", "bike_demand", "electricity")
FIRST, FRESH = "no champion yet", "fresh against a champion frozen long ago"
MAKE_CHAMPIONS = (FIRST, FRESH)


@dataclass(frozen=True)
class Case:
    """A run and its expected outcome.

    Attributes
    ----------
    run : the run. All attributes except ``name`` are about its outcome.
    verdicts : the correct verdicts; ``failed`` if the run ends with an error.
    words : texts that the note of the run contains.
    task : the task that fails, if the verdict is ``failed``.
    log : a task, and a text that its log contains.
    """

    name: str
    run: Callable[[Patient], Outcome]
    verdicts: tuple[str, ...]
    words: tuple[str, ...] = ()
    task: str = ""
    models: tuple[str, ...] = MODELS
    log: tuple[str, str] | None = None


def night(
    how: Callable[[World], Damage] | None = None, where: str = TRAINING, **conf: Any
) -> Callable[[Patient], Outcome]:
    """A retraining about the late night, on damaged days."""

    def run(patient: Patient) -> Outcome:
        patient.damage(how(patient.world) if how else None, where)
        return patient.retrain(patient.world.late, **conf)

    return run


def first_night(patient: Patient) -> Outcome:
    return patient.retrain(patient.world.early)


def a_night_long_ago(patient: Patient) -> Outcome:
    """The same run as the first one, but the champion that serves now has seen later days."""
    patient.damage(None, TRAINING)
    return patient.retrain(patient.world.early, seed=2)


def stuck_source(patient: Patient) -> Outcome:
    """The challenger knows only the early days, as the frozen champion did. It is compared with a fresh champion."""
    patient.damage(patient.of_the_early_days, TRAINING)
    return patient.retrain(patient.world.late)


def infinite_inputs(patient: Patient) -> Outcome:
    """The newest days have infinite inputs, and the challenger cannot handle them."""
    patient.damage(damage.infinite(patient.world), NEWEST)
    return patient.retrain(patient.world.late, candidates=[patient.world.linear])


def champion_lost(what: str) -> Callable[[Patient], Outcome]:
    def run(patient: Patient) -> Outcome:
        patient.damage(None, TRAINING)
        return patient.gone(what, lambda: patient.retrain(patient.world.late, seed=3 if what == "twin" else 4))

    return run


def collected(how: str) -> Callable[[Patient], Outcome]:
    return lambda patient: patient.collect(patient.world.late, how)


CASES = (
    Case(FIRST, first_night, ("promote",), ("There was no champion",)),
    Case(
        "better overall, significantly worse in one slice",
        night(damage.worse_in_a_slice),
        ("reject",),
        ("Significantly worse",),
    ),
    Case(FRESH, night(), ("promote",), ("Against champion version",)),
    Case("an identical model", night(seed=1), ("hold",), ("same model",)),
    Case("a run about a night long ago", a_night_long_ago, ("hold",), ("has seen",)),
    Case("stale against a fresh champion", stuck_source, ("reject",), ("worse",)),
    Case("labels shuffled", night(damage.labels_shuffled), ("reject",), ("significantly more than",)),
    Case("a leak on all days", night(lambda w: damage.leaked(w.leak), EVERYWHERE), ("reject",), ("is a leak",)),
    Case("a leak on the training days", night(lambda w: damage.leaked(w.leak)), ("reject",), ("worse",)),
    Case(
        "a leak that is not quite the answer",
        night(lambda w: damage.leaked(w.near_leak), EVERYWHERE),
        ("reject",),
        ("is a leak",),
        models=("flight_delays", "bike_demand"),
    ),
    Case(
        "a leak in pieces",
        night(lambda w: damage.leaked(w.leak_in_pieces), EVERYWHERE),
        ("reject",),
        ("suspiciously good",),
        models=("flight_delays",),
    ),
    Case("weather shuffled", night(damage.weather_shuffled), ("reject", "hold"), ("worse",)),
    Case("units changed", night(damage.units_changed), ("reject",), ("worse",)),
    Case(
        "all weather missing",
        night(lambda w: damage.missing(w.weather)),
        ("reject", "hold"),
        ("worse",),
        log=("select", "Left out of the fit, because missing in all"),
    ),
    Case("infinite inputs", infinite_inputs, ("reject",), ("scores cannot be used",)),
    Case("one class only", night(damage.one_class), ("failed",), ("nothing to learn",), task="train"),
    Case(
        "labels that have not come",
        night(lambda w: damage.missing([w.label]), NEWEST),
        ("failed",),
        ("0 days with labels",),
        task="snapshot",
        models=("flight_delays",),  # the lake refuses such a day of the other models, whose label must not be missing
    ),
    Case("the champion's twin is gone", champion_lost("twin"), ("hold",), ("missing from the bundle store",)),
    Case("the champion's bundle is gone", champion_lost("bundle"), ("hold",), ("missing from the bundle store",)),
    Case(
        "units changed, when they arrive",
        collected("units changed"),
        ("failed",),
        ("nothing published",),
        task="validate",
    ),
    Case(
        "one class only, when it arrives",
        collected("one class"),
        ("failed",),
        ("cnt is casual + registered",),
        task="validate",
        models=("bike_demand",),
    ),
    Case("units changed for good", night(damage.units_changed, EVERYWHERE), ("promote",), ("better",)),
)

ALL = [(model, case) for case in CASES for model in case.models]


def check(case: Case, found: Outcome) -> None:
    """Raise AssertionError if the outcome is not the expected one."""
    if "failed" in case.verdicts:
        assert found.state == "failed", found
        failed = {task.partition("[")[0] for task, state in found.states.items() if state == "failed"}
        assert failed == {case.task}, f"exactly the task {case.task} should fail: {found}"
        tried = {task: found.tries[task] for task, state in found.states.items() if state == "failed"}
        assert set(tried.values()) == {1}, f"no retry: {tried}"
    else:
        assert found.state == "success", (found.states, found.logs)
        assert found.verdict in case.verdicts, (found.verdict, found.note)
        assert found.verdict == found.recorded, (found.verdict, found.recorded)
        assert found.reason in " ".join(found.logs["gate"].split()), found.logs["gate"]
    same = found.champions[0] == found.champions[1]
    assert same is (found.verdict != "promote"), (
        f"only a promotion changes the champion: {found.champions} by {found.verdict}"
    )
    for words in case.words:
        assert words in found.note, found.note
    if case.log:
        task, words = case.log
        assert words in found.logs[task], found.logs[task]
