"""The rows of some days as they are in the table ``rows``: the declared columns, in their declared types."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

from include.data import schema
from include.spec import Model


def columns_of(model: Model) -> pa.Schema:
    """The columns that are read: the partition, and those that are declared."""
    return pa.schema([("partition", pa.large_string()), *schema.declared(model)])


def of_days(table: DeltaTable, keys: Collection[str], columns: pa.Schema) -> pa.Table:
    """The rows of these partitions; a column that was declared after the table was last written is null.

    Only the files of these days are opened.
    """
    if not keys:
        return columns.empty_table()
    names = [f.name for f in table.schema().fields]
    dataset = table.to_pyarrow_dataset(
        as_large_types=True, file_pruning_predicate=[("partition", ">=", min(keys)), ("partition", "<=", max(keys))]
    )
    there = [name for name in columns.names if name in names]
    rows = dataset.to_table(columns=there, filter=ds.field("partition").isin(sorted(keys)))
    arrays = [
        rows[f.name].cast(f.type) if f.name in names else pa.chunked_array([pa.nulls(rows.num_rows, f.type)])
        for f in columns
    ]
    return pa.Table.from_arrays(arrays, schema=columns)
