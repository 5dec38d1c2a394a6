"""The vocabulary of a model: what `model.py` declares. Frozen, strict, and cheap to import.

The scheduler parses every `model.py` every few seconds, so this file imports nothing heavier than pydantic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from include.errors import did_you_mean

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,49}$")]
Cron = Annotated[str, Field(pattern=r"^\S+ \S+ \S+ \S+ \S+$")]


Metric = Literal["log_loss", "roc_auc", "average_precision", "brier", "accuracy", "mae", "rmse", "r2"]
Class = str | int | bool


class Declaration(BaseModel):
    """Base of all parts of a model: frozen, and an unknown key is an error with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, arbitrary_types_allowed=False)

    @model_validator(mode="before")
    @classmethod
    def _name_the_unknown_key(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(f"{cls.__name__} has no {key!r}{did_you_mean(key, cls.model_fields)}")
        return values


class ColumnType(StrEnum):
    """Type of a raw column; in the lake: large string, int64, float64, bool, timestamp[us, UTC]."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"


class Known(StrEnum):
    """When the value of a column is known: before the event (usable as a feature) or only after it."""

    BEFORE = "before"
    AFTER = "after"


class Task(StrEnum):
    """What is predicted."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class Severity(StrEnum):
    """What a failed expectation does (the names are Great Expectations').

    ``critical`` stops the partition; ``warning`` sends the failing rows to quarantine (a failed expectation about the
    whole table is reported); ``info`` is only reported.
    """

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Column(Declaration):
    """One raw column of the source.

    ``known="after"`` keeps a column in the lake but out of every feature and out of the server's input: leakage is
    impossible by construction, because `features.build` is never handed such a column.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
    type: ColumnType
    nullable: bool = True
    known: Known = Known.BEFORE
    description: str = ""


class Label(Declaration):
    """What is predicted: a column of the raw data, known only after the event.

    ``delay`` is how long after the end of its partition the last label of it is final. A row without a label is kept
    and never trained on. A binary classification names ``positive``, the class whose probability is the score; one with
    three classes or more names all of them in ``classes``, in the order in which their probabilities are shown.
    """

    column: str
    task: Task
    delay: timedelta = timedelta(0)
    positive: Class = 1
    classes: tuple[Class, ...] | None = None

    @model_validator(mode="after")
    def _classes_fit(self) -> Label:
        if self.classes is None:
            return self
        if self.task is not Task.CLASSIFICATION:
            raise ValueError("classes are declared for a classification only")
        if len(set(self.classes)) != len(self.classes) or len({type(c) for c in self.classes}) != 1:
            raise ValueError("classes must be distinct and of one type")
        if len(self.classes) < 3:
            raise ValueError(
                f"{len(self.classes)} classes: leave `classes` out and name the class to be scored in `positive`"
            )
        return self

    @property
    def multiclass(self) -> bool:
        """Whether the score of a row is one probability for each of ``classes``, not one number."""
        return self.classes is not None


class Data(Declaration):
    """Where a day's rows come from and what they look like; the schema is a contract.

    ``empty_days``: a day may have no rows (a shop that is closed on Sundays); without it an empty batch is critical.
    """

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    event_time: str
    label: Label
    schedule: Cron = "0 2 * * *"
    connections: tuple[str, ...] = ()
    keep: timedelta = timedelta(days=400)
    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.05
    empty_days: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        names = [c.name for c in self.columns]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ValueError(f"columns declared twice: {', '.join(sorted(twice))}")
        for part, wanted in (
            ("key", self.key),
            ("event_time", (self.event_time,)),
            ("label.column", (self.label.column,)),
        ):
            for name in wanted:
                if name not in names:
                    raise ValueError(f"{part} names {name!r}, which is no declared column{did_you_mean(name, names)}")
        if not self.key:
            raise ValueError("key is empty: name the columns that identify a row")
        by_name = {c.name: c for c in self.columns}
        if by_name[self.event_time].type is not ColumnType.TIMESTAMP:
            raise ValueError(f"event_time {self.event_time!r} must be a column of type timestamp")
        if by_name[self.label.column].known is not Known.AFTER:
            raise ValueError(f'the label {self.label.column!r} must be declared known="after"')
        for name in (*self.key, self.event_time):
            if by_name[name].nullable or by_name[name].known is Known.AFTER:
                raise ValueError(
                    f'{name!r} is part of the key or the event time: declare it nullable=False, known="before"'
                )
        return self

    @property
    def inputs(self) -> tuple[Column, ...]:
        """Columns known before the event: what features may be built from and what the server accepts."""
        return tuple(c for c in self.columns if c.known is Known.BEFORE)

    def column(self, name: str) -> Column:
        """The declared column of this name; KeyError with the nearest name otherwise."""
        for candidate in self.columns:
            if candidate.name == name:
                return candidate
        raise KeyError(f"no column {name!r}{did_you_mean(name, (c.name for c in self.columns))}")


class Training(Declaration):
    """The protocol: whole local days, newest last: ``[window] [selection_days] [holdout_days] as-of``.

    ``metric`` is what selection and gate compare; ``max_missing_days`` is how many days of the needed span may be
    absent from the lake before a run refuses; ``max_rows`` caps a fit (seeded sample, stated on the card).
    """

    schedule: Cron = "0 3 * * *"
    window_days: Annotated[int, Field(ge=1)] = 60
    selection_days: Annotated[int, Field(ge=1)] = 7
    holdout_days: Annotated[int, Field(ge=1)] = 14
    slack_days: Annotated[int, Field(ge=0)] = 4
    max_missing_days: Annotated[int, Field(ge=0)] = 3
    min_rows: Annotated[int, Field(ge=1)] = 1000
    max_rows: Annotated[int, Field(ge=1)] = 5_000_000
    metric: Metric = "log_loss"
    seed: int = 0
    wait_for_data: timedelta = timedelta(hours=2)

    @property
    def days_needed(self) -> int:
        """Days of data that the first training wants: window, selection, holdout and slack."""
        return self.window_days + self.selection_days + self.holdout_days + self.slack_days


class Gate(Declaration):
    """What a challenger has to show on the holdout.

    ``margin`` (in units of ``training.metric``) is how much worse than the champion it may be; ``baseline_metric`` is
    what it has to beat the trivial baseline in (``None``: ``training.metric``).
    """

    margin: Annotated[float, Field(ge=0)] = 0.02
    baseline_metric: Metric | None = None
    min_days: Annotated[int, Field(ge=1)] = 10
    min_rows: Annotated[int, Field(ge=1)] = 2000


class Release(Declaration):
    """How a version goes into service. ``parity`` is the largest allowed |ONNX - scikit-learn| of a score."""

    parity: Annotated[float, Field(gt=0)] = 1e-5
    verify_timeout: timedelta = timedelta(seconds=60)


class Monitoring(Declaration):
    """How predictions are brought home: the schedule on which the servers' spools are loaded into the lake."""

    schedule: Cron = "*/15 * * * *"


class Model(Declaration):
    """One use case: a folder under `include/models/` whose `model.py` assigns one of these to ``MODEL``.

    ``start`` is the first partition that exists; ``timezone`` (IANA) decides where a day begins. Where several models
    want to run, those of higher ``priority`` go first (Airflow's ``priority_weight``, and the order of a first start).
    """

    name: Name
    owner: Annotated[str, Field(min_length=1)]
    description: Annotated[str, Field(min_length=1)]
    start: date
    timezone: str = "UTC"
    tags: tuple[str, ...] = ()
    priority: Annotated[int, Field(ge=1, le=100)] = 1
    data: Data
    training: Training = Training()
    gate: Gate = Gate()
    release: Release = Release()
    monitoring: Monitoring = Monitoring()

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except Exception:
            raise ValueError(f"{value!r} is no IANA timezone, e.g. 'UTC' or 'America/New_York'") from None
        return value

    @model_validator(mode="after")
    def _metric_fits_task(self) -> Model:
        fitting = {
            Task.REGRESSION: ("mae", "rmse", "r2"),
            Task.CLASSIFICATION: ("log_loss", "roc_auc", "average_precision", "brier", "accuracy"),
        }[self.data.label.task]
        for where, metric in (
            ("training.metric", self.training.metric),
            ("gate.baseline_metric", self.gate.baseline_metric),
        ):
            if metric is not None and metric not in fitting:
                raise ValueError(
                    f"{where} {metric!r} does not fit a {self.data.label.task} label: use one of {', '.join(fitting)}"
                )
        return self


@dataclass(frozen=True)
class Candidate:
    """One estimator configuration tried in a run; what `candidates.py` returns by name.

    Parameters
    ----------
    estimator : an unfitted scikit-learn estimator or pipeline over the columns that `features.build` returns.
    window_days : days of training data; ``None``: the model's ``training.window_days``; ``"all"``: all days so far.
    baseline : the trivial candidate that every challenger must beat. Exactly one candidate of a model is.
    """

    estimator: Any
    window_days: int | Literal["all"] | None = None
    baseline: bool = False
