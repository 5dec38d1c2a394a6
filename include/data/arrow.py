"""The bytes and digests of Arrow tables."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Page checksums let a reader detect a damaged file at no cost. The rest is fixed so that equal tables give equal bytes.
PARQUET: Final[dict[str, str | bool]] = {
    "compression": "zstd",
    "version": "2.6",
    "write_page_checksum": True,
    "use_dictionary": True,
}


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as Parquet; equal tables give equal bytes (with the same version of pyarrow)."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), sink, row_group_size=max(table.num_rows, 1), **PARQUET)
    return bytes(sink.getvalue())


def content_digest(table: pa.Table) -> str:
    """SHA-256 over names, types, nulls and values of a table: independent of chunks, files and versions of libraries.

    The types of the lake are supported: large string, int64, float64, bool and timestamp. Rows count in their order.
    """
    digest = hashlib.sha256()
    for name in table.column_names:
        array = table.column(name).combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
        digest.update(f"{name}\0{array.type}\0{len(array)}\0".encode())
        digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
        if pa.types.is_large_string(array.type):
            filled = array.fill_null("")
            digest.update(pc.binary_length(filled).to_numpy(zero_copy_only=False).tobytes())
            digest.update("".join(filled.to_pylist()).encode())
        elif pa.types.is_timestamp(array.type):
            digest.update(array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).tobytes())
        else:
            digest.update(
                array.fill_null(False if pa.types.is_boolean(array.type) else 0)
                .to_numpy(zero_copy_only=False)
                .tobytes()
            )
    return digest.hexdigest()
