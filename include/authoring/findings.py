"""What new-model knows about a data set when it writes: columns with their roles, task, key, rhythm, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd

from include.sources import NumberFormat, Source
from include.sources.replay import Replay
from include.spec import ColumnType, Task


class Role(StrEnum):
    """The role of a column."""

    FEATURE = "feature"  # a number, a boolean, or a text with few values
    MANY = "many"  # a feature with many text values
    AGE = "age"  # a time; the feature is how long before the event it was
    EVENT_TIME = "event time"
    TARGET = "target"
    AFTER = "after"  # known only after the event: kept in the lake, never a feature
    UNUSED = "unused"  # identifier, constant, free text: declared, no feature
    LEFT_OUT = "left out"  # not even declared: the lake has no type for it, or it is empty


@dataclass(frozen=True)
class Request:
    """What a person asked for.

    Attributes
    ----------
    source : path of a file or folder, or ``sql:<connection>/<schema.table>``.
    target, time : columns, as the source names them.
    delay : how long after the end of its day the last label is final.
    task, positive, key, time_format : None: inferred.
    encoding : of a CSV file; empty: inferred. decimal : the decimal sign, or ``price:,;weight:.``; empty: inferred.
    nulls : words that mean missing in texts, ``NA,?,country:n.a.``; empty: none; None: the usual ones, or a question.
    merge_labels : whether labels that differ only in spelling are one class.
    into : the folder that gets the model's folder; None: the project's own models.
    """

    name: str
    source: str
    target: str
    time: str
    timezone: str = "UTC"
    delay: timedelta = timedelta(0)
    task: Task | None = None
    positive: str | None = None
    key: tuple[str, ...] = ()
    time_format: str | None = None
    encoding: str = ""
    decimal: str = ""
    nulls: str | None = None
    merge_labels: bool = False
    owner: str = "nobody"
    into: Path | None = None


@dataclass(frozen=True)
class FoundColumn:
    """One column of the source.

    Attributes
    ----------
    name, original : as declared, and as the source names it.
    format : how a time is written (`include.sources.EventTime`), for the type timestamp.
    nulls : share of missing values. distinct : number of different values.
    missing, numbers, spellings : as `include.sources.Reading` takes them.
    why : a reason for its role, as the end of a sentence; empty if it is not needed.
    """

    name: str
    original: str
    type: ColumnType
    role: Role = Role.FEATURE
    format: str | None = None
    nulls: float = 0.0
    distinct: int = 0
    why: str = ""
    missing: tuple[str, ...] = ()
    numbers: NumberFormat | None = None
    spellings: tuple[tuple[str, str], ...] = ()

    def as_role(self, role: Role, why: str = "") -> FoundColumn:
        return replace(self, role=role, why=why or self.why)


@dataclass(frozen=True)
class Rhythm:
    """The days of the data and the protocol that fits them; see `include.spec.Training`."""

    first: date
    last: date
    start: date
    replay: Replay | None
    empty_days: bool
    window: int
    second: int  # days of the second candidate: longer if the history allows it, else shorter
    selection: int
    holdout: int
    slack: int
    min_rows: int
    gate_days: int
    gate_rows: int
    gate_class_rows: int | None  # of a classification

    @property
    def days_needed(self) -> int:
        return self.window + self.selection + self.holdout + self.slack


@dataclass
class Findings:
    """Everything that is known; the templates are rendered from it.

    Attributes
    ----------
    rows : a frame of declared types and names, in the order of time (only the newest ones of a very large source).
    total : rows of the source that have a time. counts : rows of each day.
    said : sentences to print, by heading.
    """

    request: Request
    source: Source
    columns: list[FoundColumn]
    rows: pd.DataFrame
    counts: dict[date, int]
    total: int
    time: str
    target: str
    task: Task = Task.CLASSIFICATION
    positive: Any = 1
    classes: tuple[Any, ...] | None = None
    key: tuple[str, ...] = ()
    row_number: str | None = None
    skewed: bool = False
    whole_days: bool = False
    rhythm: Rhythm | None = None
    said: dict[str, list[str]] = field(default_factory=dict)

    def say(self, heading: str, sentence: str) -> None:
        self.said.setdefault(heading, []).append(sentence)

    def column(self, name: str) -> FoundColumn:
        return next(c for c in self.columns if c.name == name)

    def of(self, *roles: Role) -> list[FoundColumn]:
        return [c for c in self.columns if c.role in roles]

    def spell(self, name: str, instead: Mapping[str, str], distinct: int) -> None:
        """Store texts of a column in another spelling."""
        pairs = tuple(sorted(instead.items()))
        self.columns = [replace(c, spellings=pairs, distinct=distinct) if c.name == name else c for c in self.columns]

    def change(self, name: str, role: Role, why: str) -> None:
        self.columns = [c.as_role(role, why) if c.name == name else c for c in self.columns]
