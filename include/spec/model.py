"""A model and its data: columns, label, protocol. The text below a field is its meaning for the reference of models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from include.errors import Finding, Misdeclared
from include.partitions import CLOCK_CHANGE, in_time
from include.spec.base import METRICS, Declaration, Metric
from include.spec.bounds import LARGEST_SEED, LONGEST_WINDOW
from include.spec.cron import Cron, time_of_day
from include.spec.gate import Gate, Scorer
from include.spec.monitoring import Monitoring
from include.spec.release import Release
from include.spec.serving import Serving
from include.spelling import did_you_mean, nearest

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,49}$")]

Class = str | int | bool


class ColumnType(StrEnum):
    """Type of a raw column; in the lake: large string, int64, float64, bool, timestamp[us, UTC], ISO text of a date."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"


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
    """One raw column of the source."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
    """Its name in the frame that `fetch` returns, in the lake and in requests."""
    type: ColumnType
    """What its values are. A batch with other values is critical; a lossless cast (1 to 1.0) is not."""
    nullable: bool = True
    """Whether a value may be missing. A row that lacks a value of a column that is not nullable goes to quarantine."""
    known: Known = Known.BEFORE
    """``after`` keeps a column in the lake but out of every feature and out of the server's input: leakage is
    impossible by construction, because `features.build` never gets such a column."""
    description: str = ""
    """What it means, with its unit; for those who read `model.py`."""


class Label(Declaration):
    """What is predicted: a column of the raw data, known only after the event.

    A row without a label is kept and never trained on.
    """

    column: str
    """Name of the column; it is declared ``known="after"``."""
    task: Task
    """Whether a class or a number is predicted."""
    delay: timedelta = timedelta(0)
    """How long after the end of its partition the last label of it is final. The as-of of a run is that far back."""
    positive: Class = 1
    """Of a binary classification: the class whose probability is the score."""
    classes: tuple[Class, ...] | None = None
    """Of three classes or more: all of them, in the order in which their probabilities are shown."""

    @model_validator(mode="after")
    def _classes_fit(self) -> Label:
        if self.classes is None:
            return self
        found = []
        if self.task is not Task.CLASSIFICATION:
            found.append(Finding(("classes",), "classes are declared for a classification only", excess=True))
        for n, name in enumerate(self.classes):
            if name in self.classes[:n]:
                found.append(Finding(("classes", n), f"class {name!r} is declared twice", excess=True))
        if len({type(c) for c in self.classes}) > 1:
            found.append(Finding(("classes",), "classes must be of one type"))
        if len(set(self.classes)) < 3:
            few = f"{len(set(self.classes))} classes: name the class to be scored in `positive` and leave `classes` out"
            found.append(Finding(("classes",), few, excess=True))
        if found:
            raise Misdeclared(found)
        return self

    @property
    def multiclass(self) -> bool:
        """Whether the score of a row is one probability for each of ``classes``, not one number."""
        return self.classes is not None


class Data(Declaration):
    """Where a day's rows come from and what they look like; the schema is a contract."""

    columns: tuple[Column, ...]
    """Every raw column. A declared column that is missing is critical; an undeclared one is stored and reported."""
    key: tuple[str, ...]
    """Names of the columns that identify a row; a doubled key is critical. None is nullable or known after."""
    event_time: str
    """Name of the timestamp column that decides to which partition a row belongs; a row of another day is critical."""
    label: Label
    """What is predicted."""
    schedule: Cron = "0 2 * * *"
    """When the newest day with final labels is collected: five cron fields in the model's timezone, one tick a day."""
    connections: tuple[str, ...] = ()
    """Ids of the Airflow connections that `fetch` gets as URIs."""
    keep: timedelta = timedelta(days=400)
    """How long older versions of the lake's tables stay readable, and with them past trainings repeatable. Those of
    the table of predictions stay for 7 days."""
    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.05
    """The share of a batch that may go to quarantine; a larger one stops the partition."""
    empty_days: bool = False
    """Whether a day may have no rows (a shop that is closed on Sundays); without it an empty batch is critical."""
    repeats_after: Annotated[int, Field(ge=7)] | None = None
    """Days after which the source repeats itself (a finished history, replayed). No fit reaches back to the copy of a
    day that it is judged on: with it, keeping all days would look better than it is."""

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        found = [*self._doubles(), *self._unknown_names()]
        if not self.key:
            found.append(Finding(("key",), "key is empty: name the columns that identify a row"))
        if not found:
            found = [*self._roles(), *self._label_fits()]
        if found:
            raise Misdeclared(found)
        return self

    def _doubles(self) -> Iterator[Finding]:
        names = [c.name for c in self.columns]
        for part, listed in (("columns", names), ("key", list(self.key))):
            for n, name in enumerate(listed):
                if name in listed[:n]:
                    yield Finding((part, n), f"{part}: {name!r} is declared twice", excess=True)

    def _unknown_names(self) -> Iterator[Finding]:
        names = tuple(c.name for c in self.columns)
        after = tuple(c.name for c in self.columns if c.known is Known.AFTER)
        times = tuple(c.name for c in self.columns if c.type is ColumnType.TIMESTAMP)
        for where, name, fitting in (
            *((("key", n), name, names) for n, name in enumerate(self.key)),
            (("event_time",), self.event_time, times or names),
            (("label", "column"), self.label.column, after or names),
        ):
            if name not in names:
                part = ".".join(w for w in where if isinstance(w, str))
                yield Finding(where, f"{part} names {name!r}, which is not a declared column", name, fitting)

    def _roles(self) -> Iterator[Finding]:
        """How the key, the event time and the label must be declared."""
        index = {c.name: n for n, c in enumerate(self.columns)}
        if self.column(self.event_time).type is not ColumnType.TIMESTAMP:
            where = ("columns", index[self.event_time], "type")
            yield Finding(where, f"event_time {self.event_time!r} must be of type timestamp", wanted='"timestamp"')
        if self.column(self.label.column).known is not Known.AFTER:
            where = ("columns", index[self.label.column], "known")
            yield Finding(where, f'the label {self.label.column!r} must be declared known="after"', wanted='"after"')
        for name in dict.fromkeys((*self.key, self.event_time)):
            role = f"{name!r} is part of the key or the event time: declare it"
            if self.column(name).nullable:
                yield Finding(("columns", index[name], "nullable"), f"{role} nullable=False", wanted="False")
            if self.column(name).known is Known.AFTER and name != self.label.column:
                yield Finding(("columns", index[name], "known"), f'{role} known="before"', wanted='"before"')

    def _label_fits(self) -> Iterator[Finding]:
        """A class must be a value that the label's column can have."""
        column = self.column(self.label.column)
        text = column.type is ColumnType.STRING
        if column.type is ColumnType.DATE:
            yield Finding(("label", "column"), f"{column.name!r} is declared date, and a date cannot be a label")
            return
        if self.label.task is Task.REGRESSION:
            if column.type in (ColumnType.STRING, ColumnType.TIMESTAMP):
                what = f"a regression predicts a number, and {column.name!r} is declared {column.type}"
                yield Finding(("label", "column"), what)
            return
        parts = ("positive",) if self.label.classes is None else ("classes",)
        for part in parts:
            values = (self.label.positive,) if part == "positive" else self.label.classes or ()
            wrong = [value for value in values if isinstance(value, str) is not text]
            if wrong:
                what = (
                    f"label.{part} {wrong[0]!r} cannot be a value of {column.name!r}, which is declared {column.type}"
                )
                yield Finding(("label", part), what)

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
    """The protocol: whole local days up to the as-of, newest last: ``[window] [selection_days] [holdout_days]``."""

    schedule: Cron | None = "0 3 * * *"
    """When a run begins: five cron fields in the model's timezone; later than `Data.schedule`. ``None``: on demand,
    when its monitor finds that it is stale, or by hand."""
    window_days: Annotated[int, Field(ge=1, le=LONGEST_WINDOW)] = 60
    """Days that a candidate is fitted on, unless it has a window of its own."""
    selection_days: Annotated[int, Field(ge=1)] = 7
    """Days on which the candidates are compared; the best becomes the challenger."""
    holdout_days: Annotated[int, Field(ge=1)] = 14
    """The newest days with labels, on which challenger and champion are compared; no twin has seen them."""
    slack_days: Annotated[int, Field(ge=0)] = 4
    """Days that are loaded for the first training in addition to those that it needs."""
    max_missing_days: Annotated[int, Field(ge=0)] = 3
    """Days of the needed span that may be absent from the lake; with more of them a run refuses."""
    min_rows: Annotated[int, Field(ge=1)] = 1000
    """Labelled rows that a fit needs; with fewer a run refuses."""
    max_rows: Annotated[int, Field(ge=1)] = 5_000_000
    """Rows that a fit sees at most: a seeded sample, stated on the card."""
    metric: Metric = "log_loss"
    """What selection and gate compare. A regression needs one of its own metrics here."""
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    """Every ``random_state`` of a candidate, and the sample of ``max_rows``."""
    trusted_types: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")], ...] = ()
    """Types that a stored fit may hold in addition to those that Perennial trusts: full names, ``package.module.Type``.
    Add one after reading what loading it runs: a stored fit must never be able to run other code."""
    wait_for_data: timedelta = timedelta(hours=2)
    """How long a scheduled run waits for the night's partition before it fails."""

    @property
    def days_needed(self) -> int:
        """Days of data that the first training needs: window, selection, holdout and slack."""
        return self.window_days + self.selection_days + self.holdout_days + self.slack_days


class Model(Declaration):
    """One use case: a folder under `include/models/` whose `model.py` assigns one of these to ``MODEL``."""

    name: Name
    """The name of the folder."""
    owner: Annotated[str, Field(min_length=1)]
    """The contact when something is wrong; the owner of its DAGs in Airflow."""
    description: Annotated[str, Field(min_length=1)]
    """What is predicted, for whom, in one sentence."""
    intended_use: str = ""
    """What the predictions are for, and what they are not for; on the model card. Empty: the card shows that it is
    not documented."""
    limitations: str = ""
    """What is known to be wrong or missing in data and model, and for whom it matters; on the model card."""
    start: date
    """The first partition that exists; nothing earlier is trained on."""
    timezone: str = "UTC"
    """IANA name; the timezone of its days and schedules."""
    tags: tuple[str, ...] = ()
    """More tags of its DAGs in Airflow."""
    priority: Annotated[int, Field(ge=1, le=100)] = 1
    """If several models are due, those with the higher value run first (Airflow's ``priority_weight``; first start)."""
    data: Data
    """Where a day's rows come from and what they look like."""
    scorers: tuple[Scorer, ...] = ()
    """Metrics of its own, e.g. the cost of a wrong prediction; selection, gate and floors can be declared in them."""
    training: Training = Training()
    """When and on which days it is trained."""
    gate: Gate = Gate()
    """What a challenger must show."""
    release: Release = Release()
    """How a version goes into service."""
    serving: Serving = Serving()
    """Which requests the model server accepts."""
    monitoring: Monitoring = Monitoring()
    """How it is monitored in service."""

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except Exception:
            zones = tuple(available_timezones())
            what = f"{value!r} is not an IANA timezone, e.g. 'UTC' or 'America/New_York'"
            raise Misdeclared([Finding((), what, value, zones if nearest(value, zones) else ("UTC",))]) from None
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> Model:
        found = [*self._scorers_fit(), *self._metrics_fit()]
        repeats, least = self.data.repeats_after, self.training.holdout_days + self.training.selection_days + 2
        if repeats is not None and repeats < least:
            what = f"data.repeats_after {repeats} leaves no day to train on that holdout and selection do not repeat"
            found.append(Finding(("data", "repeats_after"), what, wanted=str(least)))
        late = self._too_late()
        if late:
            found.append(late)
        if found:
            raise Misdeclared(found)
        return self

    def _scorers_fit(self) -> Iterator[Finding]:
        names = [scorer.name for scorer in self.scorers]
        for n, name in enumerate(names):
            if name in (m for known in METRICS.values() for m in known):
                yield Finding(("scorers", n, "name"), f"scorers: {name!r} is a metric already: find another name")
            if name in names[:n]:
                yield Finding(("scorers", n), f"scorers: {name!r} is declared twice", excess=True)

    def _metrics_fit(self) -> Iterator[Finding]:
        """Every metric that is named is one of the task or a scorer."""
        task, own = self.data.label.task, tuple(scorer.name for scorer in self.scorers)
        named: list[tuple[tuple[str | int, ...], str | None]] = [
            (("training", "metric"), self.training.metric),
            (("gate", "baseline_metric"), self.gate.baseline_metric),
            *((("gate", "floors", n, "metric"), floor.metric) for n, floor in enumerate(self.gate.floors)),
        ]
        for where, metric in named:
            if metric is not None and metric not in (*METRICS[task], *own):
                part = ".".join(w for w in where if isinstance(w, str))
                what = f"{part} {metric!r} does not fit a {task} label"
                if not any(metric in known for known in METRICS.values()):
                    what = f"{part} {metric!r} is neither a metric nor a declared scorer"
                yield Finding(where, what, metric, (*METRICS[task], *own))

    def _too_late(self) -> Finding | None:
        """Why the day that a nightly run is about cannot be in the lake by then, or None."""
        if self.training.schedule is None:  # a run that a monitor starts is about a day that is in the lake
            return None
        collects, trains = time_of_day(self.data.schedule), time_of_day(self.training.schedule)
        delay, wait = self.data.label.delay, self.training.wait_for_data
        if collects is None or trains is None or in_time(collects, trains, delay, wait):
            return None
        after = (datetime.combine(date.min, collects) + timedelta(minutes=30)).time()
        mended = f'"{after.minute} {after.hour} * * *"' if in_time(collects, after, delay, wait) else None
        if delay:
            final = (delay + CLOCK_CHANGE) % timedelta(days=1) // timedelta(minutes=1)
            what = (
                f"a run at {trains:%H:%M} needs a day that data.schedule, at {collects:%H:%M}, collects in the next "
                f"night only: labels are final {delay} after the end of their day, and a night may be an hour shorter. "
                f"Let data.schedule be at {final // 60:02}:{final % 60:02} or later, and training.schedule after it"
            )
        else:
            what = (
                f"a run begins at {trains:%H:%M} and waits {wait} for the day before, which "
                f"data.schedule collects at {collects:%H:%M} only: begin after that"
            )
        return Finding(("training", "schedule"), what, wanted=mended)


@dataclass(frozen=True)
class Candidate:
    """One estimator configuration tried in a run; what `candidates.py` returns by name."""

    estimator: Any
    """An unfitted scikit-learn estimator or pipeline over the columns that `features.build` returns."""
    window_days: int | Literal["all"] | None = None
    """Days of training data; ``None``: the model's ``training.window_days``; ``"all"``: all days so far."""
    baseline: bool = False
    """The trivial candidate that every challenger must beat. Exactly one candidate of a model is."""
