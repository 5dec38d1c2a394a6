"""Files that appear whole or not at all, and the bytes and digests of Arrow tables."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Page checksums let a reader notice a damaged file at no cost; the rest is fixed so that equal tables make equal bytes.
PARQUET: dict[str, Any] = {"compression": "zstd", "version": "2.6", "write_page_checksum": True, "use_dictionary": True}


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """Yield a path in ``folder`` to write to; what is still there at the end of the block is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    working = folder / f".{secrets.token_hex(8)}.tmp"
    working.touch(exist_ok=False)  # who may read it is a matter of the umask
    try:
        yield working
    finally:
        working.unlink(missing_ok=True)


def settle(working: Path, path: Path) -> None:
    """Give a complete temporary file its name: after a crash at any moment the old or the new file is there, whole."""
    _sync(working)
    os.replace(working, path)
    _sync(path.parent)


def write(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, atomically and durably."""
    with temporary(path.parent) as working:
        working.write_bytes(data)
        settle(working, path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as Parquet; equal tables make equal bytes (with the same version of pyarrow)."""
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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
