"""The metrics of the model server for Prometheus; every name begins with ``perennial_serving_``."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector

from include.serving.recent import Ring, Rings
from include.serving.score_counts import ScoresByVersion

PREFIX = "perennial_serving"
BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
OUTCOMES = ("answered", "invalid", "failed")
NO_VERSION = ("unavailable", "refused")
"""Outcomes without a version: model unknown or not in service; no token, too large, content type not JSON."""


@dataclass(frozen=True)
class VersionMeters:
    """The counters of one model version, looked up once when it is loaded and not per request.

    ``recent`` has the last 24 hours of the model, whatever version served.
    """

    answered: Counter
    invalid: Counter
    failed: Counter
    rows: Counter
    seconds: Histogram
    recent: Ring


@dataclass
class Metrics:
    """The counters of one server; each server has a registry of its own, and its own figures of the last 24 hours."""

    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=True))
    recent: Rings = field(default_factory=Rings)
    scores: ScoresByVersion = field(default_factory=ScoresByVersion)

    def __post_init__(self) -> None:
        r, labels = self.registry, ("model", "version")
        ProcessCollector(registry=r)
        PlatformCollector(registry=r)
        self._requests = Counter(
            f"{PREFIX}_requests", "Prediction requests by outcome.", (*labels, "outcome"), registry=r
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
        """The meters of a version; series start at zero, so that the first error already appears in a rate."""
        answered, invalid, failed = (self._requests.labels(model, str(version), o) for o in OUTCOMES)
        rows, seconds = self._rows.labels(model, str(version)), self._seconds.labels(model, str(version))
        return VersionMeters(answered, invalid, failed, rows, seconds, self.recent.of(model))

    def without_version(self, model: str, outcome: str) -> None:
        """Count a request that met no version; ``model`` must be a known name or ``""``, never text of a client."""
        self._requests.labels(model, "", outcome).inc()

    def loaded(self, model: str, outcome: str) -> None:
        """Count a load: ``loaded``, ``failed``, ``withdrawn``."""
        self._loads.labels(model, outcome).inc()
