"""The table `monitoring` of a model: what its monitor has measured, one row for each day, version, slice and measure.

A partition is a day and a kind of measure, and is replaced whole in one commit: a run that is repeated, or that
measures a day again because its rows were corrected, ends in the same table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake
from pydantic import Field

from include.records import PartitionKey, Record, Text
from include.spec import Model
from include.statistics.results import Result, State

NAME = "monitoring"
TEXT = pa.large_string()
"""As `include.data.schema` has it, which imports pandas: too much for a web server that reads this table for a page."""


class Kind(StrEnum):
    """What is measured: how good the scores were, how far a day is from the reference, how healthy the rows and the
    service are, and whether a newer fit is better."""

    PERFORMANCE = "performance"
    DRIFT = "drift"
    COUNTER = "counter"
    STALENESS = "staleness"


class Source(StrEnum):
    """Whose scores were judged: those of the server, or those that the champion of the day was given afterwards."""

    LIVE = "live"
    REPLAYED = "replayed"


class Measured(Record):
    """One measure of one day.

    Attributes
    ----------
    version : of the model; None for what belongs to no version (the rows of a day).
    slice : ``column=value``, or ``""`` for the whole day.
    source : of scores; None for what is not about scores.
    rows, days : of which the value was made; ``days`` is 1 for the day alone, else the day is the newest of them.
    low, high : the confidence interval of the value, by blocks of days; None if it has none.
    promise : of a performance: the same metric of the version's twin on its holdout. ``baseline`` : of the trivial
        candidate on the same rows.
    importance : of a feature: its share in the importance of all, 0 to 1.
    profile : of a feature: the day's profile as JSON (`include.statistics.profiles`).
    batch : digest of the rows that it was measured on; other rows of the same day need a new measurement.
    result : the value with its limits and its state.
    """

    partition: PartitionKey
    kind: Kind
    version: int | None = None
    slice: str = ""
    source: Source | None = None
    rows: int = Field(ge=0)
    days: int = Field(default=1, ge=1)
    low: float | None = None
    high: float | None = None
    promise: float | None = None
    baseline: float | None = None
    importance: float | None = None
    profile: str | None = None
    batch: Text | None = None
    result: Result


COLUMNS = pa.schema(
    [
        ("partition", TEXT),
        ("kind", TEXT),
        ("version", pa.int64()),
        ("slice", TEXT),
        ("source", TEXT),
        ("rows", pa.int64()),
        ("days", pa.int64()),
        ("subject", TEXT),
        ("measure", TEXT),
        ("formula", pa.int64()),
        ("value", pa.float64()),
        ("limit_low", pa.float64()),
        ("limit_high", pa.float64()),
        ("state", TEXT),
        ("cause", TEXT),
        ("sentence", TEXT),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("promise", pa.float64()),
        ("baseline", pa.float64()),
        ("importance", pa.float64()),
        ("profile", TEXT),
        ("batch", TEXT),
        ("code", TEXT),
    ]
)
"""As `Measured`; ``limit_low`` and ``limit_high`` are the limits of the result, ``code`` the digest of the code that
measured."""
PARTITION_BY = ["partition", "kind"]
STATISTICS = "batch"
"""By which a look knows what a day was measured on; the log, which is read every day, has no other column."""
OF_RESULT = {"subject": "subject", "measure": "measure", "formula": "formula", "value": "value", "limit_low": "low"}
OF_RESULT |= {"limit_high": "high", "state": "state", "cause": "cause", "sentence": "sentence"}
OF_ROW = tuple(name for name in COLUMNS.names if name not in OF_RESULT and name != "code")


class Readable(Protocol):
    """The part of a `Lake` that is required for reading."""

    def table(self, name: str) -> DeltaTable: ...


class Tables(Readable, Protocol):
    """The part of a `Lake` that is required for writing."""

    model: Model

    def committing(self, name: str, attempt: Any) -> Any: ...


def write(lake: Tables, parts: Mapping[tuple[str, Kind], Sequence[Measured]], code: str) -> int:
    """Replace these days and kinds in one commit; returns the version of the table.

    Parameters
    ----------
    parts : the rows of each day and kind; an empty sequence clears it.
    code : the digest of the code that measured.

    Raises
    ------
    TransientError : other processes kept committing to the same days.
    """
    wanted = " OR ".join(f"(partition = '{key}' AND kind = '{kind.value}')" for key, kind in parts)
    rows = [_row(one, code) for found in parts.values() for one in found]
    data = pa.Table.from_pylist(rows, schema=COLUMNS)

    def attempt(table: DeltaTable) -> int:
        write_deltalake(table, data, mode="overwrite", predicate=wanted)
        return int(table.version())

    return int(lake.committing(NAME, attempt)) if parts else -1


def read(
    lake: Readable, first: str, last: str, kinds: Iterable[Kind] = tuple(Kind), *, profiles: bool = False
) -> list[Measured]:
    """What was measured about the days between two partition keys, both included, by day and kind.

    Only the files of these days are opened.

    Parameters
    ----------
    profiles : whether the profiles of features are read as well, which are most of the table.
    """
    wanted = [kind.value for kind in kinds]
    table = lake.table(NAME)
    dataset = table.to_pyarrow_dataset(
        as_large_types=True,
        file_pruning_predicate=[("partition", ">=", first), ("partition", "<=", last), ("kind", "in", wanted)],
    )

    days = (pc.field("partition") >= first) & (pc.field("partition") <= last) & pc.field("kind").isin(wanted)
    columns = [name for name in COLUMNS.names if name != "code" and (profiles or name != "profile")]
    found = [_measured(row) for row in dataset.to_table(columns=columns, filter=days).to_pylist()]
    order = {kind: at for at, kind in enumerate(Kind)}
    return sorted(found, key=lambda one: (one.partition, order[one.kind], one.version or 0, one.slice))


def results(lake: Readable, first: str, last: str, kind: Kind, measure: str) -> list[tuple[State, float]]:
    """State and value of one measure of whole days between two partition keys, both included; without those that have
    no value. Only these two columns are read."""
    table = lake.table(NAME)
    days = [("partition", ">=", first), ("partition", "<=", last), ("kind", "=", kind.value)]
    dataset = table.to_pyarrow_dataset(as_large_types=True, file_pruning_predicate=days)
    wanted = (pc.field("partition") >= first) & (pc.field("partition") <= last) & (pc.field("kind") == kind.value)
    wanted &= (pc.field("measure") == measure) & (pc.field("slice") == "") & pc.field("value").is_valid()
    rows = dataset.to_table(columns=["state", "value"], filter=wanted).to_pylist()
    return [(State(row["state"]), row["value"]) for row in rows]


def batches(lake: Tables) -> dict[tuple[str, Kind], str]:
    """Of each day and kind of which something is recorded the `Measured.batch`, from the log of the table: no file is
    opened. If the rows of a kind differ in it, the largest."""
    found: dict[tuple[str, Kind], str] = {}
    for action in pa.table(lake.table(NAME).get_add_actions(flatten=True)).to_pylist():
        place = action["partition.partition"], Kind(action["partition.kind"])
        found[place] = max(found.get(place, ""), action["max.batch"] or "")
    return found


def _row(one: Measured, code: str) -> dict[str, Any]:
    mine = {name: getattr(one, name) for name in OF_ROW}
    return mine | {name: getattr(one.result, field) for name, field in OF_RESULT.items()} | {"code": code}


def _measured(row: Mapping[str, Any]) -> Measured:
    result = Result.of({field: row[name] for name, field in OF_RESULT.items()})
    values = {name: row[name] for name in OF_ROW if name in row}
    kind, source = Kind(values.pop("kind")), values.pop("source")
    return Measured(**values, kind=kind, source=None if source is None else Source(source), result=result)
