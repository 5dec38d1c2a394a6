"""The Delta tables of a model, and the raw, staged and frozen files next to them.

Every write is atomic and can be repeated: a partition is replaced whole, a prediction segment is appended once.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from include import files
from include.data import arrow, monitoring, predictions, replays, retention, schema, snapshots
from include.data.published import Published, published
from include.data.snapshots import Snapshot
from include.errors import ConfigurationError, DataError, IntegrityError, TransientError
from include.partitions import Partition
from include.records import Record
from include.settings import Settings
from include.spec import ColumnType, Model

log = logging.getLogger(__name__)

TEXT, INSTANT = schema.ARROW[ColumnType.STRING], schema.ARROW[ColumnType.TIMESTAMP]
ROWS_PREFIX = pa.schema([("partition", TEXT), ("_batch", TEXT), ("_collected_at", INSTANT)])
QUARANTINE = pa.schema([(name, TEXT) for name in ("partition", "_batch", "_expectation", "_column", "_key", "_row")])
COMMIT_TRIES = 12
WORK = timedelta(hours=2)  # that a collect run works on a day; a killed run does not remove its note
AS_JSON = b"perennial.json"  # marks a raw column that Arrow has no type for


class RawBatch(Record):
    """A source's batch, unchanged: its path (below the model's lake), the SHA-256 of the file, its number of rows."""

    path: str
    digest: str
    rows: int


@dataclass(frozen=True)
class Day:
    """The rows of a partition that are to be published, with the digest of their raw batch and when it was fetched."""

    partition: Partition
    rows: pa.Table
    batch: str
    collected_at: datetime

    def stamped(self) -> pa.Table:
        """The rows with the columns that the lake adds (`ROWS_PREFIX`)."""
        values = (self.partition.key, self.batch, self.collected_at.astimezone(UTC))
        data = self.rows
        for position, (column, value) in enumerate(zip(ROWS_PREFIX, values, strict=True)):
            same = pa.repeat(pa.scalar(value, column.type), data.num_rows)
            data = data.add_column(position, pa.field(column.name, column.type), same)
        return data


class Lake:
    """All data of one model.

    Parameters
    ----------
    model : the model that owns the data.
    root : its folder, ``<Settings.lake>/<model.name>``.
    """

    def __init__(self, model: Model, root: Path) -> None:
        taken = [c.name for c in model.data.columns if c.name in schema.OURS or c.name.startswith("_")]
        if taken:
            raise ConfigurationError(
                f"model {model.name} declares {', '.join(taken)}: the lake uses these names itself; rename the columns"
            )
        self.model = model
        self.root = root

    @classmethod
    def of(cls, model: Model) -> Lake:
        """The lake of this deployment."""
        return cls(model, Settings.from_environment().lake / model.name)

    # -- tables ---------------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Create the tables that do not exist, and bring an older layout up to date; safe in any number of processes.

        The retention of the log and of removed files is set here: with Delta's defaults a version can be read for
        30 days, and after that no past training could be reproduced, without any message.
        """
        event_time = self.model.data.event_time
        tables: dict[str, tuple[pa.Schema, str, list[Transaction]]] = {
            # Statistics of a few columns are enough to prune files, and keep the log small.
            "rows": (pa.schema([*ROWS_PREFIX, *schema.declared(self.model)]), f"_batch,_collected_at,{event_time}", []),
            "quarantine": (QUARANTINE, "_batch", []),
            "predictions": (predictions.COLUMNS, "event_time,version,_segment", [predictions.LAYOUT]),
            replays.NAME: (replays.COLUMNS, replays.STATISTICS, []),
            monitoring.NAME: (monitoring.COLUMNS, monitoring.STATISTICS, []),
        }
        for name, (columns, statistics, marks) in tables.items():
            path = self.root / name
            if DeltaTable.is_deltatable(str(path)):
                continue
            path.mkdir(parents=True, exist_ok=True)
            keep = retention.of(self.model, name)
            try:
                DeltaTable.create(
                    str(path),
                    schema=Schema.from_arrow(columns),
                    mode="error",
                    # With retries, Delta commits the create of a second process as version 1.
                    commit_properties=CommitProperties(max_commit_retries=0, app_transactions=marks),
                    partition_by=monitoring.PARTITION_BY if name == monitoring.NAME else ["partition"],
                    name=f"{self.model.name}.{name}",
                    configuration={
                        **retention.properties(keep),
                        "delta.appendOnly": "false",
                        "delta.dataSkippingStatsColumns": statistics,
                    },
                )
                log.info(
                    "Created the table %s of %s; its versions are kept for %d days.", name, self.model.name, keep.days
                )
            except DeltaError:
                # Version 0 is written only if it is absent: a second process finds the table of the first.
                if not DeltaTable.is_deltatable(str(path)):
                    raise
        predictions.migrate(self)

    def table(self, name: str) -> DeltaTable:
        """Open ``rows``, ``quarantine``, ``predictions``, ``replays`` or ``monitoring`` at its newest version."""
        try:
            return DeltaTable(str(self.root / name))
        except TableNotFoundError:
            raise DataError(
                f"{self.model.name} has no table {name!r} in {self.root} yet: collect a partition first "
                f"(the {self.model.name}_collect DAG), which creates its tables."
            ) from None

    def undeclared(self) -> dict[str, pa.DataType]:
        """Undeclared columns that ``rows`` has from earlier batches, with their types."""
        ours = {*schema.OURS, *schema.declared(self.model).names}
        return {
            f.name: TEXT if pa.types.is_string(f.type) else f.type
            for f in _arrow_schema(self.table("rows"))
            if f.name not in ours
        }

    # -- raw and staged batches -------------------------------------------------------------------------------------

    def keep_raw(self, partition: Partition, frame: pd.DataFrame) -> RawBatch:
        """Keep what the source returned, unchanged, under the digest of its bytes."""
        columns, fields = [], []
        for name, series in frame.items():
            metadata = None
            try:
                array = pa.Array.from_pandas(series)
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError):
                # A column of mixed types will not pass validation, but it must be kept, so that a person can inspect
                # it.
                array = pa.array([json.dumps(value, default=str) for value in series], pa.large_string())
                metadata = {AS_JSON: b"1"}
            columns.append(array)
            fields.append(pa.field(str(name), array.type, metadata=metadata))
        data = arrow.parquet_bytes(pa.Table.from_arrays(columns, schema=pa.schema(fields)))
        digest = files.sha256(data)
        batch = RawBatch(path=f"raw/{partition.key}/{digest}.parquet", digest=digest, rows=len(frame))
        path = self.root / batch.path
        if path.is_file():
            path.touch()  # its time tells when the source was last asked (`has_raw`)
        else:
            files.write(path, data)
        return batch

    def has_raw(self, key: str, since: datetime | None = None) -> bool:
        """Whether a batch of this partition was ever fetched, or since a moment."""
        kept = (self.root / "raw" / key).glob("*.parquet")
        return any(since is None or path.stat().st_mtime >= since.timestamp() for path in kept)

    def read_raw(self, batch: RawBatch) -> pd.DataFrame:
        """The batch as the source returned it.

        Raises
        ------
        IntegrityError : the file is missing, or its bytes do not match its digest.
        """
        path = self.root / batch.path
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise IntegrityError(
                f"the raw batch {path} is missing; clear the task `collect` to fetch it again"
            ) from None
        if files.sha256(data) != batch.digest:
            raise IntegrityError(
                f"the raw batch {path} was changed: its SHA-256 is {files.sha256(data)[:12]}..., not "
                f"{batch.digest[:12]}...; delete it and clear the task `collect` to fetch it again"
            )
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        frame = table.to_pandas()
        frame.columns = pd.Index(table.column_names)
        for position, column in enumerate(table.schema):
            if AS_JSON in (column.metadata or {}):
                values = pd.Series([json.loads(text) for text in table.column(position).to_pylist()], dtype=object)
                frame.isetitem(position, values)
        return frame

    def stage(self, partition: Partition, batch_digest: str, rows: pa.Table) -> str:
        """Keep the rows that passed validation for `publish`; returns the path below the model's lake."""
        path = f"staged/{partition.key}/{batch_digest}.parquet"
        files.write(self.root / path, arrow.parquet_bytes(rows))
        return path

    def read_staged(self, path: str) -> pa.Table:
        """The rows that `stage` kept."""
        try:
            with pq.ParquetFile(self.root / path, page_checksum_verification=True) as file:
                return file.read()
        except FileNotFoundError:
            raise IntegrityError(f"{self.root / path} is missing; clear the task `validate` to make it again") from None
        except (pa.ArrowInvalid, OSError) as reason:
            raise IntegrityError(f"{self.root / path} is damaged ({reason}); clear the task `validate`") from None

    # -- days that a collect run works on ---------------------------------------------------------------------------

    def begin(self, partition: Partition, now: datetime) -> None:
        """Note that a collect run works on a day, so that a load leaves it alone; until `end`, at most `WORK`."""
        files.write(self.root / "collecting" / partition.key, now.isoformat().encode())

    def end(self, partition: Partition) -> None:
        """Note that no collect run works on a day any more."""
        (self.root / "collecting" / partition.key).unlink(missing_ok=True)

    def being_collected(self, partition: Partition, now: datetime) -> bool:
        """Whether a collect run works on a day."""
        try:
            since = datetime.fromisoformat((self.root / "collecting" / partition.key).read_text())
        except FileNotFoundError:
            return False
        return now - since < WORK

    # -- partitions -------------------------------------------------------------------------------------------------

    def publish(
        self, partition: Partition, rows: pd.DataFrame | pa.Table, batch_digest: str, collected_at: datetime
    ) -> int:
        """Replace the partition in ``rows`` by these rows, in one commit; returns the version of the table.

        Parameters
        ----------
        rows : a source's frame, which is cast to the declared types, or a table that validation has cast already.

        Raises
        ------
        DataError : a column is missing or does not fit its type; nothing was written.
        TransientError : other processes kept committing to the same partition.
        """
        if isinstance(rows, pd.DataFrame):
            data = self._strict(rows)
        elif schema.is_conformed(self.model, rows):
            data = rows
        else:  # staged under an older declaration of the model
            data = self._strict(schema.to_frame(rows))
        return self.publish_days([Day(partition, data, batch_digest, collected_at)])

    def publish_days(self, days: Sequence[Day]) -> int:
        """Replace these partitions in ``rows``, in one commit; returns the version of the table.

        Raises
        ------
        TransientError : other processes kept committing to the same partitions.
        """
        version = self._replace("rows", {day.partition.key: day.stamped() for day in days})
        for day in days:
            self._note_empty(day)
        return version

    def quarantine(self, partition: Partition, rows: pd.DataFrame, batch_digest: str) -> int:
        """Replace the partition in ``quarantine``; an empty frame clears it. Returns the version of the table."""
        return self.quarantine_days([(partition, rows, batch_digest)])

    def quarantine_days(self, days: Sequence[tuple[Partition, pd.DataFrame, str]]) -> int:
        """Replace these partitions in ``quarantine``, in one commit; of each day its rows and the batch's digest."""
        parts = {}
        for partition, rows, batch_digest in days:
            data = {name: pa.array([str(v) for v in rows[name]], TEXT) for name in QUARANTINE.names if name in rows}
            data["partition"] = pa.array([partition.key] * len(rows), TEXT)
            data["_batch"] = pa.array([batch_digest] * len(rows), TEXT)
            parts[partition.key] = pa.table(data, schema=QUARANTINE)
        return self._replace("quarantine", parts)

    def published(self) -> dict[str, Published]:
        """The content of ``rows`` by partition key, from the table's log, and the days that were published empty, which
        the table does not record. Empty before the table exists."""
        if not DeltaTable.is_deltatable(str(self.root / "rows")):
            return {}
        return dict(sorted((self._empty() | published(self.table("rows"))).items()))

    def read_quarantine(self, key: str) -> pd.DataFrame:
        """The quarantined rows of a partition."""
        return self.table("quarantine").to_pandas(filters=[("partition", "=", key)])

    def quarantined(self, first: str, last: str) -> dict[str, int]:
        """Rows in quarantine by partition key, for the days between these (both included) that have any."""
        if not DeltaTable.is_deltatable(str(self.root / "quarantine")):
            return {}
        found: dict[str, int] = {}
        for action in pa.table(self.table("quarantine").get_add_actions(flatten=True)).to_pylist():
            key = action["partition.partition"]
            if first <= key <= last:
                found[key] = found.get(key, 0) + action["num_records"]
        return {key: rows for key, rows in sorted(found.items()) if rows}

    # -- snapshots --------------------------------------------------------------------------------------------------

    def snapshot(self, first_key: str, last_key: str) -> Snapshot:
        """Freeze the rows of these partitions at the newest version; see `include.data.snapshots.freeze`."""
        table = self.table("rows")
        return snapshots.freeze(self.model, self.root, table, published(table), first_key, last_key)

    def read_snapshot(
        self,
        snapshot: Snapshot | str,
        first: str | None = None,
        last: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of a snapshot, or of some of its days and columns; see `include.data.snapshots.read`."""
        digest = snapshot if isinstance(snapshot, str) else snapshot.digest
        return snapshots.read(self.root, digest, first, last, columns)

    def verify_snapshot(self, snapshot: Snapshot | str) -> None:
        """Recompute the digest of a snapshot from its values; IntegrityError if it differs."""
        snapshots.verify(self.root, snapshot if isinstance(snapshot, str) else snapshot.digest)

    # -- commits ----------------------------------------------------------------------------------------------------

    def committing(self, name: str, attempt: Callable[[DeltaTable], Any]) -> Any:
        """Run ``attempt`` on the newest version until its commit does not conflict with that of another process."""
        for number in range(1, COMMIT_TRIES + 1):
            try:
                return attempt(self.table(name))
            except CommitFailedError as reason:
                if number == COMMIT_TRIES:
                    raise TransientError(
                        f"the table {name} of {self.model.name} could not be written in {number} tries, because other "
                        f"processes keep writing the same partition: {reason}"
                    ) from reason
                time.sleep(random.uniform(0, min(0.02 * 2**number, 2)))
        raise AssertionError("unreachable")

    # -- inner parts ------------------------------------------------------------------------------------------------

    def _note_empty(self, day: Day) -> None:
        """Record that a day was published without rows (`spec.Data.empty_days`): Delta keeps no file for it."""
        note = self.root / "empty" / f"{day.partition.key}.json"
        if day.rows.num_rows:
            note.unlink(missing_ok=True)
        else:
            kept = {"collected_at": day.collected_at.isoformat(), "batch": day.batch}
            files.write(note, json.dumps(kept).encode())

    def _empty(self) -> dict[str, Published]:
        found = {}
        for note in (self.root / "empty").glob("*.json"):
            kept = json.loads(note.read_text())
            found[note.stem] = Published(0, datetime.fromisoformat(kept["collected_at"]), kept["batch"])
        return found

    def _strict(self, frame: pd.DataFrame) -> pa.Table:
        conformed = schema.conform(self.model, frame, self.undeclared())
        problems = list(conformed.problems)
        for name, wrong in conformed.not_dates.items():
            problems.append(f"column {name!r} has {wrong.sum()} texts that are not dates")
        if problems:
            raise DataError(f"{self.model.name}: {'; '.join(problems)}")
        return conformed.table

    def _replace(self, name: str, parts: Mapping[str, pa.Table]) -> int:
        """Replace partitions of a table, by key, in one commit; returns the version of the table."""
        only = ", ".join(f"'{key}'" for key in parts)

        def attempt(table: DeltaTable) -> int:
            aligned = [self._aligned(name, table, part) for part in parts.values()]
            data = pa.concat_tables(aligned, promote_options="permissive")
            write_deltalake(table, data, mode="overwrite", predicate=f"partition IN ({only})")
            return table.version()

        return int(self.committing(name, attempt))

    def _aligned(self, name: str, table: DeltaTable, data: pa.Table) -> pa.Table:
        """Give table and data the same columns: new ones are added to the table first, absent ones are null."""
        have = {f.name: f.type for f in _arrow_schema(table)}
        fresh = [f for f in data.schema if f.name not in have]
        if fresh:
            # Adding a column that a crashed or concurrent publish has already added changes nothing.
            fields = Schema.from_arrow(pa.schema(fresh)).fields
            table.alter.add_columns([Field(f.name, f.type, nullable=True) for f in fields])
            log.warning(
                "The table %s of %s got new columns: %s.",
                name,
                self.model.name,
                ", ".join(f"{f.name} ({f.type})" for f in fresh),
            )
            have = {f.name: f.type for f in _arrow_schema(table)}
        arrays = {}
        for column, kind in have.items():
            if column not in data.column_names:
                arrays[column] = pa.nulls(data.num_rows, kind)
                continue
            given = data.column(column)
            if not schema.interchangeable(given.type, kind):
                raise ConfigurationError(
                    f"{self.model.name}: column {column!r} is {kind} in the table {name} and {given.type} now. "
                    f"The declared type of existing data cannot change: declare a new column, or use a new lake."
                )
            arrays[column] = given
        return pa.table(arrays)


def _arrow_schema(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())
