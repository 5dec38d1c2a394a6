"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
