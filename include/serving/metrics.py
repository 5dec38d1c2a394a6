"""What Prometheus sees of the model server; every name begins with ``perennial_serving_``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from include.serving.spool import SpoolCounts

if TYPE_CHECKING:
    from include.serving.watcher import ModelState

PREFIX = "perennial_serving"
BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
OUTCOMES = ("answered", "invalid", "failed")
NO_VERSION = ("unavailable", "refused")
"""Outcomes without a version: no such model or none in service; no token, too large, not JSON by its content type."""


@dataclass(frozen=True)
class VersionMeters:
    """The counters of one model version, looked up once when it is loaded and not per request."""

    answered: Counter
    invalid: Counter
    failed: Counter
    rows: Counter
    seconds: Histogram


@dataclass
class Metrics:
    """The counters of one server; each server has a registry of its own."""

    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=True))

    def __post_init__(self) -> None:
        r, labels = self.registry, ("model", "version")
        ProcessCollector(registry=r)
        PlatformCollector(registry=r)
        self._requests = Counter(
            f"{PREFIX}_requests", "Prediction requests by what became of them.", (*labels, "outcome"), registry=r
        )
        self._rows = Counter(f"{PREFIX}_rows", "Rows scored.", labels, registry=r)
        self._seconds = Histogram(
            f"{PREFIX}_request_seconds",
            "Time of an answered prediction request inside the server.",
            labels,
            buckets=BUCKETS,
            registry=r,
        )
        self._loads = Counter(
            f"{PREFIX}_loads", "Bundles loaded, failed to load, withdrawn.", ("model", "outcome"), registry=r
        )

    def of_version(self, model: str, version: int) -> VersionMeters:
        """The meters of a version; series start at zero, so that the first error already shows as a rate."""
        answered, invalid, failed = (self._requests.labels(model, str(version), o) for o in OUTCOMES)
        return VersionMeters(
            answered, invalid, failed, self._rows.labels(model, str(version)), self._seconds.labels(model, str(version))
        )

    def without_version(self, model: str, outcome: str) -> None:
        """Count a request that met no version; ``model`` must be a known name or ``""``, never text of a client."""
        self._requests.labels(model, "", outcome).inc()

    def loaded(self, model: str, outcome: str) -> None:
        """Count a load: ``loaded``, ``failed``, ``withdrawn``."""
        self._loads.labels(model, outcome).inc()


class StateCollector(Collector):
    """What is asked for at scrape time: the versions in service, and the spool."""

    def __init__(
        self,
        states: Callable[[], Mapping[str, ModelState]],
        store_reachable: Callable[[], bool],
        spool: Callable[[], SpoolCounts],
    ) -> None:
        self._states, self._reachable, self._spool = states, store_reachable, spool

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            f"{PREFIX}_model_info", "1 for the version in service.", labels=["model", "version", "digest", "source"]
        )
        epoch = GaugeMetricFamily(f"{PREFIX}_release_epoch", "Epoch of the release in service.", labels=["model"])
        age = GaugeMetricFamily(f"{PREFIX}_release_age_seconds", "Since the version was released.", labels=["model"])
        pending = GaugeMetricFamily(
            f"{PREFIX}_pending_error", "1 where a newer release cannot be put into service here.", labels=["model"]
        )
        for name, state in self._states().items():
            pending.add_metric([name], 1.0 if state.pending_error else 0.0)
            served = state.served
            if served is not None:
                info.add_metric([name, str(served.version), served.digest, served.source], 1.0)
                epoch.add_metric([name], served.epoch)
                age.add_metric([name], max(0.0, time.time() - _posix(served.released_at)))
        yield from (info, epoch, age, pending)
        yield GaugeMetricFamily(
            f"{PREFIX}_store_reachable", "1 where the bundle store can be listed.", value=float(self._reachable())
        )
        spool = self._spool()
        yield GaugeMetricFamily(f"{PREFIX}_spool_depth_rows", "Predictions queued, not written.", value=spool.depth)
        for name, text, value in (
            ("accepted_rows", "Predictions queued for the spool.", spool.accepted),
            ("dropped_rows", "Predictions answered but not recorded (queue full or disk failing).", spool.dropped),
            ("written_rows", "Predictions written to the spool.", spool.written),
            ("synced_rows", "Predictions synced to disk.", spool.synced),
            ("closed_segments", "Segments closed, ready to be loaded.", spool.segments_closed),
            ("crash_lost_rows", "Predictions that crashed runs accepted and did not write.", spool.lost_by_last_crash),
            ("torn_lines", "Torn lines cut from segments of crashed runs.", spool.torn_lines),
        ):
            yield CounterMetricFamily(f"{PREFIX}_spool_{name}", text, value=value)


def _posix(iso: str) -> float:
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return float("nan")
    return moment.timestamp() if moment.tzinfo else datetime.fromisoformat(iso + "+00:00").timestamp()
