"""Files that appear whole or not at all: after a crash at any moment the old or the new content is there."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".tmp-"
"""How the name of a file begins that is still written to."""


@contextmanager
def temporary(folder: Path, name: str = "", private: bool = False) -> Iterator[Path]:
    """Yield a path in ``folder`` to write to; what is still there at the end of the block is removed.

    Parameters
    ----------
    name : part of its name, so that what a killed process leaves behind can be recognised.
    private : for the owner alone from its first byte on; else who may read it is a matter of the umask.
    """
    folder.mkdir(parents=True, exist_ok=True)
    working = folder / f"{UNFINISHED}{name[:40]}-{secrets.token_hex(8)}"
    working.touch(mode=0o600 if private else 0o666, exist_ok=False)
    try:
        yield working
    finally:
        working.unlink(missing_ok=True)


def settle(working: Path, path: Path) -> None:
    """Give a complete temporary file its name: after a crash at any moment the old or the new file is there, whole."""
    sync(working)
    os.replace(working, path)
    sync(path.parent)


def write(path: Path, data: bytes, private: bool = False) -> None:
    """Write ``data`` to ``path``, atomically and durably; ``private``: for its owner alone."""
    with temporary(path.parent, path.name, private) as working:
        working.write_bytes(data)
        settle(working, path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
