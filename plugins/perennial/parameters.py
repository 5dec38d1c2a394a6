"""The parameters of every DAG, and their bounds.

A form's JSON schema keeps most wrong values out when a run is created. It does not see everything: ``1e30`` and ``2.0``
are whole numbers in JSON, a run can have been created before the schema was tightened, and a key that the form does not
have is not checked at all. So a task reads its parameters through one of these models. Accepted values are typed and
within bounds, and anything else is one `ConfigurationError` that names every wrong value. The forms take their bounds
from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from include.errors import ConfigurationError
from include.partitions import FIRST_YEAR, LAST_YEAR
from include.registry.incident_actions import IncidentAction
from include.release.action import Action
from include.spec.bounds import (
    LARGEST_EPOCH,
    LARGEST_INCIDENT,
    LARGEST_SEED,
    LARGEST_VERSION,
    LONGEST_NAME,
    LONGEST_NOTE,
    LONGEST_REASON,
    LONGEST_WINDOW,
    MOST_CANDIDATES,
    SHORTEST_REASON,
)
from include.spelling import did_you_mean

__all__ = [  # including the bounds and choices that the forms use
    "DAY",
    "LARGEST_EPOCH",
    "LARGEST_INCIDENT",
    "LARGEST_SEED",
    "LARGEST_VERSION",
    "LONGEST_NAME",
    "LONGEST_NOTE",
    "LONGEST_REASON",
    "LONGEST_WINDOW",
    "MOST_CANDIDATES",
    "SHORTEST_REASON",
    "Action",
    "LOAD_TASKS_AT_A_TIME",
    "MOST_DAYS_PER_TASK",
    "MOST_LOAD_TASKS",
    "WHICH_DAYS",
    "CollectParameters",
    "IncidentAction",
    "IncidentParameters",
    "LoadParameters",
    "MonitorParameters",
    "NoParameters",
    "Parameters",
    "ReleaseParameters",
    "RetrainParameters",
    "RollbackParameters",
]

DAY = r"^(19|20|21)\d\d-[01]\d-[0-3]\d$"
"""The pattern of a day in a form; `include.partitions` knows the same years."""


MOST_DAYS_PER_TASK = 1000
LOAD_TASKS_AT_A_TIME = 4
MOST_LOAD_TASKS = 1000  # Airflow's own limit of mapped tasks is 1,024
WHICH_DAYS = ("missing", "all")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _whole(least: int, most: int, *, optional: bool = False) -> BeforeValidator:
    def check(value: Any) -> int | None:
        if value is None and optional:
            return None
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, float) and not (math.isfinite(value) and value.is_integer()):
            number = False
        if not number or not least <= value <= most:
            raise ValueError(f"{_shown(value)}, and must be a whole number from {least} to {most}")
        return int(value)

    return BeforeValidator(check)


def _text(most: int, least: int = 0) -> BeforeValidator:
    def check(value: Any) -> str:
        if value is None and not least:
            return ""
        if not isinstance(value, str) or not least <= len(value.strip()) <= most or "\x00" in value:
            wanted = f"from {least} to {most}" if least else f"at most {most}"
            raise ValueError(f"{_shown(value)}, and must be a text of {wanted} characters")
        return value.strip()

    return BeforeValidator(check)


def _day(value: Any) -> str | None:
    if value is None or value == "":
        return None
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2026-05-03") else date.min
    except ValueError:
        day = date.min
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        wanted = f"a day as YYYY-MM-DD of the years {FIRST_YEAR} to {LAST_YEAR}"
        raise ValueError(f"{_shown(value)}, and must be {wanted}, e.g. 2026-05-03") from None
    return day.isoformat()


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = isinstance(value, list | tuple) and len(value) <= MOST_CANDIDATES
    if not listed or not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in value):
        raise ValueError(f"{_shown(value)}, and must be a list of names")
    return tuple(value)


def _yes_or_no(value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)}, and must be true or false")
    return value


def _which_days(value: Any) -> str:
    if value not in WHICH_DAYS:
        raise ValueError(f"{_shown(value)}, and must be one of {', '.join(map(repr, WHICH_DAYS))}")
    return str(value)


def _action(value: Any) -> Action:
    try:
        return Action(value)
    except ValueError:
        listed = ", ".join(repr(action.value) for action in Action)
        raise ValueError(f"{_shown(value)}, and must be one of {listed}") from None


def _incident_action(value: Any) -> IncidentAction:
    try:
        return IncidentAction(value)
    except ValueError:
        listed = ", ".join(repr(action.value) for action in IncidentAction)
        raise ValueError(f"{_shown(value)}, and must be one of {listed}") from None


Day = Annotated[str | None, BeforeValidator(_day)]
Reason = Annotated[str, _text(LONGEST_REASON, SHORTEST_REASON)]


class Parameters(BaseModel):
    """Base: frozen, typed, and an unknown parameter is an error with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    former: ClassVar[tuple[str, ...]] = ()
    """Parameters of an earlier version. A run that was created then can still have them; they are ignored."""

    @classmethod
    def of(cls, dag_id: str, values: Mapping[str, object]) -> Self:
        """Read the parameters of a run.

        Raises
        ------
        ConfigurationError : an unknown parameter, or a value that is missing, of another type or out of bounds.
        """
        given = {k: v for k, v in values.items() if k not in cls.former and not k.startswith("airflow/")}
        unknown = [
            f"{name!r} is not a parameter of this DAG{did_you_mean(name, cls.model_fields)}"
            for name in given
            if name not in cls.model_fields
        ]
        if not unknown:
            try:
                return cls.model_validate(given)
            except ValidationError as error:
                unknown = [_sentence(problem) for problem in error.errors()]
        raise ConfigurationError(f"{dag_id} cannot run with these parameters: {'; '.join(unknown)}.")


def _sentence(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{where} is missing"
    said = str(problem.get("ctx", {}).get("error") or problem["msg"])
    return f"{where} is {said}" if where else said


class NoParameters(Parameters):
    """The parameters of a DAG without any."""


class CollectParameters(Parameters):
    """`<model>_collect`."""

    partition: Day = None


class MonitorParameters(Parameters):
    """`<model>_monitor`."""

    partition: Day = None


class LoadParameters(Parameters):
    """`<model>_load`; without days, those that a first training needs."""

    first: Day = None
    last: Day = None
    days: Annotated[str, BeforeValidator(_which_days)] = "missing"
    days_per_task: Annotated[int | None, _whole(1, MOST_DAYS_PER_TASK, optional=True)] = None


class RetrainParameters(Parameters):
    """`<model>_retrain`; an empty value means the model's own."""

    as_of: Day = None
    window_days: Annotated[int | None, _whole(1, LONGEST_WINDOW, optional=True)] = None
    candidates: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    seed: Annotated[int | None, _whole(0, LARGEST_SEED, optional=True)] = None
    force: Annotated[bool, BeforeValidator(_yes_or_no)] = False
    note: Annotated[str, _text(LONGEST_NOTE)] = ""

    def as_dict(self) -> dict[str, Any]:
        """The parameters as `include.retraining.planning.take` reads them."""
        given = self.model_dump(exclude_defaults=True)
        return given | ({"candidates": list(self.candidates)} if self.candidates else {})


class ReleaseParameters(Parameters):
    """`<model>_release`."""

    former: ClassVar[tuple[str, ...]] = ("released_by",)  # anyone who triggers a run can set it, so it proves nothing

    version: Annotated[int, _whole(1, LARGEST_VERSION)]
    reason: Annotated[str, _text(LONGEST_REASON)] = ""
    expected_epoch: Annotated[int | None, _whole(0, LARGEST_EPOCH, optional=True)] = None


class RollbackParameters(Parameters):
    """`<model>_rollback`. Also reads the two switches of the earlier form, ``freeze`` and ``lift_freeze``."""

    reason: Reason
    action: Annotated[Action, BeforeValidator(_action)] = Action.FREEZE
    version: Annotated[int | None, _whole(1, LARGEST_VERSION, optional=True)] = None
    freeze: Annotated[bool | None, BeforeValidator(lambda value: None if value is None else _yes_or_no(value))] = None
    lift_freeze: Annotated[bool, BeforeValidator(_yes_or_no)] = False

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if self.action is not Action.FREEZE and (self.lift_freeze or self.freeze is not None):
            raise ValueError("freeze and lift_freeze are what `action` has replaced: give only `action`")
        if self.chosen is Action.LIFT and self.version is not None:
            raise ValueError(
                f"version is {self.version}, and a freeze is lifted without changing the version: leave it empty"
            )
        return self

    @property
    def chosen(self) -> Action:
        """The action, also if the switches of the earlier form give it."""
        if self.lift_freeze:
            return Action.LIFT
        return Action.KEEP if self.freeze is False else self.action


class IncidentParameters(Parameters):
    """`perennial_incidents`."""

    number: Annotated[int, _whole(1, LARGEST_INCIDENT)]
    action: Annotated[IncidentAction, BeforeValidator(_incident_action)] = IncidentAction.ACKNOWLEDGE
    reason: Reason

    @property
    def state(self) -> str:
        """The state of the incident afterwards, unless it is closed already."""
        return "closed" if self.action is IncidentAction.CLOSE else "acknowledged"
