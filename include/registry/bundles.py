"""The bundle store: immutable folders named by their content, twins, and the release record that servers follow."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.errors import ConfigurationError, IntegrityError
from include.files import UNFINISHED, sync
from include.files import write as write_file
from include.registry.records import ReleaseRecord
from include.settings import Settings

log = logging.getLogger(__name__)

SUMS = "SHA256SUMS"
RELEASE = "release.json"
TWINS = "twins"
# same as include.spec.Name, which is not imported to keep this module light
_MODEL = re.compile(r"[a-z][a-z0-9_]{1,49}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_LEFTOVER_SECONDS = 3600.0


@dataclass(frozen=True)
class Bundle:
    """One verified bundle: its folder, its digest and the SHA-256 of every file in it (by POSIX name)."""

    model: str
    digest: str
    path: Path
    sums: Mapping[str, str]

    def read(self, name: str) -> bytes:
        """The bytes of one file, verified again as they are read.

        Raises
        ------
        IntegrityError : the bundle has no such file, or its bytes changed since the bundle was opened.
        """
        if name not in self.sums:
            raise IntegrityError(f"bundle {self.digest[:12]} of {self.model} has no file {name!r}: {sorted(self.sums)}")
        try:
            data = (self.path / name).read_bytes()
        except OSError as error:
            raise IntegrityError(f"{self.path / name} cannot be read: {error.strerror}.") from None
        if hashlib.sha256(data).hexdigest() != self.sums[name]:
            raise IntegrityError(f"{self.path / name} changed: its bytes do not match {SUMS}.")
        return data

    def json(self, name: str) -> Any:
        """One file of the bundle, parsed as JSON."""
        return json.loads(self.read(name))


class BundleStore:
    """Bundles, twins and release records below one folder (``<root>/<model>/...``)."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @classmethod
    def default(cls) -> BundleStore:
        """The store of this deployment (``PERENNIAL_BUNDLES``)."""
        return cls(Settings.from_environment().bundles)

    # -- twins

    def put_twin(self, model: str, data: bytes) -> str:
        """Keep the skops bytes of a twin and return their SHA-256; the same bytes again are a no-op."""
        digest = hashlib.sha256(data).hexdigest()
        target = self._twin(model, digest)
        if not target.exists():
            write_file(target, data)
        return digest

    def get_twin(self, model: str, digest: str) -> bytes:
        """The bytes of a twin.

        Raises
        ------
        IntegrityError : it is missing, or its bytes do not match its name.
        """
        target = self._twin(model, digest)
        try:
            data = target.read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"the twin {target} is missing from the bundle store.") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError(f"the twin {target} changed: its bytes do not match its name.")
        return data

    # -- bundles

    def write(self, model: str, files: Mapping[str, bytes]) -> str:
        """Write a bundle (POSIX name -> bytes) and return its digest: the SHA-256 of its SHA256SUMS.

        All or nothing: the bundle is written next to its place, synced, then renamed. The same content again is a
        no-op.

        Raises
        ------
        IntegrityError : a file name would leave the bundle, or the store holds a damaged bundle of this digest.
        """
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        _check_names(sums, f"a bundle of {model}")
        listing = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
        digest = hashlib.sha256(listing).hexdigest()
        target = self._folder(model) / digest
        if target.exists():
            self.open(model, digest)
            return digest
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
        temporary = target.parent / f"{UNFINISHED}{digest[:12]}-{secrets.token_hex(4)}"
        temporary.mkdir()
        try:
            for name, data in {**files, SUMS: listing}.items():
                place = temporary / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with open(place, "xb", opener=_read_only) as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
            for folder, _, _ in os.walk(temporary, topdown=False):
                sync(Path(folder))
            try:
                os.rename(temporary, target)
            except OSError:
                if not target.is_dir():
                    raise
                self.open(model, digest)  # another process wrote the same bundle first
            sync(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        log.info("Bundle %s of %s written: %d files, %d bytes.", digest[:12], model, len(files), _size(files))
        return digest

    def open(self, model: str, digest: str) -> Bundle:
        """Verify every byte of a bundle and return it.

        Raises
        ------
        IntegrityError : the bundle is missing, or a file is changed, missing or extra; the message names it.
        """
        path = self._bundle(model, digest)
        try:
            listing = (path / SUMS).read_bytes()
        except OSError:
            what = f"has no {SUMS}" if path.is_dir() else "is missing from the bundle store"
            raise IntegrityError(f"bundle {path} {what}.") from None
        if hashlib.sha256(listing).hexdigest() != digest:
            raise IntegrityError(f"{path / SUMS} changed: it does not match the name of the bundle.")
        sums = _parse(listing, path)
        found = set(_files(path)) - {SUMS}
        problems = [f"{name} is missing" for name in sorted(set(sums) - found)]
        problems += [f"{name} is not part of the bundle" for name in sorted(found - set(sums))]
        problems += [f"{name} changed" for name in sorted(found & set(sums)) if _digest_of(path / name) != sums[name]]
        if problems:
            raise IntegrityError(f"bundle {path} has changed since it was written: {'; '.join(problems)}.")
        return Bundle(model, digest, path, sums)

    def has(self, model: str, digest: str) -> bool:
        """Whether the store holds a bundle of this digest (not verified)."""
        return (self._bundle(model, digest) / SUMS).is_file()

    # -- release records

    def read_release(self, model: str) -> ReleaseRecord | None:
        """The release record of a model, verified; ``None`` if nothing is in service.

        Raises
        ------
        IntegrityError : the record is incomplete, was edited, or is about another model.
        """
        path = self._folder(model) / RELEASE
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        record = ReleaseRecord.from_json(data, str(path))
        if record.model != model:
            raise IntegrityError(f"{path} is a record of {record.model!r}: it was copied from another model.")
        return record

    def write_release(self, record: ReleaseRecord) -> None:
        """Put a release record in place, atomically; the same record again is a no-op.

        Raises
        ------
        IntegrityError : the record in place has a higher epoch, or the same epoch with other content.
        """
        _valid(_DIGEST, record.digest, "digest")
        with self._writing(record.model):
            current = self._current(record.model)
            if current == record:
                return
            if current is not None and current.epoch >= record.epoch:
                raise IntegrityError(
                    f"the release record of {record.model} is at epoch {current.epoch} (version {current.version}); "
                    f"epoch {record.epoch} (version {record.version}) is not newer and was refused. If the ledger's "
                    f"database was restored from an older backup, remove {self._folder(record.model) / RELEASE}."
                )
            write_file(self._folder(record.model) / RELEASE, record.to_json())

    def remove_release(self, model: str, epoch: int) -> None:
        """Take a model out of service as of ``epoch``; a no-op if there is no record.

        Raises
        ------
        IntegrityError : the record in place is as new as ``epoch``.
        """
        with self._writing(model):
            current = self._current(model)
            if current is not None and current.epoch >= epoch:
                raise IntegrityError(
                    f"the release record of {model} is at epoch {current.epoch}: it is not removed by epoch {epoch}."
                )
            (self._folder(model) / RELEASE).unlink(missing_ok=True)
            sync(self._folder(model))

    def released(self) -> list[str]:
        """Names of the models that have a release record, readable or not; sorted."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{RELEASE}") if _MODEL.fullmatch(path.parent.name))

    def releases(self) -> dict[str, ReleaseRecord]:
        """The readable release records by model. A damaged one is logged and left out, so that it does not stop the
        others.

        To distinguish a damaged record from a missing one, compare with `released`.
        """
        records = {}
        for model in self.released():
            try:
                record = self.read_release(model)
            except IntegrityError as error:
                log.error("%s", error)
                continue
            if record is not None:
                records[model] = record
        return records

    # -- places

    def _folder(self, model: str) -> Path:
        return self.root / _valid(_MODEL, model, "model name")

    def _bundle(self, model: str, digest: str) -> Path:
        return self._folder(model) / _valid(_DIGEST, digest, "digest")

    def _twin(self, model: str, digest: str) -> Path:
        return self._folder(model) / TWINS / f"{_valid(_DIGEST, digest, 'digest')}.skops"

    def _current(self, model: str) -> ReleaseRecord | None:
        """The record in place, or ``None`` if it is damaged; the ledger's state then replaces it."""
        try:
            return self.read_release(model)
        except IntegrityError as error:
            log.warning("%s It is now replaced.", error)
            return None

    @contextmanager
    def _writing(self, model: str) -> Iterator[None]:
        """Allow only one writer of a model's release record on this file system at a time."""
        folder = self._folder(model)
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".release.lock", "w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def opened_part(path: Path) -> Bundle:
    """Some files of a bundle and its SHA256SUMS, in a folder named by the bundle's digest, verified.

    Raises
    ------
    IntegrityError : SHA256SUMS does not match the name of the folder, or a file does not match SHA256SUMS.
    """
    try:
        listing = (path / SUMS).read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path / SUMS} cannot be read: {error.strerror}.") from None
    if hashlib.sha256(listing).hexdigest() != path.name:
        raise IntegrityError(f"{path / SUMS} changed: it does not match the name of its folder.")
    sums, there = _parse(listing, path), set(_files(path))
    wrong = [name for name in sorted(there - {SUMS}) if sums.get(name) != _digest_of(path / name)]
    if wrong:
        raise IntegrityError(f"{path / wrong[0]} changed: it does not match {SUMS}.")
    return Bundle(path.parent.name, path.name, path, {name: sums[name] for name in sums if name in there})


def _valid(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ConfigurationError(f"{value!r} is not a {what}.")
    return value


def _check_names(names: Mapping[str, str], where: str) -> None:
    """Refuse a file name that could leave the bundle, hide in it, or collide with another."""
    for name in names:
        parts = name.split("/")
        if name == SUMS or not all(_PART.fullmatch(part) for part in parts):
            raise IntegrityError(f"{where} names the file {name!r}, which is refused: plain relative names only.")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in names:
                raise IntegrityError(f"{where} has {'/'.join(parts[:depth])!r} both as a file and as a folder.")


def _parse(listing: bytes, path: Path) -> dict[str, str]:
    sums = {}
    for line in listing.decode(errors="replace").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or not _DIGEST.fullmatch(digest) or name in sums:
            raise IntegrityError(f"{path / SUMS} has a line that is not a checksum: {line!r}.")
        sums[name] = digest
    _check_names(sums, str(path))
    return sums


def _files(path: Path) -> Iterator[str]:
    """POSIX names of everything below ``path`` that is not a plain folder (a link counts as a file)."""
    for folder, folders, names in os.walk(path):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*names, *links):
            yield (Path(folder) / name).relative_to(path).as_posix()


def _digest_of(path: Path) -> str:
    """SHA-256 of a plain file; of anything else (a link, a pipe), a value that no file has."""
    if path.is_symlink() or not path.is_file():
        return "not a plain file"
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_only(path: str, flags: int) -> int:
    """An opener for `open`: read-only, and readable as far as the umask allows."""
    return os.open(path, flags, 0o444)


def _remove_leftovers(folder: Path) -> None:
    """Delete incomplete bundles of killed processes that are an hour old, so that no process still writes them."""
    for path in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _size(files: Mapping[str, bytes]) -> int:
    return sum(len(data) for data in files.values())
