"""Training data frozen as one sorted Parquet file, named by the digest of its values.

The file outlives vacuum and compaction of the table, and its name does not depend on the layout of the table's files.
It has one row group for each partition, so that it can be written and read a few days at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from include import files
from include.data import arrow, schema
from include.data import rows as rows_of
from include.data.published import Published
from include.errors import DataError, IntegrityError
from include.partitions import keys_between
from include.records import PartitionKey, Record
from include.spec import Model
from include.spelling import did_you_mean

MANIFEST = "perennial.snapshot"
ROWS_AT_ONCE = 1_000_000


class Snapshot(Record):
    """A frozen reference to training data.

    Attributes
    ----------
    table_version : version of the Delta table ``rows`` that was read.
    first, last : the partition keys asked for, both included.
    rows : the number of rows. ``digest`` : their content digest. ``path`` : the file, below the model's lake.
    missing : keys in between that have no rows.
    immature : keys whose rows were fetched before their labels were final (partition end + ``label.delay``).
    """

    table_version: int
    first: PartitionKey
    last: PartitionKey
    rows: int
    digest: str
    path: str
    missing: tuple[PartitionKey, ...]
    immature: tuple[PartitionKey, ...]


class Manifest(Record):
    """The content of a snapshot, from which its digest is computed.

    Attributes
    ----------
    columns : name and Arrow type of each column.
    partitions : key, number of rows and content digest of each partition.
    """

    columns: tuple[tuple[str, str], ...]
    partitions: tuple[tuple[PartitionKey, int, str], ...]

    def encoded(self) -> bytes:
        return json.dumps(self.as_dict(), separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """The digest that names a snapshot with this manifest."""
        return files.sha256(self.encoded())


def freeze(
    model: Model, root: Path, table: DeltaTable, published: Mapping[str, Published], first: str, last: str
) -> Snapshot:
    """Write the declared columns of these partitions, sorted by partition, key and event time.

    The digest is that of the `Manifest`, which the file carries.

    Raises
    ------
    DataError : there are no rows between ``first`` and ``last``.
    """
    wanted = keys_between(first, last)
    present = [key for key in wanted if key in published]
    if not present:
        raise DataError(
            f"{model.name} has no rows from {first} to {last}: load these days with the {model.name}_load DAG."
        )
    columns = rows_of.columns_of(model)
    order = [(name, "ascending") for name in dict.fromkeys((*model.data.key, model.data.event_time))]
    days: list[tuple[str, int, str]] = []
    with files.temporary(root / "snapshots") as working:
        with pq.ParquetWriter(working, columns, **arrow.PARQUET) as writer:
            for keys in _portions(present, published):
                rows = rows_of.of_days(table, keys, columns)
                for key in keys:
                    day = rows.filter(pc.equal(rows["partition"], key)).sort_by(order)
                    days.append((key, day.num_rows, arrow.content_digest(day)))
                    writer.write_table(day, row_group_size=max(day.num_rows, 1))
            contents = Manifest(columns=tuple((f.name, str(f.type)) for f in columns), partitions=tuple(days))
            writer.add_key_value_metadata({MANIFEST: contents.encoded()})
        path = f"snapshots/{contents.digest}.parquet"
        if not (root / path).is_file():
            files.settle(working, root / path)
    found = {key for key, _, _ in days}
    return Snapshot(
        table_version=table.version(),
        first=first,
        last=last,
        rows=sum(rows for _, rows, _ in days),
        digest=contents.digest,
        path=path,
        missing=tuple(key for key in wanted if key not in found),
        immature=tuple(key for key in present if not published[key].final(model, key)),
    )


def read(
    root: Path, digest: str, first: str | None = None, last: str | None = None, columns: Iterable[str] | None = None
) -> pd.DataFrame:
    """Rows of a snapshot between two partition keys (both included), in its order.

    These are checked: the manifest against the digest, the file's row groups against the manifest, the checksum of
    every page that is read. `verify` checks the values, too.

    Raises
    ------
    IntegrityError : the file is missing, or its content does not match its name.
    DataError : a column is not part of the snapshot.
    """
    with _open(root, digest) as (file, contents):
        groups = [
            number
            for number, (key, _, _) in enumerate(contents.partitions)
            if (first is None or key >= first) and (last is None or key <= last)
        ]
        names = [name for name, _ in contents.columns]
        wanted = names if columns is None else list(columns)
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise DataError(f"snapshot {digest[:12]} has no column {unknown[0]!r}{did_you_mean(unknown[0], names)}")
        return schema.to_frame(file.read_row_groups(groups, columns=wanted).select(wanted))


def verify(root: Path, digest: str) -> None:
    """Recompute the digest of every partition of a snapshot from its values; IntegrityError if one differs."""
    with _open(root, digest) as (file, contents):
        for number, (key, _, expected) in enumerate(contents.partitions):
            if arrow.content_digest(file.read_row_group(number)) != expected:
                raise IntegrityError(f"the rows of {key} in snapshot {digest[:12]} were changed; freeze it again")


def manifest(root: Path, digest: str) -> Manifest:
    """The manifest of a snapshot, from its file."""
    with _open(root, digest) as (_, contents):
        return contents


@contextmanager
def _open(root: Path, digest: str) -> Iterator[tuple[pq.ParquetFile, Manifest]]:
    path = root / "snapshots" / f"{digest}.parquet"
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            text = (file.metadata.metadata or {}).get(MANIFEST.encode(), b"")
            if files.sha256(text) != digest:
                raise IntegrityError(f"{path} does not match its name: its manifest was changed")
            contents = Manifest.of(json.loads(text))
            rows = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
            if rows != [count for _, count, _ in contents.partitions]:
                raise IntegrityError(f"the rows of {path} do not match its manifest")
            yield file, contents
    except FileNotFoundError:
        raise IntegrityError(
            f"snapshot {digest[:12]} is missing ({path}); freeze the same days again: same rows, same digest"
        ) from None
    except (pa.ArrowInvalid, OSError) as reason:
        raise IntegrityError(f"{path} is damaged: {reason}") from None


def _portions(keys: list[str], published: Mapping[str, Published]) -> Iterator[list[str]]:
    """Runs of partitions of about a million rows, so that memory does not grow with the window."""
    portion: list[str] = []
    rows = 0
    for key in keys:
        if portion and rows + published[key].rows > ROWS_AT_ONCE:
            yield portion
            portion, rows = [], 0
        portion.append(key)
        rows += published[key].rows
    yield portion
