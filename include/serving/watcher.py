"""Follows the release records of the bundle store and keeps, for every model, the one version in service.

A thread of its own looks every 0.25 s, loads and checks a new bundle next to the one in service, and then replaces one
reference; a request takes the reference once, so it is answered by exactly the version it names.

What a look at the store can mean, and what follows:

- *a record*: serve it, unless its epoch is lower than the one in service (a rollback has a higher one). If it
  cannot be served (damaged record or bundle), what is in service stays, and ``pending_error`` says why.
- *no record, in a folder of the model that exists* (seen twice): the model was taken out of service. It is
  withdrawn and its local copy dropped.
- *anything else* (the store cannot be listed, is an empty mount point, has no folder of the model, fails to read):
  nothing was decided about the model. What is in service stays; a start falls back to the last verified local copy.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from include.errors import IntegrityError, PerennialError
from include.registry.bundles import Bundle, BundleStore, ReleaseRecord
from include.scoring.documents import Probe
from include.scoring.messages import ModelStatus
from include.scoring.predictor import Predictor
from include.serving.local_copy import LocalCopy
from include.serving.metrics import Metrics, VersionMeters

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
RETRY_SECONDS = 5.0
_MODEL = re.compile(r"[a-z][a-z0-9_]{1,49}")
_ABSENT_LOOKS = 2  # so that one wrong answer of a network file system withdraws nothing


@dataclass(frozen=True)
class Served:
    """One version in service; a request keeps one of these from beginning to end."""

    model: str
    version: int
    digest: str
    epoch: int
    released_at: str
    run_id: str
    loaded_at: str
    source: str
    predictor: Predictor
    meters: VersionMeters
    key: tuple[str, ...]
    event_time: str


@dataclass(frozen=True)
class ModelState:
    """The state of one model: the version in service, and why a newer one is not."""

    name: str
    served: Served | None = None
    pending_error: str | None = None
    reason: str | None = None
    pending_digest: str | None = None

    def status(self) -> ModelStatus:
        """As the server answers."""
        served = self.served
        return ModelStatus(
            model=self.name,
            serving=served is not None,
            version=served.version if served else None,
            digest=served.digest if served else None,
            epoch=served.epoch if served else None,
            released_at=served.released_at if served else None,
            run_id=served.run_id if served else None,
            loaded_at=served.loaded_at if served else None,
            source=served.source if served else None,
            pending_error=self.pending_error,
            pending_digest=self.pending_digest,
            reason=None if served else self.reason,
        )


@dataclass
class _Memory:
    """What the watcher remembers of one model between looks."""

    signature: tuple[int, ...] | None = None
    retry_at: float | None = None
    absent: int = 0
    local_tried: bool = False
    logged: str | None = None


class Watcher:
    """Keeps `served` and `states` in line with the bundle store.

    Parameters
    ----------
    store : the bundle store; only read.
    local : the last verified copy of every model, for a start without the store.
    metrics : counts the loads.

    Attributes
    ----------
    served : the version in service by model name. Replaced as a whole, never changed: read it without a lock.
    states : the same for every known model, with reasons.
    looked_at : POSIX seconds of the last look at which the store could be listed; 0 before the first.
    """

    def __init__(self, store: BundleStore, local: LocalCopy, metrics: Metrics) -> None:
        self.served: Mapping[str, Served] = {}
        self.states: Mapping[str, ModelState] = {}
        self.store_reachable = True
        self.looked_at = 0.0
        self.first_look_done = threading.Event()
        self._store, self._local, self._metrics = store, local, metrics
        self._memory: dict[str, _Memory] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to follow; `first_look_done` is set once every model was checked."""
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """Stop following; a load under way is left behind (the thread is a daemon)."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception:  # the thread must survive any failure of one look
                logger.exception("Following the release records failed; trying again.")
            self.first_look_done.set()
            self._stop.wait(POLL_SECONDS)

    def look(self) -> None:
        """Look once at every model."""
        folders = self._folders()
        names = folders if folders is not None else set()
        for name in sorted(names | set(self._memory) | (self._local.models() if not self._memory else set())):
            if self._stop.is_set():
                return
            memory = self._memory.setdefault(name, _Memory())
            try:
                if name in names:
                    self._look_at(name, memory)
                else:
                    memory.absent, memory.signature = 0, None
                    where = f"{self._store.root} has no folder of it" if folders is not None else self._unreachable()
                    self._not_decided(name, memory, f"the bundle store does not show what serves: {where}")
            except Exception as error:
                self._not_decided(name, memory, f"{type(error).__name__}: {error}")
                logger.exception("Looking at %s failed.", name)
        if folders is not None:
            self.looked_at = time.time()

    def released(self, name: str) -> bool:
        """Whether the store has a release record of the model; true if the store cannot be read."""
        try:
            return self._store.root.joinpath(name, "release.json").exists()
        except OSError:
            return True

    def _folders(self) -> set[str] | None:
        try:
            with os.scandir(self._store.root) as entries:
                found = {entry.name for entry in entries if _MODEL.fullmatch(entry.name) and entry.is_dir()}
        except OSError as error:
            if self.store_reachable:
                self.store_reachable = False
                logger.error(
                    "The bundle store %s cannot be listed (%s): serving continues with what is loaded or kept locally; "
                    "new releases are not seen until it is back.",
                    self._store.root,
                    error.strerror,
                )
            return None
        if not self.store_reachable:
            self.store_reachable = True
            logger.info("The bundle store %s can be listed again.", self._store.root)
        return found

    def _unreachable(self) -> str:
        return f"{self._store.root} cannot be listed"

    def _look_at(self, name: str, memory: _Memory) -> None:
        try:
            status = os.stat(self._store.root / name / "release.json")
        except FileNotFoundError:
            self._absent(name, memory)
            return
        except OSError as error:
            self._not_decided(name, memory, f"its release record cannot be read: {error.strerror}")
            return
        memory.absent = 0
        signature = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
        due = memory.retry_at is not None and time.monotonic() >= memory.retry_at
        if signature == memory.signature and not due:
            return
        if signature != memory.signature:
            memory.local_tried = False
        memory.retry_at = None
        record: ReleaseRecord | None = None
        try:
            record = self._store.read_release(name)
            if record is None:
                return  # it went away since the look: the next look sees that
            self._follow(name, record, memory)
            memory.signature = signature
        except Exception as error:
            memory.signature, memory.retry_at = signature, time.monotonic() + RETRY_SECONDS
            expected = isinstance(error, (PerennialError, OSError))
            why = str(error) if expected else f"{type(error).__name__}: {error}"
            self._not_decided(name, memory, why, failed=True, digest=record.digest if record else None)

    def _follow(self, name: str, record: ReleaseRecord, memory: _Memory) -> None:
        """Put a record into service; raises if that cannot be done."""
        served = self.served.get(name)
        floor = served.epoch if served else self._local.epoch(name)
        same = served is not None and (served.epoch, served.digest) == (record.epoch, record.digest)
        if not same:
            if record.epoch < floor or (served is not None and record.epoch == floor):
                raise IntegrityError(
                    f"the release record of {name} is at epoch {record.epoch} (version {record.version}), and epoch "
                    f"{floor} was in service here already: epochs only grow, so it is refused. If the ledger was "
                    f"set back on purpose, remove {self._local.folder(name)} and restart this server."
                )
            started = time.perf_counter()
            bundle = self._store.open(name, record.digest)
            served = self._load(record, bundle, "store")
            self._put(name, served)
            self._metrics.loaded(name, "loaded")
            logger.info(
                "%s: version %d (bundle %s, epoch %d) is in service, loaded and checked in %.0f ms.",
                name,
                record.version,
                record.digest[:12],
                record.epoch,
                1000 * (time.perf_counter() - started),
            )
            self._keep(record, bundle)
        elif served is not None:
            self._put(name, replace(served, source="store"))
            if self._local.epoch(name) < record.epoch:
                self._keep(record, self._store.open(name, record.digest))
        memory.logged = None

    def _load(self, record: ReleaseRecord, bundle: Bundle, source: str) -> Served:
        predictor = Predictor.load(bundle)
        predictor.warm_up(Probe.of(bundle))
        schema = predictor.schema
        if schema.several is None:
            self._metrics.scores.expect(record.model, record.version, probabilities=schema.classes is not None)
        return Served(
            model=record.model,
            version=record.version,
            digest=record.digest,
            epoch=record.epoch,
            released_at=record.released_at,
            run_id=record.run_id,
            loaded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            source=source,
            predictor=predictor,
            meters=self._metrics.of_version(record.model, record.version),
            key=tuple(schema.key),
            event_time=schema.event_time,
        )

    def _keep(self, record: ReleaseRecord, bundle: Bundle) -> None:
        try:
            self._local.keep(record, bundle)
        except Exception as error:
            logger.warning(
                "%s: version %d serves, but no local copy could be kept (%s: %s): a start without the bundle store "
                "would not have it.",
                record.model,
                record.version,
                type(error).__name__,
                error,
            )

    def _absent(self, name: str, memory: _Memory) -> None:
        """The model's folder exists, its record does not."""
        memory.signature, memory.retry_at = None, None
        memory.absent += 1
        if name not in self.served:
            self._put(name, None, "no version of this model is in service")
        if memory.absent == _ABSENT_LOOKS:
            if name in self.served:
                self._put(name, None, "this model was taken out of service: its release record was removed")
                self._metrics.loaded(name, "withdrawn")
                logger.warning("%s was taken out of service: its release record was removed from the store.", name)
            self._local.drop(name)

    def _not_decided(
        self, name: str, memory: _Memory, why: str, failed: bool = False, digest: str | None = None
    ) -> None:
        """Nothing can be put into service: keep what there is, else fall back to the local copy.

        Parameters
        ----------
        digest : the bundle that cannot be served, if one is to blame.
        """
        served = self.served.get(name)
        if served is None and not memory.local_tried:
            memory.local_tried = True
            served = self._from_local(name)
        state = self.states.get(name)
        if failed and memory.logged != why:
            self._metrics.loaded(name, "failed")
        if memory.logged != why:
            memory.logged = why
            goes_on = f"version {served.version} (epoch {served.epoch}) stays in service" if served else "none serves"
            logger.error("%s: %s; %s.", name, why.rstrip("."), goes_on)
        known = (why, digest, served)
        if state is None or (state.pending_error, state.pending_digest, state.served) != known:
            self._put(name, served, why, pending=why, digest=digest)

    def _from_local(self, name: str) -> Served | None:
        try:
            found = self._local.open(name)
            if found is None:
                return None
            served = self._load(*found, source="local copy")
        except Exception as error:
            logger.error("%s: the last verified local copy cannot be used either: %s", name, error)
            return None
        self._metrics.loaded(name, "loaded")
        logger.warning("%s: version %d serves from the last verified local copy.", name, served.version)
        return served

    def _put(
        self,
        name: str,
        served: Served | None,
        reason: str | None = None,
        pending: str | None = None,
        digest: str | None = None,
    ) -> None:
        """The swap: one reference each for requests and for status."""
        if served is not None:
            if self.served.get(name) is not served:
                self.served = {**self.served, name: served}
        elif name in self.served:
            self.served = {key: value for key, value in self.served.items() if key != name}
        state = ModelState(name, served, pending, reason, digest)
        if self.states.get(name) != state:
            self.states = {**self.states, name: state}


def store_and_local(bundles: Path, home: Path) -> tuple[BundleStore, LocalCopy]:
    """The two places that a server reads from."""
    return BundleStore(bundles), LocalCopy(home / "serving" / "last")
